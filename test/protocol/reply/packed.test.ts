/**
 * A packed reply.
 */
import { encode } from "@msgpack/msgpack";
import { expect } from "chai";
import fc from "fast-check";
import { KvError, errorNames } from "../../../protocol/errors.js";
import type { Position, Revision, TimeMs } from "../../../protocol/ids.js";
import { REPLY_BYTES_MAX, VALUE_BYTES_MAX } from "../../../protocol/limits.js";
import { contentTypes, type Done, type StoredRecord } from "../../../protocol/operation.js";
import {
  packedBatchReply,
  packedReply,
  parsePackedBatchReply,
  parsePackedReply,
} from "../../../protocol/reply/packed.js";
import type { Result } from "../../../protocol/reply/result.js";
import { record, read, written } from "./results.js";

describe("a packed reply", () => {
  const revision = fc.nat() as fc.Arbitrary<Revision>;
  const time = fc.nat({ max: 2 ** 45 }) as fc.Arbitrary<TimeMs>;
  const records: fc.Arbitrary<StoredRecord> = fc.record({
    revision,
    updatedAt: time,
    expiresAt: fc.oneof(time, fc.constant(0 as TimeMs)),
    contentType: fc.constantFrom(...contentTypes),
    value: fc.uint8Array(),
  });
  const dones: fc.Arbitrary<Done> = fc.record({
    verb: fc.constantFrom("set", "del", "patch", "incr", "touch", "check"),
    revision,
    created: fc.boolean(),
    existed: fc.boolean(),
    number: fc.option(
      fc.double({ noNaN: true }).map((number) => number + 0),
      { nil: undefined },
    ),
    expiresAt: fc.oneof(time, fc.constant(0 as TimeMs)),
    previous: fc.option(records, { nil: undefined }),
  });
  const key = fc.string({ unit: "binary", minLength: 1 });
  const position = fc.nat(1_023) as fc.Arbitrary<Position>;
  const results: fc.Arbitrary<Result> = fc.oneof(
    fc.record({ kind: fc.constant("read" as const), key, position, record: records }),
    fc.record({ kind: fc.constant("written" as const), key, position, done: dones }),
    fc
      .record({ name: fc.constantFrom(...errorNames), text: fc.string(), index: fc.nat() })
      .map(({ name, text, index }) => ({
        kind: "refused" as const,
        error: new KvError(name, text, { index }),
      })),
  );

  it("comes back as it went", () => {
    fc.assert(
      fc.property(results, (result) => {
        same(parsePackedReply(packedReply(result), keyOf(result)), result);
      }),
    );
  });

  it("comes back as it went in a batch", () => {
    fc.assert(
      fc.property(fc.array(results, { maxLength: 8 }), (many) => {
        const back = parsePackedBatchReply(packedBatchReply(many), many.map(keyOf));
        if (back instanceof KvError) throw back;
        expect(back.length).to.equal(many.length);
        for (const [index, result] of many.entries()) same(back[index], result);
      }),
    );
  });

  it("tells one error for all of a batch", () => {
    const error = new KvError("conflict", "is at 4", { index: 2, revision: 4 });
    const back = parsePackedBatchReply(packedBatchReply(error), ["a", "b", "c"]);
    expect((back as KvError).toBody()).to.deep.equal(error.toBody());
  });

  it("lets values in as long as they fit", () => {
    const big = read({ value: Buffer.alloc(VALUE_BYTES_MAX) });
    const set = written({ previous: record({ value: Buffer.alloc(VALUE_BYTES_MAX) }) });
    const packed = packedBatchReply([big, big, big, set, big, read({})]);
    expect(packed.length).to.be.at.most(REPLY_BYTES_MAX);
    const back = parsePackedBatchReply(packed, Array<string>(6).fill("k")) as Result[];
    const kinds = back.map((one) => (one.kind === "refused" ? one.error.kind : one.kind));
    expect(kinds).to.deep.equal(["read", "read", "read", "written", "too-large", "read"]);
    expect(back[3]).to.have.nested.property("done.previous", undefined);
  });

  it("is an internal error if it is no reply", () => {
    const bad = [null, 1, [], {}, { revision: 1, position: 1 }, { verb: "get", position: 1 }];
    for (const map of bad) {
      const result = parsePackedReply(encode(map), "k");
      expect(result).to.have.nested.property("error.kind", "internal");
      expect(parsePackedBatchReply(encode(map), ["k"])).to.have.property("kind", "internal");
    }
    const short = parsePackedBatchReply(packedBatchReply([]), ["k"]) as KvError;
    expect(short.message).to.match(/0 outcomes for 1 operations/);
    expect(parsePackedReply(new Uint8Array([0xc1]), "k").kind).to.equal("refused");
  });

  function same(back: Result | undefined, result: Result): void {
    if (result.kind !== "refused") expect(back).to.deep.equal(result);
    else {
      expect(back?.kind === "refused" && back.error.toBody()).to.deep.equal(result.error.toBody());
    }
  }

  function keyOf(result: Result): string {
    return result.kind === "refused" ? "" : result.key;
  }
});
