/**
 * Origin rows: read as they were written, always of the same bytes, and damage is noticed.
 */
import { expect } from "chai";
import fc from "fast-check";
import { DamagedError } from "../../../protocol/damaged.js";
import type { TimeMs } from "../../../protocol/ids.js";
import { decodeOriginRow, encodeOriginRow } from "../../../protocol/store/origin-row.js";

const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const row = { number: 7, seenAt: 1_700_000_000_123 as TimeMs };

describe("origin row", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(u48, u48, (number, seenAt) => {
        const known = { number, seenAt: seenAt as TimeMs };
        expect(decodeOriginRow(encodeOriginRow(known))).to.deep.equal(known);
      }),
    );
  });

  it("has the bytes that stores hold", () => {
    expect(encodeOriginRow(row).toString("hex")).to.equal("000000000007018bcfe5687b9c3290ca");
  });

  it("is known as damaged if it is cut, longer, or one bit of it is flipped", () => {
    const bytes = encodeOriginRow(row);
    const damaged = [...bytes.keys()].map((size) => bytes.subarray(0, size));
    damaged.push(Buffer.concat([bytes, Buffer.alloc(1)]));
    for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      damaged.push(flipped);
    }
    for (const each of damaged) {
      expect(() => decodeOriginRow(each), each.toString("hex")).to.throw(DamagedError);
    }
  });
});
