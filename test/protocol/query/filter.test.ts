/**
 * Filters: what is let through, what is refused and how, and what each condition matches.
 */
import { expect } from "chai";
import { KvError, type ErrorName } from "../../../protocol/errors.js";
import { parseFilter } from "../../../protocol/query/filter.js";

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
