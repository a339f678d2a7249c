/**
 * Options as typed: lists of paths, members' names, durations.
 */
import { expect } from "chai";
import {
  adviseOnPrefix,
  memberNames,
  pathList,
  withoutDays,
} from "../../../infra/cli/option-values.js";
import { parseTtl } from "../../../protocol/value/ttl.js";

describe("option values", () => {
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

  it("of a duration may be days and weeks", () => {
    const hour = 3_600_000;
    const forms = { "1d": 24, "2w": 336, "1d12h": 36, "0.7d": 16.8, "1w1d": 192, "90m": 1.5 };
    for (const [text, hours] of Object.entries(forms)) {
      expect(parseTtl(withoutDays(text)), text).to.equal(hours * hour);
    }
    expect(parseTtl(withoutDays("90"))).to.equal(90_000);
    expect(withoutDays("never")).to.equal("never");
    expect(() => parseTtl(withoutDays("1 d"))).to.throw("ttl");
    expect(() => parseTtl(withoutDays("d"))).to.throw("ttl");
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
