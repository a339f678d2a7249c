/**
 * Planted mistakes: what is put into a history must be wrong, whichever checker looks at it.
 */
import { expect } from "chai";
import { formatHistory, type HistoryRow } from "../history/history.js";
import { checkLinearizable } from "../history/linearizable.js";
import { plantMistakes } from "./plant.js";

/** A set and a get, one after the other, ten times. */
const rows: readonly HistoryRow[] = Array.from({ length: 20 }, (_, index): HistoryRow => {
  const revision = Math.floor(index / 2) + 1;
  const value = `"v${revision}"`;
  const times = { invokedAt: 10 * index, returnedAt: 10 * index + 5 };
  const isSet = index % 2 === 0;
  const written = { kind: "written", revision, created: index === 0 } as const;
  return {
    client: "c",
    number: index + 1,
    kind: "single",
    steps: isSet
      ? [{ verb: "set", key: "k", value, outcome: written }]
      : [{ verb: "get", key: "k", outcome: { kind: "value", value, revision } }],
    ...times,
  };
});

describe("a planted mistake", () => {
  it("stands in a copy of a history that is right", () => {
    const before = formatHistory(rows);
    expect(checkLinearizable(rows).problems).to.deep.equal([]);
    for (const plant of plantMistakes(rows)) {
      expect(formatHistory(plant.rows ?? rows), plant.name).to.not.equal(before);
    }
    expect(formatHistory(rows)).to.equal(before);
  });

  it("is rejected, whichever it is", () => {
    const plants = plantMistakes(rows);
    expect(plants.map(({ name }) => name)).to.deep.equal([
      "stale read",
      "lost write",
      "wrong not-found",
    ]);
    for (const { name, rows: planted } of plants) {
      expect(checkLinearizable(planted ?? []).problems, name).to.have.length(1);
    }
  });

  it("is not made where it would be no mistake", () => {
    const concurrent = rows.map((row) => ({ ...row, invokedAt: 0, returnedAt: 1_000 }));
    const made = plantMistakes(concurrent).map((plant) => plant.rows);
    expect(made).to.deep.equal([undefined, undefined, undefined]);
  });
});
