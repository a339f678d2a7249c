/**
 * Scans MessagePack bytes before the library decodes them, and refuses dangerous ones.
 *
 * The library allocates an array as large as its header claims (five bytes can ask for gigabytes),
 * takes numbers as map keys, decodes text that is no UTF-8 into something else, and reports every
 * fault as a different class of error. The scan is one pass without recursion or allocation per
 * value; what passes it decodes without fail.
 *
 * Refused beyond what the format itself forbids: keys that are not text, a key `__proto__` (the
 * library does not read it), NaN (it equals nothing and has no place in an order), extension types.
 */
import { isUtf8 } from "node:buffer";
import { assert } from "../assert.js";
import { KvError } from "../errors.js";
import { DECODE_DEPTH_MAX } from "../limits.js";

/** From this length on the native check is cheaper than a loop. */
const UTF8_NATIVE_BYTES_MIN = 48;
const PROTO = Buffer.from("__proto__");

/** By head byte, for values of a fixed size: how many bytes follow the head. 255 = not fixed. */
const bytesAfterHead = fixedSizes();

// The stack of containers that are being read: values still to come, and whether they are a map's
// keys and values. Module-wide because the scan is synchronous and calls nobody back.
const remaining = new Uint32Array(DECODE_DEPTH_MAX + 1);
const isMap = new Uint8Array(DECODE_DEPTH_MAX + 1);

/**
 * Throws KvError (`bad-request`, `unsupported` for extension types, `limit-exceeded` for depth)
 * unless `bytes` are exactly one value that the decoder takes. Returns the number of map members,
 * duplicates counted. Cost: one pass.
 */
export function scanMsgpack(bytes: Uint8Array): number {
  let at = 0;
  let depth = 0;
  let members = 0;
  for (;;) {
    if (at >= bytes.length) throw truncated(bytes);
    const head = bytes[at]!;
    const isKey = isMap[depth] === 1 && (remaining[depth]! & 1) === 0 && depth > 0;
    if (isKey && !isTextHead(head)) throw keyNotText(head, at);
    if (depth > 0) remaining[depth]! -= 1;
    const size = containerSize(bytes, at, head);
    if (size < 0) {
      at = isTextHead(head) ? skipText(bytes, at, head, isKey) : skipScalar(bytes, at, head);
      if (at > bytes.length) throw truncated(bytes);
    } else {
      const map = isMapHead(head);
      at += containerHeadBytes(head);
      const values = map ? size * 2 : size;
      // Every value takes a byte at least: a larger count is a lie.
      if (values > bytes.length - at) throw truncated(bytes);
      if (map) members += size;
      depth += 1;
      if (depth > DECODE_DEPTH_MAX) throw tooDeep();
      remaining[depth] = values;
      isMap[depth] = map ? 1 : 0;
    }
    while (depth > 0 && remaining[depth] === 0) depth -= 1;
    if (depth === 0) break;
  }
  if (at < bytes.length) {
    const extra = bytes.length - at;
    throw malformed(`${extra} bytes follow the value, which ends at byte ${at}`);
  }
  return members;
}

export function tooDeep(): KvError {
  return new KvError(
    "limit-exceeded",
    `the value is nested more than ${DECODE_DEPTH_MAX} levels deep`,
    { limit: "decode_depth", max: DECODE_DEPTH_MAX },
  );
}

function isTextHead(head: number): boolean {
  return (head >= 0xa0 && head <= 0xbf) || (head >= 0xd9 && head <= 0xdb);
}

function isMapHead(head: number): boolean {
  return (head >= 0x80 && head <= 0x8f) || head === 0xde || head === 0xdf;
}

/** Values (array) or members (map) that the head announces; −1 for a scalar. */
function containerSize(bytes: Uint8Array, at: number, head: number): number {
  if (head < 0x80 || head > 0xdf) return -1;
  if (head <= 0x9f) return head & 0x0f;
  if (head < 0xdc) return -1;
  return head & 1 ? sizeAt(bytes, at + 1, 4) : sizeAt(bytes, at + 1, 2);
}

