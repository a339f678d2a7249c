/**
 * What is done for a shard, by what its nodes say of their stores.
 */
import { expect } from "chai";
import {
  planRepair,
  type Finding,
  type RepairPlan,
} from "../../../actors/ring-keeper/repair-plan.js";
import type { LogId, NodeName, Position, ShardId } from "../../../protocol/ids.js";
import type { RepairReport, StoreFinding } from "../../../protocol/node/repair.js";
import type { RingShard } from "../../../protocol/ring/ring.js";
import { limits } from "../../support/log-writer.js";

const LOG = "00000000000000a1" as LogId;
const BEFORE = "00000000000000a0" as LogId;
const SHORT = "log-shorter: the log lost writes";
const shard: RingShard = {
  shard: "s1" as ShardId,
  logId: LOG,
  logIdsBefore: [BEFORE],
  nodes: ["n1", "n2", "n3"] as NodeName[],
  weight: 1,
  positions: [0, 1] as Position[],
};

describe("repair plan", () => {
  it("takes the store that has applied the most, and sets the others aside", () => {
    const plan = logPlan([stopped("n1", 97), stopped("n2", 100), stopped("n3", 40)]);
    expect(plan.source).to.equal("n2");
    expect(plan.store.sequence).to.equal(100);
    expect(fates(plan)).to.deep.equal({ n1: "set-aside", n2: "source", n3: "set-aside" });
    expect(plan.replicas[0]?.reason).to.equal("3 entries behind");
  });

  it("lets all stores go on that hold the same", () => {
    const plan = logPlan([stopped("n1", 100), stopped("n2", 100), stopped("n3", 99)]);
    expect(fates(plan)).to.deep.equal({ n1: "source", n2: "equal", n3: "set-aside" });
  });

  it("refuses two stores at one sequence with different digests: one is damaged", () => {
    const other = stopped("n2", 100, { records: "ff" });
    const reason = refusal([stopped("n1", 100), other, stopped("n3", 50)]);
    expect(reason).to.contain("n1 and n2").and.contain("digests differ").and.contain("--abandon");
  });

  it("refuses two stores whose index alone differs", () => {
    const other = stopped("n2", 100, { index: "ff" });
    expect(refusal([stopped("n1", 100), other, stopped("n3", 50)])).to.contain("digests differ");
  });

  it("refuses two stores at one sequence with different pasts", () => {
    const other = stopped("n2", 100, { chain: "00000000000000ff" });
    const reason = refusal([stopped("n1", 100), other, stopped("n3", 50)]);
    expect(reason).to.contain("different pasts up to entry 100");
  });

  it("refuses a store behind whose past is not a part of the furthest one's", () => {
    const other = stopped("n2", 98, { chain: "00000000000000ff" });
    const reason = refusal([stopped("n1", 100), other, stopped("n3", 50)]);
    expect(reason).to.contain("n1 and n2 have different pasts up to entry 98");
  });

  it("takes a store behind whose past is not known any more", () => {
    const source = stopped("n1", 100, { chains: {} });
    const plan = logPlan([source, stopped("n2", 98), stopped("n3", 50)]);
    expect(plan.source).to.equal("n1");
  });

  it("goes on without a store with another past once that is abandoned", () => {
    const other = stopped("n2", 120, { chain: "00000000000000ff" });
    const plan = logPlan([stopped("n1", 100), other, stopped("n3", 50)], ["n2"]);
    expect(plan.source).to.equal("n1");
    expect(fates(plan)).to.deep.equal({ n1: "source", n3: "set-aside", n2: "abandoned" });
  });

  it("wants every store: a node that does not answer is to be started or abandoned", () => {
    const findings = [stopped("n1", 100), { node: "n2" as NodeName, report: undefined }];
    const reason = refusal([...findings, stopped("n3", 50)]);
    expect(reason).to.contain("n2 does not answer").and.contain("--abandon n2");
    expect(logPlan([...findings, stopped("n3", 50)], ["n2"]).source).to.equal("n1");
  });

  it("refuses to abandon all, or a node that holds no replica", () => {
    const all = [stopped("n1", 1), stopped("n2", 1), stopped("n3", 1)];
    expect(refusal(all, ["n1", "n2", "n3"])).to.contain("at least one node");
    expect(refusal(all, ["n9"])).to.contain("n9 holds no replica of s1");
  });

  it("waits for a replica that is still loading or catching up", () => {
    const reading = finding("n2", "loading", "damaged: a row");
    const reason = refusal([stopped("n1", 100), reading, stopped("n3", 50)]);
    expect(reason).to.contain("n2 is loading (damaged: a row)").and.contain("--abandon n2");
    const busy = finding("n3", "catching-up", "");
    expect(refusal([stopped("n1", 100), stopped("n2", 9), busy])).to.contain("n3 is catching-up");
  });

  it("has nothing to do where all serve", () => {
    const plan = planRepair(shard, ["n1", "n2", "n3"].map(serving), []);
    expect(plan.kind).to.equal("nothing");
  });

  it("keeps the log while some replica serves, and fills the others from it", () => {
    const other = finding("n2", "stopped", "log-diverged: not the same");
    const plan = planRepair(shard, [serving("n1"), other, serving("n3")], []);
    if (plan.kind !== "refill") throw new Error(`is ${plan.kind}`);
    expect(plan.nodes).to.deep.equal(["n2"]);
    expect(fates(plan)).to.deep.equal({ n1: "serving", n2: "set-aside", n3: "serving" });
  });

  it("leaves it to a person where the ring has lost a change and some serve without it", () => {
    const parent = { logId: LOG, sequence: 90, chain: chainOf(90) };
    const text = "log-unknown: the store belongs to another log";
    const ahead = finding("n2", "stopped", text, 100, {
      log_id: "00000000000000a2",
      parent: parent as StoreFinding["parent"],
    });
    const reason = refusal([serving("n1"), ahead, serving("n3")]);
    expect(reason).to.contain("the ring has lost a change").and.contain("--abandon n1");
    expect(reason).to.contain("--abandon n2");
  });

  it("fills no store whose replica says that the log is short, though others still serve", () => {
    const reason = refusal([stopped("n1", 100), serving("n2"), serving("n3")]);
    expect(reason).to.contain("n2 will notice too");
  });

  it("refuses what no log mends", () => {
    for (const text of ["upgrade-needed: start it", "store-failed: disk", "log-continued: soon"]) {
      const other = finding("n2", "stopped", text);
      expect(refusal([stopped("n1", 100), other, stopped("n3", 50)])).to.contain(text);
      expect(refusal([serving("n1"), other, serving("n3")])).to.contain(text);
    }
  });

  it("mends a log that is gone, or was trimmed, or is not the stores'", () => {
    for (const text of ["log-missing: gone", "log-trimmed: at 7", "log-unknown: other"]) {
      const all = ["n1", "n2", "n3"].map((node) => finding(node, "stopped", text));
      expect(logPlan(all).source).to.equal("n1");
    }
  });

  it("refuses a store of a log that the ring never knew", () => {
    const alien = stopped("n2", 900, { log_id: "00000000000000ff" });
    const reason = refusal([stopped("n1", 100), alien, stopped("n3", 50)]);
    expect(reason).to.contain("00000000000000ff").and.contain("another cluster");
  });

  it("takes a store of a log before, and one of a log after that the ring has forgotten", () => {
    const old = stopped("n2", 90, { log_id: BEFORE });
    expect(logPlan([stopped("n1", 100), old, stopped("n3", 50)]).source).to.equal("n1");
    const parent = { logId: LOG, sequence: 100 as never, chain: chainOf(100) };
    const newer = stopped("n2", 120, { log_id: "00000000000000a2", parent });
    const plan = logPlan([stopped("n1", 100), newer, stopped("n3", 50)]);
    expect(plan.source).to.equal("n2");
  });

  it("sets a store aside that holds the same as one of another log", () => {
    const old = stopped("n2", 100, { log_id: BEFORE });
    const plan = logPlan([stopped("n1", 100), old, stopped("n3", 50)]);
    expect(fates(plan)).to.include({ n1: "source", n2: "set-aside" });
  });

  it("goes on though a store is empty, and not if all are", () => {
    const empty = (node: string): Finding => {
      const { report } = stopped(node, 0) as { report: RepairReport };
      return { node: node as NodeName, report: { ...report, store: null } };
    };
    const plan = logPlan([stopped("n1", 100), empty("n2"), empty("n3")]);
    expect(fates(plan)).to.deep.equal({ n1: "source", n2: "set-aside", n3: "set-aside" });
    expect(refusal([empty("n1"), empty("n2"), empty("n3")])).to.contain("nothing to continue from");
  });

  it("waits for a node that has not seen the ring's newest log", () => {
    const { report } = stopped("n2", 9) as { report: RepairReport };
    const late = { node: "n2" as NodeName, report: { ...report, log_id: BEFORE } };
    const reason = refusal([stopped("n1", 100), late, stopped("n3", 50)]);
    expect(reason).to.contain("n2 has not followed the ring");
  });
});

