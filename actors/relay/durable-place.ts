/**
 * Durable place: up to where a shard's events are certain to stand in the stream.
 *
 * On a single server the stream is written asynchronously, and a server that crashes comes back
 * without its last messages; the relay then goes on from an older marker and needs the outcome rows
 * from there on. So a place counts only when it has been seen for a while, and still is.
 *
 * Invariant: at most SEEN_MS / STEP_MS + 1 places are remembered.
 */
import type { Sequence } from "../../protocol/ids.js";

/** Longer than any server keeps what it acknowledged from its disk. */
const SEEN_MS = 300_000;
const STEP_MS = 5_000;

export class DurablePlace {
  /** Ascending in both members. */
  readonly #seen: { readonly sequence: Sequence; readonly atMs: number }[] = [];
  #durable = 0 as Sequence;

  /** The shard's last marker tells `sequence`; 0 = there is none. */
  note(sequence: Sequence, nowMs: number, isDurable: boolean): void {
    // What was published after an older marker that is now the last is lost.
    while ((this.#seen.at(-1)?.sequence ?? 0) > sequence) this.#seen.pop();
    if (isDurable || sequence < this.#durable) this.#durable = sequence;
    const last = this.#seen.at(-1);
    const isNew = sequence > Math.max(last?.sequence ?? 0, this.#durable);
    if (isNew && nowMs - (last?.atMs ?? -Infinity) >= STEP_MS) {
      this.#seen.push({ sequence, atMs: nowMs });
    }
    while ((this.#seen[0]?.atMs ?? Infinity) <= nowMs - SEEN_MS) {
      this.#durable = this.#seen.shift()?.sequence ?? this.#durable;
    }
  }

  get sequence(): Sequence {
    return this.#durable;
  }
}
