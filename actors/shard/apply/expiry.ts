/**
 * Expiry: finds the records that are due, for the applier and at the start (rule L6).
 *
 * All replicas must remove the same due records with an entry: the first EXPIRE_PER_ENTRY_MAX in
 * the order position, time, key, which is the order of the expiry rows (`x`).
 */
import type { Store } from "../../../infra/store.js";
import type { Position, TimeMs } from "../../../protocol/ids.js";
import { EXPIRE_PER_ENTRY_MAX } from "../../../protocol/limits.js";
import type { StoredRecord } from "../../../protocol/operation.js";
import { decodeRecord } from "../../../protocol/store/record.js";
import { expiryRange, parseExpiryKey, recordKey } from "../../../protocol/store/store-keys.js";
import type { DueRows } from "./entry-work.js";

const ROWS_PER_READ = 64;
/** No expiry is later: times have six bytes. */
const TIME_MAX = (2 ** 48 - 2) as TimeMs;

type DueRow = DueRows["rows"][number];

export interface DueRecords extends DueRows {
  readonly records: ReadonlyMap<string, StoredRecord | undefined>;
}

/** `positions` ascending. Cost: one short scan a position, one read of the records found. */
export async function readDue(
  store: Store,
  positions: readonly Position[],
  dueAt: TimeMs,
): Promise<DueRecords> {
  const rows: DueRow[] = [];
  const next = new Map<Position, TimeMs>();
  for (const position of positions) {
    if (rows.length >= EXPIRE_PER_ENTRY_MAX) break;
    const time = await readPosition(store, position, dueAt, rows);
    next.set(position, time);
  }
  const values = await store.getMany(
    rows.map(({ position, key }) => recordKey(position, Buffer.from(key))),
  );
  const records = new Map(
    rows.map(({ key }, index) => {
      const value = values[index];
      return [key, value === undefined ? undefined : decodeRecord(value)] as const;
    }),
  );
  return { rows, next, records };
}

/** Adds the position's due rows; returns when the first that stays expires. */
async function readPosition(
  store: Store,
  position: Position,
  dueAt: TimeMs,
  rows: DueRow[],
): Promise<TimeMs> {
  const iterator = store.iterate({ ...expiryRange(position, TIME_MAX), values: false });
  try {
    for (;;) {
      const found = await iterator.next(ROWS_PER_READ);
      if (found.length === 0) return Infinity as TimeMs;
      for (const row of found) {
        const { expiresAt, key } = parseExpiryKey(row.key);
        if (expiresAt > dueAt || rows.length >= EXPIRE_PER_ENTRY_MAX) return expiresAt;
        rows.push({ position, key: Buffer.from(key).toString("utf8"), time: expiresAt });
      }
    }
  } finally {
    await iterator.close();
  }
}

/** When the position's first record expires; Infinity = none does. */
export async function firstExpiry(store: Store, position: Position): Promise<TimeMs> {
  const iterator = store.iterate({ ...expiryRange(position, TIME_MAX), values: false });
  try {
    const [row] = await iterator.next(1);
    return row === undefined ? (Infinity as TimeMs) : parseExpiryKey(row.key).expiresAt;
  } finally {
    await iterator.close();
  }
}
