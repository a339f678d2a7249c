/**
 * What store-program.ts writes, for it and for the test that looks at what is left.
 */

export const STORE_FOLDER = "store";
export const TOLD_FILE = "told";
export const LAST_KEY = Buffer.from("last");

const KEYS = 100;
const NUMBER_CHARS = 8;
const PADDING = "x".repeat(400);

export function storeKey(batch: number): Buffer {
  return Buffer.from(`key-${batch % KEYS}`);
}

export function storeValue(batch: number): Buffer {
  return Buffer.from(`${String(batch).padStart(NUMBER_CHARS, "0")}${PADDING}`);
}

/** 0 = no value. */
export function batchOf(value: Uint8Array | undefined): number {
  return value === undefined ? 0 : Number(Buffer.from(value).toString("latin1", 0, NUMBER_CHARS));
}

/** By key: the last batch that put it, if all up to `last` are there and none after. */
export function expectedBatches(last: number): Map<string, number> {
  const found = new Map<string, number>();
  for (let batch = 1; batch <= last; batch += 1) found.set(storeKey(batch).toString(), batch);
  return found;
}
