/**
 * What a compressor made, and bytes that none made.
 */
import { expect } from "chai";
import fc from "fast-check";
import { compressSync } from "snappy";
import { unsnap } from "../../../infra/rocksdb/snappy.js";

describe("snappy", () => {
  // Three bytes as they stand, and a copy of them that overlaps itself.
  const known = Buffer.from([9, 2 << 2, ...Buffer.from("abc"), 0x01 | (2 << 2), 3]);

  it("gives what was packed", () => {
    expect(unsnap(known).toString()).to.equal("abcabcabc");
    expect(unsnap(Buffer.from([0]))).to.have.length(0);
    const rows = Buffer.from(Array.from({ length: 20_000 }, (_, row) => `row ${row}`).join());
    expect(unsnap(compressSync(rows)).equals(rows)).to.equal(true);
  });

  const wrong: readonly (readonly [name: string, bytes: readonly number[]])[] = [
    ["no length", []],
    ["a length without end", [0x80]],
    ["fewer bytes than it says", [10, ...known.subarray(1)]],
    ["more bytes than it says", [8, ...known.subarray(1)]],
    ["a copy of what is not there", [...known.subarray(0, -1), 4]],
    ["an element that is cut off", [...known.subarray(0, -1)]],
  ];
  for (const [name, bytes] of wrong) {
    it(`refuses ${name}`, () => expect(() => unsnap(Buffer.from(bytes))).to.throw(Error));
  }

  it("makes no room for a length that no index has, and names it", () => {
    for (const length of [2 ** 28 + 1, 2 ** 32 - 1, 2 ** 40]) {
      const claim = [...varint(length), ...known.subarray(1)];
      expect(() => unsnap(Buffer.from(claim))).to.throw(Error, `${length} bytes are more`);
    }
  });

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

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80);
  return [...bytes, value];
}
