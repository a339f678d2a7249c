/**
 * Ranges of typed values that hold what a condition can match; typed-value.ts has the bytes.
 *
 * A range is over encodings, from inclusive, to exclusive; store-keys.ts puts a path before it. It
 * holds every row that fulfils the condition. If it is not `exact` it may hold others, at its
 * ends: rows whose encoding stands for several values. Those are re-checked.
 */
import {
  encodeTyped,
  isExactlyIndexed,
  typedBytes,
  TYPED_BYTES_MAX,
  type AttributeValue,
  type TypedRange,
} from "./typed-value.js";

export type Comparison = ">" | ">=" | "<" | "<=";

/** First tag and the one after the last, by the tag of a value: false and true are one type. */
const typeBounds: readonly (readonly [number, number])[] = [
  [0, 0],
  [1, 2],
  [2, 4],
  [2, 4],
  [4, 5],
  [5, 6],
  [6, 7],
  [7, 8],
  [8, 9],
];

/** Every value of every type, markers too: all rows of a path. */
export function typedRangeAll(): TypedRange {
  return { from: Buffer.from([1]), to: Buffer.from([9]), exact: true };
}

export function typedRangeEqual(value: AttributeValue): TypedRange {
  const from = typedBytes(value);
  return { from, to: bytesAfter(from), exact: isExactlyIndexed(value) };
}

/** Values of the same type as `value` on one side of it. May be empty (from = to). */
export function typedRangeCompare(comparison: Comparison, value: AttributeValue): TypedRange {
  const at = typedBytes(value);
  const [first, after] = boundsOf(at);
  const exact = isExactlyIndexed(value);
  // Where the encoding stands for several values, some of them may lie on the wanted side.
  const inclusive = !exact || comparison === ">=" || comparison === "<=";
  if (comparison === ">" || comparison === ">=") {
    return { from: inclusive ? at : bytesAfter(at), to: Buffer.from([after]), exact };
  }
  return { from: Buffer.from([first]), to: inclusive ? bytesAfter(at) : at, exact };
}

/** Texts that begin with `prefix`; with an empty one, all texts. */
export function typedRangePrefix(prefix: string): TypedRange {
  const whole = Buffer.alloc(TYPED_BYTES_MAX);
  const end = encodeTyped(prefix, whole, 0);
  if (!isExactlyIndexed(prefix)) {
    const from = whole.subarray(0, end);
    return { from, to: bytesAfter(from), exact: false };
  }
  const from = whole.subarray(0, end - 2);
  return { from, to: bytesAfter(from), exact: true };
}

function boundsOf(encoding: Buffer): readonly [number, number] {
  return typeBounds[encoding[0]!]!;
}

/** The least bytes above all that begin with `bytes`. */
export function bytesAfter(bytes: Uint8Array): Buffer {
  let size = bytes.length;
  while (size > 0 && bytes[size - 1] === 0xff) size -= 1;
  const after = Buffer.from(bytes.subarray(0, size));
  if (size > 0) after[size - 1]! += 1;
  return after;
}
