/**
 * Outcome row: written, read, damaged.
 */
import { expect } from "chai";
import fc from "fast-check";
import { errorNames, KvError } from "../../../protocol/errors.js";
import type { Position, Revision, TimeMs } from "../../../protocol/ids.js";
import { contentTypes, writeVerbs } from "../../../protocol/operation.js";
import {
  decodeOutcomeRow,
  encodeOutcomeRow,
  type OutcomeRow,
  type StoredOutcome,
} from "../../../protocol/store/outcome-row.js";
import { expectDamageNoticed } from "./damaged-rows.js";

const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });

const u64 = fc.bigInt(0n, 2n ** 64n - 1n);

const bytes = fc.uint8Array({ maxLength: 20 }).map((array) => new Uint8Array(array));

const anyRequest = fc.option(
  fc.record({ id: fc.string({ minLength: 1 }), index: fc.nat(999), hash: u64 }),
  { nil: undefined },
);

const anyDone = fc.record({
  verb: fc.constantFrom(...writeVerbs),
  revision: u48.map((number) => number as Revision),
  created: fc.boolean(),
  existed: fc.boolean(),
  // No −0: MessagePack and JSON both tell it as 0.
  number: fc.option(
    fc.double({ noNaN: true }).map((number) => number + 0),
    { nil: undefined },
  ),
  expiresAt: u48.map((number) => number as TimeMs),
  previous: fc.constant(undefined),
});

const anyError = fc
  .tuple(fc.constantFrom(...errorNames), fc.string(), u48, fc.boolean())
  .map(([kind, text, revision, retryable]) => {
    return new KvError(kind, text, { revision, limit: "x" }, { retryable });
  });

const position = fc.nat(65_535).map((number) => number as Position);

const anyOutcome: fc.Arbitrary<StoredOutcome> = fc.oneof(
  fc.record({
    position,
    outcome: anyDone.map((done) => ({ ok: true as const, done })),
    changed: fc.boolean(),
    result: fc.option(fc.record({ contentType: fc.constantFrom(...contentTypes), value: bytes }), {
      nil: undefined,
    }),
    request: anyRequest,
  }),
  fc.record({
    position,
    outcome: anyError.map((error) => ({ ok: false as const, error })),
    changed: fc.constant(false),
    result: fc.constant(undefined),
    request: anyRequest,
  }),
);

const anyRow: fc.Arbitrary<OutcomeRow> = fc.record({
  logTime: u48.map((number) => number as TimeMs),
  chain: u64,
  expired: fc.array(
    fc.record({ position, revision: u48.map((n) => n as Revision), key: fc.string() }),
    { maxLength: 3 },
  ),
  operations: fc.array(anyOutcome, { maxLength: 4 }),
});

describe("outcome row", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(anyRow, (row) => {
        expect(shown(decodeOutcomeRow(encodeOutcomeRow(row)))).to.deep.equal(shown(row));
      }),
      { numRuns: 300 },
    );
  });

  it("does not change with the next row, though the encoder's buffer is used again", () => {
    fc.assert(
      fc.property(anyRow, anyRow, (one, other) => {
        const first = encodeOutcomeRow(one);
        const copy = Buffer.from(first).toString("hex");
        encodeOutcomeRow(other);
        expect(Buffer.from(first).toString("hex")).to.equal(copy);
      }),
      { numRuns: 50 },
    );
  });

  it("is known as damaged", () => {
    const [row] = fc.sample(anyRow, { numRuns: 1, seed: 4 });
    expectDamageNoticed(encodeOutcomeRow(row as OutcomeRow), decodeOutcomeRow);
  });
});

/** Errors by what they say, bytes by what they hold. */
function shown(row: OutcomeRow): unknown {
  const operations = row.operations.map(({ outcome, result, ...rest }) => ({
    ...rest,
    outcome: outcome.ok ? outcome : outcome.error.toBody(),
    result: result && { ...result, value: Buffer.from(result.value).toString("hex") },
  }));
  return { ...row, operations };
}
