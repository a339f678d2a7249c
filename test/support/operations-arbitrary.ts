/**
 * Operations at random over few keys, so that they meet: conditions that hold now and then, request
 * ids that repeat, values of all types, times to live that run out.
 */
import { encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { contentTypes, type Operation } from "../../protocol/operation.js";
import { operation, POSITIONS, type Wanted } from "./log-writer.js";

/** The last three share a position, for atomic groups. */
export const keys = ["a", "b", "city.delhi", "é", "{t}1", "{t}2", "{t}3"];

const scalar = fc.constantFrom<unknown>(null, true, 0, -1.5, 7, "", "x", "é", "y".repeat(300));
const plain = fc.oneof(
  { weight: 4, arbitrary: fc.dictionary(fc.constantFrom("n", "m", "o", "__proto__"), scalar) },
  fc.record({ n: scalar, o: fc.record({ n: scalar, tags: fc.array(scalar, { maxLength: 3 }) }) }),
  scalar,
  fc.array(scalar, { maxLength: 2 }),
);

const json = plain.map((value) => {
  const bytes: Uint8Array = Buffer.from(JSON.stringify(value));
  return { contentType: contentTypes[0], value: bytes };
});
const msgpack = fc
  .dictionary(fc.constantFrom("n", "m", "o"), scalar)
  .map((value) => ({ contentType: contentTypes[1], value: encode(value) as Uint8Array }));
const other = fc.constantFrom(
  { contentType: contentTypes[2], value: Buffer.from("plain") as Uint8Array },
  { contentType: contentTypes[3], value: Uint8Array.of(0, 255) },
  // Values that patch and incr refuse, that no program can read, that are too long.
  { contentType: contentTypes[0], value: Buffer.from('{"n":12345678901234567890}') },
  { contentType: contentTypes[0], value: Buffer.from("{") },
  { contentType: contentTypes[0], value: Buffer.from(JSON.stringify("z".repeat(5_000))) },
);
const content = fc.oneof({ weight: 6, arbitrary: json }, { weight: 2, arbitrary: msgpack }, other);

const ttl = fc.oneof(
  { weight: 3, arbitrary: fc.constant("never" as const) },
  fc.integer({ min: 1_000, max: 4_000 }),
);
const ttlOrKeep = fc.oneof(ttl, fc.constant("keep" as const));
const ifRevision = fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined, freq: 3 });
const request = fc.option(
  fc.record({ id: fc.constantFrom("r1", "r2", "r3", "r4"), index: fc.integer({ max: 1, min: 0 }) }),
  { nil: undefined, freq: 3 },
);

function withKey(key: fc.Arbitrary<string>): fc.Arbitrary<Operation> {
  const common = fc
    .record({ key, ifRevision, request, returnPrevious: fc.boolean() })
    .map(({ ifRevision: revision, request: ref, ...rest }) => ({
      ...rest,
      ...(revision === undefined ? {} : { ifRevision: revision }),
      ...(ref === undefined ? {} : { request: ref }),
    }));
  const verb = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ verb: fc.constant("set" as const), content, ttl }),
    },
    fc.record({
      verb: fc.constant("patch" as const),
      content: fc.oneof(json, msgpack),
      ttl: ttlOrKeep,
    }),
    fc.record({
      verb: fc.constant("incr" as const),
      path: fc.constantFrom(undefined, "n", "o.n"),
      by: fc.constantFrom(1, -2, 0.5),
      ttl: ttlOrKeep,
    }),
    fc.record({ verb: fc.constant("touch" as const), ttl }),
    fc.record({ verb: fc.constant("del" as const) }),
    fc.record({ verb: fc.constant("check" as const) }),
  );
  return fc.tuple(common, verb).map(([shared, own]) => {
    const value = "content" in own ? own.content : {};
    const { content: _content, ...members } = { content: undefined, ...own };
    return operation({ ...shared, ...members, ...value } as Wanted, POSITIONS);
  });
}

const anyOperation = withKey(fc.constantFrom(...keys));
/** One operation, or several of one position. */
export const anyGroup: fc.Arbitrary<readonly Operation[]> = fc.oneof(
  { weight: 4, arbitrary: anyOperation.map((each) => [each]) },
  fc.array(withKey(fc.constantFrom(...keys.slice(-3))), { minLength: 2, maxLength: 4 }),
);
