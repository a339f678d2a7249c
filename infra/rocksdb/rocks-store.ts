/**
 * RocksStore: the Store on RocksDB, by the package `rocksdb` 5.2.1 (RocksDB 6.17.3).
 *
 * The package is archived, so this file and rocks-iterator.ts alone know it. They call its native
 * functions directly: the JavaScript around them copies every operation of a batch and spends a
 * process.nextTick on every row of an iterator. Traps of the functions, seen on this version or
 * read in its binding.cc:
 *
 *   1. A value of no bytes, handed over as a Buffer, leaks 32 bytes; every index entry is one.
 *      Handed over as null it is stored the same and leaks nothing.
 *   2. Reading an iterator past its end, or seeking outside its range while the store is empty,
 *      fails an assertion in C++ and ends the process. RocksIterator does neither.
 *   3. A seek below the range goes to the range's end, not to its begin; it is clamped here.
 *   4. A seek that fails on the disk looks like the end of the range. So when a seek finds nothing,
 *      a second iterator looks at the same place, and its error is thrown.
 *   5. After a batch that failed (disk full), later batches succeed, even with `sync`, and are gone
 *      when the store is opened again: they stand in the write-ahead log behind a torn one. So
 *      after one failure this store refuses every batch until it is opened again.
 *   6. Empty keys are left out by getMany, and its result no longer matches; they are refused.
 *   7. RocksDB makes a new, empty store where the file CURRENT is missing, and deletes what else is
 *      in the folder. So such a folder is `damaged`.
 *   8. An empty batch is not synced, whatever is asked.
 *   9. Iterators do not verify the checksums of blocks, and the package has no switch for it. What
 *      a damaged block makes of them is an error, other rows, or the end of the process (seen: a
 *      segmentation fault, a failed assertion). getMany verifies, and gives an error.
 *  10. Where a batch in the write-ahead log is damaged or missing, RocksDB goes on with the next
 *      32 KiB: the store then lacks what stood between and has what came after.
 *  11. Whether the data files are there, and as long as they were, is not looked at either.
 *
 * 9 to 11 come of options that the package sets and does not let be changed. Against them all files
 * are read before the store is opened (rocks-check.ts), and the data files again and again while it
 * is open (rocks-scrub.ts).
 */
import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import binding, { type BatchOperation } from "rocksdb/binding.js";
import { assert } from "../../protocol/assert.js";
import { StoreError, type StoreErrorKind } from "../store-error.js";
import type { Store, StoreIterator, StoreRange, StoreWrite } from "../store.js";
import { checkFiles, type Cut } from "./rocks-check.js";
import { RocksIterator } from "./rocks-iterator.js";
import { RocksScrub, SCRUB_PACE, type ScrubPace } from "./rocks-scrub.js";

/**
 * Measured with 200,000 puts of 40-byte keys in batches of 500, a sixth of them with a value of
 * 150 bytes: 170–220 k puts/s for any write buffer of 4 … 64 MiB and with or without Snappy, which
 * makes the files three times smaller. So memory decides: a node hosts several replicas.
 */
const CACHE_BYTES_DEFAULT = 32 * 1_024 * 1_024;
/** RocksDB keeps up to two of them. */
const WRITE_BUFFER_BYTES_DEFAULT = 16 * 1_024 * 1_024;
/** A file holds up to 64 MiB. Many systems allow a process 1,024 files in all. */
const OPEN_FILES_MAX = 256;

export interface RocksStoreOptions {
  /** Blocks kept in memory, uncompressed. */
  readonly cacheBytes?: number;
  readonly writeBufferBytes?: number;
  /** Told of a write-ahead log that had to be cut: entries after it are to be applied again. */
  readonly onCut?: (cut: Cut) => void;
  /** Told, once, of damage that was found while the store is open; it then refuses everything.
   * Without it, data files are looked at only when the store is opened. */
  readonly onDamage?: (error: StoreError) => void;
  /** Default: slow. */
  readonly scrubPace?: ScrubPace;
}