function containerHeadBytes(head: number): number {
  if (head <= 0x9f) return 1;
  return head & 1 ? 5 : 3;
}

function sizeAt(bytes: Uint8Array, at: number, byteCount: number): number {
  if (at + byteCount > bytes.length) throw truncated(bytes);
  let size = 0;
  for (let index = at; index < at + byteCount; index += 1) size = size * 256 + bytes[index]!;
  return size;
}

function skipText(bytes: Uint8Array, at: number, head: number, isKey: boolean): number {
  const sizeBytes = head <= 0xbf ? 0 : 1 << (head - 0xd9);
  const start = at + 1 + sizeBytes;
  const end = start + (sizeBytes === 0 ? head & 0x1f : sizeAt(bytes, at + 1, sizeBytes));
  if (end > bytes.length) throw truncated(bytes);
  if (!isText(bytes, start, end)) throw malformed(`the text at byte ${at} is not valid UTF-8`);
  if (isKey && end - start === PROTO.length && PROTO.equals(bytes.subarray(start, end))) {
    throw malformed("a map key is `__proto__`, which is not allowed in MessagePack values");
  }
  return end;
}

function isText(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < UTF8_NATIVE_BYTES_MIN) {
    let at = start;
    while (at < end && bytes[at]! < 0x80) at += 1;
    if (at === end) return true;
  }
  return isUtf8(bytes.subarray(start, end));
}

/** The place after a value that is neither text nor container; may lie past the end. */
function skipScalar(bytes: Uint8Array, at: number, head: number): number {
  const fixed = bytesAfterHead[head]!;
  if (fixed !== 255) {
    const end = at + 1 + fixed;
    if ((head === 0xca || head === 0xcb) && end <= bytes.length && isNaNAt(bytes, at, head)) {
      throw malformed(`the number at byte ${at} is NaN`);
    }
    return end;
  }
  if (head >= 0xc4 && head <= 0xc6) {
    const sizeBytes = 1 << (head - 0xc4);
    return at + 1 + sizeBytes + sizeAt(bytes, at + 1, sizeBytes);
  }
  if (head === 0xc1) throw malformed(`byte ${at} is 0xc1, which does not begin a value`);
  assert((head >= 0xc7 && head <= 0xc9) || (head >= 0xd4 && head <= 0xd8), `head ${head}`);
  throw new KvError(
    "unsupported",
    `the value holds a MessagePack extension type at byte ${at}; only the types that JSON has, ` +
      `bytes and 64-bit integers are kept as attributes`,
  );
}

function isNaNAt(bytes: Uint8Array, at: number, head: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at + 1);
  return Number.isNaN(head === 0xca ? view.getFloat32(0) : view.getFloat64(0));
}

function fixedSizes(): Uint8Array {
  const sizes = new Uint8Array(256).fill(255);
  sizes.fill(0, 0x00, 0x80);
  sizes.fill(0, 0xe0, 0x100);
  for (const head of [0xc0, 0xc2, 0xc3]) sizes[head] = 0;
  for (const [first, size] of [
    [0xcc, 1],
    [0xcd, 2],
    [0xce, 4],
    [0xcf, 8],
    [0xd0, 1],
    [0xd1, 2],
    [0xd2, 4],
    [0xd3, 8],
    [0xca, 4],
    [0xcb, 8],
  ] as const) {
    sizes[first] = size;
  }
  return sizes;
}

function keyNotText(head: number, at: number): KvError {
  return malformed(`the map key at byte ${at} (0x${head.toString(16)}) is not text`);
}

function truncated(bytes: Uint8Array): KvError {
  return malformed(`it ends after ${bytes.length} bytes, in the middle of a value`);
}

function malformed(what: string): KvError {
  return new KvError("bad-request", `the value is not valid MessagePack: ${what}`);
}
