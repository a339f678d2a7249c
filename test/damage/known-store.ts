/**
 * A RocksStore of which every state that it has ever had is known.
 *
 * Batch n writes its number under "a", a row of its own, and changes some of a hundred rows. So
 * what a store holds says after which batch it stands, and whether it is just what was there then:
 * all of the batches before, and nothing of those after.
 */
import { cpSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { openRocksStore } from "../../infra/rocksdb/rocks-store.js";
import type { Store, StoreWrite } from "../../infra/store.js";

const SHARED_ROWS = 100;
const CHANGES = 10;
/** The least that RocksDB takes: several data files come of little. */
const WRITE_BUFFER_BYTES = 64 * 1_024;
const all = { from: Buffer.from("a"), to: Buffer.from("z") };

/** Data files on several levels and two write-ahead logs, the first full of batches. */
export const BATCHES_IN_FILES = 400;
const BATCHES_IN_FIRST_LOG = 150;
export const BATCHES = BATCHES_IN_FILES + 2 * BATCHES_IN_FIRST_LOG;

/** As a process leaves it that was killed while RocksDB changed from one log to the next. */
export async function makeKnownStore(folder: string, scratch: string): Promise<void> {
  await writeBatches(folder, 0, BATCHES_IN_FILES);
  const [, middle] = [BATCHES_IN_FILES, BATCHES_IN_FILES + BATCHES_IN_FIRST_LOG];
  await writeBatches(folder, BATCHES_IN_FILES, middle, true);
  cpSync(folder, scratch, { recursive: true });
  // Opening makes a data file of the first log, and a new log; only that is taken.
  await writeBatches(scratch, middle, BATCHES, true);
  for (const name of readdirSync(scratch).filter((each) => each.endsWith(".log"))) {
    cpSync(join(scratch, name), join(folder, name));
  }
  rmSync(scratch, { recursive: true });
}

async function writeBatches(
  folder: string,
  from: number,
  to: number,
  intoLog = false,
): Promise<void> {
  const store = await openRocksStore(
    folder,
    intoLog ? {} : { writeBufferBytes: WRITE_BUFFER_BYTES },
  );
  for (let number = from; number < to; number += 1) {
    await store.write(knownBatch(number), { sync: false });
  }
  await store.close();
}

/** What batch `number` writes. */
export function knownBatch(number: number): StoreWrite[] {
  const text = (value: string): Buffer => Buffer.from(value);
  const writes: StoreWrite[] = [
    { type: "put", key: text("a"), value: text(String(number)) },
    { type: "put", key: text(ownRow(number)), value: Buffer.alloc(500, number) },
  ];
  for (let index = 0; index < CHANGES; index += 1) {
    const key = text(sharedRow(number, index));
    if ((number + index) % 5 === 0) writes.push({ type: "del", key });
    else writes.push({ type: "put", key, value: text(`${number}`.repeat(8)) });
  }
  return writes;
}

function ownRow(number: number): string {
  return `q ${String(number).padStart(6, "0")}`;
}

function sharedRow(number: number, index: number): string {
  return `r ${(number * 7 + index * 13) % SHARED_ROWS}`;
}

/** The batch after which the store stands, -1 = none. Throws if it stands at no moment. */
export async function momentOf(store: Store): Promise<number> {
  const rows = new Map<string, string>();
  const iterator = store.iterate(all);
  try {
    for (;;) {
      const page = await iterator.next(10_000);
      if (page.length === 0) break;
      for (const { key, value } of page) rows.set(textOf(key), textOf(value));
    }
  } finally {
    await iterator.close();
  }
  const last = Number(rows.get("a") ?? "-1");
  const expected = stateAfter(last);
  const missing = [...expected].filter(([key, value]) => rows.get(key) !== value);
  const strange = [...rows].filter(([key]) => !expected.has(key));
  if (missing.length === 0 && strange.length === 0) return last;
  const named = (entries: [string, string][]): string =>
    `${entries.length} (${entries
      .slice(0, 10)
      .map(([key]) => key)
      .join(", ")})`;
  throw new Error(
    `a silent wrong state: of the rows after batch ${last} are missing or differ ` +
      `${named(missing)}, too many are ${named(strange)}`,
  );
}

function stateAfter(last: number): Map<string, string> {
  const rows = new Map<string, string>();
  for (let number = 0; number <= last; number += 1) {
    for (const write of knownBatch(number)) {
      if (write.type === "put") rows.set(textOf(write.key), textOf(write.value));
      else rows.delete(textOf(write.key));
    }
  }
  return rows;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
