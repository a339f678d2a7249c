/**
 * Session and stale reads, and values: histories by hand that keep or break what is promised.
 */
import { expect } from "chai";
import type { HistoryRow, Step, StepOutcome } from "./history.js";
import { recordedStore } from "./recorded-store.js";
import { checkSessions } from "./sessions.js";

describe("session reads", () => {
  let rows: HistoryRow[];
  beforeEach(() => {
    rows = [];
    add("writer", set("x", 1));
    add("writer", set("y", 4));
  });

  function add(client: string, step: Step, invokedAt = 10 * rows.length): void {
    const times = { invokedAt, returnedAt: 10 * rows.length + 5 };
    rows.push({ client, number: rows.length, kind: "single", steps: [step], ...times });
  }

  function problems(): string {
    return checkSessions(rows).problems.join("\n");
  }

  it("may show any state to a client that has seen nothing", () => {
    add("a", get("x", 1));
    add("b", absent);
    expect(problems()).to.equal("");
    expect(checkSessions(rows)).to.include({ sessionReads: 0, values: 1 });
  });

  it("do not go behind a write of the same client", () => {
    add("writer", get("x", 1));
    expect(problems()).to.include("session: writer/2 get a session → x at 1 after it had seen");
    expect(checkSessions(rows).sessionReads).to.equal(1);
  });

  it("do not go behind a read of the same client, at whatever level", () => {
    add("a", get("y", 4, "stale"));
    add("a", get("x", 1));
    expect(problems()).to.not.equal("");
  });

  it("may go behind what the client was not yet told when it asked", () => {
    add("a", get("y", 4));
    add("a", get("x", 1), 15);
    expect(problems()).to.equal("");
  });

  it("do not lose what was seen, unless it was deleted or may have expired", () => {
    add("writer", absent);
    expect(problems()).to.not.equal("");
    add("b", step("del", { kind: "unknown" }));
    expect(problems()).to.equal("");
    rows.pop();
    add("b", step("del", { kind: "written", revision: 3 }));
    expect(problems()).to.not.equal("");
    rows.pop();
    add("b", { ...step("touch", { kind: "written", revision: 5 }), ttl: 1_000 });
    expect(problems()).to.equal("");
  });

  it("may find nothing after the client's own delete, and nothing from before it", () => {
    add("writer", step("del", { kind: "written", revision: 5 }));
    add("writer", absent);
    expect(problems()).to.equal("");
    add("writer", get("y", 4));
    expect(problems()).to.not.equal("");
  });
});

describe("values", () => {
  const at = (steps: Step[]): HistoryRow[] =>
    steps.map((each, number) => {
      const times = { invokedAt: 10 * number, returnedAt: 10 * number + 5 };
      return { client: "a", number, kind: "single", steps: [each], ...times };
    });

  it("are those that were written at their revisions", () => {
    const good = [set("x", 1), set("y", 2), get("x", 1, "stale"), get("y", 2, "stale")];
    expect(checkSessions(at(good)).problems).to.deep.equal([]);
    const lost = [set("x", 1), { ...set("y", 2), outcome: { kind: "unknown" as const } }];
    expect(checkSessions(at([...lost, get("y", 2)])).problems).to.deep.equal([]);
  });

  it("are not invented, not at another's revision, and not from the future", () => {
    expect(checkSessions(at([set("x", 1), get("z", 2, "stale")])).problems).to.have.length(1);
    expect(checkSessions(at([set("x", 1), get("x", 2, "stale")])).problems).to.have.length(1);
    expect(checkSessions(at([get("x", 1, "stale"), set("x", 1)])).problems).to.have.length(1);
  });

  it("are one for each revision", () => {
    const steps = [step("incr", { kind: "written", revision: 1 }), get("1", 1), get("2", 1)];
    expect(checkSessions(at(steps)).problems.join()).to.include("two values at one revision");
  });

  it("of a right store are all accepted", () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      const rows = recordedStore(seed, { keys: 2, clients: 4, operations: 60 });
      expect(checkSessions(rows).problems).to.deep.equal([]);
    }
  });
});

function step(verb: Step["verb"], outcome: StepOutcome): Step {
  return { verb, key: "a", outcome };
}

function set(value: string, revision: number): Step {
  return { ...step("set", { kind: "written", revision }), value };
}

function get(value: string, revision: number, level: "session" | "stale" = "session"): Step {
  return { ...step("get", { kind: "value", value, revision }), level };
}

const absent: Step = { ...step("get", { kind: "absent" }), level: "session" };
