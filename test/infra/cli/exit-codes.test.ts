/**
 * Exit codes: all different, and what each of them tells.
 */
import { expect } from "chai";
import { exitCodes, exitOfError } from "../../../infra/cli/exit-codes.js";
import { errorNames, KvError } from "../../../protocol/errors.js";

describe("exit codes", () => {
  it("are all different", () => {
    const codes = Object.values(exitCodes).map(({ code }) => code);
    expect(new Set(codes).size).to.equal(codes.length);
  });

  it("tell what a script asks: is it there, try again, may it have happened", () => {
    const exits = errorNames.map((name) => [name, exitOfError(new KvError(name, "text"))]);
    expect(Object.fromEntries(exits)).to.deep.include({
      "not-found": "no",
      conflict: "conflict",
      unavailable: "unavailable",
      overloaded: "unavailable",
      "in-doubt": "inDoubt",
      internal: "failed",
    });
    expect(exitOfError(new TypeError("a bug"))).to.equal("failed");
  });
});
