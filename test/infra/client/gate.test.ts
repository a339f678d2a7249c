/**
 * Gate: so many requests under way, the rest in order.
 */
import { expect } from "chai";
import { connect, type ConnectOptions, type Ringdex } from "../../../infra/client/client.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { FakeStore } from "./fake-store.js";

describe("gate", function () {
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

  it("has no more requests under way than its limit, the rest in order", async () => {
    await db.close();
    db = await open({ inFlightMax: 3, attemptTimeoutMs: 5_000 });
    store.onOperation = () => "held";
    const gets = Promise.all(Array.from({ length: 8 }, (_, n) => db.get(`key-${n}`)));
    const keys = (): unknown[] => store.asked.map(({ body }) => body["key"]);
    while (store.asked.length < 3) await store.connection.flush();
    await store.connection.flush();
    expect(keys()).to.deep.equal(["key-0", "key-1", "key-2"]);

    store.release();
    while (store.asked.length < 6) await store.connection.flush();
    expect(keys()).to.deep.equal(Array.from({ length: 6 }, (_, n) => `key-${n}`));
    store.onOperation = () => "done";
    store.release();
    expect(await gets).to.have.length(8);
  });
});
