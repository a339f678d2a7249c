/**
 * Typed values: attribute values as bytes that sort.
 *
 *   null         01
 *   false        02
 *   true         03
 *   number       04  8 bytes: the nearest double, big-endian; sign bit set (negative): all bits
 *                    inverted, else: sign bit set. −0 is written as 0.
 *   text         05  content  end
 *   bytes        06  content  end
 *   OBJECT       07
 *   ARRAY        08
 *
 * content is the first INDEX_TEXT_BYTES_MAX bytes (of the UTF-8), with 00 written as 00 FF.
 * end is 00 01 if that was all, 00 02 if the value is longer ("cut").
 *
 * Text is cut between bytes, not between characters. Cut between characters, a text of 254 bytes
 * and a three-byte character would be written as its 254 bytes alone, and stand before a text
 * with the same 254 bytes and "z", which it follows.
 *
 * Order: memcmp of two encodings agrees with compareAttributeValues wherever they differ. end
 * 00 01 < 00 02 < 00 FF: a text of exactly 256 bytes stands before the longer ones that begin with
 * it, and all of those stand, with equal bytes, where the first of them belongs.
 *
 * The reader's algorithm. Equal bytes mean equal values, except where decodeTyped says
 * `exact: false`: cut text and bytes, and numbers from 2^53 on, where several 64-bit integers share
 * a double. There
 *   - a condition's row is re-checked against the record's full value (TypedRange.exact is
 *     false if a range's ends need it), and
 *   - to go in order, all rows with these bytes (they are neighbours) are read, and sorted by
 *     compareAttributeValues of the full values, then by key.
 * Where a text was cut, `value` is the longest whole-character prefix of the content.
 *
 * An encoding is no prefix of another one, so what follows it in a key does not disturb the order.
 */
import { assert } from "../assert.js";
import { DamagedError } from "../damaged.js";
import { INDEX_TEXT_BYTES_MAX } from "../limits.js";

/** Stands at the path of a member that is an object, so that `$exists` and `$size` find it. */
export const OBJECT: unique symbol = Symbol("object");
/** Stands at the path of a member that is an array. */
export const ARRAY: unique symbol = Symbol("array");

/** Numbers are never NaN; text has no lone surrogates (content.ts refuses both). */
export type AttributeValue =
  null | boolean | number | bigint | string | Uint8Array | typeof OBJECT | typeof ARRAY;

/** Encodings from `from` up to, not including, `to`. */
export interface TypedRange {
  readonly from: Buffer;
  readonly to: Buffer;
  /** True: every row in the range fulfils the condition. False: each is re-checked in full. */
  readonly exact: boolean;
}

/** Room that encodeTyped may need. */
export const TYPED_BYTES_MAX = 1 + 2 * INDEX_TEXT_BYTES_MAX + 2;

const NULL = 1;
const FALSE = 2;
const TRUE = 3;
const NUMBER = 4;
const TEXT = 5;
const BYTES = 6;
const OBJECT_MARKER = 7;
const ARRAY_MARKER = 8;

const END_WHOLE = 1;
const END_CUT = 2;
const ESCAPED_ZERO = 0xff;

/** From here on integers share doubles. */
const EXACT_NUMBER_LIMIT = 2 ** 53;

const scratch = Buffer.alloc(TYPED_BYTES_MAX);
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Writes a value to `into` from `offset` on and returns the end. `into` has TYPED_BYTES_MAX bytes
 * of room there. Cost: O(bytes that are written).
 */
export function encodeTyped(value: AttributeValue, into: Buffer, offset: number): number {
  if (typeof value === "string") return writeText(value, into, offset);
  if (typeof value === "number" || typeof value === "bigint") {
    return writeNumber(Number(value), into, offset);
  }
  if (value instanceof Uint8Array) {
    into[offset] = BYTES;
    return writeContent(value, value.length, into, offset + 1);
  }
  into[offset] = tagOf(value);
  return offset + 1;
}

