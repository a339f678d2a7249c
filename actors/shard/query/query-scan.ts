/**
 * Query scan: finds the matching records among the candidates, as they were in one view.
 *
 * Index rows come from the view's iterators. Records come from `getMany`, which is many times
 * faster but shows them as they are now. A record with a revision above the view's counter of its
 * position was written later, and a missing record was deleted or has moved; the scan reads both
 * from the view's own iterator over records instead. So rows and records are of one state.
 *
 * Not every candidate is a match. The scan drops keys of positions that the view does not own or
 * the query did not ask for; records that had expired by the view's log time; records that fail a
 * condition (each is checked in full, as index rows may be cut); and, in the order of a condition,
 * rows that are not their record's smallest element that meets it. So every shard and every page
 * finds a record with an array once, at the same place.
 */
import type { StoreIterator } from "../../../infra/store.js";
import { assert } from "../../../protocol/assert.js";
import { KvError } from "../../../protocol/errors.js";
import type { Position } from "../../../protocol/ids.js";
import { QUERY_RECORDS_MAX, SCAN_ROWS_MAX } from "../../../protocol/limits.js";
import { isDue, type StoredRecord } from "../../../protocol/operation.js";
import { positionOfBytes } from "../../../protocol/position.js";
import { compileFilter, valueTest, type Match } from "../../../protocol/query/filter-match.js";
import type { Condition } from "../../../protocol/query/filter.js";
import { decodeRecord } from "../../../protocol/store/record.js";
import { recordKey } from "../../../protocol/store/store-keys.js";
import { attributesOf, type Attribute } from "../../../protocol/value/attributes.js";
import { decodeValue } from "../../../protocol/value/content.js";
import { typedBytes } from "../../../protocol/value/typed-value.js";
import type { View } from "../state/applied.js";
import type { Candidate, CandidateStream } from "./query-sources.js";

/** Candidates read at once: few at first, for pages that are soon full. */
const ROWS_FIRST = 64;
const ROWS_MAX = 1_024;

const nothingExcluded = { excluded: [] };
const noLimits = { depthMax: Infinity, entriesMax: Infinity, pathBytesMax: Infinity };

export interface Found {
  readonly order: Uint8Array;
  readonly key: string;
  readonly record: StoredRecord;
}

export interface ScanOptions {
  readonly conditions: readonly Condition[];
  /** The condition that gives the order; undefined = by key. */
  readonly driver: Condition | undefined;
  /** True: every candidate's record meets the conditions, and need not be decoded for them. */
  readonly isExact: boolean;
  /** Positions to find rows of; owned in the view. */
  readonly positions: readonly Position[];
  readonly positionCount: number;
  /** Refuse to look at more than SCAN_ROWS_MAX rows. */
  readonly rowsBounded: boolean;
}

export class Scan {
  readonly #match: Match;
  readonly #wanted: Uint8Array;
  readonly #smallest: ((attributes: readonly Attribute[]) => Uint8Array | undefined) | undefined;
  #rowCount = 0;
  #rowsNext = ROWS_FIRST;

  constructor(
    private readonly view: View,
    /** The view's, over all records, with values. */
    private readonly records: StoreIterator,
    private readonly stream: CandidateStream,
    private readonly options: ScanOptions,
  ) {
    this.#match = compileFilter(options);
    this.#wanted = new Uint8Array(options.positionCount);
    for (const position of options.positions) this.#wanted[position] = 1;
    this.#smallest = options.driver && smallestOf(options.driver);
  }

  /** The next candidates, in order, unchecked; empty = the end. */
  async next(): Promise<readonly Candidate[]> {
    const candidates = await this.stream.next(this.#rowsNext);
    this.#rowsNext = Math.min(ROWS_MAX, this.#rowsNext * 2);
    this.#rowCount += candidates.length;
    if (this.options.rowsBounded && this.#rowCount > SCAN_ROWS_MAX) {
      throw new KvError(
        "limit-exceeded",
        `no index serves this filter, and the shard has more than ${SCAN_ROWS_MAX} rows to scan; ` +
          `add an equality, or say "scan": true`,
        { limit: "rows_to_scan", max: SCAN_ROWS_MAX },
      );
    }
    return candidates;
  }

  isWanted({ key }: Candidate): boolean {
    return this.#wanted[positionOfBytes(key, this.options.positionCount)] === 1;
  }

  /** Those of the candidates that match, in their order, in parts that bound the memory used. */
  async *matches(candidates: readonly Candidate[]): AsyncGenerator<Found> {
    const wanted = candidates.filter((candidate) => this.isWanted(candidate));
    for (let index = 0; index < wanted.length; index += QUERY_RECORDS_MAX) {
      const part = wanted.slice(index, index + QUERY_RECORDS_MAX);
      const keys = part.map(({ key }) => this.#recordKey(key));
      const rows = await this.view.getMany(keys);
      for (const [at, candidate] of part.entries()) {
        const record = await this.#recordInView(keys[at]!, candidate.key, rows[at]);
        const found = record && this.#check(candidate, record);
        if (found !== undefined) yield found;
      }
    }
  }

  #recordKey(key: Uint8Array): Buffer {
    return recordKey(positionOfBytes(key, this.options.positionCount), key);
  }

  async #recordInView(
    storeKey: Buffer,
    key: Uint8Array,
    row: Uint8Array | undefined,
  ): Promise<StoredRecord | undefined> {
    const position = positionOfBytes(key, this.options.positionCount);
    const record = row && decodeRecord(row);
    if (record !== undefined && record.revision <= this.view.revisionCounter(position)) {
      return record;
    }
    this.records.seek(storeKey);
    const [then] = await this.records.next(1);
    const isThere = then !== undefined && Buffer.compare(then.key, storeKey) === 0;
    return isThere ? decodeRecord(then.value) : undefined;
  }

  #check(candidate: Candidate, record: StoredRecord): Found | undefined {
    if (isDue(record, this.view.logTime)) return undefined;
    const key = Buffer.from(candidate.key).toString("utf8");
    if (this.options.isExact) return { order: candidate.order, key, record };
    const attributes = attributesOfRecord(record);
    if (!this.#match(attributes, key)) return undefined;
    if (this.#smallest === undefined) return { order: candidate.order, key, record };
    const order = this.#smallest(attributes);
    assert(order !== undefined, "the driver is one of the conditions, and they are met");
    // Without an index on the driver's path candidates come by key, and get their place here.
    if (candidate.order.length === 0) return { order, key, record };
    if (Buffer.compare(order, candidate.order) !== 0) return undefined;
    return { order: candidate.order, key, record };
  }
}

/** All attributes, those too that the policy leaves out of the index. */
export function attributesOfRecord(record: StoredRecord): Attribute[] {
  const value = decodeValue(record.value, record.contentType);
  return attributesOf(value, nothingExcluded, noLimits);
}

/** The smallest encoding among the elements that meet the condition. */
function smallestOf(
  condition: Condition,
): (attributes: readonly Attribute[]) => Uint8Array | undefined {
  const test = valueTest(condition);
  return (attributes) => {
    let smallest: Uint8Array | undefined;
    for (const { path, value } of attributes) {
      if (path !== condition.path || !test(value)) continue;
      const bytes = typedBytes(value);
      if (smallest === undefined || Buffer.compare(bytes, smallest) < 0) smallest = bytes;
    }
    return smallest;
  };
}
