/**
 * Bodies of queries: their members and defaults.
 */
import { expect } from "chai";
import { KvError, type ErrorName } from "../../../protocol/errors.js";
import { parseCount, parseFind, parseKeys } from "../../../protocol/query/body.js";

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

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