type Database = ReturnType<typeof binding.db_init>;

/**
 * Creates the folder and the store if there is none. Rejects with StoreError. Cost: reads all of
 * its files, a second for about 300 MB.
 */
export async function openRocksStore(
  folder: string,
  options: RocksStoreOptions = {},
): Promise<RocksStore> {
  const db = binding.db_init();
  try {
    await mkdir(folder, { recursive: true });
    await refuseLocked(folder);
    for (const cut of await checkFiles(folder)) options.onCut?.(cut);
    await openDatabase(db, folder, options, { createIfMissing: true, errorIfExists: false });
  } catch (cause) {
    throw storeError("opening", folder, cause);
  }
  const store = new RocksStore(folder, db);
  if (options.onDamage !== undefined)
    store.scrub(options.scrubPace ?? SCRUB_PACE, options.onDamage);
  return store;
}

/**
 * Throws if another process, or this one, has the store open: its files must not be judged while
 * they are being written. An open that is not to find a store takes the lock before it looks.
 */
async function refuseLocked(folder: string): Promise<void> {
  const exists = await access(join(folder, "CURRENT")).then(
    () => true,
    () => false,
  );
  if (!exists) return;
  try {
    await openDatabase(
      binding.db_init(),
      folder,
      {},
      { createIfMissing: false, errorIfExists: true },
    );
  } catch (error) {
    if (!/exists \(error_if_exists is true\)/.test(String(error))) throw error;
  }
}

function openDatabase(
  db: Database,
  folder: string,
  options: RocksStoreOptions,
  how: { readonly createIfMissing: boolean; readonly errorIfExists: boolean },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const openOptions = {
      ...how,
      compression: true,
      cacheSize: options.cacheBytes ?? CACHE_BYTES_DEFAULT,
      writeBufferSize: options.writeBufferBytes ?? WRITE_BUFFER_BYTES_DEFAULT,
      maxOpenFiles: OPEN_FILES_MAX,
    };
    binding.db_open(db, folder, openOptions, (error) => (error ? reject(error) : resolve()));
  });
}

export class RocksStore implements Store {
  #batchInFlight = false;
  #getsInFlight = 0;
  #iteratorsOpen = 0;
  #isClosed = false;
  /** Set by the first batch that failed. Trap 5. */
  #failure: StoreError | undefined;
  /** Set when a data file was found damaged: what it holds must not be read any more. */
  #damage: StoreError | undefined;
  #scrub: RocksScrub | undefined;

  constructor(
    readonly folder: string,
    private readonly db: Database,
  ) {}

  /** Looks for damage until the store is closed. */
  scrub(pace: ScrubPace, onDamage: (error: StoreError) => void): void {
    assert(this.#scrub === undefined, "a store has one scrub, begun when it was opened");
    this.#scrub = new RocksScrub(this.folder, pace, (cause) => {
      this.#damage = storeError("checking", this.folder, cause);
      onDamage(this.#damage);
    });
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    this.#assertOpen();
    this.#refuseDamaged();
    for (const key of keys) assert(key.length > 0, "a key has at least one byte: trap 6");
    if (keys.length === 0) return [];
    this.#getsInFlight += 1;
    try {
      return await new Promise((resolve, reject) => {
        const options = { asBuffer: true, fillCache: true } as const;
        binding.db_get_many(this.db, keys, options, (error, values) => {
          if (error) return reject(storeError("reading", this.folder, error));
          resolve(values ?? []);
        });
      });
    } finally {
      this.#getsInFlight -= 1;
    }
  }

