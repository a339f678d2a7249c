/**
 * Position row: written, read, damaged.
 */
import { expect } from "chai";
import fc from "fast-check";
import { PositionDigest } from "../../../protocol/digest.js";
import type { Revision } from "../../../protocol/ids.js";
import {
  decodePositionRow,
  encodePositionRow,
  positionStates,
  type PositionRow,
} from "../../../protocol/store/position-row.js";
import { expectDamageNoticed } from "./damaged-rows.js";

const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });

describe("position row", () => {
  const digest = new PositionDigest();

  digest.addIndex(Buffer.from("row"));

  const anyPositionRow: fc.Arbitrary<PositionRow> = fc.record({
    state: fc.constantFrom(...positionStates),
    generation: fc.nat(2 ** 31 - 1),
    revision: u48.map((number) => number as Revision),
    keys: u48,
    bytes: u48,
    digest: fc.constantFrom(digest, new PositionDigest()),
  });

  it("is read as it was written", () => {
    fc.assert(
      fc.property(anyPositionRow, (row) => {
        const read = decodePositionRow(encodePositionRow(row));
        expect({ ...read, digest: undefined }).to.deep.equal({ ...row, digest: undefined });
        expect(read.digest.equals(row.digest)).to.equal(true);
      }),
    );
  });

  it("is known as damaged", () => {
    const [row] = fc.sample(anyPositionRow, { numRuns: 1, seed: 4 });
    expectDamageNoticed(encodePositionRow(row as PositionRow), decodePositionRow);
  });
});
