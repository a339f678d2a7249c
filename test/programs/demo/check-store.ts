/**
 * Check of one replica's store, row by row: is everything in it a function of its records?
 *
 * Reads all records (`d`), works out from them alone which index rows (`i`), expiry rows (`x`) and
 * figures of positions (`n`: keys, bytes, digests) there have to be, and compares that with the
 * rows that are there. Nothing is taken from what a replica says of itself. If it is told what the
 * records are to be, it compares those too, byte by byte.
 *
 * Rows that must be there and rows that are there are compared by their number and the sums of
 * their hashes (digest.ts): a set of the rows themselves takes three times as long. Only where the
 * sums differ is it made, in a second reading, to name the rows.
 *
 * Memory: a hash for each record; in a second reading also all index keys of the store.
 */
import type { Store, StoreRow } from "../../../infra/store.js";
import { DamagedError } from "../../../protocol/damaged.js";
import { hash64, PositionDigest } from "../../../protocol/digest.js";
import { KvError } from "../../../protocol/errors.js";
import type { Position, TimeMs } from "../../../protocol/ids.js";
import type { StoredRecord } from "../../../protocol/operation.js";
import { positionOf } from "../../../protocol/position.js";
import {
  decodeAppliedRow,
  STORE_FORMAT,
  type AppliedRow,
} from "../../../protocol/store/applied-row.js";
import { keyRowKey } from "../../../protocol/store/key-rows.js";
import { decodePositionRow } from "../../../protocol/store/position-row.js";
import { decodeRecord } from "../../../protocol/store/record.js";
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
} from "../../../protocol/store/store-keys.js";
import { attributesOf } from "../../../protocol/value/attributes.js";
import { decodeValue } from "../../../protocol/value/content.js";
import type { Problems } from "./problems.js";

const ROWS_PER_READ = 1_000;
const nothing = new Uint8Array(0);
const recordRows = rangeOfKind(recordKey(0 as Position, nothing));
const indexRows = rangeOfKind(indexKey("", nothing, nothing));
const expiryRows = rangeOfKind(expiryKey(0 as Position, 0 as TimeMs, nothing));

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
  if (applied.format !== STORE_FORMAT) {
    problems.add(`the store has format ${applied.format}, this program reads ${STORE_FORMAT}`);
    return undefined;
  }
  return new StoreCheck(store, applied, problems, expected).run();
}

class StoreCheck {
  readonly #records = new Map<string, bigint>();
  readonly #figures = new Map<Position, Figures>();
  readonly #owned = new Set<Position>();
  readonly #rowsDue = new RowSum();
  readonly #rowsFound = new RowSum();

  constructor(
    private readonly store: Store,
    private readonly applied: AppliedRow,
    private readonly problems: Problems,
    private readonly expected: ExpectedRecords | undefined,
  ) {}

  async run(): Promise<StoreFacts> {
    const { store, applied } = this;
    await eachRow(store, recordRows, (row) => this.#record(row));
    const find = (row: StoreRow): void => this.#emptyRow(row);
    const indexRowCount = await eachRow(store, indexRows, find);
    const expiryRowCount = await eachRow(store, expiryRows, find);
    if (!this.#rowsDue.equals(this.#rowsFound)) await this.#nameRows();
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
    const figures = this.#figuresOf(position);
    for (const row of this.#indexRowsOf(key, record)) {
      this.#rowsDue.add(row);
      figures.digest.addIndex(row);
    }
    if (record.expiresAt !== 0) this.#rowsDue.add(expiryKey(position, record.expiresAt, key));
    figures.keys += 1;
    figures.bytes += key.length + record.value.length;
    figures.revisionMax = Math.max(figures.revisionMax, record.revision);
    figures.digest.addRecord(key, record);
  }

  #indexRowsOf(key: Uint8Array, record: StoredRecord): Buffer[] {
    const { limits, indexPolicy } = this.applied.genesis;
    const value = decodeValue(record.value, record.contentType);
    const attributes = attributesOf(value, indexPolicy, {
      depthMax: limits.depthMax,
      entriesMax: limits.indexEntriesMax,
      pathBytesMax: limits.pathBytesMax,
    });
    return [...indexKeysOf(attributes, key), keyRowKey(key)];
  }

  /** Of the index or of expiries: the key says it all. */
  #emptyRow({ key, value }: StoreRow): void {
    this.#rowsFound.add(key);
    if (value.length > 0) this.problems.add(`${rowName(key)} is not empty`);
  }

  /** Second reading: which rows are missing, and which are there without a record. */
  async #nameRows(): Promise<void> {
    const due = new Set<string>();
    await eachRow(this.store, recordRows, (row) => {
      const { position, key } = parseRecordKey(row.key);
      // What cannot be read has been told.
      decoded(undefined, "", () => {
        const record = decodeRecord(row.value);
        for (const each of this.#indexRowsOf(key, record)) due.add(each.toString("latin1"));
        if (record.expiresAt === 0) return;
        due.add(expiryKey(position, record.expiresAt, key).toString("latin1"));
      });
    });
    const strike = ({ key }: StoreRow): void => {
      if (due.delete(viewOf(key).toString("latin1"))) return;
      this.problems.add(`${rowName(key)} is there, but follows from no record`);
    };
    await eachRow(this.store, indexRows, strike);
    await eachRow(this.store, expiryRows, strike);
    for (const row of due) this.problems.add(`${rowName(Buffer.from(row, "latin1"))} is missing`);
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
    const found = viewOf(value).toString();
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

/** Rows, as far as two lots of them are to be compared whatever their order. */
class RowSum {
  readonly #digest = new PositionDigest();
  #count = 0;

  add(key: Uint8Array): void {
    this.#digest.addIndex(key);
    this.#count += 1;
  }

  equals(other: RowSum): boolean {
    return this.#count === other.#count && this.#digest.equals(other.#digest);
  }
}

function newFigures(): Figures {
  return { keys: 0, bytes: 0, revisionMax: 0, digest: new PositionDigest() };
}

/** Damage and values that cannot be read are what we look for; all else is a bug. */
function decoded<Value>(
  problems: Problems | undefined,
  name: string,
  read: () => Value,
): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof DamagedError) && !(error instanceof KvError)) throw error;
    problems?.add(`${name}: ${error.message}`);
    return undefined;
  }
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** All rows whose keys begin as the sample does. */
function rangeOfKind(sample: Uint8Array): KeyRange {
  const kind = sample[0] ?? 0;
  return { from: Buffer.from([kind]), to: Buffer.from([kind + 1]) };
}

function rowName(bytes: Uint8Array): string {
  const key = viewOf(bytes);
  if (key[0] === expiryRows.from[0]) return `expiry row ${key.toString("hex")}`;
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

/** How many there were. The next rows are read while these are visited. */
async function eachRow(
  store: Store,
  range: KeyRange,
  visit: (row: StoreRow) => void,
): Promise<number> {
  const iterator = store.iterate(range);
  let count = 0;
  let reading = iterator.next(ROWS_PER_READ);
  try {
    for (let rows = await reading; rows.length > 0; rows = await reading) {
      reading = iterator.next(ROWS_PER_READ);
      count += rows.length;
      for (const row of rows) visit(row);
    }
    return count;
  } finally {
    await reading.catch(() => undefined);
    await iterator.close();
  }
}
