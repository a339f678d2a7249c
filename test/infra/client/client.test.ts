/**
 * The client's verbs on one key against a fake store: values, conditions, and above all what is
 * sent again, with which id, and what is told when nothing more can be done.
 */
import { expect } from "chai";
import { connect as connectNats } from "nats";
import {
  connect,
  isConflict,
  isUnavailable,
  type ConnectOptions,
  type Ringdex,
} from "../../../infra/client/client.js";
import { failure } from "../../support/failure.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { FakeStore } from "./fake-store.js";

describe("client", function () {
  this.timeout(20_000);

  let server: TestServer;
  let store: FakeStore;
  let db: Ringdex;

  before(async () => {
    server = await startTestServer();
  });

  after(() => server.stop());

  beforeEach(async () => {
    store = await FakeStore.start(server.url);
    db = await open();
  });

  afterEach(async () => {
    await db.close();
    await store.stop();
  });

  function open(options: ConnectOptions = {}): Promise<Ringdex> {
    return connect({ servers: server.url, attemptTimeoutMs: 100, ...options });
  }

  it("counts, deletes and tells what there was", async () => {
    expect(await db.incr("n", 2)).to.include({ value: 2, revision: 1 });
    expect(await db.incr("n", { by: -5 })).to.include({ value: -3 });
    expect(await db.del("n")).to.include({ existed: true, revision: 3 });
    expect(await db.del("n")).to.include({ existed: false, revision: null });
  });

  it("throws a conflict with the key's revision, and does not try again", async () => {
    await db.set("key", 1);
    const error = await failure(db.set("key", 2, { ifRevision: 7 }));
    expect(isConflict(error) && error.details.revision).to.equal(1);
    expect(store.asked).to.have.length(2);
  });

  it("takes a connection that is on its way back to its server, and waits for it", async () => {
    const own = await startTestServer();
    const connection = await connectNats({
      servers: own.url,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 20,
    });
    await own.kill();
    while (connection.info !== undefined) await new Promise((resolve) => setImmediate(resolve));
    const opening = connect({ connection, attemptTimeoutMs: 100 });
    const borrowed = await opening;
    const set = borrowed.set("key", 1);
    await own.restart();
    const other = await FakeStore.start(own.url);
    expect(await set).to.include({ revision: 1 });
    await borrowed.close();
    await connection.close();
    await other.stop();
    await own.stop();
  });

  it("uses a connection it is given, and leaves it open", async () => {
    const borrowed = await connect({ connection: store.connection });
    await borrowed.set("key", 1);
    await borrowed.close();
    expect(store.connection.isClosed()).to.equal(false);
  });

  it("cannot be opened without a server, and says so without the password", async () => {
    const error = await failure(connect({ servers: "me:secret@127.0.0.1:1" }));
    expect(isUnavailable(error) && error.message)
      .to.include("127.0.0.1:1")
      .and.not.include("secret");
  });
});
