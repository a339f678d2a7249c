/**
 * Query sources: the index rows of a plan, read from a view's iterators in the query's order.
 *
 * Every row names a candidate: a key that may match. query-scan.ts checks whether it does.
 */
import type { StoreIterator } from "../../../infra/store.js";
import { assert } from "../../../protocol/assert.js";
import type { Place } from "../../../protocol/query/cursor.js";
import { KEY_ROW_HEAD_BYTES, keyRowRange } from "../../../protocol/store/key-rows.js";
import { indexKey, indexRange, type KeyRange } from "../../../protocol/store/store-keys.js";
import { decodeTyped } from "../../../protocol/value/typed-value.js";
import type { Source } from "./query-plan.js";

export interface Candidate {
  /** Typed value as in the index; empty where the order is by key alone. */
  readonly order: Uint8Array;
  /** UTF-8. */
  readonly key: Uint8Array;
}

export interface CandidateStream {
  /** The next ones, at least one and about `countMax`; empty = the end. */
  next(countMax: number): Promise<readonly Candidate[]>;
}

/** Rows of one source are read in rounds of these sizes until one source has come to its end. */
const RACE_ROUNDS = [64, 256, 1_024];
/** Rows of each list that are read at first where many lists are merged. */
const MERGE_ROWS_FIRST = 16;
const MERGE_ROWS_MAX = 1_024;

const none = new Uint8Array(0);

/** The ranges of iterators for the source's rows strictly after a place. */
export function sourceRanges(source: Source, after: Place | undefined): KeyRange[] {
  const key = after === undefined ? none : successor(Buffer.from(after.key));
  switch (source.kind) {
    case "points":
      return [];
    case "keys":
      return [notInverted(keyRowRange(later(source.from, key), source.to))];
    case "values":
      return source.ranges.map((range) => {
        const { to } = indexRange(source.path, range);
        return notInverted({ from: indexKey(source.path, range.from, key), to });
      });
    case "range": {
      const range = indexRange(source.path, source.range);
      if (after === undefined) return [notInverted(range)];
      const from = later(range.from, indexKey(source.path, after.order, key));
      return [notInverted({ from, to: range.to })];
    }
  }
}

/** `iterators` over sourceRanges(source, after), in that order. */
export function openSource(
  source: Source,
  after: Place | undefined,
  iterators: readonly StoreIterator[],
): CandidateStream {
  if (source.kind === "points") return new PointStream(source.keys, after);
  const [first] = iterators;
  assert(first !== undefined || source.kind === "values", "other sources have one range");
  switch (source.kind) {
    case "keys":
      return new RowStream(first!, (row) => ({
        order: none,
        key: row.subarray(KEY_ROW_HEAD_BYTES),
      }));
    case "range": {
      const head = indexKey(source.path, none, none).length;
      return new RowStream(first!, (row) => {
        const { end } = decodeTyped(row, head);
        return { order: row.subarray(head, end), key: row.subarray(end) };
      });
    }
    case "values": {
      const streams = source.ranges.map((range, index) => {
        const head = indexKey(source.path, range.from, none).length;
        const parse = (row: Uint8Array): Candidate => ({ order: none, key: row.subarray(head) });
        return new RowStream(iterators[index]!, parse);
      });
      return streams.length === 1 ? streams[0]! : new MergedStream(streams);
    }
  }
}

/**
 * Chooses one of several streams that are in key order and hold every match: the first that ends
 * within a few rounds, otherwise the first in the list. It keeps the rows that it has read.
 */
export async function raceStreams(streams: readonly CandidateStream[]): Promise<CandidateStream> {
  const [first] = streams;
  assert(first !== undefined, "a plan has a source");
  if (streams.length === 1) return first;
  const runners = streams.map((stream) => ({ stream, read: [] as Candidate[] }));
  for (const rows of RACE_ROUNDS) {
    const parts = await Promise.all(runners.map(({ stream }) => stream.next(rows)));
    for (const [index, runner] of runners.entries()) runner.read.push(...parts[index]!);
    const ended = runners.filter((_, index) => parts[index]!.length === 0);
    const [shortest] = ended.sort((a, b) => a.read.length - b.read.length);
    if (shortest !== undefined) return resumed(shortest.read, shortest.stream);
  }
  const [runner] = runners;
  return resumed(runner!.read, runner!.stream);
}

