/**
 * Durable place: the place up to which a shard's events are certainly in the stream.
 *
 * A single server writes the stream asynchronously. After a crash it lacks the last messages; the
 * relay then continues from an older marker and needs the outcome rows from there on. So a place
 * counts only when the stream has shown it for a while, and still does.
 *
 * Invariant: it remembers at most SEEN_MS / STEP_MS + 1 places.
 */
import type { Sequence } from "../../protocol/ids.js";

/** Longer than any server delays writing acknowledged messages to its disk. */
const SEEN_MS = 300_000;
const STEP_MS = 5_000;

export class DurablePlace {
  /** Ascending in both members. */
  readonly #seen: { readonly sequence: Sequence; readonly atMs: number }[] = [];
  #durable = 0 as Sequence;

  /** The shard's last marker tells `sequence`; 0 = there is none. */
  note(sequence: Sequence, nowMs: number, isDurable: boolean): void {
    // An older marker is now the last: the messages published after it are lost.
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
