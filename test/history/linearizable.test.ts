/**
 * The linearizability checker: good and bad histories by hand, small ones against all orders there
 * are, and long ones of a store that is right.
 */
import { expect } from "chai";
import fc from "fast-check";
import type { HistoryRow, RowKind, Step, StepOutcome, StepVerb } from "./history.js";
import { absentState, statesAfter, type KeyState } from "./key-state.js";
import { checkLinearizable, type LinearizableOptions } from "./linearizable.js";
import { recordedStore } from "./recorded-store.js";

describe("linearizability", () => {
  let rows: HistoryRow[];
  beforeEach(() => {
    rows = [];
  });

  function add(from: number, to: number | undefined, ...steps: Step[]): void {
    addAs(steps.length === 1 ? "single" : "batch", from, to, steps);
  }

  function addAs(kind: RowKind, from: number, to: number | undefined, steps: Step[]): void {
    const returned = to === undefined ? {} : { returnedAt: to };
    rows.push({ client: "c", number: rows.length, kind, steps, invokedAt: from, ...returned });
  }

  function problems(options: LinearizableOptions = {}): string {
    return checkLinearizable(rows, options).problems.join("\n");
  }

  describe("accepts", () => {
    afterEach(() => expect(problems()).to.equal(""));

    it("an empty history", () => undefined);

    it("reads of what was written before", () => {
      add(0, 1, set("x", written(1)));
      add(2, 3, get("x", 1));
      add(4, 5, set("y", written(2)));
      add(6, 7, get("y", 2));
    });

    it("either value while a write is under way, in one order for all", () => {
      add(0, 1, set("x", written(1)));
      add(2, 9, set("y", written(2)));
      add(3, 4, get("x", 1));
      add(5, 6, get("y", 2));
    });

    it("a write of unknown fate that is never seen", () => {
      add(0, 1, set("x", written(1)));
      add(2, undefined, set("y", unknown));
      add(3, 4, get("x", 1));
    });

    it("a write of unknown fate that appears late, even after its client gave up", () => {
      add(0, 1, set("x", written(1)));
      add(2, 3, set("y", unknown));
      add(4, 5, get("x", 1));
      add(6, 7, get("y", 2));
    });

    it("a condition met by a write that was never answered", () => {
      add(0, undefined, set("x", unknown));
      add(1, 2, set("y", written(5), { ifRevision: 3 }));
      add(3, 4, conflict(3, 5));
    });

    it("a delete, then absence, then a write at a higher revision", () => {
      add(0, 1, set("x", written(1, { created: true })));
      add(2, 3, del(written(2, { existed: true })));
      add(4, 5, absent());
      add(6, 7, del(written(0, { existed: false })));
      add(8, 9, set("y", written(4, { created: true }), { ifRevision: 0 }));
    });

    it("patches and increments, each done to what the one before left", () => {
      add(0, 1, set('{"a":1}', written(1)));
      add(2, 9, incr("a", 2, written(3, { number: 13 })));
      add(2, 9, incr("a", 10, written(2, { number: 11 })));
      add(10, 11, step("patch", written(4), { value: '{"b":{"c":1,"d":null},"a":null}' }));
      add(12, 13, get('{"b":{"c":1}}', 4));
    });

    it("a record whose time to live is over, there or not", () => {
      add(0, 1, set("x", written(1), { ttl: 100 }));
      add(50, 51, step("touch", written(2), { ttl: 200 }));
      add(240, 241, get("x", 2));
      add(300, 301, absent());
      add(302, 303, step("touch", { kind: "absent" }, { ttl: 200 }));
    });

    it("operations of one batch on one key, in their order", () => {
      add(0, 1, set("x", written(1)), incrOfNothing(), get("x", 1));
    });

    it("a get of a batch that was answered anew, after what stands behind it", () => {
      add(0, 1, set("x", written(1)));
      add(2, 9, get("y", 2), set("y", written(2)));
      add(10, 11, get("y", 2));
    });

    it("a refusal, whatever the key holds", () => {
      add(0, 1, set("x", written(1)));
      add(2, 3, set("y", { kind: "refused", error: "unavailable" }));
      add(4, 5, get("x", 1));
    });

    it("an atomic batch whose keys are seen together", () => {
      addAs("atomic", 0, 9, [set("x", written(1)), set("x", written(2), { key: "b" })]);
      add(1, 2, absent());
      add(3, 4, get("x", 2, { key: "b" }));
      add(5, 6, get("x", 1));
    });

    it("an old value read at level stale, which is not its business", () => {
      add(0, 1, set("x", written(1)));
      add(2, 3, set("y", written(2)));
      add(4, 5, get("x", 1, { level: "stale" }));
    });
  });

  describe("rejects", () => {
    it("a stale read, and shows the operations around it", () => {
      add(0, 1, set("x", written(1)));
      add(2, 3, set("y", written(2)));
      add(4, 5, get("x", 1));
      expect(problems())
        .to.include("not linearizable: a: 2 operations have an order")
        .and.include("which leaves a y at 2; then none of these fits")
        .and.include("c/2 [4.000 … 5.000] get a → x at 1");
    });

    it("a lost write", () => {
      add(0, 1, set("x", written(1)));
      add(2, 3, absent());
      expect(problems()).to.include("not found");
    });

    it("an answer not-found beside a later one that finds an older value", () => {
      add(0, 1, set("x", written(1)));
      add(2, 9, del(written(2)));
      add(3, 4, absent());
      add(5, 6, get("x", 1));
      expect(problems()).to.not.equal("");
    });

    it("a value that nobody wrote, or at another revision", () => {
      add(0, 1, set("x", written(1)));
      add(2, 3, get("z", 1));
      expect(problems()).to.not.equal("");
      rows.pop();
      add(2, 3, get("x", 2));
      expect(problems()).to.not.equal("");
    });

    it("an increment done twice", () => {
      add(0, 1, incr("a", 1, written(1, { number: 1 })));
      add(2, 3, incr("a", 1, written(3, { number: 3 })));
      expect(problems()).to.not.equal("");
    });

    it("two increments that saw one state", () => {
      add(0, 9, incr("a", 1, written(1, { number: 1 })));
      add(0, 9, incr("a", 1, written(2, { number: 1 })));
      expect(problems()).to.not.equal("");
    });

    it("a write of unknown fate that takes effect twice", () => {
      add(0, undefined, set("x", unknown));
      add(1, 2, get("x", 1));
      add(3, 4, set("y", written(2)));
      add(5, 6, get("x", 3));
      expect(problems()).to.not.equal("");
    });

    it("a write seen before it was asked for", () => {
      add(0, 1, get("x", 1));
      add(2, 3, set("x", unknown));
      expect(problems()).to.not.equal("");
    });

    it("a conflict at the very revision asked for, or at one that the key was not at", () => {
      add(0, 1, set("x", written(1)));
      add(2, 3, conflict(1, 1));
      expect(problems()).to.not.equal("");
      rows.pop();
      add(2, 3, conflict(0, 7));
      expect(problems()).to.not.equal("");
      rows.pop();
      add(2, 3, conflict(5, 0));
      expect(problems()).to.not.equal("");
    });

    it("a condition that was not met and a write acknowledged all the same", () => {
      add(0, 1, set("x", written(4)));
      add(2, 3, set("y", written(5), { ifRevision: 3 }));
      expect(problems()).to.not.equal("");
      rows.pop();
      add(2, 3, set("y", written(5), { ifRevision: 0 }));
      expect(problems()).to.not.equal("");
    });

    it("two writes if absent that both succeed", () => {
      add(0, 9, set("x", written(1), { ifRevision: 0 }));
      add(0, 9, set("y", written(2), { ifRevision: 0 }));
      expect(problems()).to.not.equal("");
    });

    it("a revision that goes back", () => {
      add(0, 1, set("x", written(5)));
      add(2, 3, set("y", written(4)));
      expect(problems()).to.not.equal("");
    });

    it("created, existed, previous that are not so", () => {
      for (const [before, after] of [
        [set("x", written(1)), set("y", written(2, { created: true }))],
        [set("x", written(1)), del(written(0, { existed: false }))],
        [set("x", written(1)), set("y", written(2, { previous: null }))],
        [del(written(0)), set("y", written(2, { created: false }))],
        [del(written(0)), del(written(2, { existed: true }))],
      ] as const) {
        rows = [];
        add(0, 1, before);
        add(2, 3, after);
        expect(problems()).to.not.equal("");
      }
    });

    it("a record gone before its time, or there long after it", () => {
      const options = { expiryEarlyMs: 10, expiryLateMs: 10 };
      add(0, 1, set("x", written(1), { ttl: 100 }));
      add(80, 81, absent());
      expect(problems()).to.equal("");
      expect(problems(options)).to.not.equal("");
      rows.pop();
      add(120, 121, get("x", 1));
      expect(problems()).to.equal("");
      expect(problems(options)).to.not.equal("");
    });

    it("operations of one batch on one key, in another order than theirs", () => {
      add(0, 1, set("x", written(2)), set("y", written(1)));
      expect(problems()).to.not.equal("");
    });

    it("an atomic batch seen by halves", () => {
      addAs("atomic", 0, 9, [set("x", written(1)), set("x", written(2), { key: "b" })]);
      add(1, 2, get("x", 2, { key: "b" }));
      add(3, 4, absent());
      expect(problems()).to.include("a, b");
    });

    it("an atomic batch of unknown fate seen by halves", () => {
      addAs("atomic", 0, undefined, [set("x", unknown), set("x", unknown, { key: "b" })]);
      add(1, 2, get("x", 2, { key: "b" }));
      add(3, 4, absent());
      expect(problems()).to.not.equal("");
    });
  });

  it("says so when it gave up", () => {
    add(0, 9, set("x", written(1)));
    add(0, 9, get("x", 1));
    expect(problems({ movesMax: 1 })).to.include("undecided");
  });

  it("agrees with trying all orders, for small histories", () => {
    const counts = { good: 0, bad: 0 };
    const property = fc.property(fc.array(anyRow, { minLength: 2, maxLength: 5 }), (parts) => {
      rows = parts.map((part, number) => ({ client: "c", number, kind: "single", ...part }));
      const isGood = hasOrder(rows);
      counts[isGood ? "good" : "bad"] += 1;
      expect(problems() === "", JSON.stringify(rows)).to.equal(isGood);
    });
    fc.assert(property, { numRuns: 3_000, seed: 1 });
    // Each has to be there in numbers, or the agreement shows little.
    expect(Math.min(counts.good, counts.bad)).to.be.greaterThan(300);
  });

  it("accepts whatever a right store tells, and rejects it with one outcome changed", () => {
    let rejected = 0;
    for (let seed = 1; seed <= 200; seed += 1) {
      const recorded = recordedStore(seed, { keys: 2, clients: 5, operations: 60 });
      const { problems: found, operations } = checkLinearizable(recorded);
      expect(found, `seed ${seed}`).to.deep.equal([]);
      expect(operations).to.be.greaterThan(30);
      const at = recorded.findLastIndex(({ steps }) => steps[0]?.outcome.kind === "value");
      const row = recorded[at];
      if (row?.steps[0] === undefined) continue;
      const changed = { ...row.steps[0], outcome: { ...row.steps[0].outcome, value: "other" } };
      const others = recorded.with(at, { ...row, steps: [changed] });
      expect(checkLinearizable(others).problems, `seed ${seed}`).to.have.length(1);
      rejected += 1;
    }
    expect(rejected).to.be.greaterThan(150);
  });
});

