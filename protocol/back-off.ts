/**
 * Back-off: how long to wait before each attempt, so that a server in trouble is asked less often.
 *
 * The first wait is `firstMs`; each further one is twice as long, up to `maxMs`. With `atOnce` the
 * very first wait is 0. No clock and no chance: the caller sleeps, and hands a random number in
 * where many callers must not come back at the same moment.
 */
import { assert } from "./assert.js";

export interface BackOffOptions {
  /** The first wait is 0, the second `firstMs`. Default: false. */
  readonly atOnce?: boolean;
}

export class BackOff {
  readonly #beginMs: number;
  #waitMs: number;

  constructor(
    private readonly firstMs: number,
    private readonly maxMs: number,
    options: BackOffOptions = {},
  ) {
    assert(firstMs > 0 && firstMs <= maxMs, `a back-off grows, not from ${firstMs} to ${maxMs} ms`);
    this.#beginMs = options.atOnce === true ? 0 : firstMs;
    this.#waitMs = this.#beginMs;
  }

  /** The wait that `next` returns for the fraction 0.5. */
  get waitMs(): number {
    return this.#waitMs;
  }

  /** The next wait. A `fraction` from 0 to 1 spreads it from half to one and a half of itself. */
  next(fraction = 0.5): number {
    assert(fraction >= 0 && fraction <= 1, `a fraction is from 0 to 1, not ${fraction}`);
    const waitMs = this.#waitMs;
    this.#waitMs = Math.min(Math.max(2 * waitMs, this.firstMs), this.maxMs);
    return waitMs * (0.5 + fraction);
  }

  /** After a success: the next wait is the first again. */
  reset(): void {
    this.#waitMs = this.#beginMs;
  }
}
