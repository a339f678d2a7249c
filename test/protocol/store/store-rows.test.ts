/**
 * Rows of a store beside the records: outcomes of an entry, what has been applied, and positions.
 * Damage is always noticed.
 */
import { expect } from "chai";
import fc from "fast-check";
import { DamagedError } from "../../../protocol/damaged.js";
import { PositionDigest } from "../../../protocol/digest.js";
import { errorNames, KvError } from "../../../protocol/errors.js";
import type { Position, Revision, Sequence, TimeMs } from "../../../protocol/ids.js";
import { contentTypes, writeVerbs } from "../../../protocol/operation.js";
import {
  decodeAppliedRow,
  encodeAppliedRow,
  STORE_FORMAT,
} from "../../../protocol/store/applied-row.js";
import {
  decodeOutcomeRow,
  encodeOutcomeRow,
  type OperationOutcome,
  type OutcomeRow,
} from "../../../protocol/store/outcome-row.js";
import {
  decodePositionRow,
  encodePositionRow,
  positionStates,
  type PositionRow,
} from "../../../protocol/store/position-row.js";
import { genesisOf, LOG_ID } from "../../support/log-writer.js";

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
const anyOutcome: fc.Arbitrary<OperationOutcome> = fc.oneof(
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

describe("applied row", () => {
  const row = {
    format: STORE_FORMAT,
    logId: LOG_ID,
    sequence: 12 as Sequence,
    logTime: 1_700_000_000_123 as TimeMs,
    chain: 2n ** 64n - 1n,
    messageHash: 0n,
    genesis: genesisOf(),
  } as const;

  it("is read as it was written", () => {
    expect(decodeAppliedRow(encodeAppliedRow(row))).to.deep.equal(row);
  });

  it("is known as damaged", () => {
    expectDamageNoticed(encodeAppliedRow(row), decodeAppliedRow);
  });
});

describe("position row", () => {
  const digest = new PositionDigest();
  digest.addIndex(Buffer.from("row"));
  const anyPositionRow: fc.Arbitrary<PositionRow> = fc.record({
    state: fc.constantFrom(...positionStates),
    generation: fc.nat(2 ** 31 - 1),
    revision: u48.map((number) => number as Revision),
    keys: u48,
    bytes: u48,
    digest: fc.constantFrom(digest, new PositionDigest()),
  });

  it("is read as it was written", () => {
    fc.assert(
      fc.property(anyPositionRow, (row) => {
        const read = decodePositionRow(encodePositionRow(row));
        expect({ ...read, digest: undefined }).to.deep.equal({ ...row, digest: undefined });
        expect(read.digest.equals(row.digest)).to.equal(true);
      }),
    );
  });

  it("is known as damaged", () => {
    const [row] = fc.sample(anyPositionRow, { numRuns: 1, seed: 4 });
    expectDamageNoticed(encodePositionRow(row as PositionRow), decodePositionRow);
  });
});

function expectDamageNoticed(row: Uint8Array, decode: (row: Uint8Array) => unknown): void {
  for (let size = 0; size < row.length; size += 1) {
    expect(() => decode(row.subarray(0, size)), `${size} bytes`).to.throw(DamagedError);
  }
  for (let bit = 0; bit < 8 * row.length; bit += 1) {
    const flipped = Buffer.from(row);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    expect(() => decode(flipped), `bit ${bit}`).to.throw(DamagedError);
  }
}

/** Errors by what they say, bytes by what they hold. */
function shown(row: OutcomeRow): unknown {
  const operations = row.operations.map(({ outcome, result, ...rest }) => ({
    ...rest,
    outcome: outcome.ok ? outcome : outcome.error.toBody(),
    result: result && { ...result, value: Buffer.from(result.value).toString("hex") },
  }));
  return { ...row, operations };
}
