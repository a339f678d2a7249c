/**
 * Hashes: of a position's contents, and of a log's past.
 *
 * A position's digest is three sums modulo 2^64: two of its records, under different seeds, and
 * one of its index entries. Sums do not depend on the order, and an entry is taken out by
 * subtracting its hash, so that the digest is kept up to date with each write at the cost of that
 * write. Two replicas at the same sequence have equal digests; what arrived after a move has the
 * digest of what left; the index digest of the records' attributes is that of the index rows.
 * It finds accidents, not forgers: XXH64 is no cryptographic hash.
 *
 * Bytes that are hashed for a record, numbers big-endian:
 *    0 …  1  bytes of the key  u16
 *    2 …     the key
 *            revision u48, updated at u48, expires at u48, content type u8
 *            the value
 * For an index entry: its store key. Seeds: RECORD_SEED_A, RECORD_SEED_B, INDEX_SEED.
 */
import xxhash from "xxhash-wasm";
import { assert } from "./assert.js";
import type { Origin } from "./ids.js";
import { contentTypes, type StoredRecord } from "./operation.js";

const hashes = await xxhash();

const RECORD_SEED_A = 0x5265_636f_7264_2041n;
const RECORD_SEED_B = 0x5265_636f_7264_2042n;
const INDEX_SEED = 0x496e_6465_7820_2020n;
const CHAIN_SEED = 0x4368_6169_6e20_2020n;

/** Bytes of PositionDigest.toBytes. */
const DIGEST_BYTES = 24;
/** Key size and the numbers, beside key and value. */
const RECORD_FIXED_BYTES = 2 + 6 + 6 + 6 + 1;

let scratch = Buffer.alloc(4_096);

/** XXH64. Cost: about 0.1 µs and a copy of the bytes. */
export function hash64(bytes: Uint8Array, seed = 0n): bigint {
  return BigInt.asUintN(64, hashes.h64Raw(bytes, seed));
}

/** XXH32, 0 … 2^32 − 1. */
export function hash32(bytes: Uint8Array, seed = 0): number {
  return hashes.h32Raw(bytes, seed) >>> 0;
}

/**
 * A log's chain after an entry (rule L1): h(n) = XXH64 of h(n − 1) as 8 bytes, the origin as 16
 * and its number as 8.
 */
export function chainNext(h: bigint, origin: Origin, number: number): bigint {
  const bytes = Buffer.alloc(32);
  bytes.writeBigUInt64BE(h, 0);
  const written = bytes.write(origin, 8, 16, "hex");
  assert(written === 16 && origin.length === 32, `an origin has 32 hexadecimal digits: ${origin}`);
  bytes.writeBigUInt64BE(BigInt(number), 24);
  return hash64(bytes, CHAIN_SEED);
}

/** The digest of one position, or of several combined. Mutable; fields are 0 … 2^64 − 1. */
export class PositionDigest {
  recordA = 0n;
  recordB = 0n;
  index = 0n;

  addRecord(keyUtf8: Uint8Array, record: StoredRecord): void {
    const bytes = recordBytes(keyUtf8, record);
    this.recordA = BigInt.asUintN(64, this.recordA + hash64(bytes, RECORD_SEED_A));
    this.recordB = BigInt.asUintN(64, this.recordB + hash64(bytes, RECORD_SEED_B));
  }

  /** `record` is what addRecord was given for this key. */
  removeRecord(keyUtf8: Uint8Array, record: StoredRecord): void {
    const bytes = recordBytes(keyUtf8, record);
    this.recordA = BigInt.asUintN(64, this.recordA - hash64(bytes, RECORD_SEED_A));
    this.recordB = BigInt.asUintN(64, this.recordB - hash64(bytes, RECORD_SEED_B));
  }

  /** Once for each row of the index: `indexKey` as store-keys.ts makes it. */
  addIndex(indexKey: Uint8Array): void {
    this.index = BigInt.asUintN(64, this.index + hash64(indexKey, INDEX_SEED));
  }

  removeIndex(indexKey: Uint8Array): void {
    this.index = BigInt.asUintN(64, this.index - hash64(indexKey, INDEX_SEED));
  }

  /** Adds what another digest stands for: of two positions, that of both together. */
  combine(other: PositionDigest): void {
    this.recordA = BigInt.asUintN(64, this.recordA + other.recordA);
    this.recordB = BigInt.asUintN(64, this.recordB + other.recordB);
    this.index = BigInt.asUintN(64, this.index + other.index);
  }

  clone(): PositionDigest {
    const digest = new PositionDigest();
    digest.combine(this);
    return digest;
  }

  equals(other: PositionDigest): boolean {
    return (
      this.recordA === other.recordA && this.recordB === other.recordB && this.index === other.index
    );
  }

  /** Of the records: 32 hexadecimal digits. */
  get recordsHex(): string {
    return hex(this.recordA) + hex(this.recordB);
  }

  /** Of the index: 16 hexadecimal digits. */
  get indexHex(): string {
    return hex(this.index);
  }

  /** The three sums, 8 bytes each, big-endian. */
  toBytes(): Buffer {
    const bytes = Buffer.allocUnsafe(DIGEST_BYTES);
    bytes.writeBigUInt64BE(this.recordA, 0);
    bytes.writeBigUInt64BE(this.recordB, 8);
    bytes.writeBigUInt64BE(this.index, 16);
    return bytes;
  }

  /** The first DIGEST_BYTES of `bytes`. */
  static fromBytes(bytes: Uint8Array): PositionDigest {
    assert(bytes.length >= DIGEST_BYTES, `a digest has ${DIGEST_BYTES} bytes: ${bytes.length}`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, DIGEST_BYTES);
    const digest = new PositionDigest();
    digest.recordA = view.getBigUint64(0);
    digest.recordB = view.getBigUint64(8);
    digest.index = view.getBigUint64(16);
    return digest;
  }
}

/** A view into scratch, good until the next call. */
function recordBytes(keyUtf8: Uint8Array, record: StoredRecord): Uint8Array {
  const size = RECORD_FIXED_BYTES + keyUtf8.length + record.value.length;
  if (scratch.length < size) scratch = Buffer.alloc(2 * size);
  scratch.writeUInt16BE(keyUtf8.length, 0);
  scratch.set(keyUtf8, 2);
  let at = 2 + keyUtf8.length;
  at = scratch.writeUIntBE(record.revision, at, 6);
  at = scratch.writeUIntBE(record.updatedAt, at, 6);
  at = scratch.writeUIntBE(record.expiresAt, at, 6);
  scratch[at] = contentTypes.indexOf(record.contentType);
  scratch.set(record.value, at + 1);
  return scratch.subarray(0, size);
}

function hex(sum: bigint): string {
  return sum.toString(16).padStart(16, "0");
}
