/**
 * Check of one replica's store, row by row: is everything in it a function of its records?
 *
 * Reads all records (`d`), works out from them alone which index rows (`i`), expiry rows (`x`) and
 * figures of positions (`n`: keys, bytes, digests) there have to be, and compares that with the
 * rows that are there. Nothing is taken from what a replica says of itself. If it is told what the
 * records are to be, it compares those too, byte by byte.
 *
 * Memory: the index rows of one store, as text, at once.
 */
import { attributesOf } from "../../protocol/attributes.js";
import { decodeAppliedRow, type AppliedRow } from "../../protocol/applied-row.js";
import { decodeValue } from "../../protocol/content.js";
import { DamagedError } from "../../protocol/damaged.js";
import { hash64, PositionDigest } from "../../protocol/digest.js";
import { KvError } from "../../protocol/errors.js";
import type { Position, TimeMs } from "../../protocol/ids.js";
import { keyRowKey } from "../../protocol/key-rows.js";
import type { StoredRecord } from "../../protocol/operation.js";
import { decodePositionRow } from "../../protocol/position-row.js";
import { positionOf } from "../../protocol/position.js";
import { decodeRecord } from "../../protocol/record.js";
import {
  allPositionsRange,
  appliedKey,
  expiryKey,
  indexKey,
  indexKeysOf,
  parseIndexKey,
  parsePositionKey,
  parseRecordKey,
  recordKey,
  type KeyRange,
} from "../../protocol/store-keys.js";
import type { Store, StoreRow } from "../../infra/store.js";
import type { Problems } from "./problems.js";

const ROWS_PER_READ = 1_000;
const nothing = new Uint8Array(0);

/** Values by key, as text. */
export type ExpectedRecords = ReadonlyMap<string, string>;

export interface StoreFacts {
  readonly applied: AppliedRow;
  /** By key: hash of the whole row. */
  readonly records: ReadonlyMap<string, bigint>;
  readonly owned: ReadonlySet<Position>;
  readonly indexRowCount: number;
  readonly expiryRowCount: number;
}

/** Figures of a position, worked out from its records. */
interface Figures {
  keys: number;
  bytes: number;
  revisionMax: number;
  readonly digest: PositionDigest;
}

/** Undefined if the store does not say whose it is, so that nothing can be checked. */
export async function checkStore(
  store: Store,
  problems: Problems,
  expected?: ExpectedRecords,
): Promise<StoreFacts | undefined> {
  const [bytes] = await store.getMany([appliedKey]);
  if (bytes === undefined) {
    problems.add("the row that says how far the log was applied is missing");
    return undefined;
  }
  const applied = decoded(problems, "the applied row", () => decodeAppliedRow(bytes));
  if (applied === undefined) return undefined;
  return new StoreCheck(store, applied, problems, expected).run();
}

class StoreCheck {
  readonly #records = new Map<string, bigint>();
  readonly #figures = new Map<Position, Figures>();
  readonly #owned = new Set<Position>();
  /** Keys of rows that must be there and have not been met yet; a character is a byte. */
  readonly #rowsDue = new Set<string>();

  constructor(
    private readonly store: Store,
    private readonly applied: AppliedRow,
    private readonly problems: Problems,
    private readonly expected: ExpectedRecords | undefined,
  ) {}