/** The encoding alone, in a buffer of its own. */
export function typedBytes(value: AttributeValue): Buffer {
  return Buffer.from(scratch.subarray(0, encodeTyped(value, scratch, 0)));
}

/** False where the encoding stands for several values (see the header). */
export function isExactlyIndexed(value: AttributeValue): boolean {
  if (typeof value === "string") {
    if (value.length * 3 <= INDEX_TEXT_BYTES_MAX) return true;
    return Buffer.byteLength(value) <= INDEX_TEXT_BYTES_MAX;
  }
  if (typeof value === "number") return Math.abs(value) < EXACT_NUMBER_LIMIT;
  if (typeof value === "bigint") return Math.abs(Number(value)) < EXACT_NUMBER_LIMIT;
  return !(value instanceof Uint8Array) || value.length <= INDEX_TEXT_BYTES_MAX;
}

function tagOf(value: AttributeValue): number {
  if (value === null) return NULL;
  if (value === false) return FALSE;
  if (value === true) return TRUE;
  if (value === OBJECT) return OBJECT_MARKER;
  if (value === ARRAY) return ARRAY_MARKER;
  if (typeof value === "string") return TEXT;
  return value instanceof Uint8Array ? BYTES : NUMBER;
}

function writeNumber(number: number, into: Buffer, offset: number): number {
  assert(!Number.isNaN(number), "content refuses NaN");
  into[offset] = NUMBER;
  // −0 is not below 0 and has its sign bit set already, so it becomes what 0 becomes.
  into.writeDoubleBE(number, offset + 1);
  if (number < 0) {
    for (let at = offset + 1; at < offset + 9; at += 1) into[at]! ^= 0xff;
  } else into[offset + 1]! |= 0x80;
  return offset + 9;
}

function writeText(text: string, into: Buffer, offset: number): number {
  into[offset] = TEXT;
  let at = offset + 1;
  if (text.length <= INDEX_TEXT_BYTES_MAX) {
    let index = 0;
    for (; index < text.length; index += 1) {
      const code = text.charCodeAt(index);
      if (code === 0 || code >= 0x80) break;
      into[at++] = code;
    }
    if (index === text.length) return writeEnd(END_WHOLE, into, at);
  }
  // So many code units have more bytes than are kept, and if the cut falls into a surrogate pair,
  // its replacement lies behind them.
  const bytes = Buffer.from(text.slice(0, INDEX_TEXT_BYTES_MAX + 1), "utf8");
  return writeContent(bytes, bytes.length, into, offset + 1);
}

function writeContent(bytes: Uint8Array, size: number, into: Buffer, offset: number): number {
  const kept = Math.min(size, INDEX_TEXT_BYTES_MAX);
  let at = offset;
  for (let index = 0; index < kept; index += 1) {
    const byte = bytes[index]!;
    into[at++] = byte;
    if (byte === 0) into[at++] = ESCAPED_ZERO;
  }
  return writeEnd(size > kept ? END_CUT : END_WHOLE, into, at);
}

function writeEnd(end: number, into: Buffer, at: number): number {
  into[at] = 0;
  into[at + 1] = end;
  return at + 2;
}

export interface DecodedTyped {
  readonly value: AttributeValue;
  readonly end: number;
  /** False: the encoding stands for several values, of which `value` may be none. */
  readonly exact: boolean;
}

/**
 * Reads the encoding that begins at `offset`; bytes without a 00 are a view. Throws DamagedError
 * where there is none.
 */