function resumed(read: Candidate[], rest: CandidateStream): CandidateStream {
  return {
    next: async (countMax) => {
      if (read.length > 0) return read.splice(0, countMax);
      return rest.next(countMax);
    },
  };
}

/** Index rows that are in the right order already. */
class RowStream implements CandidateStream {
  #isEnded = false;

  constructor(
    private readonly iterator: StoreIterator,
    private readonly parse: (row: Uint8Array) => Candidate,
  ) {}

  async next(countMax: number): Promise<readonly Candidate[]> {
    if (this.#isEnded) return [];
    const rows = await this.iterator.next(countMax);
    this.#isEnded = rows.length === 0;
    return rows.map((row) => this.parse(row.key));
  }
}

/** Keys that the filter names: they may exist or not. */
class PointStream implements CandidateStream {
  #index = 0;
  readonly #keys: readonly Buffer[];

  constructor(keys: readonly Buffer[], after: Place | undefined) {
    const bound = after && Buffer.from(after.key);
    this.#keys = bound ? keys.filter((key) => Buffer.compare(key, bound) > 0) : keys;
  }

  next(countMax: number): Promise<readonly Candidate[]> {
    const keys = this.#keys.slice(this.#index, this.#index + countMax);
    this.#index += keys.length;
    return Promise.resolve(keys.map((key) => ({ order: none, key })));
  }
}

interface MergedList {
  readonly stream: CandidateStream;
  /** Read and not yet taken. */
  rows: readonly Candidate[];
  /** Rows to read next time. */
  size: number;
}

/**
 * Merges several lists in key order into one, each key once. Each round takes the keys up to the
 * first list end that it reaches, so it needs no heap.
 */
class MergedStream implements CandidateStream {
  #lists: MergedList[];
  #last: Uint8Array | undefined;

  constructor(streams: readonly CandidateStream[]) {
    this.#lists = streams.map((stream) => ({ stream, rows: [], size: MERGE_ROWS_FIRST }));
  }

  async next(_countMax: number): Promise<readonly Candidate[]> {
    for (;;) {
      await this.#fill();
      if (this.#lists.length === 0) return [];
      const ends = this.#lists.map(({ rows }) => rows.at(-1)!.key);
      const frontier = ends.reduce((a, b) => (Buffer.compare(a, b) <= 0 ? a : b));
      const taken = this.#take(frontier);
      if (taken.length > 0) return taken;
    }
  }

  /** Every list that is left has rows afterwards. */
  async #fill(): Promise<void> {
    const refill = async (list: MergedList): Promise<void> => {
      list.rows = await list.stream.next(list.size);
      list.size = Math.min(MERGE_ROWS_MAX, list.size * 4);
    };
    await Promise.all(this.#lists.filter(({ rows }) => rows.length === 0).map(refill));
    this.#lists = this.#lists.filter(({ rows }) => rows.length > 0);
  }

  #take(frontier: Uint8Array): Candidate[] {
    const taken: Candidate[] = [];
    for (const list of this.#lists) {
      let count = 0;
      while (count < list.rows.length) {
        if (Buffer.compare(list.rows[count]!.key, frontier) > 0) break;
        count += 1;
      }
      for (const row of list.rows.slice(0, count)) taken.push(row);
      list.rows = list.rows.slice(count);
    }
    taken.sort((a, b) => Buffer.compare(a.key, b.key));
    return taken.filter(({ key }) => {
      if (this.#last !== undefined && Buffer.compare(this.#last, key) === 0) return false;
      this.#last = key;
      return true;
    });
  }
}

/** The least key above `key`. */
function successor(key: Uint8Array): Buffer {
  return Buffer.concat([key, Buffer.of(0)]);
}

function later<Bytes extends Uint8Array>(left: Bytes, right: Bytes): Bytes {
  return Buffer.compare(left, right) >= 0 ? left : right;
}

/** A range whose end lies before its beginning is empty; stores want that said as from = to. */
function notInverted({ from, to }: KeyRange): KeyRange {
  return Buffer.compare(from, to) <= 0 ? { from, to } : { from, to: from };
}
