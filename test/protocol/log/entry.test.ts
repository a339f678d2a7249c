/**
 * Entries: their bytes both ways, and what becomes of bytes that are none.
 */
import { encode } from "@msgpack/msgpack";
import { expect } from "chai";
import fc from "fast-check";
import { hash32 } from "../../../protocol/digest.js";
import type { Origin, Sequence } from "../../../protocol/ids.js";
import {
  BEHAVIOUR_VERSION,
  decodeEntry,
  encodeEntry,
  isEntry,
  operationBytesMax,
  type Entry,
  type EntryBody,
} from "../../../protocol/log/entry.js";
import { contentTypes, type Operation } from "../../../protocol/operation.js";
import { genesisOf, incr, operation, set, touch } from "../../support/log-writer.js";
import { anyGroup } from "../../support/operations-arbitrary.js";

const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const anyBody: fc.Arbitrary<EntryBody> = fc.oneof(
  { weight: 4, arbitrary: fc.array(anyGroup, { maxLength: 4 }).map(operations) },
  fc.constantFrom<EntryBody>({ kind: "open" }, { kind: "fence" }, { kind: "barrier" }),
  fc.constant({ kind: "genesis" as const, genesis: genesisOf() }),
);
const anyOriginBytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
const anyEntry: fc.Arbitrary<Entry> = fc
  .tuple(anyBody, anyOriginBytes, u48, u48, fc.bigInt(0n, 2n ** 64n - 1n))
  .map(([body, origin, number, basis, chain]) => ({
    ...body,
    version: BEHAVIOUR_VERSION,
    origin: Buffer.from(origin).toString("hex") as Origin,
    number,
    basisSequence: basis as Sequence,
    basisChain: chain,
  }));

describe("entry", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(anyEntry, (entry) => {
        const decoded = decodeEntry(encodeEntry(entry));
        expect(withPlainBytes(decoded)).to.deep.equal(withPlainBytes(entry));
      }),
      { numRuns: 200 },
    );
  });

  it("takes any operation of the border's limits, however long its numbers are", () => {
    const options = { ifRevision: 2 ** 48 - 1, ttl: 2 ** 48 - 1, returnPrevious: true };
    const id = "é".repeat(64);
    for (const key of ["k", "鍵", "é".repeat(512)]) {
      for (const path of [undefined, "p", "鍵"]) {
        for (const request of [undefined, { id: "r", index: 999 }, { id, index: 999 }]) {
          const own = { ...options, ...(request === undefined ? {} : { request }) };
          const entry = entryOf(operations([[incr(key, 1, path, own)], [set(key, 1, own)]]));
          expect(isEntry(decodeEntry(encodeEntry(entry)))).to.equal(true);
        }
      }
    }
  });

  it("has no operation longer than is reckoned with", () => {
    fc.assert(
      fc.property(anyGroup, (group) => {
        const none = encodeEntry(entryOf(operations([]))).length;
        const size = encodeEntry(entryOf(operations([group]))).length - none;
        const reckoned = group.reduce((bytes, each) => bytes + operationBytesMax(each), 0);
        expect(size).to.be.at.most(reckoned);
      }),
      { numRuns: 200 },
    );
  });

  it("has these bytes", () => {
    const entry = entryOf(operations([[touch("k", 5_000, { request: "id" })]]));
    expect(Buffer.from(encodeEntry(entry)).toString("hex")).to.equal(
      "520104" + // magic, version, kind
        "ab".repeat(16) + // origin
        "000000000007" + // number
        "000000000009" + // basis
        "0000000000000003" + // chain
        "0001" + // operations
        "0402" + // touch, with a request id
        "0002" + // position
        "00016b" + // key
        "0269640000" + // request id and index
        "02000000001388" + // time to live
        "f9468ded", // checksum
    );
  });

  it("is malformed when it was cut anywhere", () => {
    const bytes = encodeEntry(entryOf(operations([[set("k", { n: 1 }), incr("k", 2, "n")]])));
    for (let size = 0; size < bytes.length; size += 1) {
      expect(decodeEntry(bytes.subarray(0, size)).kind, `${size} bytes`).to.equal("malformed");
    }
  });

  it("is malformed when any bit was flipped", () => {
    const bytes = encodeEntry(entryOf(operations([[set("k", { n: 1 })]])));
    for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(decodeEntry(flipped).kind, `bit ${bit}`).to.equal("malformed");
    }
  });

  it("never throws, also for damage that the checksum does not tell", () => {
    const bytesOf = anyEntry.map((entry) => Buffer.from(encodeEntry(entry)));
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 5 });
    fc.assert(
      fc.property(bytesOf, damage, fc.nat(40), (bytes, changes, cut) => {
        const damaged = bytes.subarray(0, Math.max(bytes.length - cut, 43));
        for (const [at, value] of changes) damaged[3 + (at % (damaged.length - 3))] = value;
        const decoded = decodeEntry(sealed(damaged));
        expect(["malformed", "genesis", "open", "fence", "operations", "barrier"]).to.include(
          decoded.kind,
        );
      }),
      { numRuns: 500 },
    );
  });

  it("is malformed as a genesis that lacks something, or is no MessagePack", () => {
    const genesis = genesisOf();
    const bodies: Uint8Array[] = [
      Uint8Array.of(0xc1),
      Uint8Array.of(0xc0),
      encode(genesis).subarray(0, 20),
      encode({ ...genesis, limits: { valueBytesMax: 1 } }),
      encode({ ...genesis, positions: [8] }),
      encode({ ...genesis, positions: "0-7" }),
      encode({ ...genesis, indexPolicy: { excluded: [1] } }),
    ];
    for (const body of bodies) {
      const head = encodeEntry(entryOf({ kind: "genesis", genesis })).subarray(0, 39);
      const bytes = sealed(Buffer.concat([head, body, Buffer.alloc(4)]));
      expect(decodeEntry(bytes).kind, Buffer.from(body).toString("hex")).to.equal("malformed");
    }
  });

  it("of a version to come says which", () => {
    const bytes = Buffer.from(encodeEntry(entryOf({ kind: "barrier" })));
    bytes[1] = BEHAVIOUR_VERSION + 1;
    expect(decodeEntry(sealed(bytes))).to.deep.equal({ kind: "newer", version: 2 });
  });

  it("does not take text or raw bytes as a patch", () => {
    const whole = operation({
      verb: "patch",
      key: "k",
      contentType: "application/json",
      value: Buffer.from("{}"),
      ttl: "keep",
    });
    const wrong = { ...whole, contentType: contentTypes[2] } as unknown as Operation;
    expect(decodeEntry(encodeEntry(entryOf(operations([[wrong]])))).kind).to.equal("malformed");
  });
});

function operations(groups: readonly (readonly Operation[])[]): EntryBody {
  return { kind: "operations", groups };
}

function entryOf(body: EntryBody): Entry {
  return {
    ...body,
    version: BEHAVIOUR_VERSION,
    origin: "ab".repeat(16) as Origin,
    number: 7,
    basisSequence: 9 as Sequence,
    basisChain: 3n,
  };
}

/** With the checksum that belongs to the bytes. */
function sealed(bytes: Buffer): Buffer {
  const end = bytes.length - 4;
  bytes.writeUInt32BE(hash32(bytes.subarray(0, end)), end);
  return bytes;
}

/** Buffers and views compare as what they hold. */
function withPlainBytes(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(withPlainBytes);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, withPlainBytes(member)]),
  );
}
