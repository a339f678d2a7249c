/**
 * The longest time without an answer, of answers at known times.
 */
import { expect } from "chai";
import type { HistoryRow } from "../history/history.js";
import { longestGap, measureGaps } from "./availability.js";

describe("the longest gap", () => {
  const span = { name: "a fault", fromMs: 100, toMs: 200 };

  it("lies between two answers, or an answer and an end of the span", () => {
    expect(longestGap([90, 110, 150, 190, 300], span)).to.equal(40);
    expect(longestGap([90, 160, 195], span)).to.equal(60);
    expect(longestGap([110, 120], span)).to.equal(80);
    expect(longestGap([], span)).to.equal(100);
    expect(longestGap([50, 250], span)).to.equal(100);
  });

  it("is that of the worst shard, and of all shards together", () => {
    const rows = [
      ...[110, 130, 150, 170, 190].map((at) => probed("probe-s1", "get", at)),
      ...[120, 180].map((at) => probed("probe-s2", "get", at)),
      ...[105, 195].map((at) => probed("probe-s1", "set", at)),
    ];
    const [gaps] = measureGaps(rows, [span]);
    expect(gaps?.reads).to.deep.equal({ worstShardMs: 60, storeMs: 20 });
    expect(gaps?.writes).to.deep.equal({ worstShardMs: 90, storeMs: 90 });
    expect(gaps?.requestCount).to.equal(9);
    expect(gaps?.unansweredCount).to.equal(0);
  });

  it("does not end at what was no answer", () => {
    const refused = probed("probe-s1", "get", 150, "refused");
    const [gaps] = measureGaps([probed("probe-s1", "get", 110), refused], [span]);
    expect(gaps?.reads.worstShardMs).to.equal(90);
    expect(gaps?.unansweredCount).to.equal(1);
  });
});

/** Begun a millisecond before. */
function probed(
  client: string,
  verb: "get" | "set",
  returnedAt: number,
  kind: "absent" | "refused" = "absent",
): HistoryRow {
  const outcome = kind === "absent" ? { kind } : { kind, error: "unavailable" };
  const steps = [{ verb, key: "k", outcome }];
  return { client, number: 1, kind: "single", steps, invokedAt: returnedAt - 1, returnedAt };
}
