/**
 * Snappy, decompression only: what RocksDB packs the index of a data file with.
 *
 * By the package `snappy`. Packed bytes begin with the length of the result, a varint, and the
 * package makes room for that before it looks further; so we look at it first.
 */
import { uncompressSync } from "snappy";
import { FieldReader } from "./rocks-manifest.js";

const RESULT_BYTES_MAX = 256 * 1_024 * 1_024;

/** Throws Error for bytes that no compressor made. */
export function unsnap(bytes: Buffer): Buffer {
  const length = new FieldReader(bytes).number();
  if (length > RESULT_BYTES_MAX) throw new Error(`${length} bytes are more than an index has`);
  return uncompressSync(bytes, { asBuffer: true }) as Buffer;
}
