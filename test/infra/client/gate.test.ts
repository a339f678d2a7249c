/**
 * The gate by a clock of ours: who may enter, how the window follows what is answered, and who
 * gives up.
 */
import { expect } from "chai";
import { connect, type ConnectOptions, type Ringdex } from "../../../infra/client/client.js";
import { Gate, passageOf } from "../../../infra/client/gate.js";
import { KvError } from "../../../protocol/errors.js";
import { failure } from "../../support/failure.js";
import { ManualClock } from "../../support/manual-clock.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { FakeStore } from "./fake-store.js";

describe("gate", () => {
  let clock: ManualClock;
  beforeEach(() => {
    clock = new ManualClock();
  });

  /** Enters until nobody is let in. */
  function fill(gate: Gate): number {
    let count = 0;
    while (gate.tryEnter()) count += 1;
    return count;
  }

  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it("lets in as many as its limit allows, from the beginning", () => {
    expect(fill(new Gate(clock, 3))).to.equal(3);
    expect(fill(new Gate(clock, 100_000))).to.equal(256);
  });

  it("widens by each answer while it is what holds requests back, up to its limit", () => {
    const gate = new Gate(clock, 300);
    fill(gate);
    for (let answer = 0; answer < 256; answer += 1) {
      gate.leave("answered", 0);
      fill(gate);
    }
    expect(gate.window).to.equal(300);
    const idle = new Gate(clock, 1_000);
    for (let answer = 0; answer < 500; answer += 1) {
      idle.tryEnter();
      idle.leave("answered", 0);
    }
    expect(idle.window).to.equal(256);
  });

  it("is halved once for all that were under way, and again for those after", async () => {
    const gate = new Gate(clock, 256);
    fill(gate);
    await clock.advance(10);
    for (let refused = 0; refused < 100; refused += 1) gate.leave("silent", 0);
    expect(gate.window).to.equal(128);
    expect(fill(gate)).to.equal(0);
    for (let refused = 0; refused < 30; refused += 1) gate.leave("unknown", 0);
    expect(fill(gate)).to.equal(2);
    await clock.advance(1);
    gate.leave("silent", 10);
    expect(gate.window).to.equal(64);
    for (let each = 0; each < 20; each += 1) {
      await clock.advance(1);
      gate.leave("silent", clock.elapsedMs());
    }
    expect(gate.window).to.equal(1);
  });

  it("widens slowly after it was halved", async () => {
    const gate = new Gate(clock, 1_000);
    fill(gate);
    await clock.advance(1);
    gate.leave("silent", 0);
    for (let each = 0; each < 127; each += 1) gate.leave("unknown", 0);
    for (let answer = 0; answer < 128; answer += 1) {
      gate.leave("answered", 1);
      fill(gate);
    }
    expect(gate.window).to.be.within(128, 129);
  });

  it("lets those who were sent before go first, then in the order of arrival", async () => {
    const gate = new Gate(clock, 1);
    gate.tryEnter();
    const order: string[] = [];
    const enter = (name: string, entering: Promise<void>): void =>
      void entering.then(() => order.push(name));
    enter("first", gate.enter(1_000));
    enter("second", gate.enter(1_000));
    enter("again", gate.enterAgain(1_000));
    for (let each = 0; each < 3; each += 1) {
      gate.leave("answered", 0);
      await settled();
    }
    expect(order).to.deep.equal(["again", "first", "second"]);
  });

  it("lets a first turn wait as long as anything is answered, and no longer", async () => {
    const gate = new Gate(clock, 2);
    fill(gate);
    const [first, second, third] = [gate.enter(100), gate.enter(100), failure(gate.enter(100))];
    await clock.advance(90);
    gate.leave("answered", 0);
    await first;
    await clock.advance(90);
    gate.leave("busy", 0);
    gate.leave("unknown", 0);
    await second;
    let hasEnded = false;
    void third.then(() => (hasEnded = true));
    await clock.advance(95);
    expect(hasEnded).to.equal(false);
    await clock.advance(10);
    const error = (await third) as KvError;
    expect(error).to.include({ kind: "overloaded", written: "no" });
    expect(error.message).to.include("nothing was sent");
  });

  it("lets another turn wait only for its time, and says nothing of what was sent", async () => {
    const gate = new Gate(clock, 1);
    gate.tryEnter();
    const late = failure(gate.enterAgain(50));
    await clock.advance(51);
    expect(((await late) as KvError).message).to.not.include("nothing was sent");
  });

  it("rejects those that wait when it is closed, and by their signals", async () => {
    const gate = new Gate(clock, 1);
    gate.tryEnter();
    const controller = new AbortController();
    const ends = [
      failure(gate.enter(50, controller.signal)),
      failure(gate.enter(50)),
      failure(gate.enterAgain(50)),
    ];
    controller.abort("signal");
    gate.close("closed");
    expect(await Promise.all(ends)).to.deep.equal(["signal", "closed", "closed"]);
  });

  it("takes overload, silence and slow answers for congestion, and refusals for answers", () => {
    expect(passageOf(undefined, 10, 100)).to.equal("answered");
    expect(passageOf(undefined, 20, 100)).to.equal("later");
    expect(passageOf(undefined, 60, 100)).to.equal("busy");
    expect(passageOf(new KvError("overloaded", ""), 1, 100)).to.equal("busy");
    expect(passageOf(new KvError("in-doubt", ""), 100, 100)).to.equal("silent");
    expect(passageOf(new KvError("conflict", ""), 1, 100)).to.equal("answered");
    expect(passageOf(new KvError("unavailable", ""), 1, 100)).to.equal("unknown");
    expect(passageOf(new Error("aborted"), 1, 100)).to.equal("unknown");
  });
});

describe("gate of a client", function () {
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
