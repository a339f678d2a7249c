/**
 * A seed's bytes: rows, parts, errors, and how they are asked for.
 */
import { expect } from "chai";
import fc from "fast-check";
import { DamagedError } from "../../../protocol/damaged.js";
import { KvError } from "../../../protocol/errors.js";
import {
  decodeSeedReply,
  encodeSeedReply,
  encodeSeedRow,
  parseSeedRequest,
  SeedRows,
} from "../../../protocol/node/seed.js";

describe("seed's bytes", () => {
  it("are rows again, wherever they are cut", () => {
    const bytes = fc.uint8Array({ maxLength: 40 });
    const row = fc.record({ key: fc.uint8Array({ minLength: 1, maxLength: 9 }), value: bytes });
    const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 });
    fc.assert(
      fc.property(fc.array(row), cuts, (rows, sizes) => {
        const all = Buffer.concat(rows.map(encodeSeedRow));
        const reader = new SeedRows();
        const read = [];
        for (let at = 0, index = 0; at < all.length; index += 1) {
          const size = sizes[index % sizes.length]!;
          read.push(...reader.take(all.subarray(at, at + size)));
          at += size;
        }
        reader.end();
        const hex = (each: Uint8Array): string => Buffer.from(each).toString("hex");
        expect(read.map(({ key, value }) => [hex(key), hex(value)])).to.deep.equal(
          rows.map(({ key, value }) => [hex(key), hex(value)]),
        );
      }),
    );
  });

  it("tell a part, whether it is the last, and an error", () => {
    const part = { isLast: true, bytes: Buffer.from("rows") };
    expect(decodeSeedReply(encodeSeedReply(part))).to.deep.equal(part);
    expect(decodeSeedReply(encodeSeedReply({ ...part, isLast: false })).isLast).to.equal(false);
    const refusal = encodeSeedReply(new KvError("overloaded", "busy", { limit: "seed_sessions" }));
    expect(() => decodeSeedReply(refusal)).to.throw(KvError, "busy");
  });

  it("are refused as no reply: without a flag, with an error that is none", () => {
    const wrong = ["", "\x03", "\x02", "\x02{", "\x02null", '\x02{"name":{"toString":1}}'];
    for (const text of wrong) {
      const decode = (): unknown => decodeSeedReply(Buffer.from(text));
      expect(decode, JSON.stringify(text)).to.throw(KvError).with.property("kind", "internal");
    }
  });

  it("end with a whole row", () => {
    const rows = new SeedRows();
    rows.take(encodeSeedRow({ key: Buffer.of(1), value: Buffer.of(2) }).subarray(0, 9));
    expect(() => rows.end()).to.throw(DamagedError, "9 bytes of an unfinished row");
  });

  it("are asked for in one form only", () => {
    const whole = { shard: "s1", log_id: "a", session: "b", part: 3 };
    expect(parseSeedRequest(Buffer.from(JSON.stringify(whole)))).to.deep.equal(whole);
    for (const wrong of ["", "null", "[]", "{}", JSON.stringify({ ...whole, part: -1 })]) {
      expect(() => parseSeedRequest(Buffer.from(wrong)), wrong).to.throw(KvError);
    }
  });
});
