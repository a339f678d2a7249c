/**
 * Counts of the rules: what of a node's lines counts, and for whom.
 */
import { expect } from "chai";
import { RuleCounts, type RuleName } from "./rules.js";

const SERVES = "the replica serves";
const STOPS_SERVING = "the replica stops serving";

describe("counts of the rules", () => {
  let rules: RuleCounts;
  beforeEach(() => {
    rules = new RuleCounts();
  });

  function count(rule: RuleName): number {
    return rules.counts.get(rule) ?? 0;
  }

  it("count a replica that serves again once, and only after it stopped by rule L9", () => {
    const reasons = ["it lags by 300 entries", "could not read the log's end: no answer"];
    for (const reason of reasons) {
      rules.onLine("s1 on n1", SERVES, {});
      rules.onLine("s1 on n1", STOPS_SERVING, { reason });
      rules.onLine("s1 on n1", SERVES, {});
      rules.onLine("s1 on n1", SERVES, {});
    }
    expect(count("L9 a replica serves again")).to.equal(2);
    expect(count("L9 a replica that lags stops serving")).to.equal(1);
    rules.onLine("s1 on n1", STOPS_SERVING, { reason: "for some other reason" });
    rules.onLine("s1 on n1", SERVES, {});
    expect(count("L9 a replica serves again")).to.equal(2);
  });

  it("do not count that another replica serves, nor one that was started again", () => {
    rules.onLine("s1 on n1", STOPS_SERVING, { reason: "it lags by 300 entries" });
    rules.onLine("s1 on n2", SERVES, {});
    rules.onLine("s2 on n1", SERVES, {});
    rules.onLine("s1 on n1", "a replica failed; starting it again", {});
    rules.onLine("s1 on n1", SERVES, {});
    expect(count("L9 a replica serves again")).to.equal(0);
  });

  it("tell by the reason which rule has stopped a replica", () => {
    const reasons = ["log-diverged: x", "log-unknown: x", "log-shorter: x", "log-trimmed: x"];
    for (const reason of reasons) rules.onLine("s1 on n1", "the replica stops", { reason });
    expect(count("L1 another past stops a replica")).to.equal(2);
    expect(count("L3 a shorter log stops a replica")).to.equal(1);
    expect(count("L8 a log begins after what a store has applied")).to.equal(1);
  });
});
