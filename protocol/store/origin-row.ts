/**
 * Origin row (`o`): the last entry that a shard accepted of one proposer (rule L2), 16 bytes.
 *
 *   offset  bytes  what, big-endian
 *        0      6  number of the origin's last accepted entry
 *        6      6  log time of that entry
 *     last      4  xxhash32 of everything before it
 *
 * The origin itself stands in the row's key.
 */
import { DamagedError } from "../damaged.js";
import { hash32 } from "../digest.js";
import type { TimeMs } from "../ids.js";

export interface OriginRow {
  /** Of its last accepted entry; the next one has the number after it. */
  readonly number: number;
  /** Log time of that entry. */
  readonly seenAt: TimeMs;
}

const SEEN_AT = 6;
const CHECKSUM_AT = 12;
const ROW_BYTES = CHECKSUM_AT + 4;

export function encodeOriginRow({ number, seenAt }: OriginRow): Buffer {
  const bytes = Buffer.allocUnsafe(ROW_BYTES);
  bytes.writeUIntBE(number, 0, 6);
  bytes.writeUIntBE(seenAt, SEEN_AT, 6);
  bytes.writeUInt32BE(hash32(bytes.subarray(0, CHECKSUM_AT)), CHECKSUM_AT);
  return bytes;
}

/** Throws DamagedError. */
export function decodeOriginRow(data: Uint8Array): OriginRow {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const whole =
    bytes.length === ROW_BYTES &&
    hash32(bytes.subarray(0, CHECKSUM_AT)) === bytes.readUInt32BE(CHECKSUM_AT);
  if (!whole) throw new DamagedError("damaged origin row");
  return { number: bytes.readUIntBE(0, 6), seenAt: bytes.readUIntBE(SEEN_AT, 6) as TimeMs };
}
