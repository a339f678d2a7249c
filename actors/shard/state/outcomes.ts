/**
 * Outcomes: remembers which requests a shard has answered within the window (rule L4).
 *
 * Only fingerprints are in memory: 64 bits of hash over (position, request id, index) and the place
 * of the outcome (sequence, index in its row). The outcome itself comes from the store's `q` row,
 * which also shows whether the hit is a true one. The fingerprints lie in typed arrays, one table
 * for each BUCKET_MS of log time, so a shard forgets by dropping a table and can remember millions
 * (a JavaScript Map fails at 16.7 million).
 *
 * The remembered records are a function of the log: their count decides whether an operation is
 * `overloaded`, so all replicas must count alike, also after a restart (`add` from the rows of
 * `q`, in order).
 *
 * Invariants
 *   1. Everything added within REQUEST_WINDOW_MS of log time is found.
 *   2. `count` is the number of records in the buckets that `oldestBucket` … name.
 */
import { hash64 } from "../../../protocol/digest.js";
import type { Position, Sequence, TimeMs } from "../../../protocol/ids.js";
import { REQUEST_WINDOW_MS } from "../../../protocol/limits.js";
import type { RequestRef } from "../../../protocol/operation.js";

export const BUCKET_MS = 10_000;

/** Where an outcome stands: at `index` in the row of `sequence`. */
export interface OutcomePlace {
  readonly sequence: Sequence;
  readonly index: number;
}

/** The applier asks for each three times: before the rows are read, before and after it decides. */
const known = new WeakMap<RequestRef, { readonly position: Position; readonly print: bigint }>();

export function fingerprint(position: Position, request: RequestRef): bigint {
  const found = known.get(request);
  if (found?.position === position) return found.print;
  const print = hash64(Buffer.from(`${position} ${request.index} ${request.id}`));
  known.set(request, { position, print });
  return print;
}

export class Outcomes {
  /** Ascending by bucket number. */
  readonly #buckets: Bucket[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Places that may hold the request's outcome; usually none or one. */
  lookup(print: bigint): OutcomePlace[] {
    const places: OutcomePlace[] = [];
    for (const bucket of this.#buckets) bucket.find(print, places);
    return places;
  }

  add(print: bigint, place: OutcomePlace, logTime: TimeMs): void {
    const number = bucketOf(logTime);
    let bucket = this.#buckets.at(-1);
    if (bucket === undefined || bucket.number < number) {
      bucket = new Bucket(number);
      this.#buckets.push(bucket);
    }
    bucket.add(print, place);
    this.#count += 1;
  }

  /** Forgets what the window has left behind at `logTime`. */
  advance(logTime: TimeMs): void {
    const oldest = oldestBucket(logTime);
    while (this.#buckets.length > 0 && (this.#buckets[0] as Bucket).number < oldest) {
      this.#count -= (this.#buckets.shift() as Bucket).count;
    }
  }
}

/** True if a row written at `rowTime` is still within the buckets remembered at `logTime`. */
export function isRemembered(rowTime: TimeMs, logTime: TimeMs): boolean {
  return bucketOf(rowTime) >= oldestBucket(logTime);
}

function bucketOf(time: TimeMs): number {
  return Math.floor(time / BUCKET_MS);
}

function oldestBucket(logTime: TimeMs): number {
  return bucketOf((logTime - REQUEST_WINDOW_MS) as TimeMs);
}

const ROOM_AT_FIRST = 256;

/** An open-addressing table of fingerprints; equal ones take several cells. */
class Bucket {
  count = 0;
  #prints = new BigUint64Array(ROOM_AT_FIRST);
  /** 0 = the cell is free; sequences begin at 1. */
  #sequences = new Float64Array(ROOM_AT_FIRST);
  #indexes = new Uint16Array(ROOM_AT_FIRST);

  constructor(readonly number: number) {}

  find(print: bigint, into: OutcomePlace[]): void {
    const mask = this.#sequences.length - 1;
    for (let cell = Number(print & 0xffff_ffffn) & mask; ; cell = (cell + 1) & mask) {
      const sequence = this.#sequences[cell] as Sequence;
      if (sequence === 0) return;
      if (this.#prints[cell] === print) into.push({ sequence, index: this.#indexes[cell] ?? 0 });
    }
  }

  add(print: bigint, place: OutcomePlace): void {
    if (this.count * 2 >= this.#sequences.length) this.#grow();
    this.#insert(print, place.sequence, place.index);
    this.count += 1;
  }

  #insert(print: bigint, sequence: Sequence, index: number): void {
    const mask = this.#sequences.length - 1;
    let cell = Number(print & 0xffff_ffffn) & mask;
    while (this.#sequences[cell] !== 0) cell = (cell + 1) & mask;
    this.#prints[cell] = print;
    this.#sequences[cell] = sequence;
    this.#indexes[cell] = index;
  }

  #grow(): void {
    const [prints, sequences, indexes] = [this.#prints, this.#sequences, this.#indexes];
    const room = sequences.length * 2;
    this.#prints = new BigUint64Array(room);
    this.#sequences = new Float64Array(room);
    this.#indexes = new Uint16Array(room);
    for (const [cell, sequence] of sequences.entries()) {
      if (sequence === 0) continue;
      this.#insert(prints[cell] as bigint, sequence as Sequence, indexes[cell] as number);
    }
  }
}
