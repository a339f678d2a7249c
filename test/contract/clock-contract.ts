/**
 * What every Clock does, whatever time it goes by.
 *
 * Only the order of things is looked at: how long they take is the machine's affair.
 */
import { expect } from "chai";
import { sleep, type Clock } from "../../infra/clock.js";

export interface ClockWorld {
  readonly clock: Clock;
  /** Lets time pass until `condition` holds. */
  until(condition: () => boolean): Promise<void>;
}

/** So long that no test waits for it. */
const LONG_MS = 3_600_000;
/** Longer than Node's own timers can be: 2³¹ - 1 ms. */
const VERY_LONG_MS = 2 ** 31;

export function clockContract(createWorld: () => ClockWorld): void {
  let clock: Clock;
  let until: ClockWorld["until"];
  let seen: string[];
  const note = (what: string) => (): void => void seen.push(what);
  beforeEach(() => {
    const world = createWorld();
    clock = world.clock;
    until = (condition) => world.until(condition);
    seen = [];
  });

  /** Lets time pass until all that was set before has run. */
  async function pass(ms: number): Promise<void> {
    let isOver = false;
    clock.after(ms, () => void (isOver = true));
    await until(() => isOver);
  }

  it("runs timers by their times, those of one time in the order they were set", async () => {
    const timers = [30, 10, 20, 10, 30, 20].map((ms, index) => ({ ms, name: `${ms}, ${index}` }));
    for (const { ms, name } of timers) clock.after(ms, note(name));
    expect(seen).to.deep.equal([]);
    await until(() => seen.length >= timers.length);
    const inOrder = timers.toSorted((a, b) => a.ms - b.ms);
    expect(seen).to.deep.equal(inOrder.map(({ name }) => name));
  });

  it("runs many timers of one time in the order they were set", async () => {
    const names = Array.from({ length: 100 }, (_, index) => String(index));
    for (const name of names) clock.after(5, note(name));
    await until(() => seen.length >= names.length);
    expect(seen).to.deep.equal(names);
  });

  it("runs a timer once, and never at once, though its time be none or less", async () => {
    for (const ms of [0, -1, -LONG_MS]) clock.after(ms, note(String(ms)));
    expect(seen).to.deep.equal([]);
    await pass(20);
    expect(seen).to.deep.equal(["0", "-1", String(-LONG_MS)]);
  });

  it("runs what a timer sets after the timer, and not within it", async () => {
    clock.after(1, () => {
      clock.after(0, note("inner"));
      clock.soon(note("soon"));
      seen.push("outer");
    });
    await until(() => seen.length >= 3);
    expect(seen[0]).to.equal("outer");
  });

  it("does not run early what is due in more than 2³¹ ms, or never", async () => {
    const timers = [VERY_LONG_MS, 3 * VERY_LONG_MS, Infinity].map((ms) => {
      return clock.after(ms, note(`${ms} ms`));
    });
    await pass(20);
    expect(seen).to.deep.equal([]);
    for (const timer of timers) timer.cancel();
  });

  it("does not run what was cancelled, whoever cancels it and however often", async () => {
    const timers = ["a", "b", "c", "d"].map((name) => clock.after(5, note(name)));
    timers[1]?.cancel();
    timers[1]?.cancel();
    timers[0]?.cancel();
    await pass(20);
    expect(seen).to.deep.equal(["c", "d"]);
    for (const timer of timers) timer.cancel();
    await pass(20);
    expect(seen).to.deep.equal(["c", "d"]);
  });

  it("lets a timer cancel the next one of the same time", async () => {
    clock.after(5, () => {
      seen.push("first");
      next.cancel();
    });
    const next = clock.after(5, note("next"));
    await pass(20);
    expect(seen).to.deep.equal(["first"]);
  });

  it("runs what is soon in order, not at once, and before a timer of some time", async () => {
    const timer = clock.after(LONG_MS, note("timer"));
    for (const name of ["a", "b", "c"]) clock.soon(note(name));
    expect(seen).to.deep.equal([]);
    await until(() => seen.length >= 3);
    expect(seen).to.deep.equal(["a", "b", "c"]);
    timer.cancel();
  });

  it("runs what is soon after promises, and what that asks for in a later turn", async () => {
    clock.soon(() => {
      seen.push("a");
      clock.soon(note("asked for by a"));
      void Promise.resolve().then(note("promise of a"));
    });
    clock.soon(note("b"));
    void Promise.resolve().then(note("promise"));
    await until(() => seen.length >= 5);
    expect(seen).to.deep.equal(["promise", "a", "promise of a", "b", "asked for by a"]);
  });

  it("never goes back, and has gone on when a timer runs", async () => {
    const times = [clock.elapsedMs()];
    for (let count = 0; count < 5; count += 1) {
      await pass(2);
      times.push(clock.elapsedMs(), clock.elapsedMs());
    }
    expect(times).to.deep.equal(times.toSorted((a, b) => a - b));
    expect(times.at(-1)).to.be.greaterThan(times[0] ?? Infinity);
  });

  it("tells its time in whole milliseconds since 1970", () => {
    const now = clock.now();
    expect(Number.isSafeInteger(now)).to.equal(true);
    expect(now).to.be.within(Date.UTC(2020), Date.UTC(2100));
  });

  describe("asleep", () => {
    it("wakes sleepers by their times", async () => {
      const sleeps = [20, 5, 10].map((ms) => sleep(clock, ms).then(note(`${ms} ms`)));
      await until(() => seen.length >= sleeps.length);
      expect(seen).to.deep.equal(["5 ms", "10 ms", "20 ms"]);
    });

    it("is woken by its signal, with its reason, and leaves no timer behind", async () => {
      const ending = new AbortController();
      const reason = new Error("enough");
      const watched: Pick<Clock, "after"> = {
        after: (ms, task) => {
          const timer = clock.after(ms, task);
          return { cancel: () => [note("timer cancelled")(), timer.cancel()] };
        },
      };
      const asleep = sleep(watched as Clock, LONG_MS, ending.signal).catch((error: unknown) => {
        seen.push(error === reason ? "woken" : String(error));
      });
      clock.after(1, () => ending.abort(reason));
      await until(() => seen.includes("woken"));
      await asleep;
      expect(seen).to.deep.equal(["timer cancelled", "woken"]);
    });

    it("does not begin if its signal has fired before", async () => {
      const signal = AbortSignal.abort(new Error("before"));
      const failure = await sleep(clock, LONG_MS, signal).catch((error: unknown) => error);
      expect(failure).to.equal(signal.reason);
    });

    it("does not mind a signal that fires when it is over", async () => {
      const ending = new AbortController();
      const asleep = sleep(clock, 1, ending.signal).then(note("slept"));
      await until(() => seen.length > 0);
      await asleep;
      ending.abort(new Error("too late"));
      await pass(5);
      expect(seen).to.deep.equal(["slept"]);
    });
  });
}
