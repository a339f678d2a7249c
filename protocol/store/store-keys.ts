/**
 * Keys of a replica's store. The first byte says which kind; numbers are big-endian, so that
 * order of bytes is order of numbers.
 *
 *   record    d  position u16  key
 *   index     i  path  00 01  typed value  key          the row is empty
 *   position  n  position u16
 *   outcome   q  sequence u48
 *   origin    o  16 bytes
 *   expiry    x  position u16  expires at u48  key      the row is empty
 *   applied   a
 *
 * In a path (UTF-8), 00 is written 00 FF, as in typed-value.ts. A key is UTF-8 and ends its row's
 * key. Index keys have no position: it is a function of the key, and rows of all positions in the
 * order of their values are what a query reads.
 *
 * Parse functions return views, not copies, and throw DamagedError for what no builder made.
 */
import { assert } from "../assert.js";
import { DamagedError } from "../damaged.js";
import type { Origin, Position, Sequence, TimeMs } from "../ids.js";
import type { Attribute } from "../value/attributes.js";
import {
  decodeTyped,
  encodeTyped,
  isExactlyIndexed,
  TYPED_BYTES_MAX,
  type AttributeValue,
  type DecodedTyped,
  type TypedRange,
} from "../value/typed-value.js";

/** from ≤ key < to. */
export interface KeyRange {
  readonly from: Buffer;
  readonly to: Buffer;
}

const RECORD = 0x64;
const INDEX = 0x69;
const POSITION = 0x6e;
const OUTCOME = 0x71;
const ORIGIN = 0x6f;
const EXPIRY = 0x78;
const APPLIED = 0x61;

const RECORD_HEAD_BYTES = 3;
const EXPIRY_HEAD_BYTES = 9;

/** Paths whose bytes are remembered: applications have few, and use them in every row. */
const PATHS_REMEMBERED_MAX = 4_096;
const pathHeads = new Map<string, Buffer>();
/** The path that was parsed last: a scan's rows all have the same. A head is never empty. */
let parsed: { readonly head: Buffer; readonly path: string } = {
  head: Buffer.from([INDEX, 0, 1]),
  path: "",
};

const typed = Buffer.alloc(TYPED_BYTES_MAX);

export function recordKey(position: Position, keyUtf8: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(RECORD_HEAD_BYTES + keyUtf8.length);
  writePosition(bytes, RECORD, position);
  bytes.set(keyUtf8, RECORD_HEAD_BYTES);
  return bytes;
}

export function parseRecordKey(bytes: Uint8Array): { position: Position; key: Uint8Array } {
  check(bytes, RECORD, RECORD_HEAD_BYTES, "record");
  return { position: positionAt(bytes), key: bytes.subarray(RECORD_HEAD_BYTES) };
}

/** All records of a position. */
export function recordRange(position: Position): KeyRange {
  return positionRange(RECORD, position);
}

/** `typedValue` is one encoding of typed-value.ts. */
export function indexKey(path: string, typedValue: Uint8Array, keyUtf8: Uint8Array): Buffer {
  return indexKeyFrom(pathHead(path), typedValue, typedValue.length, keyUtf8);
}

/**
 * The index keys of a value's attributes, none twice: long texts that begin alike, and large
 * numbers that share a double, share a row.
 */
export function indexKeysOf(attributes: readonly Attribute[], keyUtf8: Uint8Array): Buffer[] {
  const keys: Buffer[] = [];
  let inexactCount = 0;
  for (const { path, value } of attributes) {
    keys.push(indexKeyOf(path, value, keyUtf8));
    if (!isExactlyIndexed(value)) inexactCount += 1;
  }
  return inexactCount < 2 ? keys : withoutDuplicates(keys);
}

export function indexKeyOf(path: string, value: AttributeValue, keyUtf8: Uint8Array): Buffer {
  return indexKeyFrom(pathHead(path), typed, encodeTyped(value, typed, 0), keyUtf8);
}

