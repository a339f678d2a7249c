/**
 * Snappy's elements, one by one, and bytes that no compressor made.
 */
import { expect } from "chai";
import fc from "fast-check";
import { unsnap } from "../../infra/snappy.js";

describe("snappy", () => {
  const literal = (text: string): number[] => [(text.length - 1) << 2, ...Buffer.from(text)];
  const cases: readonly (readonly [name: string, bytes: readonly number[], result: string])[] = [
    ["nothing", [0], ""],
    ["bytes as they stand", [3, ...literal("abc")], "abc"],
    ["a short copy", [8, ...literal("abcd"), 0x01, 4], "abcdabcd"],
    ["a copy that overlaps itself", [9, ...literal("ab"), 0x01 | (3 << 2), 2], "ababababa"],
    ["a copy by two bytes", [5, ...literal("abc"), 0x02 | (1 << 2), 3, 0], "abcab"],
    ["a copy by four bytes", [5, ...literal("abc"), 0x03 | (1 << 2), 2, 0, 0, 0], "abcbc"],
    ["a length of its own byte", [70, 60 << 2, 69, ...Buffer.alloc(70, 120)], "x".repeat(70)],
  ];
  for (const [name, bytes, result] of cases) {
    it(`has ${name}`, () => expect(unsnap(Buffer.from(bytes)).toString()).to.equal(result));
  }

  const wrong: readonly (readonly [name: string, bytes: readonly number[]])[] = [
    ["no length", []],
    ["a length without end", [0x80]],
    ["fewer bytes than it says", [4, ...literal("abc")]],
    ["more bytes than it says", [2, ...literal("abc")]],
    ["a copy of what is not there", [8, ...literal("ab"), 0x01, 3]],
    ["a copy of nothing", [8, ...literal("ab"), 0x01, 0]],
    ["an element that is cut off", [8, ...literal("ab"), 0x02, 1]],
  ];
  for (const [name, bytes] of wrong) {
    it(`refuses ${name}`, () => expect(() => unsnap(Buffer.from(bytes))).to.throw(Error));
  }

  it("makes of any bytes the length that they say, or an error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (tail) => {
        const length = tail.length % 128;
        try {
          expect(unsnap(Buffer.from([length, ...tail])).length).to.equal(length);
        } catch (error) {
          expect(error).to.be.instanceOf(Error).and.not.to.be.instanceOf(RangeError);
        }
      }),
    );
  });
});
