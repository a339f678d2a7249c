/**
 * RocksIterator: rows of a RocksStore in key order, as they stood when it was made.
 *
 * Part of rocks-store.ts, whose header numbers the traps of the native functions. The snapshot is
 * taken before the constructor returns, on this thread. Native reads come in chunks: one row after
 * a start or a seek, then up to 1,000 rows or CHUNK_BYTES_TARGET, made on another thread; what a
 * caller does not take of a chunk is kept for its next call.
 */
import binding from "rocksdb/binding.js";
import { assert } from "../../protocol/assert.js";
import type { StoreError } from "../store-error.js";
import type { StoreIterator, StoreRange, StoreRow } from "../store.js";

/** A chunk ends with the row that makes it larger. Small enough not to read far ahead of a seek;
 * four times as much made scans 15 % faster. */
const CHUNK_BYTES_TARGET = 16 * 1_024;
/** One next() reads no further chunk beyond this, however many rows are asked for. */
const PAGE_BYTES_TARGET = 1_024 * 1_024;

const noValue = new Uint8Array(0);

type Database = ReturnType<typeof binding.db_init>;
type Handle = ReturnType<typeof binding.iterator_init>;

export class RocksIterator implements StoreIterator {
  readonly #handle: Handle;
  readonly #withValues: boolean;
  /** As the binding gives it: [valueₙ, keyₙ, …, value₁, key₁], taken from the end. */
  #chunk: unknown[] = [];
  /** No native read may follow until a seek. Trap 2. */
  #isFinished = false;
  /** Where the last seek went, until it has found a row. Trap 4. */
  #soughtTo: Uint8Array | undefined;
  #failure: StoreError | undefined;
  #reading: Promise<StoreRow[]> | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    private readonly db: Database,
    private readonly range: StoreRange,
    private readonly fail: (cause: unknown) => StoreError,
    private readonly ended: () => void,
  ) {
    assert(range.to.length > 0, "a range ends before some key; the binding takes none for no end");
    this.#withValues = range.values ?? true;
    this.#handle = this.#open(range.from);
  }

  async next(rowsMax: number): Promise<StoreRow[]> {
    assert(rowsMax >= 1, `next is asked for one row or more, not ${rowsMax}`);
    assert(this.#isIdle, "one next at a time, before close");
    this.#reading = this.#collect(rowsMax);
    try {
      return await this.#reading;
    } finally {
      this.#reading = undefined;
    }
  }

  /** Cost: reads the disk on this thread if the blocks are not in memory. */
  seek(key: Uint8Array): void {
    assert(this.#isIdle, "seek stands between calls of next");
    assert(key.length > 0, "a key has at least one byte");
    this.#chunk = [];
    if (Buffer.compare(key, this.range.to) >= 0) {
      this.#isFinished = true;
      return;
    }
    // Trap 3. Where the range is empty, clamping would leave it again.
    const target = Buffer.compare(key, this.range.from) < 0 ? this.range.from : key;
    this.#isFinished = Buffer.compare(target, this.range.to) >= 0;
    if (this.#isFinished) return;
    this.#soughtTo = target;
    binding.iterator_seek(this.#handle, target);
  }

  /** Lets a next() that runs come to its end first. A second call waits for the first. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  get #isIdle(): boolean {
    return this.#reading === undefined && this.#closing === undefined;
  }

  async #end(): Promise<void> {
    await Promise.allSettled([this.#reading]);
    await end(this.#handle);
    this.ended();
  }

  async #collect(rowsMax: number): Promise<StoreRow[]> {
    const rows: StoreRow[] = [];
    let bytes = 0;
    while (rows.length < rowsMax) {
      const row = this.#take();
      if (row !== undefined) {
        rows.push(row);
        bytes += row.key.length + row.value.length;
      } else if (this.#isFinished || bytes >= PAGE_BYTES_TARGET) {
        break;
      } else {
        // Each chunk begins where the one before ended.
        await this.#readChunk();
      }
    }
    return rows;
  }

  #open(from: Uint8Array): Handle {
    return binding.iterator_init(this.db, {
      gte: from,
      lt: this.range.to,
      values: this.#withValues,
      // Without values the binding makes an empty one for each row: a string costs less.
      valueAsBuffer: this.#withValues,
      // Index entries are read by iterators only; left out, no index block were ever in memory.
      fillCache: true,
      highWaterMark: CHUNK_BYTES_TARGET,
    });
  }

  #take(): StoreRow | undefined {
    if (this.#chunk.length === 0) return undefined;
    const key = this.#chunk.pop();
    const value = this.#chunk.pop();
    assert(key instanceof Uint8Array, "the binding returns keys as Buffers, last in the array");
    if (!this.#withValues) return { key, value: noValue };
    assert(value instanceof Uint8Array, "the binding returns values as Buffers, before their key");
    return { key, value };
  }

  async #readChunk(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const chunk = await this.#guard(read(this.#handle));
    const rows = chunk.rows;
    assert(Array.isArray(rows) && rows.length % 2 === 0, "the binding returns an array of pairs");
    this.#chunk = rows;
    this.#isFinished = chunk.finished === true;
    const soughtTo = this.#soughtTo;
    this.#soughtTo = undefined;
    if (soughtTo !== undefined && rows.length === 0) await this.#checkReadable(soughtTo);
  }

  /** Trap 4: reading from a range's begin reports what a seek to it hides. */
  async #checkReadable(from: Uint8Array): Promise<void> {
    const handle = this.#open(from);
    try {
      await this.#guard(read(handle));
    } finally {
      await end(handle);
    }
  }

  /** After a failure nothing may be read any more. Trap 2. */
  async #guard<Result>(reading: Promise<Result>): Promise<Result> {
    try {
      return await reading;
    } catch (cause) {
      this.#failure = this.fail(cause);
      throw this.#failure;
    }
  }
}

interface Chunk {
  readonly rows: unknown;
  readonly finished: boolean | undefined;
}

function read(handle: Handle): Promise<Chunk> {
  return new Promise((resolve, reject) => {
    binding.iterator_next(handle, (error, rows, finished) => {
      if (error) reject(error);
      else resolve({ rows, finished });
    });
  });
}

function end(handle: Handle): Promise<void> {
  return new Promise((resolve, reject) => {
    binding.iterator_end(handle, (error) => (error ? reject(error) : resolve()));
  });
}
