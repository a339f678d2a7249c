/**
 * Stretches of a batch: where reads and writes of one key part.
 */
import { expect } from "chai";
import fc from "fast-check";
import { stretchesOf } from "../../../actors/shard/batch.js";
import { KvError } from "../../../protocol/errors.js";
import type { RefusedRequest, Request } from "../../../protocol/request/request.js";
import { set } from "../../support/log-writer.js";
import { getOf } from "../../support/memory-shard.js";

describe("stretches of a batch", () => {
  const write = (key: string): Request => ({ kind: "write", operation: set(key, 1), hops: 0 });
  const get = (key: string): Request => getOf(key, "linearizable");
  const refused: RefusedRequest = { kind: "refused", error: new KvError("bad-request", "no") };

  it("are cut only where a key is both read and written", () => {
    const sizes = (...requests: (Request | RefusedRequest)[]): number[] =>
      stretchesOf(requests).map(({ length }) => length);
    expect(sizes()).to.deep.equal([]);
    expect(sizes(write("a"), write("a"), get("b"), get("b"), refused)).to.deep.equal([5]);
    expect(sizes(write("a"), get("a"), get("a"), write("a"))).to.deep.equal([1, 2, 1]);
    expect(sizes(get("a"), write("b"), get("b"), get("a"))).to.deep.equal([2, 2]);
  });

  it("hold all requests in their order", () => {
    const anyRequest = fc
      .tuple(fc.boolean(), fc.constantFrom("a", "b", "c"))
      .map(([isGet, key]) => (isGet ? get(key) : write(key)));
    fc.assert(
      fc.property(fc.array(anyRequest), (requests) => {
        expect(stretchesOf(requests).flat()).to.deep.equal(requests);
      }),
    );
  });
});
