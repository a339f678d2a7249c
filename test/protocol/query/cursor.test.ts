/**
 * Cursors: they come back as they were made, and only for their own query.
 */
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import {
  decodeCursor,
  encodeCursor,
  queryHash,
  type Cursor,
} from "../../../protocol/query/cursor.js";
import { parseFilter } from "../../../protocol/query/filter.js";

const query = queryHash("kv", "find", parseFilter({ a: { $gt: 1 } }).conditions);
const cursor: Cursor = { driver: 0, after: { order: Buffer.from([4, 0, 255]), key: "köln" } };

describe("cursor", () => {
  it("comes back as it was made", () => {
    const read = decodeCursor(encodeCursor(cursor, query), query);
    expect(read.driver).to.equal(0);
    expect([...read.after.order]).to.deep.equal([4, 0, 255]);
    expect(read.after.key).to.equal("köln");
    const byKey: Cursor = { driver: "key", after: { order: new Uint8Array(0), key: "a" } };
    expect(decodeCursor(encodeCursor(byKey, query), query).driver).to.equal("key");
  });

  it("is refused by a query with another filter, verb or store", () => {
    const text = encodeCursor(cursor, query);
    const { conditions } = parseFilter({ a: { $gt: 2 } });
    for (const other of [
      queryHash("kv", "find", conditions),
      queryHash("kv", "keys", parseFilter({ a: { $gt: 1 } }).conditions),
      queryHash("other", "find", parseFilter({ a: { $gt: 1 } }).conditions),
    ]) {
      expect(kindOf(() => decodeCursor(text, other))).to.equal("bad-request");
    }
  });

  it("is refused when a character is changed, added or lost", () => {
    const text = encodeCursor(cursor, query);
    for (let index = 0; index < text.length; index += 1) {
      const other = text[index] === "A" ? "B" : "A";
      const changed = text.slice(0, index) + other + text.slice(index + 1);
      expect(kindOf(() => decodeCursor(changed, query))).to.equal("bad-request");
    }
    for (const broken of ["", "hello", `${text} `, text.slice(1), text.slice(0, -1)]) {
      expect(kindOf(() => decodeCursor(broken, query))).to.equal("bad-request");
    }
  });
});

function kindOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof KvError) return error.kind;
    throw error;
  }
  return "read";
}
