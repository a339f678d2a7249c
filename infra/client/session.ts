/**
 * Session: what one reader has seen, so that it never sees less.
 *
 * Revisions rise in each position, also when the position moves, so the highest one seen of a
 * position is all there is to remember: a read sends it and the replica waits until it is there.
 *
 * Invariants
 *   1. A position's revision only grows, as long as the position is remembered.
 *   2. At most SESSION_POSITIONS_MAX positions are remembered; the one not used longest is
 *      forgotten first. With the usual position count none ever is.
 */
import { KvError } from "../../protocol/errors.js";

/** Positions a session remembers. */
export const SESSION_POSITIONS_MAX = 65_536;

export class Session {
  /** Position → highest revision seen, the least recently used first. */
  readonly #revisions = new Map<number, number>();

  constructor(
    /** From an earlier session's entries(), to carry it over to another process. */
    entries: Iterable<readonly [position: number, revision: number]> = [],
    private readonly positionsMax = SESSION_POSITIONS_MAX,
  ) {
    for (const entry of entries) {
      checkEntry(entry);
      this.saw(...entry);
    }
  }

  /** A reply told this revision of the position; 0 and null (nothing there) tell nothing. */
  saw(position: number, revision: number | null): void {
    if (revision === null || revision === 0) return;
    const known = this.#revisions.get(position) ?? 0;
    this.#revisions.delete(position);
    this.#revisions.set(position, Math.max(known, revision));
    if (this.#revisions.size <= this.positionsMax) return;
    const oldest = this.#revisions.keys().next();
    if (oldest.done !== true) this.#revisions.delete(oldest.value);
  }

  /** The revision a read of the position must not be behind; 0 = any will do. */
  revisionMin(position: number): number {
    return this.#revisions.get(position) ?? 0;
  }

  entries(): [position: number, revision: number][] {
    return [...this.#revisions];
  }
}

/** A wrong one would not be met again, and the session would see less than it had. */
function checkEntry(entry: readonly [position: number, revision: number]): void {
  if (Array.isArray(entry) && entry.length === 2 && entry.every(Number.isSafeInteger)) return;
  const form = "entries of a session are pairs [position, revision] of whole numbers";
  throw new KvError("bad-request", `${form}; give those of an earlier session's entries()`);
}
