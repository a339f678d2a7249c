/**
 * Caller: what is sent again, and with what it ends.
 */
import { expect } from "chai";
import {
  BatchError,
  connect,
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
import { errorBody, FakeStore, type Fate } from "./fake-store.js";

describe("caller", function () {
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

  describe("sending again", () => {
    it("happens with the same bytes after unavailable and overloaded", async () => {
      const fates = [errorBody("unavailable", 503), errorBody("overloaded", 429)];
      store.onOperation = () => fates.shift() ?? "done";
      expect(await db.set("key", 1)).to.include({ revision: 1 });
      expect(store.asked).to.have.length(3);
      expect(new Set(store.asked.map(({ body }) => body["request_id"])).size).to.equal(1);
    });

    it("ends at once at a full log, and in doubt if an attempt had no answer", async () => {
      const full = errorBody("overloaded", 429, { limit: "log_bytes", retryable: false });
      for (const write of [
        (): Promise<unknown> => db.set("key", 1),
        (): Promise<unknown> => db.setMany([{ key: "key", value: 1 }]),
      ]) {
        store.onOperation = () => full;
        const askedBefore = store.asked.length;
        expect(await failure(write())).to.include({ kind: "overloaded", retryable: false });
        expect(store.asked.length).to.equal(askedBefore + 1);
        const fates: Fate[] = ["silent", full];
        store.onOperation = () => fates.shift() ?? "done";
        expect(await failure(write())).to.include({ kind: "in-doubt", written: "unknown" });
      }
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
});
