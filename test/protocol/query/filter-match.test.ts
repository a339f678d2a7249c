/**
 * Filter match: which values match which filter.
 */
import { expect } from "chai";
import { compileFilter } from "../../../protocol/query/filter-match.js";
import { parseFilter } from "../../../protocol/query/filter.js";
import { attributesOf } from "../../../protocol/value/attributes.js";
import type { Plain } from "../../../protocol/value/content.js";

describe("filter match", () => {
  // As MongoDB answers them, but for $prefix and $key.
  const matches: [Plain, object, boolean][] = [
    [{ a: 1 }, {}, true],
    [{ a: 1 }, { a: 1 }, true],
    [{ a: 1 }, { a: "1" }, false],
    [{ a: 5n }, { a: 5 }, true],
    [{ a: [1, 2] }, { a: 2 }, true],
    [{ a: [[1]] }, { a: 1 }, false],
    [{ a: [{ b: 1 }, { b: 2 }] }, { "a.b": 2 }, true],
    [{ a: null }, { a: null }, true],
    [{}, { a: null }, true],
    [{ a: 0 }, { a: null }, false],
    [{ a: {} }, { a: null }, false],
    [{ a: [null] }, { a: null }, true],
    [{}, { a: { $in: [1, null] } }, true],
    [{ a: 2 }, { a: { $in: [1, null] } }, false],
    [{ a: 1 }, { a: { $in: [] } }, false],
    [{}, { a: { $in: [] } }, false],
    [{ a: null }, { a: { $exists: true } }, true],
    [{ a: [] }, { a: { $exists: true } }, true],
    [{}, { a: { $exists: true } }, false],
    [{}, { a: { $exists: false } }, true],
    [{ a: 2 }, { a: { $gt: 1 } }, true],
    [{ a: "2" }, { a: { $gt: 1 } }, false],
    [{ a: true }, { a: { $gt: false } }, true],
    [{ a: null }, { a: { $lt: 1 } }, false],
    [{}, { a: { $lt: 1 } }, false],
    [{}, { a: { $gte: null } }, true],
    [{ a: null }, { a: { $gt: null } }, false],
    [{ a: [0, 10] }, { a: { $gt: 4, $lt: 6 } }, true],
    [{ a: [7, 10] }, { a: { $gt: 4, $lt: 6 } }, false],
    [{ a: "\u{ffff}" }, { a: { $lt: "\u{1f600}" } }, true],
    [{ a: "abc" }, { a: { $prefix: "ab" } }, true],
    [{ a: ["x", "abc"] }, { a: { $prefix: "ab" } }, true],
    [{ a: 1 }, { a: { $prefix: "" } }, false],
    [{ a: 1 }, { a: 1, b: 1 }, false],
    [{ a: 1 }, { $key: "the.key" }, true],
    [{ a: 1 }, { $key: { $prefix: "the." } }, true],
    [{ a: 1 }, { $key: { $gt: "z" } }, false],
    [{ a: 1 }, { $key: { $exists: false } }, false],
    [{ a: 1 }, { $key: null }, false],
    [{ $key: 1 }, { "\\$key": 1 }, true],
    ["text", { a: null }, true],
  ];

  for (const [value, where, expected] of matches) {
    const text = JSON.stringify([value, where], (_name, each: unknown) =>
      typeof each === "bigint" ? `${each}n` : each,
    );
    it(`${expected ? "matches" : "does not match"} ${text}`, () => {
      const limits = { depthMax: 9, entriesMax: 99, pathBytesMax: 99 };
      const attributes = attributesOf(value, { excluded: [] }, limits);
      expect(compileFilter(parseFilter(where))(attributes, "the.key")).to.equal(expected);
    });
  }
});
