/**
 * Position table: the figures of each position that a replica keeps in memory, beside its store.
 *
 * The store's `n` rows hold the same figures. The applier, the only writer, writes them in the same
 * batch as the records that they count, so the table is the same after a restart.
 *
 * Invariants
 *   1. `revision` of a position is the number of changes it ever had: 1, 2, 3, … without gaps.
 *   2. `dueFrom` of a position is at or before the earliest expiry among its records; it says
 *      when to look into the store, and may say so too early, never too late.
 */
import { PositionDigest } from "../../../protocol/digest.js";
import type { Position, Revision, TimeMs } from "../../../protocol/ids.js";

export class PositionTable {
  readonly #revisions: Float64Array;
  readonly #keys: Float64Array;
  readonly #bytes: Float64Array;
  readonly #dueFrom: Float64Array;
  readonly #digests: PositionDigest[];
  /** The least of `#dueFrom`; undefined = has to be looked for. */
  #dueFromAll: number | undefined = Infinity;

  constructor(readonly positionCount: number) {
    this.#revisions = new Float64Array(positionCount);
    this.#keys = new Float64Array(positionCount);
    this.#bytes = new Float64Array(positionCount);
    this.#dueFrom = new Float64Array(positionCount).fill(Infinity);
    this.#digests = Array.from({ length: positionCount }, () => new PositionDigest());
  }

  revision(position: Position): Revision {
    return (this.#revisions[position] ?? 0) as Revision;
  }

  setRevision(position: Position, revision: Revision): void {
    this.#revisions[position] = revision;
  }

  copyRevisions(): Float64Array {
    return this.#revisions.slice();
  }

  keys(position: Position): number {
    return this.#keys[position] ?? 0;
  }

  bytes(position: Position): number {
    return this.#bytes[position] ?? 0;
  }

  setCounts(position: Position, keys: number, bytes: number): void {
    this.#keys[position] = keys;
    this.#bytes[position] = bytes;
  }

  /** The position's digest itself, not a copy. */
  digest(position: Position): PositionDigest {
    return this.#digests[position] as PositionDigest;
  }

  setDigest(position: Position, digest: PositionDigest): void {
    this.#digests[position] = digest;
  }

  /** Keys and bytes of all positions. Bytes are those of keys and values. */
  totals(): { keys: number; bytes: number } {
    const add = (sum: number, each: number): number => sum + each;
    return { keys: this.#keys.reduce(add, 0), bytes: this.#bytes.reduce(add, 0) };
  }

  dueFrom(position: Position): TimeMs {
    return (this.#dueFrom[position] ?? Infinity) as TimeMs;
  }

  /** A record of the position expires at `time`. */
  expiryAdded(position: Position, time: TimeMs): void {
    if (time < (this.#dueFrom[position] ?? Infinity)) this.#dueFrom[position] = time;
    if (this.#dueFromAll !== undefined && time < this.#dueFromAll) this.#dueFromAll = time;
  }

  /** The store was looked into: the position's earliest expiry is `time`, or none (Infinity). */
  setDueFrom(position: Position, time: TimeMs): void {
    this.#dueFrom[position] = time;
    this.#dueFromAll = undefined;
  }

  /** Earliest time at which anything here may be due; Infinity = nothing ever expires. */
  get dueFromAll(): TimeMs {
    this.#dueFromAll ??= this.#dueFrom.reduce((least, each) => Math.min(least, each), Infinity);
    return this.#dueFromAll as TimeMs;
  }

  hasDue(time: TimeMs): boolean {
    return this.dueFromAll <= time;
  }

  /** Positions where something may be due at `time`, ascending. */
  duePositions(time: TimeMs): Position[] {
    const positions: Position[] = [];
    if (!this.hasDue(time)) return positions;
    for (const [index, from] of this.#dueFrom.entries()) {
      if (from <= time) positions.push(index as Position);
    }
    return positions;
  }
}
