/**
 * The native functions of the package `rocksdb` 5.2.1, as far as rocks-store.ts calls them.
 *
 * Written from the package's binding.cc: it has no types of its own. Its functions check almost
 * nothing: a handle used after its end, or an iterator read past its end, ends the process.
 */
declare module "rocksdb/binding.js" {
  /** Taken by value in the call: the bytes are copied before it returns. */
  type Bytes = Uint8Array;
  type Done = (error: Error | null) => void;

  interface DatabaseHandle {
    readonly databaseHandle: unique symbol;
  }
  interface IteratorHandle {
    readonly iteratorHandle: unique symbol;
  }

  export interface OpenOptions {
    readonly createIfMissing: boolean;
    /** Fails if there is a store, having taken and given back its lock and changed nothing. */
    readonly errorIfExists: boolean;
    /** Snappy. */
    readonly compression: boolean;
    readonly cacheSize: number;
    readonly writeBufferSize: number;
    readonly maxOpenFiles: number;
  }

  /** `value: null` stores an empty value. */
  export type BatchOperation =
    | { readonly type: "put"; readonly key: Bytes; readonly value: Bytes | null }
    | { readonly type: "del"; readonly key: Bytes };

  export interface IteratorOptions {
    readonly gte: Bytes;
    readonly lt: Bytes;
    readonly values: boolean;
    /** False: strings, made of the bytes as UTF-8. */
    readonly valueAsBuffer: boolean;
    readonly fillCache: boolean;
    /** A call of iterator_next ends after the row that makes it more bytes than this. */
    readonly highWaterMark: number;
  }

  interface Binding {
    db_init(): DatabaseHandle;
    db_open(db: DatabaseHandle, folder: string, options: OpenOptions, done: Done): void;
    db_close(db: DatabaseHandle, done: Done): void;
    /** Empty keys are left out of the result, not answered. */
    db_get_many(
      db: DatabaseHandle,
      keys: readonly Bytes[],
      options: { readonly asBuffer: true; readonly fillCache: boolean },
      done: (error: Error | null, values?: (Buffer | undefined)[]) => void,
    ): void;
    batch_do: (
      db: DatabaseHandle,
      operations: readonly BatchOperation[],
      options: { readonly sync: boolean },
      done: Done,
    ) => void;
    db_get_property(db: DatabaseHandle, name: string): string;
    /** Takes the snapshot before it returns. */
    iterator_init(db: DatabaseHandle, options: IteratorOptions): IteratorHandle;
    /** On this thread, disk reads included. */
    iterator_seek(iterator: IteratorHandle, key: Bytes): void;
    /** `rows` is [valueₙ, keyₙ, …, value₁, key₁]; after `finished` it must not be called again
     * without a seek. */
    iterator_next(
      iterator: IteratorHandle,
      done: (error: Error | null, rows?: unknown[], finished?: boolean) => void,
    ): void;
    iterator_end(iterator: IteratorHandle, done: Done): void;
  }

  const binding: Binding;
  export default binding;
}
