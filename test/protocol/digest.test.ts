/**
 * Digests: fixed vectors, and what the sums must not depend on.
 */
import { expect } from "chai";
import { chainNext, hash32, hash64, PositionDigest } from "../../protocol/digest.js";
import type { Origin, Revision, TimeMs } from "../../protocol/ids.js";
import type { StoredRecord } from "../../protocol/operation.js";

const origin = "000102030405060708090a0b0c0d0e0f" as Origin;

describe("hash", () => {
  // The empty input's and "abc"'s are vectors of the xxHash specification's own implementations.
  it("is XXH64 and XXH32", () => {
    expect(hash64(utf8("")).toString(16)).to.equal("ef46db3751d8e999");
    expect(hash64(utf8("abc")).toString(16)).to.equal("44bc2cf5ad770999");
    expect(hash32(utf8("")).toString(16)).to.equal("2cc5d05");
    expect(hash32(utf8("abc")).toString(16)).to.equal("32d153ff");
    expect(hash64(utf8("abc"), 1n)).to.not.equal(hash64(utf8("abc")));
  });
});

describe("chain", () => {
  // Computed from the header of digest.ts with another implementation of XXH64.
  it("has fixed vectors", () => {
    expect(chainNext(0n, origin, 1).toString(16)).to.equal("39cd84e717880f98");
    expect(chainNext(2n ** 64n - 1n, origin, 2 ** 40).toString(16)).to.equal("963dc6559b15d1ba");
  });

  it("depends on the past, the origin and the number", () => {
    const other = origin.replace("0f", "1f") as Origin;
    const all = [
      chainNext(0n, origin, 1),
      chainNext(1n, origin, 1),
      chainNext(0n, other, 1),
      chainNext(0n, origin, 2),
    ];
    expect(new Set(all).size).to.equal(4);
  });
});

describe("position digest", () => {
  // Computed from the header of digest.ts with another implementation of XXH64.
  it("has fixed vectors", () => {
    const digest = new PositionDigest();
    digest.addRecord(utf8("delhi"), record());
    digest.addIndex(utf8("index key"));
    expect(digest.recordsHex).to.equal("13ae6eb7a43e7ccd5aa10d6c7f643d0f");
    expect(digest.indexHex).to.equal("237303907b10b47d");
  });

  it("does not depend on the order, and forgets what is removed", () => {
    const [one, two, empty] = [new PositionDigest(), new PositionDigest(), new PositionDigest()];
    one.addRecord(utf8("a"), record());
    one.addRecord(utf8("b"), record());
    one.addIndex(utf8("i"));
    two.addRecord(utf8("b"), record());
    two.addRecord(utf8("a"), record());
    expect(one.equals(two)).to.equal(false);
    two.addIndex(utf8("i"));
    expect(one.equals(two)).to.equal(true);
    for (const key of ["b", "a"]) one.removeRecord(utf8(key), record());
    one.removeIndex(utf8("i"));
    expect(one.equals(empty)).to.equal(true);
  });

  it("depends on every field of a record, and on where the key ends", () => {
    const variants: [string, Partial<StoredRecord>][] = [
      ["ab", {}],
      ["a", {}],
      ["ab", { revision: 8 as Revision }],
      ["ab", { updatedAt: 1 as TimeMs }],
      ["ab", { expiresAt: 1 as TimeMs }],
      ["ab", { contentType: "text/plain" }],
      ["ab", { value: utf8("v2") }],
    ];
    const [all, a, b] = [new Set<string>(), new Set<bigint>(), new Set<bigint>()];
    for (const [key, change] of variants) {
      const digest = new PositionDigest();
      digest.addRecord(utf8(key), { ...record(), ...change });
      all.add(digest.recordsHex);
      a.add(digest.recordA);
      b.add(digest.recordB);
    }
    expect([all.size, a.size, b.size]).to.deep.equal([7, 7, 7]);
  });

  it("combines positions and goes through bytes", () => {
    const [one, two, both] = [new PositionDigest(), new PositionDigest(), new PositionDigest()];
    one.addRecord(utf8("a"), record());
    two.addIndex(utf8("i"));
    both.addIndex(utf8("i"));
    both.addRecord(utf8("a"), record());
    const kept = one.clone();
    one.combine(two);
    expect(one.equals(both)).to.equal(true);
    expect(kept.equals(both)).to.equal(false);
    expect(PositionDigest.fromBytes(one.toBytes()).equals(one)).to.equal(true);
    expect(one.toBytes().toString("hex")).to.equal(one.recordsHex + one.indexHex);
  });
});

function record(): StoredRecord {
  return {
    revision: 7 as Revision,
    updatedAt: 1_767_225_600_000 as TimeMs,
    expiresAt: 0 as TimeMs,
    contentType: "application/json",
    value: utf8('{"country":"IN"}'),
  };
}

function utf8(text: string): Uint8Array {
  return Buffer.from(text, "utf8");
}
