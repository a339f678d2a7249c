/**
 * Gate: lets as many requests be under way at once as the store answers in time; the others wait in
 * order.
 *
 * Without it a loop that starts a million sets would put a million messages into the connection's
 * buffer before the first reply is read, and all of them would time out together. How many are too
 * many depends on the store, so the window follows what is answered, as TCP's does:
 *   - it begins at WINDOW_FIRST, and grows by 1 with each quick answer while requests wait
 *     (doubling with each round trip), after a first congestion by 1 with each window of answers;
 *   - `overloaded`, no answer in time, and a late answer halve it, once for all the requests that
 *     were under way.
 *
 * A call that waits for its first turn has sent nothing, and its time has not begun: it waits as
 * long as others are answered, and gives up when nothing has been answered for the time that it
 * has. Calls that were sent before go first, because their time runs.
 *
 * Invariants
 *   1. At most `window` requests enter, and 1 ≤ window ≤ `passedMax`. A window that shrinks ends no
 *      request: it lets none enter until enough have left.
 *   2. Nobody waits while fewer than `window` are under way.
 */
import { KvError } from "../../protocol/errors.js";
import type { Clock, Timer } from "../clock.js";

/** Requests under way before anything is known of the store. */
const WINDOW_FIRST = 256;
/** An answer within this part of an attempt's time widens the window … */
const QUICK = 8;
/** … and one that took more than this part halves it, before the store has to refuse. */
const LATE = 3;
/** A timer that is late by this was kept from firing. */
const BUSY_MS = 50;

/**
 * How a request ended: answered quickly; `later` = not so quickly, but in time; `busy` = late, or
 * by `overloaded`; `silent` = not answered in its time; `unknown` = in a way that tells nothing of
 * how busy the store is.
 */
export type Passage = "answered" | "later" | "busy" | "silent" | "unknown";

interface Waiting {
  readonly pass: () => void;
  readonly giveUp: (reason: unknown) => void;
}

export class Gate {
  #passedCount = 0;
  #window: number;
  /** Below it the window grows quickly. */
  #windowGood = Infinity;
  /** Requests that entered before were under way when the window was halved. */
  #halvedAtMs = -Infinity;
  #answeredAtMs = -Infinity;
  /** In order of arrival; those that give up take themselves out. */
  readonly #waitingAgain = new Set<Waiting>();
  readonly #waiting = new Set<Waiting>();

  constructor(
    private readonly clock: Clock,
    private readonly passedMax: number,
  ) {
    this.#window = Math.min(WINDOW_FIRST, passedMax);
  }

  /** How many may be under way now. */
  get window(): number {
    return Math.floor(this.#window);
  }

  /** True: passed at once, which is the usual case and costs nothing. Call leave() afterwards. */
  tryEnter(): boolean {
    if (this.#passedCount >= this.window) return false;
    this.#passedCount += 1;
    return true;
  }

  /**
   * Waits for a first turn. Rejects with `overloaded` when nothing at all was answered for
   * `timeoutMs`, or with the signal's reason.
   */
  enter(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const sinceMs = this.clock.elapsedMs();
    const leftMs = (): number =>
      Math.max(sinceMs, this.#answeredAtMs) + timeoutMs - this.clock.elapsedMs();
    return this.#wait(this.#waiting, leftMs, signal, () => {
      const text = `none of ${this.#passedCount} requests was answered for ${timeoutMs} ms`;
      return new KvError("overloaded", `${text}; nothing was sent`);
    });
  }

  /** Waits for another turn, before all first ones. Rejects when the time is over. */
  enterAgain(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const endMs = this.clock.elapsedMs() + timeoutMs;
    const leftMs = (): number => endMs - this.clock.elapsedMs();
    return this.#wait(this.#waitingAgain, leftMs, signal, () => {
      const text = "its time was over before it could be sent again, as others are under way";
      return new KvError("overloaded", text);
    });
  }

  /** `enteredAtMs`: when the request entered, by the gate's clock. */
  leave(passage: Passage, enteredAtMs: number): void {
    const isAnswer = passage !== "silent" && passage !== "unknown";
    if (isAnswer) this.#answeredAtMs = this.clock.elapsedMs();
    if (passage === "answered") this.#grow();
    else if (passage === "busy" || passage === "silent") this.#halve(enteredAtMs);
    this.#passedCount -= 1;
    this.#letIn();
  }

  /** Those that wait are rejected with the reason. */
  close(reason: unknown): void {
    for (const { giveUp } of [...this.#waitingAgain, ...this.#waiting]) giveUp(reason);
  }

  #wait(
    waiting: Set<Waiting>,
    leftMs: () => number,
    signal: AbortSignal | undefined,
    late: () => KvError,
  ): Promise<void> {
    if (this.tryEnter()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const giveUp = (reason: unknown): void => {
        settle();
        reject(reason);
      };
      const abort = (): void => giveUp(signal?.reason);
      const pass = (): void => {
        settle();
        resolve();
      };
      const row: Waiting = { pass, giveUp };
      let dueMs = 0;
      const arm = (ms: number): Timer => {
        dueMs = this.clock.elapsedMs() + ms;
        return this.clock.after(ms, () => check(ms));
      };
      const check = (waitedMs: number): void => {
        // The timer is late, so the process was busy and replies are not read yet: wait again.
        const lateMs = this.clock.elapsedMs() - dueMs;
        const wasBusy = lateMs > Math.max(waitedMs / 4, BUSY_MS);
        const ms = wasBusy ? waitedMs : leftMs();
        if (ms <= 0) giveUp(late());
        else timer = arm(ms);
      };
      let timer = arm(Math.max(leftMs(), 0));
      const settle = (): void => {
        waiting.delete(row);
        timer.cancel();
        signal?.removeEventListener("abort", abort);
      };
      waiting.add(row);
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  #letIn(): void {
    while (this.#passedCount < this.window) {
      const next = this.#waitingAgain.values().next();
      const first = next.done === true ? this.#waiting.values().next() : next;
      if (first.done === true) return;
      this.#passedCount += 1;
      first.value.pass();
    }
  }

  /** Only where the window is what holds requests back. */
  #grow(): void {
    if (this.#passedCount < this.window) return;
    const step = this.#window < this.#windowGood ? 1 : 1 / this.#window;
    this.#window = Math.min(this.#window + step, this.passedMax);
  }

  #halve(enteredAtMs: number): void {
    if (enteredAtMs < this.#halvedAtMs) return;
    this.#halvedAtMs = this.clock.elapsedMs();
    this.#window = Math.max(this.#window / 2, 1);
    this.#windowGood = this.#window;
  }
}

/** What a request's end tells, `tookMs` of `timeoutMs` after it had entered. */
export function passageOf(error: unknown, tookMs: number, timeoutMs: number): Passage {
  if (error === undefined) {
    if (tookMs > timeoutMs / LATE) return "busy";
    return tookMs > timeoutMs / QUICK ? "later" : "answered";
  }
  if (!(error instanceof KvError) || error.kind === "unavailable") return "unknown";
  if (error.kind === "in-doubt") return "silent";
  return error.kind === "overloaded" ? "busy" : "answered";
}
