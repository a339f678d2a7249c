/**
 * Chunks: how many operations, and how many bytes, one message takes.
 */
import { expect } from "chai";
import { connect, type Ringdex } from "../../../infra/client/client.js";
import { BATCH_OPERATIONS_MAX } from "../../../protocol/limits.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { errorBody, FakeStore } from "./fake-store.js";

describe("chunks of many keys", function () {
  let server: TestServer;
  let store: FakeStore;
  let db: Ringdex;

  before(async () => {
    server = await startTestServer();
  });

  after(() => server.stop());

  beforeEach(async () => {
    store = await FakeStore.start(server.url);
    db = await connect({ servers: server.url, attemptTimeoutMs: 5_000, timeoutMs: 10_000 });
  });

  afterEach(async () => {
    await db.close();
    await store.stop();
  });

  it("are cut to the operations that one batch may have", async () => {
    const keys = keysOf(BATCH_OPERATIONS_MAX + 1).map((key) => `{t}${key}`);
    await db.setMany(keys.map((key) => ({ key, value: 1 })));
    const lengths = store.batches.map((batch) => batch.ops.length);
    expect(lengths).to.have.members([BATCH_OPERATIONS_MAX, 1]);
  });

  it("are cut to the bytes that one message may have", async () => {
    const value = "x".repeat(200_000);
    await db.setMany(keysOf(12).map((key) => ({ key: `{t}${key}`, value })));
    expect(store.batches.length).to.be.greaterThan(2);
    expect(store.records.size).to.equal(12);
  });

  it("that are too large together in one reply are read in smaller requests", async () => {
    const keys = keysOf(9).map((key) => `{t}${key}`);
    await db.setMany(keys.map((key) => ({ key, value: key })));
    let roundAt = -1;
    let fits = 0;
    store.onOperation = () => {
      if (roundAt !== store.batches.length) [roundAt, fits] = [store.batches.length, 0];
      return ++fits > 2 ? errorBody("too-large", 413) : "done";
    };
    const found = await db.getMany(keys);
    expect([...found.keys()]).to.deep.equal(keys);
  });
});

function keysOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `key-${index}`);
}
