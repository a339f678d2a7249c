/**
 * MemoryStore: the Store in memory, for tests and the simulation, with crashes.
 *
 * Rows stand in sorted leaves of at most LEAF_ROWS_MAX, and the leaves in one array. An iterator
 * keeps the array it found; the first change after that works on a copy of the array and of the
 * leaf it touches, so a snapshot costs nothing and a write O(leaves) once, then O(leaf). Keys are
 * kept as text of one character a byte: JavaScript orders such text as unsigned bytes.
 *
 * A Disk outlives its stores. `disk.open()` is a process that starts; `disk.crash()` is its death,
 * or the machine's, which loses batches written without `sync`, the last ones first. A store that
 * was open then never answers again, like a dead process.
 *
 * Each call waits for `pause` before and (write, getMany) after it takes effect: there a simulation
 * lets other work run, or rejects, to simulate a disk that fails. After a failed batch the store
 * takes no further one, like RocksStore.
 */
import type { Store, StoreIterator, StoreRange, StoreRow, StoreWrite } from "../../infra/store.js";
import { assert } from "../../protocol/assert.js";
import { copyOfBytes } from "./copy-of-bytes.js";

const LEAF_ROWS_MAX = 64;

export type StoreCall = "getMany" | "write" | "next";
export type Pause = (call: StoreCall) => Promise<void>;

interface Row extends StoreRow {
  readonly text: string;
}

/** Ascending, none empty. Shared and so immutable, unless `owned` of the table has it. */
type Leaf = Row[];

/** Sorted rows with cheap snapshots. */
class Table {
  #leaves: Leaf[] = [];
  #owned = new Set<Leaf>();
  #isShared = false;
  bytes = 0;

  /** The rows as of now; the result never changes. */
  snapshot(): readonly Leaf[] {
    this.#isShared = true;
    this.#owned.clear();
    return this.#leaves;
  }

  static of(leaves: readonly Leaf[], bytes: number): Table {
    const table = new Table();
    table.#leaves = leaves as Leaf[];
    table.#isShared = true;
    table.bytes = bytes;
    return table;
  }

