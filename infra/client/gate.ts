/**
 * Gate: lets a bounded number of requests be under way at once; the others wait in order.
 *
 * Without it a loop that starts a million sets would put a million messages into the connection's
 * buffer before the first reply is read, and all of them would time out together.
 */
import { KvError } from "../../protocol/errors.js";
import type { Clock } from "../clock.js";

export class Gate {
  #passedCount = 0;
  /** In order of arrival; those that give up take themselves out. */
  readonly #waiting = new Set<() => void>();

  constructor(
    private readonly clock: Clock,
    private readonly passedMax: number,
  ) {}

  /** True: passed at once, which is the usual case and costs nothing. Call leave() afterwards. */
  tryEnter(): boolean {
    if (this.#passedCount >= this.passedMax) return false;
    this.#passedCount += 1;
    return true;
  }

  /** Waits to pass. Rejects with `overloaded` after `timeoutMs`, or with the signal's reason. */
  enter(timeoutMs: number, signal?: AbortSignal): Promise<void> {
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
      const timer = this.clock.after(timeoutMs, () => giveUp(this.#overloaded(timeoutMs)));
      const settle = (): void => {
        this.#waiting.delete(pass);
        timer.cancel();
        signal?.removeEventListener("abort", abort);
      };
      this.#waiting.add(pass);
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  /** Hands the place to whoever waits longest. */
  leave(): void {
    const next = this.#waiting.values().next();
    if (next.done === true) this.#passedCount -= 1;
    else next.value();
  }

  #overloaded(timeoutMs: number): KvError {
    return new KvError(
      "overloaded",
      `waited ${timeoutMs} ms because ${this.passedMax} requests of this client are under way ` +
        "(inFlightMax); nothing was sent",
    );
  }
}
