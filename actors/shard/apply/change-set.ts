/**
 * Change set: one RocksDB batch in the making.
 *
 * It lies over the store and the in-memory figures: it shows what the entries of the batch have
 * changed, and takes everything else from the rows that the applier read for it. It changes nothing
 * outside until the batch is written; then `publish` updates the in-memory figures in one step. A
 * failed batch leaves nothing behind but this object.
 *
 * Invariants
 *   1. Index rows, expiry rows, counts and digests change exactly as the records do: `replace` is
 *      the only way to change a record.
 *   2. Every record asked for was read beforehand (asserted).
 */
import type { StoreWrite } from "../../../infra/store.js";
import { assert } from "../../../protocol/assert.js";
import { PositionDigest } from "../../../protocol/digest.js";
import type { Position, Revision, TimeMs } from "../../../protocol/ids.js";
import type { StoredRecord } from "../../../protocol/operation.js";
import { keyRowKey } from "../../../protocol/store/key-rows.js";
import { encodePositionRow, type PositionState } from "../../../protocol/store/position-row.js";
import { encodeRecord } from "../../../protocol/store/record.js";
import {
  expiryKey,
  indexKeysOf,
  positionKey,
  recordKey,
} from "../../../protocol/store/store-keys.js";
import type { Attribute } from "../../../protocol/value/attributes.js";
import { decodeValue } from "../../../protocol/value/content.js";
import { indexedAttributes, type Indexing } from "../state/indexing.js";
import type { Ownership } from "../state/ownership.js";
import type { PositionTable } from "../state/position-table.js";

interface WorkingPosition {
  state: PositionState;
  generation: number;
  revision: Revision;
  keys: number;
  bytes: number;
  readonly digest: PositionDigest;
}

const empty = Buffer.alloc(0);

export class ChangeSet {
  readonly writes: StoreWrite[] = [];
  readonly #records = new Map<string, StoredRecord | undefined>();
  readonly #positions = new Map<Position, WorkingPosition>();
  readonly #expiries: { position: Position; time: TimeMs }[] = [];
  #dueNext: ReadonlyMap<Position, TimeMs> = new Map();
  /** Earliest expiry that this batch itself has added. */
  dueFrom = Infinity as TimeMs;

  constructor(
    private readonly ownership: Ownership,
    private readonly table: PositionTable,
    private readonly indexing: () => Indexing,
  ) {}

  /** Tells what the store holds under `key`. */
  read(key: string, record: StoredRecord | undefined): void {
    if (!this.#records.has(key)) this.#records.set(key, record);
  }

  record(key: string): StoredRecord | undefined {
    assert(this.#records.has(key), `the record ${JSON.stringify(key)} was read beforehand`);
    return this.#records.get(key);
  }

  position(position: Position): WorkingPosition {
    let working = this.#positions.get(position);
    if (working === undefined) {
      working = {
        state: this.ownership.state(position),
        generation: this.ownership.generation(position),
        revision: this.table.revision(position),
        keys: this.table.keys(position),
        bytes: this.table.bytes(position),
        digest: this.table.digest(position).clone(),
      };
      this.#positions.set(position, working);
    }
    return working;
  }

  /** The position takes its next revision. */
  takeRevision(position: Position): Revision {
    const working = this.position(position);
    working.revision = (working.revision + 1) as Revision;
    return working.revision;
  }

  /**
   * Puts `after` in the place of the record, or nothing. `attributesAfter` are those of `after`.
   * Cost: one write for the record and one for each index row that comes or goes.
   */
  replace(
    position: Position,
    key: string,
    after: StoredRecord | undefined,
    attributesAfter: readonly Attribute[],
  ): void {
    const before = this.record(key);
    const keyBytes = Buffer.from(key);
    const working = this.position(position);
    const storeKey = recordKey(position, keyBytes);
    if (before !== undefined) {
      working.keys -= 1;
      working.bytes -= keyBytes.length + before.value.length;
      working.digest.removeRecord(keyBytes, before);
    }
    if (after === undefined) {
      this.writes.push({ type: "del", key: storeKey });
    } else {
      working.keys += 1;
      working.bytes += keyBytes.length + after.value.length;
      working.digest.addRecord(keyBytes, after);
      this.writes.push({ type: "put", key: storeKey, value: encodeRecord(after) });
    }
    this.#replaceExpiry(position, keyBytes, before?.expiresAt, after?.expiresAt);
    const rowsBefore = before === undefined ? [] : this.#indexRows(before, keyBytes);
    const rowsAfter = after === undefined ? [] : rowsOf(attributesAfter, keyBytes);
    this.#replaceIndex(working.digest, rowsBefore, rowsAfter);
    this.#records.set(key, after);
  }

  #indexRows(record: StoredRecord, keyBytes: Uint8Array): Buffer[] {
    const value = decodeValue(record.value, record.contentType);
    return rowsOf(indexedAttributes(value, this.indexing()), keyBytes);
  }

  /** Rows that stay are not written again: most overwrites change few attributes. */
  #replaceIndex(digest: PositionDigest, before: readonly Buffer[], after: readonly Buffer[]): void {
    const going = new Map<string, Buffer>();
    for (const row of before) going.set(row.toString("latin1"), row);
    for (const row of after) {
      if (going.size > 0 && going.delete(row.toString("latin1"))) continue;
      digest.addIndex(row);
      this.writes.push({ type: "put", key: row, value: empty });
    }
    for (const row of going.values()) {
      digest.removeIndex(row);
      this.writes.push({ type: "del", key: row });
    }
  }

  #replaceExpiry(
    position: Position,
    keyBytes: Uint8Array,
    before: TimeMs | undefined,
    after: TimeMs | undefined,
  ): void {
    if ((before ?? 0) === (after ?? 0)) return;
    if (before !== undefined && before !== 0) {
      this.writes.push({ type: "del", key: expiryKey(position, before, keyBytes) });
    }
    if (after !== undefined && after !== 0) {
      this.writes.push({
        type: "put",
        key: expiryKey(position, after, keyBytes),
        value: empty,
      });
      this.#expiries.push({ position, time: after });
      if (after < this.dueFrom) this.dueFrom = after;
    }
  }

  /** Adds the rows of the positions that changed; the last thing before the batch is written. */
  writePositions(): void {
    for (const [position, working] of this.#positions) {
      this.writes.push({
        type: "put",
        key: positionKey(position),
        value: encodePositionRow(working),
      });
    }
  }

  /** The due records of these positions were removed; what expires there next. */
  dueRead(next: ReadonlyMap<Position, TimeMs>): void {
    this.#dueNext = next;
  }

  /** The batch is written: brings the in-memory figures up to it. */
  publish(): void {
    for (const [position, time] of this.#dueNext) this.table.setDueFrom(position, time);
    for (const [position, working] of this.#positions) {
      this.ownership.set(position, working.state, working.generation);
      this.table.setRevision(position, working.revision);
      this.table.setCounts(position, working.keys, working.bytes);
      this.table.setDigest(position, working.digest);
    }
    for (const { position, time } of this.#expiries) this.table.expiryAdded(position, time);
  }
}

/** All index rows of a record: one for each attribute value, and one for the key itself. */
function rowsOf(attributes: readonly Attribute[], keyBytes: Uint8Array): Buffer[] {
  const rows = indexKeysOf(attributes, keyBytes);
  rows.push(keyRowKey(keyBytes));
  return rows;
}
