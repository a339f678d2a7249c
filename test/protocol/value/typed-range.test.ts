/**
 * Ranges hold every value that fulfils their condition, and nothing else where they are exact.
 */
import { expect } from "chai";
import fc from "fast-check";
import {
  bytesAfter,
  typedRangeAll,
  typedRangeCompare,
  typedRangeEqual,
  typedRangePrefix,
} from "../../../protocol/value/typed-range.js";
import {
  compareAttributeValues,
  typedBytes,
  type AttributeValue,
  type TypedRange,
} from "../../../protocol/value/typed-value.js";
import { anyText, anyValue } from "./typed-values-arbitrary.js";

describe("typed range", () => {
  it("of equality holds the value", () => {
    fc.assert(
      fc.property(anyValue, anyValue, (bound, value) => {
        check(typedRangeEqual(bound), value, compareAttributeValues(bound, value) === 0);
      }),
      { numRuns: 2_000 },
    );
  });

  it("of a comparison holds the values of the type on that side", () => {
    fc.assert(
      fc.property(anyValue, anyValue, (bound, value) => {
        const order = compareAttributeValues(value, bound);
        const comparable = isOfSameType(bound, value);
        check(typedRangeCompare(">", bound), value, comparable && order > 0);
        check(typedRangeCompare(">=", bound), value, comparable && order >= 0);
        check(typedRangeCompare("<", bound), value, comparable && order < 0);
        check(typedRangeCompare("<=", bound), value, comparable && order <= 0);
      }),
      { numRuns: 3_000 },
    );
  });

  it("of a prefix holds the texts that begin with it", () => {
    fc.assert(
      fc.property(anyText, anyValue, fc.nat(5), (text, value, size) => {
        const prefixes = [text, text.slice(0, size), "x".repeat(256), "x".repeat(257)];
        for (const prefix of prefixes.filter((candidate) => !/\p{Surrogate}/u.test(candidate))) {
          const wanted = typeof value === "string" && value.startsWith(prefix);
          check(typedRangePrefix(prefix), value, wanted);
          check(typedRangePrefix(prefix), `${prefix}!`, true);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("of everything holds all", () => {
    fc.assert(fc.property(anyValue, (value) => check(typedRangeAll(), value, true)));
  });

  it("ends after all bytes with a common beginning, also behind ff", () => {
    expect(bytesAfter(Buffer.from("01ffff", "hex")).toString("hex")).to.equal("02");
    expect(bytesAfter(Buffer.from("0102", "hex")).toString("hex")).to.equal("0103");
  });
});

/** Rows have a record's key behind the value, which must not move them out of the range. */
function check(range: TypedRange, value: AttributeValue, wanted: boolean): void {
  for (const key of ["", "k", "\uffff"]) {
    const row = Buffer.concat([typedBytes(value), Buffer.from(key)]);
    const held = Buffer.compare(range.from, row) <= 0 && Buffer.compare(row, range.to) < 0;
    if (wanted || range.exact) expect(held).to.equal(wanted);
  }
}

function isOfSameType(a: AttributeValue, b: AttributeValue): boolean {
  const type = (value: AttributeValue): unknown => {
    if (value === null || typeof value === "symbol") return value;
    return typeof value === "bigint" ? "number" : typeof value;
  };
  return type(a) === type(b);
}
