/**
 * Histories as files, as lines for people, and their times.
 */
import { expect } from "chai";
import { describeRow, formatHistory, parseHistory, Stopwatch, type HistoryRow } from "./history.js";

const rows: HistoryRow[] = [
  {
    client: "c1",
    number: 7,
    requestId: "r",
    kind: "single",
    steps: [
      { verb: "incr", key: "é\n", path: "n", by: 2, outcome: { kind: "written", revision: 3 } },
    ],
    invokedAt: 1.5,
    returnedAt: 2,
  },
  {
    client: "c2",
    number: 1,
    kind: "atomic",
    steps: [
      { verb: "set", key: "a", value: '"x"', ttl: 5, ifRevision: 0, outcome: { kind: "unknown" } },
    ],
    invokedAt: 3,
  },
];

describe("history", () => {
  it("comes back from a file as it was", () => {
    const text = formatHistory(rows);
    expect(text.trimEnd().split("\n")).to.have.length(2);
    expect(parseHistory(text)).to.deep.equal(rows);
  });

  it("names the line that is no JSON", () => {
    expect(() => parseHistory(`{}\n{`)).to.throw(SyntaxError, "line 2 of the history");
  });

  it("says who, when, what, and what came of it", () => {
    const [incr, atomic] = rows.map(describeRow);
    expect(incr).to.equal("c1/7 [1.500 … 2.000] incr é\n n+2 → written at 3");
    expect(atomic).to.equal('c2/1 [3.000 … never] atomic set a "x" ttl 5 if 0 → unknown');
  });

  it("has no two equal times, though its clock stands", () => {
    let ms = 5;
    const stopwatch = new Stopwatch(() => ms);
    const times = [stopwatch.now(), stopwatch.now(), stopwatch.now()];
    expect(new Set(times).size).to.equal(3);
    expect(times).to.deep.equal(times.toSorted((a, b) => a - b));
    ms = 6;
    expect(stopwatch.now()).to.equal(6);
  });
});
