/**
 * Typed values: the order of bytes is the order of values, and what was written is read back.
 */
import { expect } from "chai";
import fc from "fast-check";
import { DamagedError } from "../../../protocol/damaged.js";
import {
  ARRAY,
  compareAttributeValues,
  decodeTyped,
  isExactlyIndexed,
  OBJECT,
  typedBytes,
  type AttributeValue,
} from "../../../protocol/value/typed-value.js";
import { anyValue } from "./typed-values-arbitrary.js";

const limit = 256;

describe("typed value", () => {
  it("orders bytes as values, where the bytes differ", () => {
    fc.assert(
      fc.property(anyValue, anyValue, (a, b) => {
        const bytes = Buffer.compare(typedBytes(a), typedBytes(b));
        const values = Math.sign(compareAttributeValues(a, b));
        if (bytes !== 0) expect(bytes).to.equal(values);
        else if (values !== 0) {
          expect([isExactlyIndexed(a), isExactlyIndexed(b)]).to.deep.equal([false, false]);
        }
      }),
      { numRuns: 5_000 },
    );
  });

  it("orders any three values without contradiction", () => {
    fc.assert(
      fc.property(anyValue, anyValue, anyValue, (a, b, c) => {
        const sorted: AttributeValue[] = [a, b, c];
        sorted.sort(compareAttributeValues);
        expect(compareAttributeValues(sorted[0]!, sorted[2]!)).to.be.at.most(0);
        expect(compareAttributeValues(b, a)).to.equal(-compareAttributeValues(a, b) + 0);
      }),
    );
  });

  it("reads back what it wrote, and says where that is not the whole value", () => {
    fc.assert(
      fc.property(anyValue, fc.uint8Array({ maxLength: 5 }), (value, after) => {
        const bytes = typedBytes(value);
        const read = decodeTyped(Buffer.concat([Buffer.from([7]), bytes, after]), 1);
        expect(read.end).to.equal(1 + bytes.length);
        expect(read.exact).to.equal(isExactlyIndexed(value));
        if (read.exact) expect(compareAttributeValues(read.value, value)).to.equal(0);
      }),
      { numRuns: 2_000 },
    );
  });

  it("puts the types in their order", () => {
    const inOrder: AttributeValue[] = [
      null,
      false,
      true,
      -Infinity,
      -(2n ** 63n),
      -1.5,
      -Number.MIN_VALUE,
      0,
      Number.MIN_VALUE,
      1,
      2n ** 64n - 1n,
      Infinity,
      "",
      "\0",
      "a",
      "a\0",
      "ab",
      "\u{ffff}",
      "\u{10000}",
      new Uint8Array(0),
      new Uint8Array([255]),
      OBJECT,
      ARRAY,
    ];
    const bytes = inOrder.map(typedBytes);
    expect(bytes.toSorted((a, b) => Buffer.compare(a, b))).to.deep.equal(bytes);
    expect(inOrder.toSorted(compareAttributeValues)).to.deep.equal(inOrder);
  });

  it("writes equal numbers equally, whatever their spelling", () => {
    expect(typedBytes(-0)).to.deep.equal(typedBytes(0));
    expect(typedBytes(5n)).to.deep.equal(typedBytes(5));
    expect(compareAttributeValues(5n, 5)).to.equal(0);
    expect(typedBytes(1).toString("hex")).to.equal("04bff0000000000000");
    expect(typedBytes(-1).toString("hex")).to.equal("04400fffffffffffff");
  });

  it("says from 2^53 on that a number may stand for others", () => {
    expect(isExactlyIndexed(2 ** 53 - 1)).to.equal(true);
    expect(isExactlyIndexed(2 ** 53)).to.equal(false);
    expect(isExactlyIndexed(-(2n ** 53n) + 1n)).to.equal(true);
    expect(isExactlyIndexed(-(2n ** 53n))).to.equal(false);
    expect(typedBytes(2n ** 53n + 1n)).to.deep.equal(typedBytes(2 ** 53));
    expect(compareAttributeValues(2n ** 53n + 1n, 2 ** 53)).to.equal(1);
  });

  it("cuts text after 256 bytes and sorts it after the text of just those", () => {
    const whole = "x".repeat(limit);
    expect(isExactlyIndexed(whole)).to.equal(true);
    expect(isExactlyIndexed(`${whole}y`)).to.equal(false);
    expect(typedBytes(`${whole}y`)).to.deep.equal(typedBytes(`${whole}z`));
    expect(Buffer.compare(typedBytes(whole), typedBytes(`${whole}y`))).to.equal(-1);
    expect(decodeTyped(typedBytes(`${whole}y`), 0).value).to.equal(whole);
  });

  it("keeps the order where a cut falls into a character", () => {
    const prefix = "x".repeat(limit - 2);
    const [split, after] = [`${prefix}\u20ac`, `${prefix}zz`];
    expect(compareAttributeValues(split, after)).to.be.above(0);
    expect(Buffer.compare(typedBytes(split), typedBytes(after))).to.equal(1);
    expect(decodeTyped(typedBytes(split), 0)).to.include({ value: prefix, exact: false });
  });

  it("keeps the order where a cut falls between the halves of a surrogate pair", () => {
    const [a, b] = [`${"x".repeat(limit)}\u{1f600}`, `${"x".repeat(limit - 1)}\u{1f600}`];
    expect(Math.sign(compareAttributeValues(a, b))).to.equal(-1);
    expect(Buffer.compare(typedBytes(a), typedBytes(b))).to.equal(-1);
  });

  it("refuses bytes that are no typed value", () => {
    for (const hex of ["", "00", "09", "0400", "05", "0561", "056100", "05610003", "050000"]) {
      expect(() => decodeTyped(Buffer.from(hex, "hex"), 0), hex).to.throw(DamagedError);
    }
  });
});
