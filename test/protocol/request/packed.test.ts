/**
 * The packed form of requests: any request comes back as it went, and nothing a client can send
 * ends in anything but a KvError.
 */
import { encode } from "@msgpack/msgpack";
import { expect } from "chai";
import fc from "fast-check";
import { KvError } from "../../../protocol/errors.js";
import type { Position, Revision } from "../../../protocol/ids.js";
import type { Operation } from "../../../protocol/operation.js";
import { positionOf } from "../../../protocol/position.js";
import {
  encodePackedBatch,
  encodePackedRequest,
  parsePackedBatch,
  parsePackedRequest,
} from "../../../protocol/request/packed.js";
import type { Request } from "../../../protocol/request/request.js";
import { refusalNow } from "../../support/failure.js";

const POSITIONS = 1_024;

const key = fc.oneof(
  fc.string({ unit: "binary", minLength: 1, maxLength: 60 }),
  fc.constantFrom("__proto__", "constructor", "{t}a", "a.b"),
);
const revision = fc.option(fc.nat() as fc.Arbitrary<Revision>, { nil: undefined });
const ttl = fc.oneof(fc.integer({ min: 1_000, max: 2 ** 40 }), fc.constant("never" as const));
const kept = fc.oneof(ttl, fc.constant("keep" as const));
const base = fc.record({
  key,
  position: fc.constant(0 as Position),
  ifRevision: revision,
  request: fc.option(
    fc.record({
      id: fc.string({ unit: "binary", minLength: 1, maxLength: 30 }),
      index: fc.nat(999),
    }),
    { nil: undefined },
  ),
  returnPrevious: fc.boolean(),
});
const value = fc.oneof(
  fc
    .json()
    .map((json) => ({ value: bytes(Buffer.from(json)), contentType: "application/json" as const })),
  fc
    .jsonValue({ stringUnit: "grapheme" })
    // The one member name that MessagePack values cannot have here.
    .filter((plain) => !JSON.stringify(plain).includes("__proto__"))
    .map((plain) => ({ value: encode(plain), contentType: "application/msgpack" as const })),
);
const raw = fc.oneof(
  value,
  fc
    .uint8Array()
    .map((data) => ({ value: data, contentType: "application/octet-stream" as const })),
);
const by = fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0);
const path = fc.option(fc.string({ minLength: 1, unit: "grapheme", maxLength: 20 }), {
  nil: undefined,
});

const operations: fc.Arbitrary<Operation> = fc
  .oneof(
    fc.tuple(base, raw, ttl).map(([b, v, t]) => ({ ...b, ...v, ttl: t, verb: "set" as const })),
    fc
      .tuple(base, value, kept)
      .map(([b, v, t]) => ({ ...b, ...v, ttl: t, verb: "patch" as const })),
    base.map((b) => ({ ...b, verb: "del" as const })),
    fc
      .tuple(base, by, path, kept)
      .map(([b, n, p, t]) => ({ ...b, by: n, path: p, ttl: t, verb: "incr" as const })),
    fc.tuple(base, ttl).map(([b, t]) => ({ ...b, ttl: t, verb: "touch" as const })),
  )
  .map((operation) => ({ ...operation, position: positionOf(operation.key, POSITIONS) }));

const gets: fc.Arbitrary<Request> = fc
  .record({
    kind: fc.constant("get" as const),
    key,
    position: fc.constant(0 as Position),
    level: fc.constantFrom("linearizable" as const, "session" as const),
    minRevision: revision,
    accept: fc.constantFrom(undefined, "application/json" as const, "text/plain" as const),
    hops: fc.nat(3),
  })
  .map((get) => ({ ...get, position: positionOf(get.key, POSITIONS) }));

const requests = fc.oneof(
  gets,
  fc.record({ kind: fc.constant("write" as const), operation: operations, hops: fc.nat(3) }),
);