export function decodeTyped(bytes: Uint8Array, offset: number): DecodedTyped {
  const end = offset + 1;
  const tag = offset < bytes.length ? bytes[offset]! : 0;
  switch (tag) {
    case NULL:
      return { value: null, end, exact: true };
    case FALSE:
      return { value: false, end, exact: true };
    case TRUE:
      return { value: true, end, exact: true };
    case OBJECT_MARKER:
      return { value: OBJECT, end, exact: true };
    case ARRAY_MARKER:
      return { value: ARRAY, end, exact: true };
    case NUMBER:
      return decodeNumber(bytes, end);
    case TEXT:
    case BYTES:
      return decodeContent(bytes, end, tag === TEXT);
    default:
      throw new DamagedError(`no typed value begins with ${tag} at byte ${offset}`);
  }
}

function decodeNumber(bytes: Uint8Array, offset: number): DecodedTyped {
  if (offset + 8 > bytes.length) throw new DamagedError("a typed number is cut off");
  const negative = bytes[offset]! < 0x80;
  for (let index = 0; index < 8; index += 1) {
    scratch[index] = bytes[offset + index]! ^ (negative ? 0xff : 0);
  }
  if (!negative) scratch[0]! ^= 0x80;
  const value = scratch.readDoubleBE(0);
  if (Number.isNaN(value)) throw new DamagedError(`a typed number at byte ${offset} is NaN`);
  return { value, end: offset + 8, exact: Math.abs(value) < EXACT_NUMBER_LIMIT };
}

function decodeContent(bytes: Uint8Array, offset: number, isText: boolean): DecodedTyped {
  let at = offset;
  let size = 0;
  for (; ; at += 1, size += 1) {
    if (at + 1 >= bytes.length || size > INDEX_TEXT_BYTES_MAX) {
      throw new DamagedError(`a typed text that begins at byte ${offset} is cut off`);
    }
    if (bytes[at] !== 0) continue;
    if (bytes[at + 1] !== ESCAPED_ZERO) break;
    at += 1;
  }
  const end = bytes[at + 1];
  if (end !== END_WHOLE && end !== END_CUT) throw new DamagedError(`a typed text ends in ${end}`);
  const exact = end === END_WHOLE;
  const escaped = bytes.subarray(offset, at);
  const content = escaped.length === size ? escaped : unescaped(escaped, size);
  if (!isText) return { value: content, end: at + 2, exact };
  return { value: utf8.decode(exact ? content : wholeCharacters(content)), end: at + 2, exact };
}

function unescaped(escaped: Uint8Array, size: number): Uint8Array {
  const content = new Uint8Array(size);
  for (let from = 0, index = 0; index < size; index += 1) {
    content[index] = escaped[from]!;
    from += escaped[from] === 0 ? 2 : 1;
  }
  return content;
}

function wholeCharacters(content: Uint8Array): Uint8Array {
  let start = content.length - 1;
  while (start > 0 && (content[start]! & 0xc0) === 0x80) start -= 1;
  const first = content[start]!;
  const size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return start + size <= content.length ? content : content.subarray(0, start);
}

/**
 * The order of full values: by type as in the header, then numbers by amount (bigints exactly),
 * text by UTF-8 bytes, bytes by themselves. Zero for equal ones, also 5 and 5n, 0 and −0.
 */
export function compareAttributeValues(a: AttributeValue, b: AttributeValue): number {
  if (typeof a === "string" && typeof b === "string") return compareText(a, b);
  const [tagA, tagB] = [tagOf(a), tagOf(b)];
  if (tagA !== tagB) return tagA - tagB;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if (tagA !== NUMBER) return 0;
  const [numberA, numberB] = [a as number | bigint, b as number | bigint];
  if (numberA < numberB) return -1;
  return numberA > numberB ? 1 : 0;
}

/** UTF-8 byte order, which is code point order; JavaScript's own puts U+E000 … after pairs. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const size = Math.min(a.length, b.length);
  for (let index = 0; index < size; index += 1) {
    const [unitA, unitB] = [a.charCodeAt(index), b.charCodeAt(index)];
    if (unitA === unitB) continue;
    const [pairA, pairB] = [isSurrogate(unitA), isSurrogate(unitB)];
    return pairA === pairB ? unitA - unitB : pairA ? 1 : -1;
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}
