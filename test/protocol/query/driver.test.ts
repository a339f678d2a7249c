/**
 * Driver: which condition gives a query's rows their order.
 */
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import { checkDriver, chooseDriver, isEquality, rangeOf } from "../../../protocol/query/driver.js";
import { parseFilter, type Condition } from "../../../protocol/query/filter.js";

describe("driver of a query", () => {
  const rows: readonly (readonly [object, "key" | number])[] = [
    [{}, "key"],
    [{ a: { $gt: 1 } }, 0],
    [{ a: { $gt: 1 }, b: 2 }, "key"],
    [{ a: { $gt: 1 }, $key: { $prefix: "x" } }, "key"],
    [{ a: { $exists: true }, b: { $gt: 1 } }, 1],
    [{ a: { $gt: 1 }, b: { $gt: 1, $lt: 5 } }, 1],
    // Two bounds of one side are not two sides.
    [{ a: { $gt: 1, $gte: 0 }, b: { $gt: 1, $lt: 5 } }, 2],
    [{ a: { $gt: 1, $lt: 2 }, b: { $prefix: "x" } }, 2],
    [{ a: { $gt: 1 }, b: { $gt: 1 } }, 0],
    // Records without the member match too, and stand in no index row.
    [{ a: { $exists: false } }, "key"],
    [{ a: null, b: { $gt: 1 } }, 1],
    [{ a: { $in: [1, null] }, b: { $gt: 1 } }, 1],
    [{ a: { $in: [1, 2] }, b: { $gt: 1 } }, "key"],
  ];
  for (const [where, wanted] of rows) {
    it(`is ${wanted} for ${JSON.stringify(where)}`, () => {
      const { conditions } = parseFilter(where);
      const driver = chooseDriver(conditions);
      expect(driver).to.equal(wanted);
      checkDriver(driver, conditions);
    });
  }

  it("is refused out of a cursor unless its condition has a range", () => {
    const { conditions } = parseFilter({ a: 1, b: { $gt: 1 }, $key: { $gt: "a" } });
    checkDriver(1, conditions);
    for (const driver of [0, 2, 3, -1, 0.5]) {
      expect(() => checkDriver(driver, conditions), `${driver}`).to.throw(KvError, /its order/);
    }
  });

  it("has a range for every condition but those that need none, or more than one", () => {
    const { conditions } = parseFilter({
      a: { $gt: 1, $gte: 1, $lt: 1, $lte: 1, $prefix: "x", $exists: true },
      b: { $in: [1] },
      c: { $exists: false },
      $key: { $gt: "a" },
    });
    const has = (each: Condition): boolean => rangeOf(each) !== undefined;
    expect(conditions.filter(has).every(({ path }) => path === "a")).to.equal(true);
    expect(conditions.filter(has)).to.have.length(6);
    expect(conditions.filter(isEquality).map(({ path }) => path)).to.deep.equal(["b"]);
  });
});