describe("a packed request", () => {
  it("comes back as it went", () => {
    fc.assert(
      fc.property(requests, (request) => {
        const verb = request.kind === "get" ? "get" : request.operation.verb;
        const packed = encodePackedRequest(request);
        expect(parsePackedRequest(verb, packed, POSITIONS)).to.deep.equal(request);
      }),
    );
  });

  it("comes back as it went in a batch", () => {
    fc.assert(
      fc.property(fc.array(requests, { maxLength: 8 }), fc.nat(3), (many, hops) => {
        const sent = many.map((request) => ({ ...request, hops }));
        const levels = sent.map((one) => (one.kind === "get" ? one.level : "stale"));
        const level = levels.includes("linearizable")
          ? "linearizable"
          : levels.includes("session")
            ? "session"
            : "stale";
        const batch = { requests: sent, atomic: false, level, hops } as const;
        expect(parsePackedBatch(encodePackedBatch(batch), POSITIONS)).to.deep.equal(batch);
      }),
    );
  });

  it("leaves out what has its default", () => {
    const get = parsePackedRequest("get", encode({ key: "k" }), POSITIONS);
    expect(encodePackedRequest(get)).to.deep.equal(encode({ key: "k" }));
    const set = parsePackedRequest("set", encode({ key: "k", value: Buffer.from("1") }), POSITIONS);
    expect(encodePackedRequest(set)).to.deep.equal(encode({ key: "k", value: Buffer.from("1") }));
  });

  it("is a KvError or a request, whatever the bytes are", () => {
    const verbs = fc.constantFrom("get", "set", "del", "patch", "incr", "touch");
    const anyValue = fc.anything({ maxDepth: 2, withTypedArray: true });
    const names = fc.constantFrom(
      "key",
      "value",
      "ttl",
      "by",
      "read",
      "return",
      "if_revision",
      "op",
    );
    const maps = fc
      .dictionary(names, fc.oneof(fc.string(), fc.nat(), fc.json()))
      .map((map) => encode(map));
    const payloads = fc.oneof(fc.uint8Array(), maps, anyValue.map(encodeIfPossible));
    fc.assert(
      fc.property(verbs, payloads, (verb, payload) => {
        refusedOrDone(() => parsePackedRequest(verb, payload, POSITIONS));
        refusedOrDone(() => parsePackedBatch(payload, POSITIONS));
      }),
    );
  });

  it("refuses nesting and objects that would break their own error text", () => {
    const deep = Buffer.concat([
      Buffer.from("82a36b6579a16ba374746c", "hex"),
      Buffer.alloc(200_000, 0x91),
      Buffer.from("00", "hex"),
    ]);
    for (const name of ["ttl", "read", "return", "if_revision", "by", "path", "value"]) {
      const payload = encode({ key: "k", [name]: { toString: 1, valueOf: 2, toJSON: 3 } });
      expect(refusalNow(() => parsePackedRequest("get", payload, POSITIONS)).kind).to.equal(
        "bad-request",
      );
    }
    expect(refusalNow(() => parsePackedRequest("touch", deep, POSITIONS)).kind).to.equal(
      "limit-exceeded",
    );
  });

  it("refuses arrays that claim more than there is, before room is made for them", () => {
    // Each of these heads claims 30 million elements: eight bytes each, a hundred times.
    const head = Buffer.from([0xdd, 0x01, 0xc9, 0xc3, 0x80]);
    const bomb = Buffer.concat([Buffer.from("81a16b", "hex"), ...Array<Buffer>(100).fill(head)]);
    const before = process.memoryUsage().rss;
    expect(refusalNow(() => parsePackedRequest("set", bomb, POSITIONS)).kind).to.equal(
      "bad-request",
    );
    expect(refusalNow(() => parsePackedBatch(bomb, POSITIONS)).kind).to.equal("bad-request");
    expect(process.memoryUsage().rss - before).to.be.below(100 * 1_024 ** 2);
  });

  const refused: [string, string, unknown, RegExp][] = [
    ["no map", "get", [1], /not a MessagePack map/],
    ["no key", "get", {}, /"key" must be text; received nothing/],
    ["an unknown member", "get", { key: "k", kay: 1 }, /unknown member "kay"/],
    [
      "a value that is text",
      "set",
      { key: "k", value: "1" },
      /"value" must be bytes; received "1"/,
    ],
    ["an unknown content type", "set", { key: "k", content_type: 4 }, /index below 4; received 4/],
    ["a set that keeps", "set", { key: "k", value: Buffer.from("1"), ttl: "keep" }, /"ttl"/],
    ["a touch that keeps", "touch", { key: "k", ttl: "keep" }, /touch needs "ttl"/],
    [
      "a TTL below a second",
      "touch",
      { key: "k", ttl: 999 },
      /"ttl" must be 1000 … .* ms; received 999/,
    ],
    ["an infinite by", "incr", { key: "k", by: Infinity }, /finite number; received Infinity/],
    ["a by that is none", "incr", { key: "k", by: NaN }, /not MessagePack.*NaN/],
    ["a revision below 0", "del", { key: "k", if_revision: -1 }, /"if_revision".*received -1/],
    ["hops that are none", "get", { key: "k", hops: 0.5 }, /"hops".*received 0\.5/],
    ["a ttl of get", "get", { key: "k", ttl: 1_000 }, /"ttl" \(Kv-TTL\) does not apply to get/],
  ];
  for (const [what, verb, map, text] of refused) {
    it(`refuses ${what}`, () => {
      const error = refusalNow(() => parsePackedRequest(verb, encode(map), POSITIONS));
      expect(error.kind).to.equal("bad-request");
      expect(error.message).to.match(text);
    });
  }
});

function bytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer);
}

function encodeIfPossible(value: unknown): Uint8Array {
  try {
    return encode(value);
  } catch {
    return new Uint8Array();
  }
}

function refusedOrDone(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
  }
}