function indexKeyFrom(
  head: Buffer,
  typedValue: Uint8Array,
  typedSize: number,
  keyUtf8: Uint8Array,
): Buffer {
  const bytes = Buffer.allocUnsafe(head.length + typedSize + keyUtf8.length);
  bytes.set(head, 0);
  // A loop is cheaper than a view for the few bytes that most values have.
  for (let index = 0; index < typedSize; index += 1) {
    bytes[head.length + index] = typedValue[index]!;
  }
  bytes.set(keyUtf8, head.length + typedSize);
  return bytes;
}

function withoutDuplicates(keys: readonly Buffer[]): Buffer[] {
  const unique = new Map<string, Buffer>();
  for (const key of keys) unique.set(key.toString("latin1"), key);
  return [...unique.values()];
}

export interface ParsedIndexKey extends DecodedTyped {
  readonly path: string;
  /** The typed value's bytes: equal ones are one run (typed-value.ts). */
  readonly typed: Uint8Array;
  readonly key: Uint8Array;
}

export function parseIndexKey(bytes: Uint8Array): ParsedIndexKey {
  check(bytes, INDEX, 3, "index");
  if (!beginsWith(bytes, parsed.head)) {
    const pathEnd = endOfPath(bytes);
    parsed = { head: Buffer.from(bytes.subarray(0, pathEnd + 2)), path: pathOf(bytes, pathEnd) };
  }
  const typedAt = parsed.head.length;
  const { value, end, exact } = decodeTyped(bytes, typedAt);
  const typedValue = bytes.subarray(typedAt, end);
  return { path: parsed.path, value, exact, end, typed: typedValue, key: bytes.subarray(end) };
}

function beginsWith(bytes: Uint8Array, head: Buffer): boolean {
  if (bytes.length < head.length) return false;
  for (let at = 0; at < head.length; at += 1) if (bytes[at] !== head[at]) return false;
  return true;
}

/** Index rows of a path whose values lie in the range. */
export function indexRange(path: string, range: TypedRange): KeyRange {
  const head = pathHead(path);
  return { from: Buffer.concat([head, range.from]), to: Buffer.concat([head, range.to]) };
}

/** What all index keys of a path begin with. Not to be changed: it is remembered. */
function pathHead(path: string): Buffer {
  const known = pathHeads.get(path);
  if (known !== undefined) return known;
  if (pathHeads.size >= PATHS_REMEMBERED_MAX) pathHeads.clear();
  const parts = path.split("\0").map((part) => Buffer.from(part, "utf8"));
  const bytes: number[] = [INDEX];
  for (const [index, part] of parts.entries()) {
    if (index > 0) bytes.push(0, 0xff);
    for (const byte of part) bytes.push(byte);
  }
  bytes.push(0, 1);
  const head = Buffer.from(bytes);
  pathHeads.set(path, head);
  return head;
}

function endOfPath(bytes: Uint8Array): number {
  for (let at = 1; at + 1 < bytes.length; at += 1) {
    if (bytes[at] !== 0) continue;
    if (bytes[at + 1] === 1) return at;
    if (bytes[at + 1] !== 0xff) break;
    at += 1;
  }
  throw new DamagedError("damaged index key: its path has no end");
}

function pathOf(bytes: Uint8Array, pathEnd: number): string {
  const escaped = Buffer.from(bytes.subarray(1, pathEnd));
  // UTF-8 has no FF, so every FF is an escape's.
  return Buffer.from(escaped.filter((byte) => byte !== 0xff)).toString("utf8");
}

export function positionKey(position: Position): Buffer {
  const bytes = Buffer.allocUnsafe(3);
  writePosition(bytes, POSITION, position);
  return bytes;
}

export function parsePositionKey(bytes: Uint8Array): Position {
  check(bytes, POSITION, 3, "position");
  return positionAt(bytes);
}

