/**
 * Records written and read, whole and damaged.
 */
import { expect } from "chai";
import fc from "fast-check";
import type { Revision, TimeMs } from "../../../protocol/ids.js";
import { contentTypes, type StoredRecord } from "../../../protocol/operation.js";
import { DamagedError, decodeRecord, encodeRecord } from "../../../protocol/store/record.js";

const u48 = fc.oneof(fc.nat(), fc.integer({ min: 0, max: 2 ** 48 - 1 }));
const anyRecord: fc.Arbitrary<StoredRecord> = fc.record({
  revision: u48.map((number) => number as Revision),
  updatedAt: u48.map((number) => number as TimeMs),
  expiresAt: u48.map((number) => number as TimeMs),
  contentType: fc.constantFrom(...contentTypes),
  value: fc.uint8Array({ maxLength: 40 }),
});

describe("record", () => {
  it("is read as it was written, also at an offset in a larger buffer", () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        const row = new Uint8Array(Buffer.concat([Buffer.from("ab"), encodeRecord(record)]));
        expect(decodeRecord(row.subarray(2))).to.deep.equal(record);
      }),
    );
  });

  it("gives the value as a view into the row", () => {
    const row = encodeRecord({ ...fc.sample(anyRecord, 1)[0]!, value: Buffer.from("value") });
    expect(decodeRecord(row).value.buffer).to.equal(row.buffer);
  });

  it("is told to be damaged when any one bit is flipped", () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        const row = encodeRecord(record);
        for (let bit = 0; bit < row.length * 8; bit += 1) {
          row[bit >> 3]! ^= 1 << (bit & 7);
          expect(() => decodeRecord(row), `bit ${bit}`).to.throw(DamagedError, "damaged record");
          row[bit >> 3]! ^= 1 << (bit & 7);
        }
      }),
      { numRuns: 20 },
    );
  });

  it("is told to be damaged when it is cut or longer", () => {
    const row = encodeRecord(fc.sample(anyRecord, 1)[0]!);
    for (let size = 0; size < row.length; size += 1) {
      expect(() => decodeRecord(row.subarray(0, size))).to.throw(DamagedError);
    }
    expect(() => decodeRecord(Buffer.concat([row, Buffer.alloc(1)]))).to.throw(DamagedError);
  });
});
