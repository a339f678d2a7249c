/**
 * Store: ordered bytes on one replica's disk. In production RocksDB (rocks-store.ts).
 *
 * Keys order as unsigned bytes. A batch takes effect as a whole or not at all, also across a
 * crash; a batch without `sync` may be lost by a crash of the machine (not of the process), and
 * then so are all after it.
 *
 * Concurrency: one batch at a time (asserted). An iterator sees the store as it was at the moment
 * `iterate` returned; iterators opened in one turn of the event loop with no batch in flight see
 * the same. `getMany` sees each key at some moment during the call.
 */

export type StoreWrite =
  | { readonly type: "put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: Uint8Array };

export interface StoreRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Rows with `from` ≤ key < `to`. */
export interface StoreRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  /** False: rows come with an empty value, which is cheaper. Default true. */
  readonly values?: boolean;
}

export interface StoreIterator {
  /** The next rows, at least one and about `rowsMax` at most; empty = the end of the range. One
   * call at a time. */
  next(rowsMax: number): Promise<StoreRow[]>;
  /** The next row will be the first at or after `key`, also backwards. */
  seek(key: Uint8Array): void;
  close(): Promise<void>;
}

export interface Store {
  /** Undefined where there is no such key. In the order of `keys`. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>;
  write(batch: readonly StoreWrite[], options: { readonly sync: boolean }): Promise<void>;
  iterate(range: StoreRange): StoreIterator;
  /** Approximate bytes on disk. */
  bytes(): Promise<number>;
  /** After all calls have ended and all iterators are closed. */
  close(): Promise<void>;
}