  get(text: string): Row | undefined {
    const { leaf, row } = find(this.#leaves, text);
    const found = this.#leaves[leaf]?.[row];
    return found?.text === text ? found : undefined;
  }

  put(row: Row): void {
    if (this.#leaves.length === 0) this.#own().push([]);
    const at = find(this.#leaves, row.text);
    // Behind the last row of all: into the last leaf.
    const index = Math.min(at.leaf, this.#leaves.length - 1);
    const leaf = this.#ownLeaf(index);
    const place = index === at.leaf ? at.row : leaf.length;
    const before = leaf[place];
    const replaces = before?.text === row.text;
    leaf.splice(place, replaces ? 1 : 0, row);
    this.bytes += sizeOf(row) - (replaces ? sizeOf(before) : 0);
    if (leaf.length <= LEAF_ROWS_MAX) return;
    const upper = leaf.splice(LEAF_ROWS_MAX / 2);
    this.#owned.add(upper);
    this.#leaves.splice(index + 1, 0, upper);
  }

  delete(text: string): void {
    const at = find(this.#leaves, text);
    const row = this.#leaves[at.leaf]?.[at.row];
    if (row?.text !== text) return;
    const leaf = this.#ownLeaf(at.leaf);
    leaf.splice(at.row, 1);
    this.bytes -= sizeOf(row);
    if (leaf.length === 0) this.#leaves.splice(at.leaf, 1);
  }

  #own(): Leaf[] {
    if (this.#isShared) this.#leaves = [...this.#leaves];
    this.#isShared = false;
    return this.#leaves;
  }

  #ownLeaf(index: number): Leaf {
    const leaves = this.#own();
    const leaf = leaves[index];
    assert(leaf !== undefined, `leaf ${index} of ${leaves.length} was found just before`);
    if (this.#owned.has(leaf)) return leaf;
    const copy = [...leaf];
    this.#owned.add(copy);
    leaves[index] = copy;
    return copy;
  }
}

/** The place of the first row at or after `text`; leaf = leaves.length if there is none. */
function find(leaves: readonly Leaf[], text: string): { leaf: number; row: number } {
  const leaf = firstIndex(leaves, (rows) => (rows.at(-1)?.text ?? "") >= text);
  const rows = leaves[leaf];
  return { leaf, row: rows === undefined ? 0 : firstIndex(rows, (row) => row.text >= text) };
}

/** The first index whose item is `enough`, given that all after it are too; or the length. */
function firstIndex<Item>(items: readonly Item[], enough: (item: Item) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (enough(items[middle] as Item)) high = middle;
    else low = middle + 1;
  }
  return low;
}

export interface CrashOptions {
  /** True: the machine died, and of the batches since the last `sync` only the first
   * `batchesKept` (default 0) are there. False: the process died, and all of them are. */
  readonly loseUnsynced: boolean;
  readonly batchesKept?: number;
}

export class Disk {
  #table = new Table();
  /** As it was after the last batch with `sync`, and each batch since. */
  #synced: { leaves: readonly Leaf[]; bytes: number } = { leaves: [], bytes: 0 };
  #unsynced: (readonly StoreWrite[])[] = [];
  #store: MemoryStore | undefined;

  constructor(private readonly pause: Pause = async () => {}) {}

  /** Batches that `crash({ loseUnsynced: true })` may lose. */
  get unsyncedCount(): number {
    return this.#unsynced.length;
  }

  open(): MemoryStore {
    assert(this.#store === undefined, "a disk's store is open once, as RocksDB's lock has it");
    this.#store = new MemoryStore(this, this.pause);
    return this.#store;
  }

  /** Afterwards open() gives what has survived. */
  crash(options: CrashOptions): void {
    this.#store?.kill();
    this.#store = undefined;
    if (!options.loseUnsynced) return;
    const kept = this.#unsynced.slice(0, options.batchesKept ?? 0);
    this.#table = Table.of(this.#synced.leaves, this.#synced.bytes);
    this.#unsynced = [];
    for (const batch of kept) this.apply(batch, false);
  }

  apply(batch: readonly StoreWrite[], sync: boolean): void {
    for (const write of batch) {
      const text = toText(write.key);
      if (write.type === "del") this.#table.delete(text);
      else this.#table.put({ text, key: write.key, value: write.value });
    }
    this.#unsynced.push(batch);
    if (!sync) return;
    this.#synced = { leaves: this.#table.snapshot(), bytes: this.#table.bytes };
    this.#unsynced = [];
  }

  released(): void {
    this.#store = undefined;
  }

  /** The rows on the disk now, whichever process has the store open. */
  peek(key: Uint8Array): Uint8Array | undefined {
    return this.#table.get(toText(key))?.value;
  }

  get table(): Table {
    return this.#table;
  }
}

export class MemoryStore implements Store {
  #callsInFlight = 0;
  #batchInFlight = false;
  /** Puts the batch in flight into the table; undefined once that is done. */
  #land: (() => void) | undefined;
  #iteratorsInFlight = 0;
  #iteratorsOpen = 0;
  #state: "open" | "closed" | "killed" = "open";
  /** The error of the first batch that failed. */
  #failure: { readonly error: unknown } | undefined;

  constructor(
    private readonly disk: Disk,
    private readonly pause: Pause,
  ) {}

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    for (const key of keys) assert(key.length > 0, "a key has at least one byte");
    const texts = keys.map(toText);
    return this.#call("getMany", () =>
      texts.map((text) => {
        const row = this.disk.table.get(text);
        return row === undefined ? undefined : copyOfBytes(row.value);
      }),
    );
  }

  async write(batch: readonly StoreWrite[], options: { readonly sync: boolean }): Promise<void> {
    assert(!this.#batchInFlight, "one batch at a time: the caller awaits the one before");
    assert(batch.length > 0 || !options.sync, "an empty batch is not synced");
    for (const { key } of batch) assert(key.length > 0, "a key has at least one byte");
    if (this.#failure !== undefined) throw this.#failure.error;
    // The caller may use its buffers again as soon as this returns, as with RocksDB.
    const copy = batch.map(copyOf);
    this.#batchInFlight = true;
    this.#iteratorsInFlight = 0;
    this.#land = () => {
      this.#land = undefined;
      this.disk.apply(copy, options.sync);
    };
    try {
      await this.#call("write", () => this.#land?.());
    } catch (error) {
      this.#failure = { error };
      throw error;
    } finally {
      this.#batchInFlight = false;
    }
  }

  iterate(range: StoreRange): StoreIterator {
    assert(this.#state === "open", `a store is used while it is open, not ${this.#state}`);
    assert(range.to.length > 0, "a range ends before some key");
    this.#iteratorsOpen += 1;
    // RocksDB writes on another thread: of iterators opened one after another around a batch in
    // flight, the first may see what was before it and the second what is after it.
    if (this.#land !== undefined) {
      this.#iteratorsInFlight += 1;
      if (this.#iteratorsInFlight === 2) this.#land();
    }
    const leaves = this.disk.table.snapshot();
    const read = <Result>(take: () => Result): Promise<Result> => this.#call("next", take);
    return new MemoryIterator(leaves, range, read, () => void (this.#iteratorsOpen -= 1));
  }

  async bytes(): Promise<number> {
    assert(this.#state === "open", `a store is used while it is open, not ${this.#state}`);
    return this.disk.table.bytes;
  }

  async close(): Promise<void> {
    if (this.#state === "killed") return never();
    assert(this.#state === "open", "a store is closed once");
    assert(this.#callsInFlight === 0, `${this.#callsInFlight} calls in flight at close`);
    assert(this.#iteratorsOpen === 0, `${this.#iteratorsOpen} iterators open at close`);
    this.#state = "closed";
    this.disk.released();
  }

  kill(): void {
    this.#state = "killed";
  }

  async #call<Result>(call: StoreCall, effect: () => Result): Promise<Result> {
    assert(this.#state !== "closed", `${call} comes before close`);
    this.#callsInFlight += 1;
    try {
      await this.pause(call);
      if (this.#isKilled()) return await never();
      const result = effect();
      if (call !== "next") await this.pause(call);
      if (this.#isKilled()) return await never();
      return result;
    } finally {
      this.#callsInFlight -= 1;
    }
  }

  /** A method, as the compiler takes a field for unchanged across an await. */
  #isKilled(): boolean {
    return this.#state === "killed";
  }
}

class MemoryIterator implements StoreIterator {
  readonly #to: string;
  readonly #from: string;
  #leaf: number;
  #row: number;
  #isReading = false;
  #isClosed = false;

  constructor(
    private readonly leaves: readonly Leaf[],
    private readonly range: StoreRange,
    private readonly read: <Result>(take: () => Result) => Promise<Result>,
    private readonly ended: () => void,
  ) {
    this.#from = toText(range.from);
    this.#to = toText(range.to);
    ({ leaf: this.#leaf, row: this.#row } = find(leaves, this.#from));
  }

  async next(rowsMax: number): Promise<StoreRow[]> {
    assert(rowsMax >= 1, `next is asked for one row or more, not ${rowsMax}`);
    assert(!this.#isClosed && !this.#isReading, "one next at a time, before close");
    this.#isReading = true;
    try {
      return await this.read(() => this.#take(rowsMax));
    } finally {
      this.#isReading = false;
    }
  }

  seek(key: Uint8Array): void {
    assert(!this.#isClosed && !this.#isReading, "seek stands between calls of next");
    assert(key.length > 0, "a key has at least one byte");
    const text = toText(key);
    const target = text < this.#from ? this.#from : text;
    ({ leaf: this.#leaf, row: this.#row } = find(this.leaves, target));
  }

  async close(): Promise<void> {
    if (!this.#isClosed) this.ended();
    this.#isClosed = true;
  }

  #take(rowsMax: number): StoreRow[] {
    const rows: StoreRow[] = [];
    while (rows.length < rowsMax) {
      const leaf = this.leaves[this.#leaf];
      if (leaf === undefined) break;
      const row = leaf[this.#row];
      if (row === undefined) {
        this.#leaf += 1;
        this.#row = 0;
        continue;
      }
      if (row.text >= this.#to) break;
      this.#row += 1;
      const value = this.range.values === false ? new Uint8Array(0) : copyOfBytes(row.value);
      rows.push({ key: copyOfBytes(row.key), value });
    }
    return rows;
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}

function copyOf(write: StoreWrite): StoreWrite {
  const key = copyOfBytes(write.key);
  if (write.type === "del") return { type: "del", key };
  return { type: "put", key, value: copyOfBytes(write.value) };
}

function sizeOf(row: Row): number {
  return row.key.length + row.value.length;
}

function toText(bytes: Uint8Array): string {
  if (bytes instanceof Buffer) return bytes.toString("latin1");
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
