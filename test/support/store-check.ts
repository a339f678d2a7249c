/**
 * Store check: compares everything in a replica's store with its records.
 *
 * It computes index rows, expiry rows, counts, bytes and digests again from the records alone, and
 * compares them with the rows that the applier kept up to date write by write.
 */
import { expect } from "chai";
import type { Store, StoreRow } from "../../infra/store.js";
import { PositionDigest } from "../../protocol/digest.js";
import type { Position } from "../../protocol/ids.js";
import type { StoredRecord } from "../../protocol/operation.js";
import { positionOf } from "../../protocol/position.js";
import { decodeAppliedRow, type AppliedRow } from "../../protocol/store/applied-row.js";
import { keyRowKey } from "../../protocol/store/key-rows.js";
import { decodePositionRow } from "../../protocol/store/position-row.js";
import { decodeRecord } from "../../protocol/store/record.js";
import {
  expiryKey,
  indexKeysOf,
  parsePositionKey,
  parseRecordKey,
} from "../../protocol/store/store-keys.js";
import { attributesOf } from "../../protocol/value/attributes.js";
import { decodeValue } from "../../protocol/value/content.js";

/** All rows whose kind (the first letter of their key) is one of `kinds`, in order. */
export async function rowsOf(store: Store, kinds: string): Promise<StoreRow[]> {
  const found: StoreRow[] = [];
  const iterator = store.iterate({ from: Buffer.from([0]), to: Buffer.from([0xff]) });
  for (let rows = await iterator.next(512); rows.length > 0; rows = await iterator.next(512)) {
    for (const row of rows) {
      if (kinds.includes(String.fromCharCode(row.key[0] ?? 0))) found.push(row);
    }
  }
  await iterator.close();
  return found;
}

/** The rows as text, to be compared with another store's. */
export async function dump(store: Store, kinds: string): Promise<string[]> {
  const rows = await rowsOf(store, kinds);
  return rows.map(({ key, value }) => `${latin1(key)} ${hex(key)} = ${hex(value)}`);
}

interface Figures {
  keys: number;
  bytes: number;
  readonly digest: PositionDigest;
}

/** Throws unless the store is what its records make it. Returns the records by key. */
export async function checkStore(store: Store): Promise<Map<string, StoredRecord>> {
  const records = new Map<string, StoredRecord>();
  const applied = await appliedRow(store);
  if (applied === undefined) return records;
  const { positionCount } = applied.genesis;
  const index = new Set<string>();
  const expiries = new Set<string>();
  const figures = new Map<Position, Figures>();
  for (const row of await rowsOf(store, "d")) {
    const { position, key } = parseRecordKey(row.key);
    const record = decodeRecord(row.value);
    const text = Buffer.from(key).toString();
    expect(positionOf(text, positionCount), `position of ${text}`).to.equal(position);
    records.set(text, record);
    const own = figures.get(position) ?? { keys: 0, bytes: 0, digest: new PositionDigest() };
    figures.set(position, own);
    own.keys += 1;
    own.bytes += key.length + record.value.length;
    own.digest.addRecord(key, record);
    for (const indexRow of indexRowsOf(key, record, applied)) {
      index.add(hex(indexRow));
      own.digest.addIndex(indexRow);
    }
    if (record.expiresAt !== 0) expiries.add(hex(expiryKey(position, record.expiresAt, key)));
  }
  expect((await rowsOf(store, "i")).map(({ key }) => hex(key))).to.deep.equal(sorted(index));
  expect((await rowsOf(store, "x")).map(({ key }) => hex(key))).to.deep.equal(sorted(expiries));
  await checkFigures(store, figures);
  return records;
}

async function checkFigures(store: Store, figures: Map<Position, Figures>): Promise<void> {
  for (const { key, value } of await rowsOf(store, "n")) {
    const position = parsePositionKey(key);
    const row = decodePositionRow(value);
    const own = figures.get(position) ?? { keys: 0, bytes: 0, digest: new PositionDigest() };
    figures.delete(position);
    const text = `position ${position}`;
    expect(row.keys, `keys of ${text}`).to.equal(own.keys);
    expect(row.bytes, `bytes of ${text}`).to.equal(own.bytes);
    expect(row.digest.recordsHex, `records' digest of ${text}`).to.equal(own.digest.recordsHex);
    expect(row.digest.indexHex, `index digest of ${text}`).to.equal(own.digest.indexHex);
  }
  expect([...figures.keys()], "positions with records and no row").to.deep.equal([]);
}

export async function appliedRow(store: Store): Promise<AppliedRow | undefined> {
  const [row] = await rowsOf(store, "a");
  return row && decodeAppliedRow(row.value);
}

function indexRowsOf(key: Uint8Array, record: StoredRecord, { genesis }: AppliedRow): Buffer[] {
  const { depthMax, indexEntriesMax: entriesMax, pathBytesMax } = genesis.limits;
  const attributes = attributesOf(
    decodeValue(record.value, record.contentType),
    genesis.indexPolicy,
    { depthMax, entriesMax, pathBytesMax },
  );
  return [...indexKeysOf(attributes, key), keyRowKey(key)];
}

function sorted(rows: ReadonlySet<string>): string[] {
  return [...rows].toSorted();
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
