/**
 * Position row (`n`): state and figures of one position, 51 bytes.
 *
 *   offset  bytes  what, big-endian
 *        0      1  state: index in positionStates
 *        1      4  generation
 *        5      6  revision counter
 *       11      6  keys
 *       17      6  bytes of keys and values
 *       23     24  digest, see digest.ts
 *     last      4  xxhash32 of everything before it
 */
import { hash32, PositionDigest } from "../digest.js";
import type { Revision } from "../ids.js";
import { DamagedError } from "./record.js";

/** By number, as stored. `sealed` and `importing` belong to moving positions. */
export const positionStates = ["absent", "owned", "sealed", "importing"] as const;
export type PositionState = (typeof positionStates)[number];

export interface PositionRow {
  readonly state: PositionState;
  readonly generation: number;
  readonly revision: Revision;
  readonly keys: number;
  readonly bytes: number;
  readonly digest: PositionDigest;
}

const DIGEST_AT = 23;
const CHECKSUM_AT = DIGEST_AT + 24;
const ROW_BYTES = CHECKSUM_AT + 4;

export function encodePositionRow(row: PositionRow): Buffer {
  const bytes = Buffer.allocUnsafe(ROW_BYTES);
  bytes.writeUInt8(positionStates.indexOf(row.state), 0);
  bytes.writeUInt32BE(row.generation, 1);
  bytes.writeUIntBE(row.revision, 5, 6);
  bytes.writeUIntBE(row.keys, 11, 6);
  bytes.writeUIntBE(row.bytes, 17, 6);
  bytes.set(row.digest.toBytes(), DIGEST_AT);
  bytes.writeUInt32BE(hash32(bytes.subarray(0, CHECKSUM_AT)), CHECKSUM_AT);
  return bytes;
}

/** Throws DamagedError. */
export function decodePositionRow(data: Uint8Array): PositionRow {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const state = positionStates[bytes[0] ?? positionStates.length];
  const whole =
    bytes.length === ROW_BYTES &&
    hash32(bytes.subarray(0, CHECKSUM_AT)) === bytes.readUInt32BE(CHECKSUM_AT);
  if (!whole || state === undefined) throw new DamagedError("damaged position row");
  return {
    state,
    generation: bytes.readUInt32BE(1),
    revision: bytes.readUIntBE(5, 6) as Revision,
    keys: bytes.readUIntBE(11, 6),
    bytes: bytes.readUIntBE(17, 6),
    digest: PositionDigest.fromBytes(bytes.subarray(DIGEST_AT, CHECKSUM_AT)),
  };
}
