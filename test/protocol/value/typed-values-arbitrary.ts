/**
 * Attribute values at random, with those close together that a wrong encoding would confuse:
 * shared prefixes about as long as an index entry, NULs, characters of every length, denormals,
 * integers around 2^53.
 */
import fc from "fast-check";
import { ARRAY, OBJECT, type AttributeValue } from "../../../protocol/value/typed-value.js";

const number = fc.oneof(
  fc.double({ noNaN: true }),
  fc.constantFrom(0, -0, Number.MIN_VALUE, -Number.MIN_VALUE, 2.2250738585072014e-308, 2 ** 53),
  fc.integer({ min: -3, max: 3 }),
);
const integer = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.bigInt({ min: 2n ** 53n - 3n, max: 2n ** 53n + 5n }),
  fc.bigInt({ min: -3n, max: 3n }),
);
const character = fc.constantFrom("\0", "\u0001", "a", "z", "\u007f", "é", "€", "\uffff", "😀");
const shortText = fc.string({ unit: character, maxLength: 4 });
const prefix = fc.integer({ min: 252, max: 258 }).map((size) => "x".repeat(size));
const longText = fc.tuple(prefix, shortText).map(([start, end]) => start + end);
const text = fc.oneof(shortText, longText, fc.string({ unit: "binary", maxLength: 300 }));
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 4 }),
  longText.map((value) => new Uint8Array(Buffer.from(value))),
);

export const anyText: fc.Arbitrary<string> = text;
export const anyValue: fc.Arbitrary<AttributeValue> = fc.oneof(
  fc.constantFrom<AttributeValue>(null, true, false, OBJECT, ARRAY),
  number,
  integer,
  text,
  bytes,
);