  async run(): Promise<StoreFacts> {
    const { store, applied } = this;
    const none = 0 as Position;
    await eachRow(store, rangeOfKind(recordKey(none, nothing)), (row) => this.#record(row));
    const index = rangeOfKind(indexKey("", nothing, nothing));
    const indexRowCount = await eachRow(store, index, (row) => this.#emptyRow(row));
    const expiries = rangeOfKind(expiryKey(none, 0 as TimeMs, nothing));
    const expiryRowCount = await eachRow(store, expiries, (row) => this.#emptyRow(row));
    for (const row of this.#rowsDue) {
      this.problems.add(`${rowName(Buffer.from(row, "latin1"))} is missing`);
    }
    await eachRow(store, allPositionsRange(), (row) => this.#position(row));
    for (const position of this.#figures.keys()) {
      this.problems.add(`position ${position} has records, but no row of its own`);
    }
    this.#compareExpected();
    const counts = { indexRowCount, expiryRowCount };
    return { applied, records: this.#records, owned: this.#owned, ...counts };
  }

  #record(row: StoreRow): void {
    const { position, key: keyUtf8 } = parseRecordKey(row.key);
    const key = Buffer.from(keyUtf8).toString();
    const name = `record ${JSON.stringify(key)}`;
    this.#records.set(key, hash64(row.value));
    if (positionOf(key, this.applied.genesis.positionCount) !== position) {
      this.problems.add(`${name} stands in position ${position}, which is not its own`);
    }
    decoded(this.problems, name, () => {
      const record = decodeRecord(row.value);
      this.#compareValue(name, key, record);
      this.#derive(position, keyUtf8, record);
    });
  }

  /** What has to be there because the record is. */
  #derive(position: Position, key: Uint8Array, record: StoredRecord): void {
    const { limits, indexPolicy } = this.applied.genesis;
    const value = decodeValue(record.value, record.contentType);
    const attributes = attributesOf(value, indexPolicy, {
      depthMax: limits.depthMax,
      entriesMax: limits.indexEntriesMax,
      pathBytesMax: limits.pathBytesMax,
    });
    const figures = this.#figuresOf(position);
    for (const row of [...indexKeysOf(attributes, key), keyRowKey(key)]) {
      this.#rowsDue.add(row.toString("latin1"));
      figures.digest.addIndex(row);
    }
    if (record.expiresAt !== 0) {
      this.#rowsDue.add(expiryKey(position, record.expiresAt, key).toString("latin1"));
    }
    figures.keys += 1;
    figures.bytes += key.length + record.value.length;
    figures.revisionMax = Math.max(figures.revisionMax, record.revision);
    figures.digest.addRecord(key, record);
  }

  /** Of the index or of expiries: the key says it all. */
  #emptyRow({ key, value }: StoreRow): void {
    const bytes = Buffer.from(key.buffer, key.byteOffset, key.length);
    if (!this.#rowsDue.delete(bytes.toString("latin1"))) {
      this.problems.add(`${rowName(bytes)} is there, but follows from no record`);
    }
    if (value.length > 0) this.problems.add(`${rowName(bytes)} is not empty`);
  }

  #position(row: StoreRow): void {
    const position = parsePositionKey(row.key);
    const name = `position ${position}`;
    const told = decoded(this.problems, name, () => decodePositionRow(row.value));
    const found = this.#figures.get(position) ?? newFigures();
    this.#figures.delete(position);
    if (told === undefined) return;
    if (told.state === "owned") this.#owned.add(position);
    else if (found.keys > 0) this.problems.add(`${name} is ${told.state}, but has records`);
    const differs = (what: string, says: unknown, has: unknown): void =>
      this.problems.add(`${name} says ${what} ${String(says)}, its records have ${String(has)}`);
    if (told.keys !== found.keys) differs("keys", told.keys, found.keys);
    if (told.bytes !== found.bytes) differs("bytes", told.bytes, found.bytes);
    if (told.revision < found.revisionMax) differs("revision", told.revision, found.revisionMax);
    if (told.digest.equals(found.digest)) return;
    const { recordsHex, indexHex } = found.digest;
    if (told.digest.recordsHex !== recordsHex) {
      differs("digest of records", told.digest.recordsHex, recordsHex);
    }
    if (told.digest.indexHex !== indexHex) {
      differs("digest of index", told.digest.indexHex, indexHex);
    }
  }

  #compareValue(name: string, key: string, { value }: StoredRecord): void {
    if (this.expected === undefined) return;
    const wanted = this.expected.get(key);
    if (wanted === undefined) return this.problems.add(`${name} should not be there`);
    const found = Buffer.from(value.buffer, value.byteOffset, value.length).toString();
    if (found !== wanted) this.problems.add(`${name} is ${found}, not ${wanted}`);
  }

  #compareExpected(): void {
    if (this.expected === undefined) return;
    const { positionCount } = this.applied.genesis;
    for (const key of this.expected.keys()) {
      if (this.#records.has(key) || !this.#owned.has(positionOf(key, positionCount))) continue;
      this.problems.add(`record ${JSON.stringify(key)} is missing`);
    }
  }

  #figuresOf(position: Position): Figures {
    let figures = this.#figures.get(position);
    if (figures === undefined) {
      figures = newFigures();
      this.#figures.set(position, figures);
    }
    return figures;
  }
}

function newFigures(): Figures {
  return { keys: 0, bytes: 0, revisionMax: 0, digest: new PositionDigest() };
}

/** Damage and values that cannot be read are what we look for; all else is a bug. */
function decoded<Value>(problems: Problems, name: string, read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof DamagedError) && !(error instanceof KvError)) throw error;
    problems.add(`${name}: ${error.message}`);
    return undefined;
  }
}

/** All rows whose keys begin as the sample does. */
function rangeOfKind(sample: Uint8Array): KeyRange {
  const kind = sample[0] ?? 0;
  return { from: Buffer.from([kind]), to: Buffer.from([kind + 1]) };
}

function rowName(key: Buffer): string {
  if (key[0] !== indexKey("", nothing, nothing)[0]) return `expiry row ${key.toString("hex")}`;
  const head = keyRowKey(nothing);
  if (key.subarray(0, head.length).equals(head)) {
    return `key row of ${JSON.stringify(key.subarray(head.length).toString())}`;
  }
  try {
    const { path, value, key: owner } = parseIndexKey(key);
    const text = Buffer.from(owner).toString();
    return `index row ${path} = ${JSON.stringify(value)} of ${JSON.stringify(text)}`;
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    return `index row ${key.toString("hex")}`;
  }
}

/** How many there were. */
async function eachRow(
  store: Store,
  range: KeyRange,
  visit: (row: StoreRow) => void,
): Promise<number> {
  const iterator = store.iterate(range);
  let count = 0;
  try {
    for (;;) {
      const rows = await iterator.next(ROWS_PER_READ);
      if (rows.length === 0) return count;
      count += rows.length;
      for (const row of rows) visit(row);
    }
  } finally {
    await iterator.close();
  }
}
