/**
 * The client's verbs on one key against a fake store: values, conditions, and above all what is
 * sent again, with which id, and what is told when nothing more can be done.
 */
import { expect } from "chai";
import { connect as connectNats } from "nats";
import {
  BatchError,
  connect,
  isConflict,
  isInDoubt,
  isKind,
  isUnavailable,
  KvError,
  ops,
  type ConnectOptions,
  type Ringdex,
} from "../../../infra/client/client.js";
import { positionOf } from "../../../protocol/position.js";
import { failure } from "../../support/failure.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { errorBody, FakeStore } from "./fake-store.js";

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

  describe("values", () => {
    it("come back as they were set, by their content type", async () => {
      const city = { name: "दिल्ली", population: 32_900_000, tags: ["capital"] };
      const raw = new Uint8Array([0, 255, 7]);
      await db.set("json", city);
      await db.set("text", "hello", { contentType: "text/plain" });
      await db.set("string", "hello");
      await db.set("raw", raw);
      await db.set("msgpack", city, { contentType: "application/msgpack" });

      expect((await db.get<typeof city>("json"))?.value).to.deep.equal(city);
      expect(await db.get("text")).to.include({ value: "hello", contentType: "text/plain" });
      expect(await db.get("string")).to.include({
        value: "hello",
        contentType: "application/json",
      });
      expect((await db.get("raw"))?.value).to.deep.equal(raw);
      expect((await db.get("msgpack"))?.value).to.deep.equal(city);
      expect((await db.get("string", { as: "text" }))?.value).to.equal('"hello"');
      expect((await db.get("string", { as: "bytes" }))?.value).to.deep.equal(
        new TextEncoder().encode('"hello"'),
      );
      expect(await db.get("nowhere")).to.equal(undefined);
    });

    it("that JSON cannot say are refused before anything is sent", async () => {
      for (const value of [undefined, () => 1, NaN, 1n]) {
        const error = await failure(db.set("key", value));
        expect(isKind(error, "bad-request"), String(value)).to.equal(true);
      }
      expect(store.asked).to.have.length(0);
    });

    it("go to the key's position, with what the options say", async () => {
      await db.set("a.b", 1, { ttl: "90s", ifAbsent: true, returnPrevious: true });
      const [asked] = store.asked;
      expect(asked?.subject).to.equal(`kv.ring.${positionOf("a.b")}.set`);
      expect(asked?.body).to.include({
        key: "a.b",
        ttl: 90_000,
        if_revision: 0,
        return: "previous",
      });
      expect(asked?.body["request_id"]).to.match(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    });

    it("before a write are told if asked for", async () => {
      await db.set("key", 1);
      const result = await db.set("key", 2, { returnPrevious: true });
      expect(result).to.deep.include({ revision: 2, created: false });
      expect(result.previous).to.deep.include({ value: 1, revision: 1 });
    });
  });

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

  describe("sending again", () => {
    it("happens with the same bytes after unavailable and overloaded", async () => {
      const fates = [errorBody("unavailable", 503), errorBody("overloaded", 429)];
      store.onOperation = () => fates.shift() ?? "done";
      expect(await db.set("key", 1)).to.include({ revision: 1 });
      expect(store.asked).to.have.length(3);
      expect(new Set(store.asked.map(({ body }) => body["request_id"])).size).to.equal(1);
    });

    it("is told to onRetry each time, for single keys and for many", async () => {
      const told: string[] = [];
      await db.close();
      db = await open({ onRetry: (error) => void told.push(error.kind) });
      const fates = [errorBody("unavailable", 503), errorBody("overloaded", 429)];
      store.onOperation = () => fates.shift() ?? "done";
      await db.set("key", 1);
      expect(told).to.deep.equal(["unavailable", "overloaded"]);
      fates.push(errorBody("unavailable", 503));
      await db.setMany(new Map([["other", 2]]));
      expect(told.slice(2)).to.deep.equal(["unavailable"]);
    });

    it("takes effect once when only the reply was lost", async () => {
      let count = 0;
      store.onOperation = () => (count++ === 0 ? "lost" : "done");
      expect(await db.incr("n")).to.include({ value: 1, revision: 1 });
      expect(await db.get("n")).to.include({ value: 1 });
      expect(store.asked.filter(({ verb }) => verb === "incr")).to.have.length(2);
    });

    it("happens for gets, and for a shard that listens only later", async () => {
      await store.stop();
      const late = db.get("key");
      store = await FakeStore.start(server.url);
      expect(await late).to.equal(undefined);
    });

    it("ends in doubt if a write went unanswered, whatever came after that", async () => {
      let count = 0;
      store.onOperation = () => (count++ === 0 ? "silent" : errorBody("unavailable", 503));
      const error = await failure(db.set("key", 1, { timeoutMs: 400 }));
      expect(isInDoubt(error) && error.written).to.equal("unknown");
      expect(store.asked.length).to.be.greaterThan(1);
    });

    it("ends in unavailable if nothing can have been written", async () => {
      store.onOperation = () => errorBody("unavailable", 503);
      const error = await failure(db.set("key", 1, { timeoutMs: 200 }));
      expect(isUnavailable(error) && error.written).to.equal("no");
    });

    it("leaves no doubt about a read that was not answered", async () => {
      store.onOperation = () => "silent";
      const error = await failure(db.get("key", { timeoutMs: 250 }));
      expect(isUnavailable(error) && error.written).to.equal("no");
    });

    it("does not happen for what will be refused again", async () => {
      store.onOperation = () => errorBody("too-large", 413);
      expect(isKind(await failure(db.set("key", 1)), "too-large")).to.equal(true);
      expect(store.asked).to.have.length(1);
    });

    it("does not happen when a request id was too old", async () => {
      const error = { ...(errorBody("in-doubt", 504)["error"] as object), retryable: false };
      store.onOperation = () => ({ error });
      expect(isInDoubt(await failure(db.set("key", 1)))).to.equal(true);
      expect(store.asked).to.have.length(1);
    });
  });

  describe("a signal", () => {
    it("that has fired sends nothing", async () => {
      const reason = new Error("enough");
      expect(await failure(db.set("key", 1, { signal: AbortSignal.abort(reason) }))).to.equal(
        reason,
      );
      expect(store.asked).to.have.length(0);
    });

    it("may be shared by many calls without a warning of Node", async () => {
      const warnings: Error[] = [];
      const listen = (warning: Error): number => warnings.push(warning);
      process.on("warning", listen);
      const fates = Array.from({ length: 40 }, () => errorBody("overloaded", 429));
      store.onOperation = () => fates.shift() ?? "done";
      const { signal } = new AbortController();
      await Promise.all(Array.from({ length: 40 }, (_, n) => db.get(`key-${n}`, { signal })));
      await Promise.all(Array.from({ length: 40 }, (_, n) => db.get(`key-${n}`)));
      process.off("warning", listen);
      expect(warnings).to.deep.equal([]);
    });

    it("ends a call that waits for its reply, and one that pauses", async () => {
      for (const fate of ["silent", errorBody("unavailable", 503)] as const) {
        const controller = new AbortController();
        const reason = new Error("enough");
        store.onOperation = () => {
          setImmediate(() => controller.abort(reason));
          return fate;
        };
        expect(await failure(db.get("key", { signal: controller.signal }))).to.equal(reason);
      }
    });
  });

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

  it("gives up waiting for its turn when the time is over, with nothing written", async () => {
    await db.close();
    db = await open({ inFlightMax: 1, attemptTimeoutMs: 5_000 });
    store.onOperation = () => "held";
    const first = db.get("first");
    const error = await failure(db.set("second", 1, { timeoutMs: 60 }));
    expect(isUnavailable(error) && error.written).to.equal("no");
    store.release();
    expect(await first).to.equal(undefined);
    expect(store.asked).to.have.length(1);
  });

  it("begins a call's time when the gate lets it in, however long it waited", async () => {
    await db.close();
    db = await open({ inFlightMax: 32, attemptTimeoutMs: 1_500, timeoutMs: 1_500 });
    store.onOperation = () => "held";
    const serving = setInterval(() => store.release(1), 4);
    const count = 600;
    const startMs = performance.now();
    const sets = Array.from({ length: count }, (_, n) => db.set(`key-${n}`, n));
    expect(await Promise.all(sets)).to.have.length(count);
    expect(performance.now() - startMs).to.be.greaterThan(1_500);
    expect(store.asked).to.have.length(count);
    clearInterval(serving);
  });

  it("counts no time in which the process itself was busy", async () => {
    await db.close();
    db = await open({ inFlightMax: 4, attemptTimeoutMs: 150, timeoutMs: 300 });
    const sets = Array.from({ length: 40 }, (_, n) => db.set(`key-${n}`, n));
    const endMs = performance.now() + 700;
    while (performance.now() < endMs);
    expect(await Promise.all(sets)).to.have.length(40);
  });

  it("holds requests back as a busy store answers, so that few are refused", async () => {
    await db.close();
    let refusedCount = 0;
    db = await open({ attemptTimeoutMs: 5_000, onRetry: () => (refusedCount += 1) });
    let underWay = 0;
    const serve = (): void => {
      underWay -= store.release(16);
      serving = setImmediate(serve);
    };
    let serving = setImmediate(serve);
    store.onOperation = () => {
      if (underWay >= 64) return errorBody("overloaded", 429);
      underWay += 1;
      return "held";
    };
    const count = 5_000;
    const sets = Array.from({ length: count }, (_, n) => db.set(`key-${n}`, n));
    expect(await Promise.all(sets)).to.have.length(count);
    expect(refusedCount).to.be.lessThan(count / 4);
    clearImmediate(serving);
  });

  it("never says of a write that may have been done that nothing was sent", async () => {
    await db.close();
    db = await open({ inFlightMax: 1, attemptTimeoutMs: 40 });
    store.onOperation = () => "silent";
    const calls = Array.from({ length: 6 }, (_, n) => db.set(`key-${n}`, n, { timeoutMs: 150 }));
    for (const error of await Promise.all(calls.map(failure))) {
      const { message, written } = error as KvError;
      expect(message.includes("nothing was sent")).to.equal(written === "no");
    }
  });

  it("refuses calls after close, and ends those that pause", async () => {
    store.onOperation = () => errorBody("unavailable", 503);
    const waiting = failure(db.get("key"));
    while (store.asked.length === 0) await store.connection.flush();
    await db.close();
    expect(await waiting).to.be.instanceOf(KvError);
    const error = await failure(db.get("key"));
    expect(isUnavailable(error) && error.retryable).to.equal(false);
  });

  describe("closed with calls under way", () => {
    /** As many calls have reached the store as it is told of. */
    const reached = async (count: number): Promise<void> => {
      while (store.asked.length < count) await store.connection.flush();
    };

    it("tells writes that were not answered as in doubt, and reads as unavailable", async () => {
      store.onOperation = () => "silent";
      const calls = [db.set("a", 1), db.incr("b"), db.patch("c", {}), db.get("d")];
      const told = Promise.all(calls.map(failure));
      await reached(4);
      await db.close();
      const kinds = (await told).map((error) => [
        (error as KvError).kind,
        (error as KvError).written,
        (error as KvError).retryable,
      ]);
      const doubt = ["in-doubt", "unknown", false];
      expect(kinds).to.deep.equal([doubt, doubt, doubt, ["unavailable", "no", false]]);
    });

    it("tells one that pauses after an unanswered attempt as in doubt", async () => {
      let count = 0;
      store.onOperation = () => (count++ === 0 ? "silent" : errorBody("unavailable", 503));
      const told = failure(db.set("a", 1));
      await reached(2);
      await db.close();
      expect(isInDoubt(await told)).to.equal(true);
    });

    it("keeps what was answered, and tells each outcome of many", async () => {
      await db.close();
      db = await open({ attemptTimeoutMs: 5_000 });
      store.onOperation = ({ subject }) => (subject === "kv.shard.s1.batch" ? "done" : "silent");
      const entries = Array.from({ length: 20 }, (_, n) => ({ key: `key-${n}`, value: n }));
      const told = failure(db.setMany(entries));
      await reached(20);
      await db.close();
      const error = await told;
      expect(error).to.be.instanceOf(BatchError);
      const { outcomes } = error as BatchError;
      const firstHalf = entries.map(({ key }) => positionOf(key) < 512);
      expect(outcomes.map(({ ok }) => ok)).to.deep.equal(firstHalf);
      for (const outcome of outcomes) {
        if (!outcome.ok) expect(isInDoubt(outcome.error)).to.equal(true);
      }
    });

    it("tells an atomic batch that was not answered as in doubt", async () => {
      store.onOperation = () => "silent";
      const told = failure(db.batch([ops.set("{t}a", 1)], { atomic: true }));
      await reached(1);
      await db.close();
      expect(isInDoubt(await told)).to.equal(true);
    });
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

  it("cannot be opened without a server, and says so without the password", async () => {
    const error = await failure(connect({ servers: "me:secret@127.0.0.1:1" }));
    expect(isUnavailable(error) && error.message)
      .to.include("127.0.0.1:1")
      .and.not.include("secret");
  });
});

describe("session", function () {
  this.timeout(20_000);
  let server: TestServer;
  let store: FakeStore;
  let db: Ringdex;

  before(async () => {
    server = await startTestServer();
    store = await FakeStore.start(server.url);
    db = await connect({ servers: server.url });
  });
  after(async () => {
    await db.close();
    await store.stop();
    await server.stop();
  });

  it("reads with the highest revision that it has written or read in the position", async () => {
    const session = db.session();
    await session.get("{t}1");
    await session.set("{t}1", 1);
    await session.set("{t}2", 1);
    await session.get("{t}1");
    await session.get("elsewhere");
    const gets = store.asked.filter(({ verb }) => verb === "get").map(({ body }) => body);
    expect(gets.map((body) => body["read"])).to.deep.equal(["session", "session", "session"]);
    expect(gets.map((body) => body["min_revision"])).to.deep.equal([undefined, 2, undefined]);
  });

  it("learns from reads, and shares nothing with others", async () => {
    store.asked.length = 0;
    const reader = db.session();
    await reader.get("{t}2");
    await reader.getMany(["{t}1"]);
    await db.session().get("{t}2");
    await db.get("{t}2");
    const told = store.asked.map(({ body }) => [body["read"], body["min_revision"]]);
    expect(told.map(([, revision]) => revision)).to.deep.equal([
      undefined,
      2,
      undefined,
      undefined,
    ]);
    expect(told[3]?.[0]).to.equal(undefined);
  });
});
