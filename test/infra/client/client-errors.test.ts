/**
 * Errors of a client: the guards, and the two errors that only a client makes.
 */
import { expect } from "chai";
import * as errors from "../../../infra/client/client-errors.js";
import { errorNames, KvError, type ErrorName } from "../../../protocol/errors.js";

describe("client errors", () => {
  const kindsOf = (guard: (error: unknown) => boolean): ErrorName[] =>
    errorNames.filter((kind) => guard(new KvError(kind, "text")));

  it("are told apart by guards, each for its kinds", () => {
    expect(kindsOf(errors.isConflict)).to.deep.equal(["conflict"]);
    expect(kindsOf(errors.isNotFound)).to.deep.equal(["not-found"]);
    expect(kindsOf(errors.isUnavailable)).to.have.members(["unavailable", "overloaded"]);
    expect(kindsOf(errors.isInDoubt)).to.deep.equal(["in-doubt"]);
    expect(kindsOf(errors.isKvError)).to.deep.equal(errorNames);
    const looksLikeOne = Object.assign(new Error("text"), { kind: "conflict" });
    expect(errors.isConflict(looksLikeOne)).to.equal(false);
    expect(errors.isKvError(looksLikeOne)).to.equal(false);
  });

  it("of a batch have all outcomes, and are of the first failure's kind", () => {
    const conflict = new KvError("conflict", "is at 3", { revision: 3 });
    const later = new KvError("unavailable", "nobody");
    const outcomes = [
      { ok: true, result: 1 } as const,
      { ok: false, error: conflict } as const,
      { ok: false, error: later } as const,
    ];
    const error = new errors.BatchError(outcomes, conflict);
    expect(error).to.deep.include({ kind: "conflict", retryable: false, cause: conflict });
    expect(error.message).to.equal("2 of 3 operations failed, first: is at 3");
    expect(error.outcomes).to.equal(outcomes);
  });
});
