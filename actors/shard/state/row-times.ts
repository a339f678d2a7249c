/**
 * Row times: the outcome rows (`q`) that the store holds, and those that the applier may remove.
 *
 * A row stays while a retry may ask for it (rule L4) and until the relay has published its changes.
 * Rows are counted in the buckets of log time that outcomes.ts also uses, so no row needs memory of
 * its own.
 */
import type { Sequence, TimeMs } from "../../../protocol/ids.js";
import { BUCKET_MS, isRemembered } from "./outcomes.js";

/** Rows removed with one batch at most. */
const FORGET_PER_BATCH_MAX = 512;

export class RowTimes {
  /** Ascending in both members; `first` is the bucket's first row. */
  readonly #buckets: { readonly bucket: number; readonly first: Sequence }[] = [];
  /** First row still in the store. */
  #floor = 1 as Sequence;
  #last = 0 as Sequence;

  get floor(): Sequence {
    return this.#floor;
  }

  add(sequence: Sequence, logTime: TimeMs): void {
    const bucket = Math.floor(logTime / BUCKET_MS);
    const newest = this.#buckets.at(-1);
    if (newest === undefined) this.#floor = sequence;
    if (newest === undefined || newest.bucket < bucket) {
      this.#buckets.push({ bucket, first: sequence });
    }
    this.#last = sequence;
  }

  /** Sequences whose rows may go, at most FORGET_PER_BATCH_MAX; they count as gone. */
  forget(logTime: TimeMs, relayFloor: Sequence): Sequence[] {
    const going: Sequence[] = [];
    while (going.length < FORGET_PER_BATCH_MAX) {
      const [oldest, next] = this.#buckets;
      const rowTime = ((oldest?.bucket ?? 0) * BUCKET_MS) as TimeMs;
      if (oldest === undefined || next === undefined || isRemembered(rowTime, logTime)) break;
      if (this.#floor >= next.first) {
        this.#buckets.shift();
        continue;
      }
      if (this.#floor >= relayFloor || this.#floor >= this.#last) break;
      going.push(this.#floor);
      this.#floor = (this.#floor + 1) as Sequence;
    }
    return going;
  }
}
