/**
 * The client's verbs on one key against a fake store: values, conditions, and above all what is
 * sent again, with which id, and what is told when nothing more can be done.
 */
import { expect } from "chai";
import {
  connect,
  isConflict,
  isUnavailable,
  type ConnectOptions,
  type Ringdex,
} from "../../../infra/client/client.js";
import { failure } from "../../support/failure.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { until } from "../../support/until.js";
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

  it("uses a connection it is given, and leaves it open", async () => {
    const borrowed = await connect({ connection: store.connection });
    await borrowed.set("key", 1);
    await borrowed.close();
    expect(store.connection.isClosed()).to.equal(false);
  });

  it("uses a connection that is on its way back", async () => {
    const { connection } = store;
    await server.kill();
    await until(() => connection.info === undefined);
    const opening = connect({ connection, timeoutMs: 20_000, attemptTimeoutMs: 100 });
    await server.restart();
    const borrowed = await opening;
    expect(await borrowed.set("key", 1)).to.include({ revision: 1 });
    await borrowed.close();
  });

  it("cannot be opened without a server, and says so without the password", async () => {
    const error = await failure(connect({ servers: "me:secret@127.0.0.1:1" }));
    expect(isUnavailable(error) && error.message)
      .to.include("127.0.0.1:1")
      .and.not.include("secret");
  });
});
