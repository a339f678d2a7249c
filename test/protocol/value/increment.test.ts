/**
 * Increments at the root and along paths, and what they refuse.
 */
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import { increment } from "../../../protocol/value/increment.js";
import type { Plain } from "../../../protocol/value/plain.js";

describe("increment", () => {
  it("counts what is missing as 0, and makes the objects on the way", () => {
    expect(increment(undefined, undefined, 2)).to.deep.equal({ value: 2, number: 2 });
    expect(increment(undefined, "a.b", 2)).to.deep.equal({ value: { a: { b: 2 } }, number: 2 });
    expect(increment({ x: 1 }, "a", -1)).to.deep.equal({ value: { x: 1, a: -1 }, number: -1 });
  });

  it("adds to the number at the path and leaves the given value alone", () => {
    const target: Plain = { a: { b: 1.5, c: [1] }, d: "d" };
    const { value, number } = increment(target, "a.b", 2);
    expect(number).to.equal(3.5);
    expect(value).to.deep.equal({ a: { b: 3.5, c: [1] }, d: "d" });
    expect(target).to.deep.equal({ a: { b: 1.5, c: [1] }, d: "d" });
  });

  it("takes escaped names, and __proto__ as a member", () => {
    expect(increment({ "a.b": 1 }, "a\\.b", 1).value).to.deep.equal({ "a.b": 2 });
    const { value } = increment({}, "__proto__.x", 1);
    expect(JSON.stringify(value)).to.equal('{"__proto__":{"x":1}}');
    expect(increment({}, "toString", 1).number).to.equal(1);
  });

  it("takes 64-bit integers that are safe", () => {
    expect(increment({ n: 5n }, "n", 1)).to.deep.equal({ value: { n: 6 }, number: 6 });
    refuses(() => increment(2n ** 60n, undefined, 1), "1152921504606846976");
    refuses(() => increment(2n ** 60n, undefined, 0.5), "1152921504606846976");
  });

  it("keeps integers safe, at the limit and beyond", () => {
    const max = Number.MAX_SAFE_INTEGER;
    expect(increment(max - 1, undefined, 1).number).to.equal(max);
    refuses(() => increment(max, undefined, 1), String(max));
    refuses(() => increment(-max, undefined, -1), String(max));
    expect(increment(max, undefined, -1).number).to.equal(max - 1);
  });

  it("refuses what is not finite", () => {
    expect(increment(1.5e308, undefined, 0.5).number).to.equal(1.5e308);
    refuses(() => increment(Number.MAX_VALUE, undefined, Number.MAX_VALUE), "1.79");
    refuses(() => increment(Infinity, undefined, 0.5), "Infinity");
  });

  it("names the path and the type of what is no number", () => {
    refuses(() => increment({ a: "1" }, "a", 1), 'path "a" is text');
    refuses(() => increment({ a: null }, "a", 1), 'path "a" is null');
    refuses(() => increment({ a: [1] }, "a", 1), 'path "a" is array');
    refuses(() => increment({ a: [1] }, "a.0", 1), 'its member "a" is array');
    refuses(() => increment({ a: 1 }, "a.b", 1), 'its member "a" is number');
    refuses(() => increment("1", undefined, 1), "the value is text");
    refuses(() => increment("1", "a", 1), "the value is text");
    refuses(() => increment({}, "$a", 1), "at the start of a name");
  });

  it("refuses a path deeper than values may be", () => {
    const path = (names: number): string => Array.from({ length: names }, () => "a").join(".");
    expect(increment({}, path(100), 1).number).to.equal(1);
    expect(() => increment({}, path(101), 1)).to.throw(KvError, "101 names");
  });
});

function refuses(run: () => unknown, text: string): void {
  expect(run).to.throw(KvError, text).with.property("kind", "bad-request");
}
