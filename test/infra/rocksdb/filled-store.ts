/**
 * A store of RocksDB with known rows in a folder of its own, and ways to damage and read it.
 */
import { execFile } from "node:child_process";
import { mkdtemp, open, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { openRocksStore } from "../../../infra/rocksdb/rocks-store.js";
import { StoreError } from "../../../infra/store-error.js";
import type { StoreWrite } from "../../../infra/store.js";

export const FILLED_COUNT = 20_000;

/** A store whose rows stand in one data file: opening again writes out what the log holds. */
export async function fill(folder: string): Promise<void> {
  const first = await openRocksStore(folder);
  const rows = Array.from({ length: FILLED_COUNT }, (_, index) => put(index, Buffer.from("value")));
  await first.write(rows, { sync: true });
  await first.close();
  const second = await openRocksStore(folder);
  await second.close();
}

/** Zeros over half of every data file, between its first and its last rows. */
export async function overwriteMiddle(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith(".sst")) continue;
    const { size } = await stat(join(folder, name));
    const file = await open(join(folder, name), "r+");
    await file.write(Buffer.alloc(Math.floor(size / 4)), 0, undefined, Math.floor(size / 4));
    await file.close();
  }
}

/** The script's output, with the store's module, `folder` and `more` as its arguments. */
export async function runElsewhere(script: string, folder: string, more: string): Promise<string> {
  const url = new URL("../../../infra/rocksdb/rocks-store.js", import.meta.url).href;
  const options = ["--input-type=module", "-e", script, url, folder, more];
  try {
    return (await promisify(execFile)(process.execPath, options)).stdout;
  } catch (error) {
    return (error as { signal?: string }).signal ?? String(error);
  }
}

export async function failure(outcome: Promise<unknown>): Promise<StoreError> {
  const error = await outcome.then(
    () => "it did not fail",
    (reason: unknown) => reason,
  );
  if (!(error instanceof StoreError)) throw new Error(`not a StoreError: ${String(error)}`);
  return error;
}

export function keyOf(index: number): Uint8Array {
  return Buffer.from(`key ${String(index).padStart(6, "0")}`);
}

export function put(index: number, value: Uint8Array): StoreWrite {
  return { type: "put", key: keyOf(index), value };
}

export function makeFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "ringdex-rocks-store-"));
}

export async function remove(folder: string): Promise<void> {
  await rm(folder, { recursive: true });
}
