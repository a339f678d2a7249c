/**
 * Options and arguments as typed: what commands make of them, and what is refused.
 */
import { Readable } from "node:stream";
import { expect } from "chai";
import { InvalidArgumentError } from "commander";
import { CommandFailed } from "../../../infra/cli/exit-codes.js";
import {
  adviseOnPrefix,
  filterOf,
  finiteNumber,
  hasLostQuotes,
  memberNames,
  pathList,
  readStdin,
  wholeNumber,
} from "../../../infra/cli/option-values.js";
import { VALUE_BYTES_MAX } from "../../../protocol/limits.js";
import { failure } from "../../support/failure.js";

describe("option values", () => {
  it("are numbers of their kind only", () => {
    expect(["0", "42", "9007199254740991"].map(wholeNumber)).to.deep.equal([0, 42, 2 ** 53 - 1]);
    for (const text of ["", "-1", "1.5", "1e3", "0x10", " 1", "9007199254740992"]) {
      expect(() => wholeNumber(text), text).to.throw(InvalidArgumentError);
    }
    expect(["-1.5", "1e3"].map(finiteNumber)).to.deep.equal([-1.5, 1_000]);
    for (const text of ["", " ", "one", "Infinity", "NaN"]) {
      expect(() => finiteNumber(text), text).to.throw(InvalidArgumentError);
    }
  });

  it("are a filter, if they are a JSON object", () => {
    expect(filterOf(undefined)).to.deep.equal({});
    expect(filterOf('{"a":1}')).to.deep.equal({ a: 1 });
    for (const text of ["country:IN", "[1]", "null", "1", "{a:1}"]) {
      expect(() => filterOf(text), text).to.throw(CommandFailed, /in single quotes/);
    }
  });

  it("have lost their quotes where a shell took them", () => {
    expect(["{a:1}", " [a]"].every(hasLostQuotes)).to.equal(true);
    expect(['{"a":1}', "a", "1"].some(hasLostQuotes)).to.equal(false);
  });
});

describe("stdin as a value", () => {
  const from = (chunks: readonly string[]): { stdin: Readable; stderr: () => undefined } => {
    return { stdin: Readable.from(chunks), stderr: () => undefined };
  };

  it("is all that comes", async () => {
    const bytes = await readStdin(from(["é", "b"]), "a value");
    expect(Buffer.from(bytes).toString()).to.equal("éb");
  });

  it("is read no further than a value can go in any form", async () => {
    const chunk = "x".repeat(VALUE_BYTES_MAX);
    let taken = 0;
    const endless = Readable.from(
      (function* () {
        for (;;) {
          taken += 1;
          yield chunk;
        }
      })(),
    );
    const error = await failure(readStdin({ stdin: endless, stderr: () => undefined }, "a value"));
    expect(error).to.be.instanceOf(CommandFailed);
    expect(taken).to.be.within(9, 40);
  });
});

describe("an option value", () => {
  it("of --select are paths between commas, or a list in JSON for names that have one", () => {
    expect(pathList("")).to.deep.equal([]);
    expect(pathList("a, b.c")).to.deep.equal(["a", "b.c"]);
    expect(pathList('["a,b"," c","","[d"]')).to.deep.equal(["a,b", " c", "", "[d"]);
    for (const wrong of ["a,,b", ",", "a,"])
      expect(() => pathList(wrong)).to.throw(/is empty.*list/);
    for (const wrong of ["[a]", "[1]", '{"a":1}x['.slice(-1)]) {
      expect(() => pathList(wrong)).to.throw(/begins like a list/);
    }
  });

  it("of a path to a member are its names, a dot within one behind a backslash", () => {
    expect(memberNames("id")).to.deep.equal(["id"]);
    expect(memberNames("_id.$oid")).to.deep.equal(["_id", "$oid"]);
    expect(memberNames("a\\.b.c\\\\.\\d")).to.deep.equal(["a.b", "c\\", "\\d"]);
    expect(memberNames("é.😀")).to.deep.equal(["é", "😀"]);
  });

  it("of a prefix are text, which is told to those who typed a wildcard", () => {
    const said: string[] = [];
    const context = { stderr: (text: string) => void said.push(text) };
    for (const prefix of ["a", undefined, "a*b", ""]) adviseOnPrefix(prefix, context);
    expect(said).to.deep.equal([]);
    adviseOnPrefix("city.>", context);
    expect(said.join("")).to.match(/begin with "city\.>"; or is it "city\."\?\n$/);
  });
});