/** All stores have one past, unless said otherwise. */
function chainOf(sequence: number): string {
  return sequence.toString(16).padStart(16, "c");
}

function stopped(node: string, sequence: number, changes: Partial<StoreFinding> = {}): Finding {
  return finding(node, "stopped", SHORT, sequence, changes);
}

function serving(node: string): Finding {
  return finding(node, "serving", "");
}

function finding(
  node: string,
  state: RepairReport["state"],
  reason: string,
  sequence = 100,
  changes: Partial<StoreFinding> = {},
): Finding {
  const sequences = Array.from({ length: sequence + 1 }, (_, index) => index);
  const store: StoreFinding = {
    log_id: LOG,
    sequence,
    chain: chainOf(sequence),
    chains: Object.fromEntries(sequences.map((each) => [String(each), chainOf(each)])),
    parent: null,
    positions: ["0-1"],
    limits,
    index_excluded: [],
    behaviour_version: 1,
    records: `r${sequence}`,
    index: `i${sequence}`,
    keys: sequence,
    ...changes,
  };
  const report = { node, shard: "s1", log_id: LOG, epoch: 3, state, reason, store };
  return { node: node as NodeName, report };
}

function logPlan(findings: Finding[], abandoned: string[] = []): RepairPlan & { kind: "log" } {
  const plan = planRepair(shard, findings, abandoned);
  if (plan.kind !== "log") throw new Error(JSON.stringify(plan));
  return plan;
}

function refusal(findings: Finding[], abandoned: string[] = []): string {
  const plan = planRepair(shard, findings, abandoned);
  if (plan.kind !== "refused") throw new Error(`is ${plan.kind}`);
  return plan.reason;
}

function fates(plan: RepairPlan): Record<string, string> {
  if (plan.kind === "refused") throw new Error(plan.reason);
  return Object.fromEntries(plan.replicas.map(({ node, fate }) => [node, fate]));
}