/** The rows of all positions. */
export function allPositionsRange(): KeyRange {
  return { from: Buffer.from([POSITION]), to: Buffer.from([POSITION + 1]) };
}

export function outcomeKey(sequence: Sequence): Buffer {
  const bytes = Buffer.allocUnsafe(7);
  bytes[0] = OUTCOME;
  bytes.writeUIntBE(sequence, 1, 6);
  return bytes;
}

export function parseOutcomeKey(bytes: Uint8Array): Sequence {
  check(bytes, OUTCOME, 7, "outcome");
  return u48At(bytes, 1) as Sequence;
}

/** Outcome rows of sequences `from` up to, not including, `to`. */
export function outcomeRange(from: Sequence, to: Sequence): KeyRange {
  return { from: outcomeKey(from), to: outcomeKey(to) };
}

export function originKey(origin: Origin): Buffer {
  const bytes = Buffer.allocUnsafe(17);
  bytes[0] = ORIGIN;
  const written = bytes.write(origin, 1, 16, "hex");
  assert(written === 16 && origin.length === 32, `an origin has 32 hexadecimal digits: ${origin}`);
  return bytes;
}

export function parseOriginKey(bytes: Uint8Array): Origin {
  check(bytes, ORIGIN, 17, "origin");
  return Buffer.from(bytes.subarray(1, 17)).toString("hex") as Origin;
}

/** The rows of all origins. */
export function allOriginsRange(): KeyRange {
  return { from: Buffer.from([ORIGIN]), to: Buffer.from([ORIGIN + 1]) };
}

export function expiryKey(position: Position, expiresAt: TimeMs, keyUtf8: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(EXPIRY_HEAD_BYTES + keyUtf8.length);
  writePosition(bytes, EXPIRY, position);
  bytes.writeUIntBE(expiresAt, 3, 6);
  bytes.set(keyUtf8, EXPIRY_HEAD_BYTES);
  return bytes;
}

export interface ParsedExpiryKey {
  readonly position: Position;
  readonly expiresAt: TimeMs;
  readonly key: Uint8Array;
}

export function parseExpiryKey(bytes: Uint8Array): ParsedExpiryKey {
  check(bytes, EXPIRY, EXPIRY_HEAD_BYTES, "expiry");
  const expiresAt = u48At(bytes, 3) as TimeMs;
  return { position: positionAt(bytes), expiresAt, key: bytes.subarray(EXPIRY_HEAD_BYTES) };
}

/** Rows of a position that expire at `upTo` or before. */
export function expiryRange(position: Position, upTo: TimeMs): KeyRange {
  const none = new Uint8Array(0);
  const from = expiryKey(position, 0 as TimeMs, none);
  return { from, to: expiryKey(position, (upTo + 1) as TimeMs, none) };
}

/** The one row of what has been applied. Not to be changed. */
export const appliedKey: Buffer = Buffer.from([APPLIED]);

function positionRange(kind: number, position: Position): KeyRange {
  const from = Buffer.allocUnsafe(3);
  const to = Buffer.allocUnsafe(3);
  writePosition(from, kind, position);
  writePosition(to, kind, (position + 1) as Position);
  return { from, to };
}

function writePosition(bytes: Buffer, kind: number, position: Position): void {
  bytes[0] = kind;
  bytes[1] = position >>> 8;
  bytes[2] = position & 0xff;
}

function positionAt(bytes: Uint8Array): Position {
  return (bytes[1]! * 256 + bytes[2]!) as Position;
}

function u48At(bytes: Uint8Array, at: number): number {
  let number = 0;
  for (let index = at; index < at + 6; index += 1) number = number * 256 + bytes[index]!;
  return number;
}

function check(bytes: Uint8Array, kind: number, bytesMin: number, name: string): void {
  if (bytes[0] === kind && bytes.length >= bytesMin) return;
  throw new DamagedError(`damaged ${name} key: ${Buffer.from(bytes).toString("hex")}`);
}
