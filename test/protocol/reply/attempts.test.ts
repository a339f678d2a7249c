/**
 * Attempts: what may be sent again, and what is told in the end, for every kind of error.
 */
import { expect } from "chai";
import { errorNames, KvError, type ErrorName } from "../../../protocol/errors.js";
import { finalError, isWorthAnother, readError } from "../../../protocol/reply/attempts.js";

describe("attempts", () => {
  const error = (kind: ErrorName): KvError => new KvError(kind, "a text", { a: 1 });
  const kindsWhere = (isFound: (error: KvError) => boolean): ErrorName[] =>
    errorNames.filter((kind) => isFound(error(kind)));

  it("go on after what may pass, and after `overloaded` only to resolve a doubt", () => {
    const wanted = ["unavailable", "in-doubt"];
    expect(kindsWhere((each) => isWorthAnother(each, false))).to.have.members(wanted);
    const doubtful = [...wanted, "overloaded"];
    expect(kindsWhere((each) => isWorthAnother(each, true))).to.have.members(doubtful);
  });

  it("end at once at a full log, in doubt where one had no answer", () => {
    const full = new KvError("overloaded", "a text", {}, { retryable: false });
    for (const isDoubtful of [false, true]) {
      expect(isWorthAnother(full, isDoubtful)).to.equal(false);
    }
    expect(finalError(full, false)).to.equal(full);
    expect(finalError(full, true)).to.include({ kind: "in-doubt", written: "unknown" });
  });

  it("end in doubt where one had no answer and the last was not taken", () => {
    const doubtful = (each: KvError): boolean => finalError(each, true).kind === "in-doubt";
    const wanted = ["unavailable", "overloaded", "in-doubt"];
    expect(kindsWhere(doubtful)).to.have.members(wanted);
    expect(finalError(error("overloaded"), true).message).to.match(/got no answer; .*a text$/);
    // What was refused for good was refused, whatever became of the attempt before.
    const conflict = error("conflict");
    expect(finalError(conflict, true)).to.equal(conflict);
  });

  it("end with their last error where each had an answer", () => {
    for (const each of errorNames.map(error)) expect(finalError(each, false)).to.equal(each);
  });

  it("of a read leave no doubt", () => {
    const read = readError(error("in-doubt"));
    expect(read).to.deep.include({ kind: "unavailable", details: { a: 1 }, written: "no" });
    const other = error("not-found");
    expect(readError(other)).to.equal(other);
  });
});
