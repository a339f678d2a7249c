/**
 * Many keys at once against a fake store of two shards: one request a shard, cut to size, and each
 * operation's own outcome however often it has to be sent.
 */
import { expect } from "chai";
import {
  BatchError,
  connect,
  isConflict,
  isInDoubt,
  isKind,
  ops,
  type Ringdex,
} from "../../../infra/client/client.js";
import { BATCH_OPERATIONS_MAX } from "../../../protocol/limits.js";
import { positionOf } from "../../../protocol/position.js";
import { failure } from "../../support/failure.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { errorBody, FakeStore } from "./fake-store.js";

describe("many keys", function () {
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
    db = await connect({ servers: server.url, attemptTimeoutMs: 150, timeoutMs: 3_000 });
  });

  afterEach(async () => {
    await db.close();
    await store.stop();
  });

  it("go as one request to each shard, and their results come in order", async () => {
    const entries = keysOf(100).map((key, value) => ({ key, value }));
    const results = await db.setMany(entries);
    expect(results.map(({ key }) => key)).to.deep.equal(keysOf(100));
    expect(store.batches.map(({ subject }) => subject)).to.have.members([
      "kv.shard.s1.batch",
      "kv.shard.s2.batch",
    ]);
    for (const { subject, ops: list } of store.batches) {
      for (const body of list) expect(subject).to.equal(shardSubject(String(body["key"])));
    }

    const asked = ["key-3", "nowhere", "key-1", "key-3"];
    const found = await db.getMany<number>(asked);
    expect([...found].map(([key, entry]) => [key, entry.value])).to.deep.equal([
      ["key-3", 3],
      ["key-1", 1],
    ]);
  });

  it("are read as text or bytes, with every digit, if asked to", async () => {
    const text = '{"id":9007199254740993}';
    const value = new TextEncoder().encode(text);
    await db.set("a", value, { contentType: "application/json" });
    expect((await db.getMany(["a"], { as: "text" })).get("a")?.value).to.equal(text);
    expect((await db.getMany(["a"], { as: "bytes" })).get("a")?.value).to.deep.equal(value);
    expect((await db.get("a", { as: "text" }))?.value).to.equal(text);
  });

  it("take a Map, and nothing at all", async () => {
    await db.setMany(new Map([["a", { b: 1 }]]));
    expect(await db.get("a")).to.deep.include({ value: { b: 1 } });
    expect(await db.setMany([])).to.deep.equal([]);
    expect((await db.getMany([])).size).to.equal(0);
  });

  it("keep request id and index when they are sent again, and others are not", async () => {
    let count = 0;
    store.onOperation = ({ body }) =>
      body["key"] === "key-5" && count++ === 0 ? errorBody("overloaded", 429) : "done";
    await db.setMany(keysOf(20).map((key) => ({ key, value: 1 })));
    const bodies = store.asked.filter(({ body }) => body["key"] === "key-5");
    const names = bodies.map(({ body }) =>
      JSON.stringify([body["request_id"], body["request_index"] ?? 0]),
    );
    expect(names).to.have.length(2);
    expect(new Set(names).size).to.equal(1);
    expect(store.asked).to.have.length(21);
  });

  it("take effect once when a shard's reply was lost", async () => {
    let count = 0;
    store.onOperation = () => (count++ === 0 ? "lost" : "done");
    const outcomes = await db.batch([ops.incr("n", 1), ops.incr("m", 1)]);
    expect(outcomes.map((outcome) => outcome.ok && outcome.result.value)).to.deep.equal([1, 1]);
    expect(store.asked.length).to.be.greaterThan(2);
  });

  it("follow a position to its new shard", async () => {
    store.useRing(2, ["s1", "s2", "s3"]);
    const moved = keysOf(60).filter((key) => positionOf(key) >= 684);
    expect(moved).to.have.length.greaterThan(0);
    store.onOperation = ({ subject, body }) =>
      positionOf(String(body["key"])) >= 684 && subject !== "kv.shard.s3.batch"
        ? errorBody("unavailable", 503)
        : "done";
    await db.setMany(keysOf(60).map((key) => ({ key, value: 1 })));
    const last = store.batches.filter(({ subject }) => subject === "kv.shard.s3.batch");
    expect(last.flatMap((batch) => batch.ops.map((body) => body["key"]))).to.deep.equal(moved);
  });

  it("wait for a ring that cannot be read yet", async () => {
    await db.close();
    const { ring } = store;
    store.ring = undefined;
    db = await connect({ servers: server.url, attemptTimeoutMs: 50, timeoutMs: 3_000 });
    const setting = db.setMany([{ key: "a", value: 1 }]);
    store.ring = ring;
    expect(await setting).to.have.length(1);
  });

  it("take no longer than the call's time, though nothing is answered", async () => {
    await db.close();
    db = await connect({ servers: server.url, attemptTimeoutMs: 2_000 });
    store.onOperation = () => "silent";
    store.ring = undefined;
    const startMs = performance.now();
    const many = db.setMany([{ key: "a", value: 1 }], { timeoutMs: 2_100 });
    const error = await failure(many);
    expect(isInDoubt(error)).to.equal(true);
    expect(performance.now() - startMs).to.be.lessThan(3_500);

    await db.close();
    db = await connect({ servers: server.url, attemptTimeoutMs: 1_500 });
    const again = performance.now();
    expect(await failure(db.getMany(["a"], { timeoutMs: 300 }))).to.have.property(
      "kind",
      "unavailable",
    );
    expect(performance.now() - again).to.be.lessThan(1_200);
  });

  it("that fail are told with all outcomes, the others being set", async () => {
    await db.set("key-1", 1);
    const entries = keysOf(3).map((key) => ({ key, value: 7, ifAbsent: true }));
    const error = await failure(db.setMany(entries));
    expect(error).to.be.instanceOf(BatchError);
    expect(isConflict(error)).to.equal(true);
    const { outcomes } = error as BatchError;
    expect(outcomes.map(({ ok }) => ok)).to.deep.equal([true, false, true]);
    expect(store.records.size).to.equal(3);
  });

  it("end in doubt where an attempt went unanswered, and only there", async () => {
    let count = 0;
    store.onOperation = ({ body }) => {
      if (body["key"] !== "silent") return "done";
      return count++ === 0 ? "silent" : errorBody("unavailable", 503);
    };
    const other = keysOf(50).find((key) => shardSubject(key) !== shardSubject("silent")) ?? "";
    const outcomes = await db.batch([ops.set("silent", 1), ops.set(other, 1)], { timeoutMs: 500 });
    expect(outcomes[0].ok || isInDoubt(outcomes[0].error)).to.equal(true);
    expect(outcomes[0].ok).to.equal(false);
    expect(outcomes[1].ok).to.equal(true);
  });

  it("occurring twice take effect in order, also when the first was refused", async () => {
    let refusals = 2;
    store.onOperation = () => (refusals-- > 0 ? errorBody("unavailable", 503) : "done");
    const first = ops.set("key", "first");
    const second = ops.set("key", "second");
    await db.batch([first, second]);
    expect((await db.get("key"))?.value).to.equal("second");
  });

  it("occurring twice are not sent again where the second was done before the first", async () => {
    let count = 0;
    store.onOperation = () => (count++ === 0 ? errorBody("unavailable", 503) : "done");
    const [first, second, other] = await db.batch([
      ops.set("key", "first"),
      ops.set("key", "second"),
      ops.set("other", "third"),
    ]);
    expect(first?.ok === false && isKind(first.error, "unavailable")).to.equal(true);
    expect(second?.ok).to.equal(true);
    expect(other?.ok).to.equal(true);
    expect((await db.get("key"))?.value).to.equal("second");
  });

  it("occurring twice tell no read of before a write that the batch had do first", async () => {
    await db.set("key", "old");
    let count = 0;
    store.onOperation = () => (count++ === 0 ? errorBody("unavailable", 503) : "done");
    const [written, read] = await db.batch([ops.set("key", "new"), ops.get("key")]);
    expect(written?.ok).to.equal(false);
    expect(read?.ok === true && (read.result as { value: unknown }).value).to.equal("old");
    expect((await db.get("key"))?.value).to.equal("old");
  });

  it("occurring twice take effect in order across the chunks of a shard", async () => {
    const count = BATCH_OPERATIONS_MAX + 1;
    store.onOperation = () => (store.batches.length === 1 ? errorBody("unavailable", 503) : "done");
    await db.batch(Array.from({ length: count }, (_, value) => ops.set("key", value)));
    expect((await db.get("key"))?.value).to.equal(count - 1);
  });

  it("occurring twice are not done where the first was never answered", async () => {
    const first = BATCH_OPERATIONS_MAX;
    store.onOperation = ({ body }) => (body["key"] === "key" ? "silent" : "done");
    const sets = Array.from({ length: first + 1 }, (_, value) => ops.set("key", value));
    const outcomes = await db.batch([...sets, ops.set("other", 1)], { timeoutMs: 400 });
    const errors = outcomes.map((outcome) => (outcome.ok ? undefined : outcome.error));
    expect(errors[0]).to.include({ kind: "in-doubt" });
    expect(errors[first]).to.include({ kind: "unavailable", written: "no" });
    expect(errors[first + 1]).to.equal(undefined);
    const sent = store.asked.filter(({ body }) => body["key"] === "key");
    expect(new Set(sent.map(({ body }) => String(body["value"])))).to.have.property("size", first);
  });

  it("end with the signal's reason", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    store.onOperation = () => {
      setImmediate(() => controller.abort(reason));
      return "silent";
    };
    const setting = db.setMany([{ key: "a", value: 1 }], { signal: controller.signal });
    expect(await failure(setting)).to.equal(reason);
  });

  describe("in an atomic batch", () => {
    it("are sent as such, and told as results", async () => {
      const [set, count] = await db.batch([ops.set("{t}a", 1), ops.incr("{t}n", 5)], {
        atomic: true,
      });
      expect(set.created).to.equal(true);
      expect(count.value).to.equal(5);
      expect(store.batches[0]?.body).to.include({ atomic: true });
    });

    it("are refused together, with the index of the one that was", async () => {
      store.onOperation = ({ verb }) =>
        verb === "check" ? errorBody("conflict", 409, { revision: 2 }) : "done";
      const batch = [ops.set("{t}a", 1), ops.check("{t}b", { ifRevision: 1 })];
      const error = await failure(db.batch(batch, { atomic: true }));
      expect(isConflict(error) && error.details).to.include({ index: 1, revision: 2 });
      expect(store.records.size).to.equal(0);
    });

    it("are not sent at all if they are in different positions", async () => {
      const error = await failure(db.batch([ops.del("a"), ops.del("b")], { atomic: true }));
      expect(isKind(error, "bad-request") && error.details["index"]).to.equal(1);
      expect(store.batches).to.have.length(0);
    });

    it("are sent again with the same ids when the reply was lost", async () => {
      let count = 0;
      store.onOperation = () => (count++ === 0 ? "lost" : "done");
      const [result] = await db.batch([ops.incr("{t}n", 5)], { atomic: true });
      expect(result.value).to.equal(5);
      expect(store.batches).to.have.length(2);
    });
  });

  function shardSubject(key: string): string {
    return positionOf(key) < 512 ? "kv.shard.s1.batch" : "kv.shard.s2.batch";
  }
});

function keysOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `key-${index}`);
}
