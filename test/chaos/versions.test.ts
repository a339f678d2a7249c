/**
 * Versions: histories and events that belong together, and each way in which they may not.
 */
import { expect } from "chai";
import type { HistoryRow, Step, StepOutcome } from "../history/history.js";
import { checkEventOrder, type ReadEvent } from "./events.js";
import { matchVersions } from "./versions.js";

describe("versions of a key", () => {
  it("are those of the events, each with the time of its request", () => {
    const rows = [set(1, "a", 1), incr(5, undefined), incr(7, 3, 2)];
    const events = [event(1, '"a"'), event(2, "1", "n"), event(3, "2", "n")];
    const { versions, lost, doubled, wrong } = matchVersions(events, rows, 100);
    expect([lost, doubled, wrong]).to.deep.equal([[], [], []]);
    expect(versions.get("n")?.list.slice(1)).to.deep.equal([
      { revision: 2, value: "1", invokedAt: 5, returnedAt: 100 },
      { revision: 3, value: "2", invokedAt: 7, returnedAt: 8 },
    ]);
  });

  it("are possible from the start of their write to the end of the next one", () => {
    const rows = [set(1, "a", 1), set(3, "b", 2), set(3.5, "c", 3)];
    const events = [event(1, '"a"'), event(2, '"b"'), event(3, '"c"')];
    const known = matchVersions(events, rows).versions.get("k");
    const possible = (from: number, to: number): (string | undefined)[] =>
      (known?.possible(from, to) ?? []).map(({ value }) => value);
    expect(possible(0, 0.5)).to.deep.equal([undefined]);
    expect(possible(1.5, 1.7)).to.deep.equal([undefined, '"a"']);
    expect(possible(2.5, 2.7)).to.deep.equal(['"a"']);
    expect(possible(2.5, 3.2)).to.deep.equal(['"a"', '"b"']);
    expect(possible(3.7, 9)).to.deep.equal(['"a"', '"b"', '"c"']);
    expect(possible(4.2, 9)).to.deep.equal(['"b"', '"c"']);
    expect(possible(5, 9)).to.deep.equal(['"c"']);
  });

  it("miss an acknowledged write that no event tells of", () => {
    const { lost } = matchVersions([event(1, '"a"')], [set(1, "a", 1), set(3, "b", 2)]);
    expect(lost).to.have.length(1);
    expect(lost[0]).to.contain('set k "b"');
  });

  it("miss one of two writes that were told the same revision", () => {
    const { lost } = matchVersions([event(1, '"a"')], [set(1, "a", 1), set(3, "b", 1)]);
    expect(lost.join()).to.contain("one revision for two");
  });

  it("name a request that took effect twice", () => {
    const events = [event(1, '"a"'), event(2, '"a"')];
    expect(matchVersions(events, [set(1, "a", 1)]).doubled.join()).to.contain(
      "c/1 took effect again",
    );
    const unanswered = [step(1, { verb: "set", key: "k", value: '"a"' }, { kind: "unknown" })];
    expect(matchVersions(events.slice(0, 1), unanswered).doubled).to.deep.equal([]);
    expect(matchVersions(events, unanswered).doubled.join()).to.contain("c/1 took effect again");
  });

  it("name an increment that was counted twice", () => {
    const events = [event(1, "1", "n"), event(2, "2", "n")];
    expect(matchVersions(events, [incr(1, 1, 1)]).doubled).to.have.length(1);
    expect(matchVersions(events.slice(1), [incr(1, 2, 2)]).wrong).to.have.length(1);
  });

  it("name a refused request that took effect all the same", () => {
    for (const outcome of [
      { kind: "conflict", revision: 7 },
      { kind: "refused", error: "unavailable" },
    ] as const) {
      const rows = [step(1, { verb: "set", key: "k", value: '"a"' }, outcome)];
      const { doubled } = matchVersions([event(1, '"a"')], rows);
      expect(doubled.join()).to.contain("although it was refused");
    }
  });

  it("name a change that nobody asked for, and one that is not as asked", () => {
    expect(matchVersions([event(1, '"x"')], []).doubled.join()).to.contain("nobody asked for it");
    expect(matchVersions([event(1, '"x"')], [set(1, "a", 1)]).wrong).to.have.length(1);
  });
});

describe("the order of events", () => {
  it("has no gap, no repetition and no reset", () => {
    expect(checkEventOrder([event(1, "1"), event(2, "2")])).to.deep.equal([]);
    expect(checkEventOrder([event(1, "1"), event(3, "2")])).to.have.length(1);
    expect(checkEventOrder([event(1, "1"), event(1, "1")])).to.have.length(1);
    expect(checkEventOrder([event(2, "1")])).to.have.length(1);
    expect(checkEventOrder([{ ...event(1, "1"), op: "reset" }])).to.have.length(1);
  });
});

function event(revision: number, value: string, key = "k"): ReadEvent {
  return { op: "set", key, position: 1, revision, value };
}

function set(invokedAt: number, value: string, revision: number): HistoryRow {
  const asked = { verb: "set", key: "k", value: JSON.stringify(value) } as const;
  return step(invokedAt, asked, { kind: "written", revision });
}

/** Of key "n" by one; undefined = not answered. */
function incr(invokedAt: number, revision: number | undefined, number = 0): HistoryRow {
  const outcome: StepOutcome =
    revision === undefined ? { kind: "unknown" } : { kind: "written", revision, number };
  return step(invokedAt, { verb: "incr", key: "n", by: 1 }, outcome);
}

/** A request that takes 1 ms, if it is answered. */
function step(invokedAt: number, asked: Omit<Step, "outcome">, outcome: StepOutcome): HistoryRow {
  const times = outcome.kind === "unknown" ? {} : { returnedAt: invokedAt + 1 };
  return {
    client: "c",
    number: 1,
    kind: "single",
    steps: [{ ...asked, outcome }],
    invokedAt,
    ...times,
  };
}