  async write(batch: readonly StoreWrite[], options: { readonly sync: boolean }): Promise<void> {
    this.#assertOpen();
    assert(!this.#batchInFlight, "one batch at a time: the caller awaits the one before");
    this.#refuseDamaged();
    if (this.#failure !== undefined) throw this.#failure;
    assert(batch.length > 0 || !options.sync, "an empty batch is not synced: trap 8");
    if (batch.length === 0) return;
    const operations = batch.map(toOperation);
    this.#batchInFlight = true;
    try {
      await new Promise<void>((resolve, reject) => {
        const done = (error: Error | null): void => (error ? reject(error) : resolve());
        binding.batch_do(this.db, operations, { sync: options.sync }, done);
      });
    } catch (cause) {
      this.#failure = storeError("writing", this.folder, cause);
      throw this.#failure;
    } finally {
      this.#batchInFlight = false;
    }
  }

  iterate(range: StoreRange): StoreIterator {
    this.#assertOpen();
    this.#refuseDamaged();
    const fail = (cause: unknown): StoreError => storeError("reading", this.folder, cause);
    const ended = (): void => void (this.#iteratorsOpen -= 1);
    const iterator = new RocksIterator(this.db, range, fail, ended);
    this.#iteratorsOpen += 1;
    return iterator;
  }

  /** The data files and, by what they hold in memory, the write-ahead logs. Reads no disk. */
  async bytes(): Promise<number> {
    this.#assertOpen();
    const files = this.#property("rocksdb.total-sst-files-size");
    return files + this.#property("rocksdb.cur-size-all-mem-tables");
  }

  async close(): Promise<void> {
    this.#assertOpen();
    assert(!this.#batchInFlight, "no batch is in flight at close");
    assert(this.#getsInFlight === 0, `${this.#getsInFlight} getMany in flight at close`);
    assert(this.#iteratorsOpen === 0, `${this.#iteratorsOpen} iterators open at close`);
    this.#isClosed = true;
    await this.#scrub?.stop();
    await new Promise<void>((resolve, reject) => {
      binding.db_close(this.db, (error) => {
        if (error) reject(storeError("closing", this.folder, error));
        else resolve();
      });
    });
  }

  #property(name: string): number {
    const text = binding.db_get_property(this.db, name);
    assert(/^\d+$/.test(text), `RocksDB's ${name} is a number: ${JSON.stringify(text)}`);
    return Number(text);
  }

  #refuseDamaged(): void {
    if (this.#damage !== undefined) throw this.#damage;
  }

  #assertOpen(): void {
    assert(!this.#isClosed, `the store in ${this.folder} is used before it is closed only`);
  }
}

function toOperation(write: StoreWrite): BatchOperation {
  assert(write.key.length > 0, "a key has at least one byte");
  // Trap 1.
  if (write.type === "put" && write.value.length === 0) return { ...write, value: null };
  return write;
}

type Doing = "opening" | "checking" | "reading" | "writing" | "closing";

/** What people are told of an error of RocksDB or the system. The first match counts: the texts of
 * a lock or a full disk name files too. */
const diagnoses: readonly (readonly [pattern: RegExp, kind: StoreErrorKind, advice: string])[] = [
  [
    /No space left|ENOSPC|quota exceeded|EDQUOT/i,
    "full",
    "Make room; the store then continues by itself.",
  ],
  [
    /Permission denied|EACCES|EPERM|Operation not permitted|Read-only file system|EROFS/i,
    "not-writable",
    "Let the user of this process write there, or choose another data folder.",
  ],
  [
    /lock hold by current process|While lock file/i,
    "in-use",
    "Another process uses it. Stop that one, or give this node a data folder of its own.",
  ],
  [
    /^Corruption|MANIFEST-\d+: No such file|\.sst: No such file/i,
    "damaged",
    "Move the folder away (keep it): the replica is then rebuilt from the log.",
  ],
  [
    /Too many open files|EMFILE|ENFILE/i,
    "failed",
    "Allow this process more open files (ulimit -n), then start the node again.",
  ],
];

/** Exported for its test. */
export function storeError(doing: Doing, folder: string, cause: unknown): StoreError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const [, kind, advice] = diagnoses.find(([pattern]) => pattern.test(text)) ?? [
    undefined,
    "failed" as const,
    "Look at the disk and at what the system logged about it.",
  ];
  return new StoreError(kind, `${doing} the store in ${folder}: ${kind}: ${text}. ${advice}`, {
    cause,
  });
}