function step(verb: StepVerb, outcome: StepOutcome, more: Partial<Step> = {}): Step {
  return { verb, key: "a", ...more, outcome };
}

function set(value: string, outcome: StepOutcome, more: Partial<Step> = {}): Step {
  return step("set", outcome, { value, ...more });
}

function get(value: string, revision: number, more: Partial<Step> = {}): Step {
  return step("get", { kind: "value", value, revision }, more);
}

function absent(): Step {
  return step("get", { kind: "absent" });
}

function del(outcome: StepOutcome): Step {
  return step("del", outcome);
}

function incr(path: string, by: number, outcome: StepOutcome): Step {
  return step("incr", outcome, { path, by });
}

/** Of another key, so that the batch has more than one. */
function incrOfNothing(): Step {
  return step("incr", written(1, { number: 1 }), { key: "b", by: 1 });
}

function conflict(ifRevision: number, revision: number): Step {
  return set("z", { kind: "conflict", revision }, { ifRevision });
}

function written(revision: number, more: object = {}): StepOutcome {
  return { kind: "written", revision, ...more };
}

const unknown: StepOutcome = { kind: "unknown" };

const revision = fc.integer({ min: 1, max: 4 });
const value = fc.constantFrom("1", "2");
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ value, revision }).map((each) => get(each.value, each.revision)),
  fc.constant(absent()),
  fc.record({ value, revision }).map((each) => set(each.value, written(each.revision))),
  value.map((each) => set(each, unknown)),
  fc
    .record({ value, ifRevision: fc.integer({ min: 0, max: 3 }), revision })
    .map((each) => set(each.value, written(each.revision), { ifRevision: each.ifRevision })),
  fc.record({ ifRevision: revision, revision }).map((each) => {
    return conflict(each.ifRevision, each.revision);
  }),
  revision.map((each) => del(written(each, { existed: true }))),
  fc.constant(del(written(0, { existed: false }))),
  fc.constant(step("incr", unknown, { by: 1 })),
  fc.record({ number: fc.integer({ min: 1, max: 3 }), revision }).map((each) => {
    return step("incr", written(each.revision, { number: each.number }), { by: 1 });
  }),
);
const anyRow = fc
  .record({ from: fc.integer({ min: 0, max: 12 }), length: fc.integer({ min: 0, max: 8 }) })
  .chain(({ from, length }) => {
    return anyStep.map((each) => ({
      steps: [each],
      invokedAt: from,
      returnedAt: from + length,
    }));
  });

const rules = {
  expiryEarlyMs: 0,
  expiryLateMs: 0,
  freeAbove: (_key: string, revision: number) => revision + 1,
};

/** All orders of all choices of what has happened, without any memory or cleverness. */
function hasOrder(rows: readonly HistoryRow[]): boolean {
  const isUnknown = ({ steps }: HistoryRow): boolean => steps[0]?.outcome.kind === "unknown";
  const endOf = (row: HistoryRow): number => (isUnknown(row) ? Infinity : (row.returnedAt ?? 0));
  const go = (left: readonly HistoryRow[], state: KeyState): boolean => {
    if (left.every(isUnknown)) return true;
    return left.some((row) => {
      if (left.some((other) => endOf(other) < row.invokedAt)) return false;
      const times = { invokedAt: row.invokedAt, returnedAt: endOf(row) };
      const after = statesAfter(state, row.steps[0] as Step, times, rules);
      const rest = left.filter((other) => other !== row);
      return after.some((next) => go(rest, next));
    });
  };
  return go(rows, absentState);
}
