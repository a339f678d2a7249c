/**
 * What is looked at in a store's folder before RocksDB opens it.
 *
 * The package opens RocksDB with `paranoid_checks = false`, and cannot be told otherwise. So
 * RocksDB opens what is not whole, and says nothing (rocks-store.ts, traps 9 to 11). Here each file
 * is read as RocksDB will read it, and compared with its own checksums:
 *
 *   MANIFEST       damaged: refused. Its end missing: the store as it was before; see below
 *   data files     each that the MANIFEST names is there, has its length, and all its blocks are
 *                  what was written; else refused
 *   write-ahead    cut where the first batch is missing or not whole, and all later ones with it.
 *   logs           What is cut off is kept in a file NNNNNN.log.cut
 *
 * Cutting is right, refusing would not be: after a power cut any part of what was not synced may
 * be missing, and RocksDB would go on behind the hole. What is left is the store at an earlier
 * moment, for a batch brings its own sequence in the shard's log along; the replica applies the
 * entries after it again. A store at no moment would be a wrong one.
 *
 * Files that say nothing about rows are not looked at: OPTIONS, IDENTITY, LOCK.
 */
import { readdir, readFile, truncate, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readLogFile } from "./rocks-log-file.js";
import { readManifest, type Manifest } from "./rocks-manifest.js";
import { checkTableFile } from "./rocks-table-file.js";

/** Sequence u64 and count u32 begin a batch. */
const BATCH_HEAD_BYTES = 12;

/** A write-ahead log that was cut, for people. */
export interface Cut {
  readonly file: string;
  readonly bytesKept: number;
  readonly bytesCut: number;
  readonly reason: string;
}

/**
 * Throws Error, its text beginning with "Corruption", if the store must not be opened. Cost: reads
 * all data files, a second for about 300 MB.
 */
export async function checkFiles(folder: string): Promise<Cut[]> {
  const names = await readdir(folder);
  if (!names.includes("CURRENT")) {
    // Trap 7. A store whose creation was cut off has no data files yet, and passes.
    const data = names.find((name) => /^\d+\.(sst|log)$/.test(name));
    if (data !== undefined) throw new Error(`Corruption: ${data} is there, but no file CURRENT`);
    return [];
  }
  const manifest = await manifestOf(folder);
  for (const { number, bytes } of manifest.files) {
    await checkDataFile(folder, number, bytes);
  }
  return cutLogs(folder, names, manifest);
}

/** Of a folder that has a CURRENT. */
export async function manifestOf(folder: string): Promise<Manifest> {
  const current = await readFile(join(folder, "CURRENT"), "latin1");
  const [, name] = /^(MANIFEST-\d+)\n$/.exec(current) ?? [];
  if (name === undefined) throw new Error(`Corruption: CURRENT does not name a MANIFEST`);
  try {
    return readManifest(await readFile(join(folder, name)));
  } catch (error) {
    throw corruption(`${name}, which CURRENT names,`, error);
  }
}

/** Throws Error that begins with "Corruption", unless the disk failed. */
export async function checkDataFile(
  folder: string,
  number: number,
  bytes: number,
  pace?: (bytes: number) => Promise<void>,
): Promise<void> {
  const name = dataFileName(number);
  try {
    await checkTableFile(join(folder, name), bytes, pace);
  } catch (error) {
    throw corruption(name, error);
  }
}

function dataFileName(number: number): string {
  return `${String(number).padStart(6, "0")}.sst`;
}

/** What the system says of a disk stays as it is, except that a file is not there. */
function corruption(name: string, error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return new Error(`Corruption: ${name} is missing`, { cause: error });
  if (code !== undefined) return error as Error;
  return new Error(`Corruption: ${name} is damaged: ${message}`, { cause: error });
}

async function cutLogs(
  folder: string,
  names: readonly string[],
  { logNumber, sequenceLast }: Manifest,
): Promise<Cut[]> {
  const logs = names
    .map((name) => /^(\d+)\.log$/.exec(name))
    .filter((match) => match !== null && Number(match[1]) >= logNumber)
    .toSorted((one, other) => Number(one?.[1]) - Number(other?.[1]));
  const cuts: Cut[] = [];
  let place: Place = { next: sequenceLast + 1, isFirst: true };
  for (const match of logs) {
    const file = match?.[0] ?? "";
    const bytes = await readFile(join(folder, file));
    const whole = cuts.length > 0 ? followsCut : wholePart(bytes, place);
    place = whole;
    if (whole.reason === "" || whole.end === bytes.length) continue;
    await cut(join(folder, file), bytes, whole.end);
    const { reason, end } = whole;
    cuts.push({ file, bytesKept: end, bytesCut: bytes.length - end, reason });
  }
  return cuts;
}

interface Place {
  /** Sequence of the batch that is to follow. */
  readonly next: number;
  /** No batch has been seen: the first may lie before `next`, as a log outlives what is in the
   * data files already. */
  readonly isFirst: boolean;
}

interface Whole extends Place {
  readonly end: number;
  /** Why the rest is to be cut; empty = RocksDB reads it rightly. */
  readonly reason: string;
}

const followsCut: Whole = {
  end: 0,
  next: 0,
  isFirst: false,
  reason: "it follows one that was cut",
};

function wholePart(bytes: Buffer, before: Place): Whole {
  const { records, end, tail } = readLogFile(bytes);
  let { next, isFirst } = before;
  for (const { payload, offset } of records) {
    const stop = (reason: string): Whole => ({ end: offset, next, isFirst, reason });
    if (payload.length < BATCH_HEAD_BYTES) return stop("a record in it is no batch");
    const sequence = Number(payload.readBigUInt64LE(0));
    const follows = isFirst ? sequence <= next : sequence === next;
    if (!follows) return stop(`what comes before sequence ${sequence} is missing`);
    isFirst = false;
    next = sequence + payload.readUInt32LE(8);
  }
  const reason = tail === "damaged" ? "its bytes are not what was written" : "";
  return { end, next, isFirst, reason };
}

/** The copy first: what is cut off is nowhere else. */
async function cut(file: string, bytes: Buffer, end: number): Promise<void> {
  await writeFile(`${file}.cut`, bytes.subarray(end), { flush: true });
  if (end === 0) await unlink(file);
  else await truncate(file, end);
}
