/**
 * Records as they stand in a store, under a `d` key.
 *
 *    0       format, 1
 *    1 …  4  checksum: XXH32, seed = format, of all that follows
 *    5 … 10  revision          u48
 *   11 … 16  updated at, ms    u48
 *   17 … 22  expires at, ms    u48, 0 = never
 *   23       content type      index in contentTypes
 *   24 …     value
 *
 * All numbers are big-endian. Reader: fewer than 24 bytes, another format, another checksum or an
 * unknown content type is damage; any one flipped bit is found. The value is a view into the row.
 */
import { assert } from "../assert.js";
import { DamagedError } from "../damaged.js";
import { hash32 } from "../digest.js";
import type { Revision, TimeMs } from "../ids.js";
import { contentTypes, type StoredRecord } from "../operation.js";

export { DamagedError } from "../damaged.js";

const FORMAT = 1;
const CHECKSUM_AT = 1;
const REVISION_AT = 5;
const UPDATED_AT = 11;
const EXPIRES_AT = 17;
const CONTENT_TYPE_AT = 23;
/** Bytes a record takes beside its value. */
export const RECORD_HEAD_BYTES = 24;

export function encodeRecord(record: StoredRecord): Buffer {
  const bytes = Buffer.allocUnsafe(RECORD_HEAD_BYTES + record.value.length);
  bytes[0] = FORMAT;
  bytes.writeUIntBE(record.revision, REVISION_AT, 6);
  bytes.writeUIntBE(record.updatedAt, UPDATED_AT, 6);
  bytes.writeUIntBE(record.expiresAt, EXPIRES_AT, 6);
  const contentType = contentTypes.indexOf(record.contentType);
  assert(contentType >= 0, `content type ${record.contentType} is none of contentTypes`);
  bytes[CONTENT_TYPE_AT] = contentType;
  bytes.set(record.value, RECORD_HEAD_BYTES);
  bytes.writeUInt32BE(hash32(bytes.subarray(REVISION_AT), FORMAT), CHECKSUM_AT);
  return bytes;
}

/** The value is not copied. Throws DamagedError for bytes that encodeRecord did not make. */
export function decodeRecord(row: Uint8Array): StoredRecord {
  if (row.length < RECORD_HEAD_BYTES) {
    throw new DamagedError(`damaged record: ${row.length} bytes, fewer than ${RECORD_HEAD_BYTES}`);
  }
  if (row[0] !== FORMAT) {
    throw new DamagedError(`damaged record: format ${row[0]}, this version knows ${FORMAT}`);
  }
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.length);
  const told = bytes.readUInt32BE(CHECKSUM_AT);
  const found = hash32(bytes.subarray(REVISION_AT), FORMAT);
  if (told !== found) {
    throw new DamagedError(
      `damaged record: checksum ${told}, its ${row.length} bytes give ${found}`,
    );
  }
  const contentType = contentTypes[bytes[CONTENT_TYPE_AT]!];
  if (contentType === undefined) {
    throw new DamagedError(`damaged record: content type ${bytes[CONTENT_TYPE_AT]}`);
  }
  return {
    revision: bytes.readUIntBE(REVISION_AT, 6) as Revision,
    updatedAt: bytes.readUIntBE(UPDATED_AT, 6) as TimeMs,
    expiresAt: bytes.readUIntBE(EXPIRES_AT, 6) as TimeMs,
    contentType,
    value: row.subarray(RECORD_HEAD_BYTES),
  };
}
