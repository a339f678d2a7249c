/**
 * Check run: checks everything that must be true of a simulated run, from the clients' answers, the
 * logs, the stores and the events. It is a function of these facts alone, so tests can plant some.
 *
 * If the run damaged a shard's log on purpose, only requests that ended before count, and only in
 * checks that need no log: the log no longer shows what happened.
 */
import type { StoredRecord } from "../../protocol/operation.js";
import type { HistoryRow, Step } from "../history/history.js";
import { checkLinearizable } from "../history/linearizable.js";
import { checkSessions } from "../history/sessions.js";
import { checkStore } from "../support/store-check.js";
import { CheckContext, type CheckCounts } from "./check-context.js";
import { checkEvents } from "./check-events.js";
import { checkQueries } from "./check-queries.js";
import type { RunFacts, ShardFacts } from "./facts.js";
import type { LogTruth } from "./log-truth.js";

export interface CheckReport {
  /** Empty = the run is good. */
  readonly problems: readonly string[];
  readonly counts: Readonly<CheckCounts>;
}

/** How far log time may be ahead of the world's: both ends of a jump, and what a message takes. */
const EXPIRY_EARLY_MS = 10_000;

export async function checkRun(facts: RunFacts): Promise<CheckReport> {
  const context = new CheckContext(facts);
  const nameless = namelessDone(context);
  checkHistory(context, nameless);
  checkTruth(context);
  checkNameless(context, nameless);
  checkQueries(context);
  checkEvents(context);
  for (const shard of facts.shards) await checkStores(context, shard);
  return { problems: context.problems, counts: context.counts };
}

function checkHistory(context: CheckContext, nameless: ReadonlyMap<string, number>): void {
  const { rows } = context.facts;
  const known = rows.flatMap((row) => withFates(context, nameless, row));
  const linear = checkLinearizable(
    known.flatMap((row) => judged(context, row)),
    { expiryEarlyMs: EXPIRY_EARLY_MS, positionOf: (key) => context.positionOf(key) },
  );
  const sessions = checkSessions(rows.flatMap((row) => judged(context, row)));
  for (const problem of [...linear.problems, ...sessions.problems]) context.problem(problem);
  context.count("operations put into an order", linear.operations);
  context.count("session reads", sessions.sessionReads);
}

/**
 * The row, with what the log says of writes of unknown fate: those that never took effect count as
 * refused, and of the others those that have a name as written at some time. A search that may do
 * or leave out each of a hundred does not come to an end.
 */
function withFates(
  context: CheckContext,
  nameless: ReadonlyMap<string, number>,
  row: HistoryRow,
): HistoryRow[] {
  if (row.steps.every(({ outcome }) => outcome.kind !== "unknown")) return [row];
  const mayBeDone = (step: Step): boolean => {
    const truth = context.truthOf(step.key);
    if (truth === undefined) return true;
    if (isNameless(row, step)) return nameless.has(`${step.verb} ${step.key}`);
    return truth.revisionOf(row, step) !== undefined;
  };
  // All or nothing.
  if (row.kind === "atomic" && row.steps.some(mayBeDone)) return [row];
  const later: HistoryRow[] = [];
  const steps = row.steps.map((step): Step => {
    if (step.outcome.kind !== "unknown") return step;
    const revision = context.truthOf(step.key)?.revisionOf(row, step);
    if (revision === undefined && mayBeDone(step)) return step;
    context.count("fates of writes known by the log");
    if (revision !== undefined) {
      const { returnedAt: _at, ...asked } = row;
      const outcome = { kind: "written", revision } as const;
      later.push({ ...asked, kind: "single", steps: [{ ...step, outcome }] });
    }
    return { ...step, outcome: { kind: "refused", error: "told by the log" } };
  });
  return [{ ...row, steps }, ...later];
}

/** The row, as far as its shards' logs were not damaged before it ended. */
function judged(context: CheckContext, row: HistoryRow): HistoryRow[] {
  if (context.areWhole) return [row];
  const { returnedAt = Infinity } = row;
  const isJudged = ({ key }: Step): boolean => returnedAt < context.damagedAt(context.shardOf(key));
  if (row.steps.every(isJudged)) return [row];
  // Other clients may have seen a write before the damage.
  const steps = row.steps.flatMap((step): Step[] => {
    if (isJudged(step)) return [step];
    return step.verb === "get" ? [] : [{ ...step, outcome: { kind: "unknown" } }];
  });
  return [{ ...row, steps }];
}

