/**
 * Repair plan: decides how to repair a shard whose log does not fit its stores. No I/O.
 *
 * Only the stores are left, so the plan takes the one that has applied the most and continues the
 * shard after its last entry. That is right only if the others' pasts are a part of its past: then
 * it holds all that any of them holds. Chains prove it (rule L1). Where two stores have different
 * pasts, each holds acknowledged writes that the other lacks, and a person decides which of them
 * counts: --abandon leaves one out.
 *
 * Invariants
 *   1. No store is left out unless it was named by --abandon.
 *   2. The source has applied at least as much as every other store that was asked, and no store
 *      is known to have a different past.
 *   3. A shard with a serving replica keeps its log.
 */
import { assert } from "../../protocol/assert.js";
import type { NodeName } from "../../protocol/ids.js";
import type { RepairReplica, RepairReport, StoreFinding } from "../../protocol/node/repair.js";
import type { RingShard } from "../../protocol/ring/ring.js";

/** The answer of one node of the shard. */
export interface Finding {
  readonly node: NodeName;
  /** Undefined = it did not answer. */
  readonly report: RepairReport | undefined;
}

export type RepairPlan =
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "nothing"; readonly reason: string; readonly replicas: RepairReplica[] }
  | {
      readonly kind: "log";
      readonly source: NodeName;
      readonly store: StoreFinding;
      readonly replicas: RepairReplica[];
    }
  | { readonly kind: "refill"; readonly nodes: NodeName[]; readonly replicas: RepairReplica[] };

/** Reasons that a new log mends. */
const mendable = ["log-shorter", "log-diverged", "log-missing", "log-trimmed", "log-unknown"];
/** Reasons that a serving replica's store mends. A short or missing log does not serve for long. */
const refillable = ["log-diverged", "log-trimmed", "log-unknown"];

interface Asked {
  readonly node: NodeName;
  readonly report: RepairReport;
}

interface Readable extends Asked {
  readonly store: StoreFinding;
}

/** `findings`: one for each node of the shard that is not abandoned. */
export function planRepair(
  shard: RingShard,
  findings: readonly Finding[],
  abandoned: readonly string[],
): RepairPlan {
  const stranger = abandoned.find((name) => !shard.nodes.includes(name as NodeName));
  if (stranger !== undefined) {
    const nodes = shard.nodes.join(", ");
    return refused(`${stranger} holds no replica of ${shard.shard}, which is on ${nodes}`);
  }
  const leftOut = shard.nodes.filter((name) => {
    return !abandoned.includes(name) && !findings.some(({ node }) => node === name);
  });
  assert(
    leftOut.length === 0,
    `invariant 1: ${leftOut.join(", ")} was neither asked nor abandoned`,
  );
  const asked = findings.filter(({ node }) => !abandoned.includes(node));
  if (asked.length === 0) return refused("a repair needs the store of at least one node");
  const silent = asked.find(({ report }) => report === undefined);
  if (silent !== undefined) {
    const { node } = silent;
    return refused(
      `${node} does not answer, and its store may hold writes that no other has: start it, or ` +
        `leave its store out with --abandon ${node}`,
    );
  }
  return planAnswered(shard, asked as Asked[], abandoned);
}

function planAnswered(
  shard: RingShard,
  asked: readonly Asked[],
  abandoned: readonly string[],
): RepairPlan {
  const late = asked.find(({ report }) => report.log_id !== shard.logId);
  if (late !== undefined) {
    const text = `${late.node} has not followed the ring to log ${shard.logId} yet`;
    return refused(`${text}: wait a moment, then check status`);
  }
  const serving = asked.filter(({ report }) => report.state === "serving");
  const others = asked.filter(({ report }) => report.state !== "serving");
  if (others.length === 0) {
    const reason = `every replica of ${shard.shard} that was asked serves`;
    return { kind: "nothing", reason, replicas: serving.map(asServing) };
  }
  const busy = others.find(({ report }) => report.state !== "stopped");
  if (busy !== undefined) {
    const { node, report } = busy;
    const why = report.reason === "" ? "" : ` (${report.reason})`;
    return refused(
      `the replica on ${node} is ${report.state}${why}: wait until it serves or stops; if its ` +
        `store cannot be read, leave it out with --abandon ${node}`,
    );
  }
  if (serving.length > 0) return planRefill(shard, serving, others, abandoned);
  return planLog(shard, others, abandoned);
}

/** The log is good enough to serve: a node whose store does not fit it gets a new one. */
function planRefill(
  shard: RingShard,
  serving: readonly Asked[],
  stopped: readonly Asked[],
  abandoned: readonly string[],
): RepairPlan {
  const counts = `${serving.length} replicas serve and ${stopped.length} do not`;
  assert(serving.length > 0 && stopped.length > 0, `a serving one fills others, but ${counts}`);
  const unfit = stopped.find(({ report }) => !refillable.includes(codeOf(report)));
  if (unfit !== undefined) return refused(notMendable(unfit, serving[0]));
  const ahead = stopped.find(({ report }) => report.store?.parent?.logId === shard.logId);
  if (ahead !== undefined) return refused(setBack(shard, ahead.node, serving[0]?.node ?? ""));
  return {
    kind: "refill",
    nodes: stopped.map(({ node }) => node),
    replicas: [
      ...serving.map(asServing),
      ...stopped.map(({ node, report }): RepairReplica => {
        const sequence = report.store?.sequence ?? null;
        return { node, sequence, fate: "set-aside", reason: codeOf(report) };
      }),
      ...abandoned.map(asAbandoned),
    ],
  };
}

