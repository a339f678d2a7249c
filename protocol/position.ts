/**
 * Keys, and the position each of them has on the ring.
 *
 *   position = FNV-1a 32 over the UTF-8 bytes of the routed text, modulo the position count
 *   routed text = the key without its dots; or, if the key has a tag, the tag as it stands
 *   tag = what is between the first `{` and the next `}`, if that is not empty
 *
 * For keys without a tag this is what nats-server's {{partition(n,1,2,…)}} computes over the key's
 * tokens, which is why the dots are left out: the server hashes the tokens joined by nothing. For
 * tagged keys the server knows nothing of the tag, so the position in a subject is a hint only,
 * and the receiver of a request computes it again. Vectors for other languages:
 * test/protocol/position-vectors.json.
 *
 * The functions here are called for every request and every index entry, so they hash the text
 * where it is: nothing is allocated.
 *
 * Source: FNV-1a by Fowler, Noll and Vo; tags as in Redis Cluster.
 */
import { KvError } from "./errors.js";
import type { Position } from "./ids.js";
import { KEY_BYTES_MAX, POSITION_COUNT } from "./limits.js";

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const DOT = 0x2e;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** What a lone surrogate becomes in UTF-8. No checked key has one. */
const REPLACEMENT = 0xfffd;

/** 0 … positionCount − 1. Cost: a few nanoseconds a character. */
export function positionOf(key: string, positionCount: number = POSITION_COUNT): Position {
  let start = 0;
  let end = key.length;
  let skipped = DOT;
  const open = key.indexOf("{");
  if (open >= 0) {
    const close = key.indexOf("}", open + 1);
    if (close > open + 1) {
      start = open + 1;
      end = close;
      skipped = -1;
    }
  }
  let hash = FNV_OFFSET;
  for (let index = start; index < end; index += 1) {
    const unit = key.charCodeAt(index);
    if (unit === skipped) continue;
    if (unit < 0x80) {
      hash = Math.imul(hash ^ unit, FNV_PRIME);
      continue;
    }
    const codePoint = key.codePointAt(index) ?? unit;
    if (codePoint > 0xffff) index += 1;
    hash = hashCodePoint(hash, codePoint);
  }
  return ((hash >>> 0) % positionCount) as Position;
}

/** The same for a key that is at hand as UTF-8. */
export function positionOfBytes(
  keyUtf8: Uint8Array,
  positionCount: number = POSITION_COUNT,
): Position {
  let hash = FNV_OFFSET;
  let isOpen = false;
  for (let index = 0; index < keyUtf8.length; index += 1) {
    const byte = keyUtf8[index] as number;
    // Looked for on the way: a call of indexOf costs more than hashing a short key.
    if (byte === OPEN && !isOpen) {
      isOpen = true;
      const close = keyUtf8.indexOf(CLOSE, index + 1);
      if (close > index + 1) {
        hash = hashBytes(keyUtf8, index + 1, close);
        break;
      }
    }
    if (byte !== DOT) hash = Math.imul(hash ^ byte, FNV_PRIME);
  }
  return ((hash >>> 0) % positionCount) as Position;
}

function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = FNV_OFFSET;
  for (let index = start; index < end; index += 1) {
    hash = Math.imul(hash ^ (bytes[index] as number), FNV_PRIME);
  }
  return hash;
}

/** The bytes of one code point from U+0080 on, as UTF-8 has them. */
function hashCodePoint(hash: number, codePoint: number): number {
  const point = codePoint >= 0xd800 && codePoint <= 0xdfff ? REPLACEMENT : codePoint;
  let next = hash;
  if (point < 0x800) {
    next = Math.imul(next ^ (0xc0 | (point >> 6)), FNV_PRIME);
  } else {
    if (point < 0x10000) {
      next = Math.imul(next ^ (0xe0 | (point >> 12)), FNV_PRIME);
    } else {
      next = Math.imul(next ^ (0xf0 | (point >> 18)), FNV_PRIME);
      next = Math.imul(next ^ (0x80 | ((point >> 12) & 0x3f)), FNV_PRIME);
    }
    next = Math.imul(next ^ (0x80 | ((point >> 6) & 0x3f)), FNV_PRIME);
  }
  return Math.imul(next ^ (0x80 | (point & 0x3f)), FNV_PRIME);
}

const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * The key, if it is one. Throws KvError `bad-request` if it is not text, is empty or is not
 * Unicode, `too-large` for more than KEY_BYTES_MAX bytes of UTF-8.
 */
export function checkKey(key: unknown): string {
  if (typeof key !== "string") {
    const received = key === null ? "null" : Array.isArray(key) ? "an array" : typeof key;
    throw new KvError("bad-request", `key must be text, but ${received} was received`, {
      field: "key",
    });
  }
  if (key === "") {
    throw new KvError("bad-request", `key must have 1 to ${KEY_BYTES_MAX} bytes, but it is empty`, {
      field: "key",
    });
  }
  // Three bytes a UTF-16 unit is the most that UTF-8 takes; short keys need not be measured.
  const size = key.length * 3 <= KEY_BYTES_MAX ? 0 : Buffer.byteLength(key, "utf8");
  if (size > KEY_BYTES_MAX) {
    throw new KvError("too-large", `key has ${size} bytes; at most ${KEY_BYTES_MAX} are allowed`, {
      field: "key",
      limit: KEY_BYTES_MAX,
      size,
    });
  }
  if (LONE_SURROGATE.test(key)) {
    const where = key.search(LONE_SURROGATE);
    const got = `half a surrogate pair, or bytes that are not UTF-8, at index ${where}`;
    const description = `key must be Unicode text, but has ${got}`;
    throw new KvError("bad-request", description, { field: "key" });
  }
  return key;
}
