/**
 * Ring view: positions by the ring's own count.
 */
import { expect } from "chai";
import { connect, type ConnectOptions, type Ringdex } from "../../../infra/client/client.js";
import { positionOf } from "../../../protocol/position.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { FakeStore } from "./fake-store.js";

describe("ring view", function () {
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

  it("computes positions with the ring's own count", async () => {
    await Promise.all([db.close(), store.stop()]);
    store = await FakeStore.start(server.url, 64);
    db = await open();
    await db.set("some key", 1);
    expect(store.asked[0]?.subject).to.equal(`kv.ring.${positionOf("some key", 64)}.set`);
  });

  it("learns the ring's count from a reply when there was no ring to read at first", async () => {
    await Promise.all([db.close(), store.stop()]);
    store = await FakeStore.start(server.url, 64);
    const { ring } = store;
    store.ring = undefined;
    db = await open();
    store.ring = ring;
    const wanted = `kv.ring.${positionOf("key", 64)}.get`;
    await db.set("key", 1);
    while (store.asked.at(-1)?.subject !== wanted) await db.get("key");
  });

  it("computes a batch's positions with the ring's own count, if it has to be read", async () => {
    await Promise.all([db.close(), store.stop()]);
    store = await FakeStore.start(server.url, 64);
    const { ring } = store;
    store.ring = undefined;
    db = await open();
    const setting = db.setMany(Array.from("abcdefgh", (key) => ({ key, value: 1 })));
    // Answered after the batch was told that there is no ring.
    await db.get("a");
    store.ring = ring;
    expect(await setting).to.have.length(8);
  });
});