function checkTruth(context: CheckContext): void {
  for (const { repeatCount } of context.truths.values()) {
    context.count("repeats that get their first outcome", repeatCount);
  }
  for (const { row, step } of context.steps()) {
    const truth = context.truthOf(step.key);
    if (truth === undefined) continue;
    if (step.verb === "get") {
      context.count(`${step.level ?? "linearizable"} reads`);
      const least = context.acknowledgedBefore(context.shardOf(step.key), row.invokedAt);
      context.problems.push(...truth.problemsOfRead(row, step, least));
    } else if (step.verb !== "check") {
      context.count("writes");
      if (step.outcome.kind === "written") context.count("acknowledged writes");
      context.problems.push(...truth.problemsOfWrite(row, step));
    }
  }
}

/**
 * What has neither a request id nor a value that tells whose it is: not more of them are in the
 * log than were asked for and not refused.
 */
function checkNameless(context: CheckContext, done: ReadonlyMap<string, number>): void {
  const asked = new Map<string, number>();
  for (const { row, step } of context.steps()) {
    const { kind } = step.outcome;
    if (!isNameless(row, step) || (kind !== "written" && kind !== "unknown")) continue;
    const what = `${step.verb} ${step.key}`;
    asked.set(what, (asked.get(what) ?? 0) + 1);
  }
  for (const [what, count] of done) {
    context.count("nameless writes", count);
    if (count <= (asked.get(what) ?? 0)) continue;
    context.problem(`in the log more often than asked for: ${what}`);
  }
}

/** How many took effect, by verb and key. */
function namelessDone({ facts, truths }: CheckContext): Map<string, number> {
  const ids = new Set(facts.rows.map(({ requestId }) => requestId));
  const done = new Map<string, number>();
  for (const truth of truths.values()) {
    for (const { verb, key, request } of truth.effective) {
      // Our client names the operations of a batch by its id and their places in it.
      const id = request?.id ?? "";
      if (!hasNoMark.has(verb) || ids.has(id) || ids.has(id.replace(/\/\d+$/, ""))) continue;
      const what = `${verb} ${key}`;
      done.set(what, (done.get(what) ?? 0) + 1);
    }
  }
  return done;
}

const hasNoMark: ReadonlySet<string> = new Set(["del", "incr", "touch"]);

function isNameless({ requestId }: HistoryRow, { verb }: Step): boolean {
  return requestId === undefined && hasNoMark.has(verb);
}

async function checkStores(context: CheckContext, { shard, replicas }: ShardFacts): Promise<void> {
  const truth = context.truths.get(shard.shard);
  if (truth === undefined) return;
  for (const { node, phase, sequence, store } of replicas) {
    // A replica that stopped on purpose may be behind.
    if (phase !== "serving" || store === undefined) continue;
    const place = `${shard.shard} on ${node}`;
    if (sequence !== truth.sequenceLast) {
      context.problem(`${place} is at ${sequence} of ${truth.sequenceLast}`);
    }
    try {
      const records = await checkStore(store);
      context.count("stores compared");
      for (const text of problemsOfRecords(truth, records)) context.problem(`${place}: ${text}`);
    } catch (error) {
      context.problem(`${place}: ${String(error)}`);
    }
  }
}

function* problemsOfRecords(
  truth: LogTruth,
  records: ReadonlyMap<string, StoredRecord>,
): Generator<string> {
  const wanted = truth.records;
  for (const key of new Set([...records.keys(), ...wanted.keys()])) {
    const record = records.get(key);
    const value = record && Buffer.from(record.value).toString("latin1");
    const found = JSON.stringify(record && { ...record, value }, memberNames);
    const expected = JSON.stringify(wanted.get(key), memberNames);
    if (found !== expected) yield `${key} is ${found}, the log says ${expected}`;
  }
}

/** In this order, whatever the objects'. */
const memberNames = ["revision", "updatedAt", "expiresAt", "contentType", "value"];
