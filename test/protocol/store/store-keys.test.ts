/**
 * Store keys, built and parsed, and the order they stand in.
 */
import { expect } from "chai";
import fc from "fast-check";
import { DamagedError } from "../../../protocol/damaged.js";
import type { Origin, Position, Sequence, TimeMs } from "../../../protocol/ids.js";
import * as keys from "../../../protocol/store/store-keys.js";
import { typedRangeAll, typedRangeEqual } from "../../../protocol/value/typed-range.js";
import { compareAttributeValues, typedBytes } from "../../../protocol/value/typed-value.js";
import { anyValue } from "../value/typed-values-arbitrary.js";

const anyPosition = fc.nat(1_023).map((number) => number as Position);
const anyU48 = fc.integer({ min: 0, max: 2 ** 48 - 2 });
const anyKey = fc.string({ unit: "binary", minLength: 1, maxLength: 6 }).map(utf8);
const anyPath = fc.string({
  unit: fc.constantFrom("\0", "\u0001", "a", "b", ".", "é"),
  maxLength: 4,
});

describe("store key", () => {
  it("of a record is read as it was built", () => {
    fc.assert(
      fc.property(anyPosition, anyKey, (position, key) => {
        const parsed = keys.parseRecordKey(keys.recordKey(position, key));
        expect(parsed.position).to.equal(position);
        expect(Buffer.compare(parsed.key, key)).to.equal(0);
      }),
    );
  });

  it("of a record lies in its position's range alone", () => {
    fc.assert(
      fc.property(anyPosition, anyPosition, anyKey, (a, b, key) => {
        expect(isIn(keys.recordKey(a, key), keys.recordRange(b))).to.equal(a === b);
      }),
    );
  });

  it("of an index row is read as it was built", () => {
    fc.assert(
      fc.property(anyPath, anyValue, anyKey, (path, value, key) => {
        const row = keys.indexKeyOf(path, value, key);
        expect(row).to.deep.equal(keys.indexKey(path, typedBytes(value), key));
        const parsed = keys.parseIndexKey(row);
        expect(parsed.path).to.equal(path);
        expect(Buffer.compare(parsed.typed, typedBytes(value))).to.equal(0);
        expect(Buffer.compare(parsed.key, key)).to.equal(0);
        if (parsed.exact) expect(compareAttributeValues(parsed.value, value)).to.equal(0);
      }),
      { numRuns: 1_000 },
    );
  });

  it("of an index row lies in its path's range alone", () => {
    fc.assert(
      fc.property(anyPath, anyPath, anyValue, anyKey, (a, b, value, key) => {
        const row = keys.indexKeyOf(a, value, key);
        expect(isIn(row, keys.indexRange(b, typedRangeAll()))).to.equal(a === b);
        expect(isIn(row, keys.indexRange(b, typedRangeEqual(value)))).to.equal(a === b);
      }),
      { numRuns: 1_000 },
    );
  });

  it("stands once for attributes that share an index row", () => {
    const long = "x".repeat(256);
    const attributes = ["a", `${long}1`, `${long}2`, 2 ** 60, 2n ** 60n + 1n, "b"];
    const rows = keys.indexKeysOf(
      attributes.map((value) => ({ path: "p", value })),
      utf8("k"),
    );
    expect(rows.length).to.equal(4);
  });

  it("of positions, outcomes and origins is read as it was built", () => {
    fc.assert(
      fc.property(
        anyPosition,
        anyU48,
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        (p, s, o) => {
          const origin = Buffer.from(o).toString("hex") as Origin;
          expect(keys.parsePositionKey(keys.positionKey(p))).to.equal(p);
          expect(keys.parseOutcomeKey(keys.outcomeKey(s as Sequence))).to.equal(s);
          expect(keys.parseOriginKey(keys.originKey(origin))).to.equal(origin);
          expect(isIn(keys.positionKey(p), keys.allPositionsRange())).to.equal(true);
          expect(isIn(keys.originKey(origin), keys.allOriginsRange())).to.equal(true);
        },
      ),
    );
  });

  it("of an outcome sorts by its sequence", () => {
    fc.assert(
      fc.property(anyU48, anyU48, anyU48, (at, from, to) => {
        const row = keys.outcomeKey(at as Sequence);
        const range = keys.outcomeRange(from as Sequence, to as Sequence);
        expect(isIn(row, range)).to.equal(from <= at && at < to);
      }),
    );
  });

  it("of an expiry is in the range up to its time, and not before", () => {
    fc.assert(
      fc.property(anyPosition, anyU48, anyKey, (position, time, key) => {
        const row = keys.expiryKey(position, time as TimeMs, key);
        const parsed = keys.parseExpiryKey(row);
        expect([parsed.position, parsed.expiresAt]).to.deep.equal([position, time]);
        expect(Buffer.compare(parsed.key, key)).to.equal(0);
        expect(isIn(row, keys.expiryRange(position, time as TimeMs))).to.equal(true);
        if (time === 0) return;
        expect(isIn(row, keys.expiryRange(position, (time - 1) as TimeMs))).to.equal(false);
      }),
    );
  });

  it("of one kind is refused as another, and when it is cut", () => {
    const row = keys.recordKey(1 as Position, utf8("k"));
    expect(() => keys.parseExpiryKey(row)).to.throw(DamagedError);
    expect(() => keys.parseRecordKey(row.subarray(0, 2))).to.throw(DamagedError);
    expect(() => keys.parseIndexKey(Buffer.from("ia"))).to.throw(DamagedError);
    expect(() => keys.parseRecordKey(keys.appliedKey)).to.throw(DamagedError);
  });
});

function utf8(text: string): Uint8Array {
  return Buffer.from(text, "utf8");
}

function isIn(key: Uint8Array, range: keys.KeyRange): boolean {
  return Buffer.compare(range.from, key) <= 0 && Buffer.compare(key, range.to) < 0;
}
