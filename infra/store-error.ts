/**
 * StoreError: a replica's disk did not do what it was asked.
 *
 * Neither a bug of ours (InvariantError) nor something to tell a client (KvError): it stops the
 * replica, and its message tells a person what happened and what to do. What RocksDB or the system
 * said is the `cause`.
 *
 *   in-use        another process, or a second replica of this one, holds the folder's lock
 *   damaged       files are missing or their bytes are not what was written
 *   not-writable  the system refuses: rights, or a file system mounted read-only
 *   full          no space is left
 *   failed        anything else
 */

export type StoreErrorKind = "in-use" | "damaged" | "not-writable" | "full" | "failed";

export class StoreError extends Error {
  override readonly name = "StoreError";

  constructor(
    readonly kind: StoreErrorKind,
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
  }
}
