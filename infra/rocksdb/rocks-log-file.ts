/**
 * Reads the record format that RocksDB's write-ahead logs and MANIFEST share.
 *
 *   file     blocks of 32 KiB
 *   block    fragments; fewer than 7 bytes before its end are zeros
 *   fragment masked CRC-32C u32, length u16, type u8, payload    all little-endian
 *            checksum: of type and payload
 *   type     1 a whole record, 2 its first fragment, 3 a middle one, 4 its last; 0 preallocated
 *
 * Reader: take a fragment, check it, join what belongs together; stop at the first that is not
 * whole. RocksDB itself, opened with `paranoid_checks = false` as the package does, skips to the
 * next block and goes on (rocks-store.ts, trap 10), which is why this file exists.
 *
 * Source: RocksDB's doc "Write Ahead Log File Format", db/log_reader.cc of 6.17.
 */
import { crc32c, maskCrc } from "./crc32c.js";

const BLOCK_BYTES = 32 * 1_024;
const HEADER_BYTES = 7;
const FULL = 1;
const FIRST = 2;
const MIDDLE = 3;
const LAST = 4;

export interface LogFileRecord {
  /** Where its first fragment begins. */
  readonly offset: number;
  readonly payload: Buffer;
}

export interface LogFileContent {
  /** All up to the first that is not whole. */
  readonly records: readonly LogFileRecord[];
  /** Where the last whole record ends; what follows up to the file's end cannot be read. */
  readonly end: number;
  /**
   * What follows `end`: nothing; the beginning of a record, as a process leaves it that ended
   * while it wrote; or bytes that no writer made.
   */
  readonly tail: "none" | "torn" | "damaged";
}

/** Cost: one pass, a copy of each record that has several fragments. Never throws. */
export function readLogFile(bytes: Buffer): LogFileContent {
  const records: LogFileRecord[] = [];
  let end = 0;
  let at = 0;
  let open: { offset: number; parts: Buffer[] } | undefined;
  const stop = (tail: LogFileContent["tail"]): LogFileContent => ({ records, end, tail });
  for (;;) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left < HEADER_BYTES) at += left;
    if (at >= bytes.length) return stop(open === undefined ? "none" : "torn");
    if (at + HEADER_BYTES > bytes.length) return stop("torn");
    const length = bytes.readUInt16LE(at + 4);
    const type = bytes[at + 6]!;
    const payloadAt = at + HEADER_BYTES;
    if (payloadAt + length > at + (left < HEADER_BYTES ? BLOCK_BYTES : left)) {
      return stop("damaged");
    }
    if (payloadAt + length > bytes.length) return stop("torn");
    const isRight = maskCrc(crc32c(bytes, at + 6, payloadAt + length)) === bytes.readUInt32LE(at);
    const begins = type === FULL || type === FIRST;
    const goesOn = type === MIDDLE || type === LAST;
    if (!isRight || (!begins && !goesOn) || begins !== (open === undefined)) return stop("damaged");
    open ??= { offset: at, parts: [] };
    open.parts.push(bytes.subarray(payloadAt, payloadAt + length));
    at = payloadAt + length;
    if (type === FULL || type === LAST) {
      const [first, ...more] = open.parts;
      const payload = more.length === 0 ? first! : Buffer.concat(open.parts);
      records.push({ offset: open.offset, payload });
      open = undefined;
      end = at;
    }
  }
}