/** A ring that lost its last change names an ended log, and a store may have continued from it. */
function setBack({ logId }: RingShard, ahead: string, serving: string): string {
  return (
    `the ring names log ${logId}, but the store of ${ahead} already continues that log in ` +
    `another one: the ring has lost a change, and ${serving} serves without the writes of that ` +
    `store. --abandon ${serving} continues from that store; --abandon ${ahead} continues ` +
    "without it, and keeps it"
  );
}

function notMendable({ node, report }: Asked, serving: Asked | undefined): string {
  const also = serving === undefined ? "" : `, while ${serving.node} serves`;
  const text = `the replica on ${node} is stopped${also}: ${report.reason}`;
  if (serving === undefined || !mendable.includes(codeOf(report))) {
    return `${text}. Repairing the log does not mend that; --abandon ${node} leaves it out`;
  }
  return `${text}. Wait a moment: ${serving.node} will notice too, and stop`;
}

function planLog(
  shard: RingShard,
  stopped: readonly Asked[],
  abandoned: readonly string[],
): RepairPlan {
  const serving = stopped.find(({ report }) => report.state === "serving");
  assert(serving === undefined, `invariant 3: ${serving?.node} serves, and the log would change`);
  const unfit = stopped.find(({ report }) => !mendable.includes(codeOf(report)));
  if (unfit !== undefined) return refused(notMendable(unfit, undefined));
  const stores: Readable[] = [];
  for (const { node, report } of stopped) {
    const { store } = report;
    if (store === null) continue;
    if (!isOfShard(shard, store)) {
      return refused(
        `the store of ${node} is of log ${store.log_id}, which the ring does not know: does it ` +
          `come from another cluster? --abandon ${node} leaves it out`,
      );
    }
    stores.push({ node, report, store });
  }
  const [source, ...others] = stores.toSorted((a, b) => b.store.sequence - a.store.sequence);
  if (source === undefined) {
    return refused("every store that was asked is empty: there is nothing to continue from");
  }
  for (const other of others) {
    const reason = contradiction(source, other);
    if (reason !== undefined) return refused(reason);
  }
  const replicas = stopped.map((each) => asFate(each, source));
  return {
    kind: "log",
    source: source.node,
    store: source.store,
    replicas: [...replicas, ...abandoned.map(asAbandoned)],
  };
}

/** The ring names the store's log, or one that it continues. */
function isOfShard({ logId, logIdsBefore = [] }: RingShard, store: StoreFinding): boolean {
  const known: readonly string[] = [logId, ...logIdsBefore];
  return known.includes(store.log_id) || known.includes(store.parent?.logId ?? "");
}

/** Why `other` is no part of `source`; undefined = it is, or nothing speaks against it. */
function contradiction(source: Readable, other: Readable): string | undefined {
  const { sequence, chain } = other.store;
  const names = `${source.node} and ${other.node}`;
  const either = `--abandon ${other.node} or --abandon ${source.node}`;
  const choose = `Leave one out with ${either}; its store is kept`;
  if (sequence === source.store.sequence) {
    if (chain !== source.store.chain) {
      return `${differentPasts(names, sequence)}. ${choose}`;
    }
    const isEqual =
      source.store.records === other.store.records && source.store.index === other.store.index;
    if (isEqual) return undefined;
    return (
      `the stores of ${names} have applied the same ${sequence} entries but hold different data ` +
      `(digests differ): one of them is damaged. ${choose}`
    );
  }
  const there = source.store.chains[String(sequence)];
  if (there === undefined || there === chain) return undefined;
  return `${differentPasts(names, sequence)}. ${choose}`;
}

function differentPasts(names: string, sequence: number): string {
  return (
    `the stores of ${names} have different pasts up to entry ${sequence}: each may hold ` +
    "acknowledged writes that the other lacks"
  );
}

function asFate({ node, report }: Asked, source: Readable): RepairReplica {
  const { store } = report;
  if (node === source.node) {
    return { node, sequence: source.store.sequence, fate: "source", reason: "" };
  }
  // The digest has been compared.
  const isEqual = store?.sequence === source.store.sequence && store.log_id === source.store.log_id;
  if (isEqual) return { node, sequence: store.sequence, fate: "equal", reason: "" };
  const missing = source.store.sequence - (store?.sequence ?? 0);
  assert(missing >= 0, `invariant 2: ${node} is ${-missing} entries ahead of ${source.node}`);
  const reason = missing === 0 ? "of another log" : `${missing} entries behind`;
  return { node, sequence: store?.sequence ?? null, fate: "set-aside", reason };
}

function asServing({ node, report }: Asked): RepairReplica {
  return { node, sequence: report.store?.sequence ?? null, fate: "serving", reason: "" };
}

function asAbandoned(node: string): RepairReplica {
  return { node, sequence: null, fate: "abandoned", reason: "" };
}

/** The reason's name, before the colon. */
function codeOf({ reason }: RepairReport): string {
  return reason.split(":", 1)[0] ?? "";
}

function refused(reason: string): RepairPlan {
  return { kind: "refused", reason };
}
