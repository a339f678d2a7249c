/**
 * Filters: what is let through, what is refused and how, and what each condition matches.
 */
import { expect } from "chai";
import { KvError, type ErrorName } from "../../../protocol/errors.js";
import { parseCount, parseFind, parseKeys } from "../../../protocol/query/body.js";
import { compileFilter } from "../../../protocol/query/filter-match.js";
import { parseFilter } from "../../../protocol/query/filter.js";
import { attributesOf } from "../../../protocol/value/attributes.js";
import type { Plain } from "../../../protocol/value/content.js";

describe("filter", () => {
  it("flattens members and $and into conditions, in their order", () => {
    const where = { a: 1, $and: [{ b: { $gt: 2, $lte: 3 } }, { $and: [{ $key: "k" }] }] };
    expect(parseFilter(where).conditions).to.deep.equal([
      { path: "a", operator: "eq", value: 1 },
      { path: "b", operator: "gt", value: 2 },
      { path: "b", operator: "lte", value: 3 },
      { path: "$key", operator: "eq", value: "k" },
    ]);
  });

  it("brings paths into their one form", () => {
    expect(parseFilter({ "a\\$b": 1 }).conditions[0]?.path).to.equal("a$b");
  });

  const refusals: [unknown, ErrorName, RegExp][] = [
    [[], "bad-request", /must be an object/],
    [{ a: { $near: 1 } }, "bad-request", /"\$near".*\$eq \$in/],
    [{ $where: "1" }, "bad-request", /"\$where"/],
    [{ a: { $gt: 1, b: 2 } }, "bad-request", /"b".*\$and$/],
    [{ a: { $gt: 1, lt: 2 } }, "bad-request", /did you mean "\$lt"\?.*single quotes/],
    [{ a: { $in: 1 } }, "bad-request", /\$in takes a list/],
    [{ a: { $exists: 1 } }, "bad-request", /true or false/],
    [{ a: { $prefix: 1 } }, "bad-request", /takes a text/],
    [{ a: "\ud800" }, "bad-request", /surrogate/],
    [{ "a\\b": 1 }, "bad-request", /path/],
    [{ "a.$b": 1 }, "bad-request", /path/],
    [{ $and: [] }, "bad-request", /\$and/],
    [{ a: { b: 1 } }, "unsupported", /whole object.*"a\.member"$/],
    [{ a: {} }, "unsupported", /whole object/],
    [{ a: { gt: 1 } }, "unsupported", /whole object.*did you mean "\$gt"\?.*single quotes/],
    [{ a: { "": 1 } }, "unsupported", /whole object.*operator.*single quotes/],
    [{ a: [1] }, "unsupported", /whole array/],
    [{ a: { $eq: { b: 1 } } }, "unsupported", /\$eq/],
    [{ a: { $in: [[1]] } }, "unsupported", /\$in/],
    [{ $or: [{ a: 1 }] }, "unsupported", /\$or/],
    [{ a: { $in: Array.from({ length: 1_001 }, () => 1) } }, "limit-exceeded", /1001/],
    [{ $and: Array.from({ length: 1_001 }, () => ({ a: 1 })) }, "limit-exceeded", /1000/],
    [{ ["a".repeat(513)]: 1 }, "limit-exceeded", /513/],
    [nested(200), "limit-exceeded", /nested/],
  ];
  for (const [where, kind, text] of refusals) {
    it(`refuses ${JSON.stringify(where)?.slice(0, 60)} with ${kind}`, () => {
      refused(() => parseFilter(where), kind, text);
    });
  }
  for (const name of "$ne $nin $not $all $size $elemMatch $regex".split(" ")) {
    it(`says that ${name} is not built`, () => {
      refused(() => parseFilter({ a: { [name]: 1 } }), "unsupported", /not built/);
    });
  }

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

describe("bodies of queries", () => {
  it("have defaults", () => {
    const { filter, limit, cursor, select, partial, certificate, scan } = parseFind(
      Buffer.from(""),
    );
    expect(filter.conditions).to.deep.equal([]);
    expect([limit, cursor, select]).to.deep.equal([100, undefined, undefined]);
    expect([partial, certificate, scan]).to.deep.equal([false, false, false]);
  });

  it("name what they do not take", () => {
    refused(() => parseFind(json({ wher: {} })), "bad-request", /"wher".*where/);
    refused(() => parseCount(json({ limit: 1 })), "bad-request", /"limit"/);
    refused(() => parseKeys(json({ where: {} })), "bad-request", /"where"/);
    refused(() => parseFind(json([])), "bad-request", /object/);
    refused(() => parseFind(Buffer.from("{")), "bad-request", /JSON; received "{"/);
    refused(() => parseFind(json({ limit: 1_001 })), "limit-exceeded", /1000/);
    refused(() => parseFind(json({ limit: 0 })), "bad-request", /limit.* 1000; received 0/);
    refused(() => parseFind(json({ order: ["a"] })), "unsupported", /order/);
    refused(() => parseFind(json({ cursor: 1 })), "bad-request", /cursor/);
    refused(() => parseFind(json({ select: "a" })), "bad-request", /select/);
    refused(() => parseFind(json({ scan: 1 })), "bad-request", /scan/);
  });
});

function refused(parse: () => unknown, kind: ErrorName, text: RegExp): void {
  try {
    parse();
  } catch (error) {
    expect(error).to.be.instanceOf(KvError);
    expect((error as KvError).kind).to.equal(kind);
    expect((error as KvError).message).to.match(text);
    return;
  }
  expect.fail("was let through");
}

function nested(depth: number): unknown {
  let where: unknown = { a: 1 };
  for (let level = 0; level < depth; level += 1) where = { $and: [where] };
  return where;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
