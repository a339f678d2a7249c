/**
 * Checks: all checks of a chaos run, after its end, on what it has recorded.
 */
import type { HistoryRow } from "../history/history.js";
import { checkStores } from "../programs/demo/check-stores.js";
import { isAnswer, isAnswered, measureGaps, type Span, type SpanGaps } from "./availability.js";
import { checkLinear, hotRows, type LinearReport } from "./check-linear.js";
import { checkReads } from "./check-reads.js";
import { checkEventOrder, type ReadEvent } from "./events.js";
import { pairs } from "./keys.js";
import { matchVersions, type KeyVersions } from "./versions.js";

export interface Recorded {
  readonly rows: readonly HistoryRow[];
  readonly events: readonly ReadEvent[];
  /** When the events had been read. */
  readonly seenAllMs: number;
  readonly spans: readonly Span[];
  /** What went wrong before anything was checked. */
  readonly problems: readonly string[];
  /** For what the checks write. */
  readonly folder: string;
  /** Of the cluster, which is down. */
  readonly dataFolder: string;
  readonly seed: number;
  readonly clientCount: number;
  readonly operationsMin: number;
  /** Of operations on the hot keys; with more, too much is unknown to show anything. */
  readonly unansweredShareMax: number;
  /** Without the second opinion the run shows too little. */
  readonly needsPorcupine: boolean;
}

export interface Check {
  readonly name: string;
  readonly figures: string;
  readonly problems: readonly string[];
}

export interface ChaosReport {
  readonly isGood: boolean;
  readonly seed: number;
  readonly clientCount: number;
  readonly requestCount: number;
  /** Operations on the hot keys. */
  readonly hotAnswered: number;
  readonly hotUnanswered: number;
  readonly checks: readonly Check[];
  readonly linear: LinearReport;
  readonly gaps: readonly SpanGaps[];
}

/** What a store may answer while its processes come and go. */
const errorsExpected = new Set(["unavailable", "overloaded", "in-doubt", "incomplete"]);
const OF_ITS_BATCH = "of its batch";

export async function checkAll(recorded: Recorded): Promise<ChaosReport> {
  const { rows, events, seenAllMs, spans, seed, clientCount } = recorded;
  const hot = hotRows(rows).flatMap((row) => row.steps.map(({ outcome }) => outcome));
  const hotAnswered = hot.filter((outcome) => isAnswer(outcome)).length;
  const hotUnanswered = hot.length - hotAnswered;
  const linear = await checkLinear(rows, recorded);
  const matched = matchVersions(events, rows, seenAllMs);
  const reads = checkReads(rows, matched.versions);
  const order = checkEventOrder(events);
  const count = (number: number): string => number.toLocaleString("en-US");
  const asked = linear.notAsked === undefined ? "two checkers" : `ours only (${linear.notAsked})`;
  const checks: Check[] = [
    {
      name: "the run",
      figures: `${spans.length - 1} rounds of faults`,
      problems: recorded.problems,
    },
    answers(recorded, hotAnswered, hotUnanswered),
    {
      name: "linearizable",
      figures: `${linear.keyCount} keys, ${count(hotAnswered)} answers, ${asked}`,
      problems: linear.problems,
    },
    {
      name: "lost writes",
      figures: `of ${count(matched.writeCount)} acknowledged`,
      problems: [...matched.lost, ...matched.wrong],
    },
    {
      name: "doubled requests",
      figures: `${count(events.length)} events, each of one request`,
      problems: matched.doubled,
    },
    {
      name: "reads, queries",
      figures:
        `${count(reads.getCount)} gets, ${count(reads.queryCount)} queries ` +
        `with ${count(reads.resultCount)} results`,
      problems: reads.problems,
    },
    {
      name: "atomic batches",
      figures: `${pairs.length} pairs`,
      problems: pairProblems(matched.versions),
    },
    {
      name: "events",
      figures: "in each position revisions rise by one",
      problems: order,
    },
    await storesCheck(recorded.dataFolder, matched.versions),
  ];
  const gaps = measureGaps(rows, spans);
  const isGood = checks.every(({ problems }) => problems.length === 0);
  const counts = { requestCount: rows.length, hotAnswered, hotUnanswered };
  return { isGood, seed, clientCount, ...counts, checks, linear, gaps };
}

/** Enough of them, and none but those that a store may give. */
function answers(recorded: Recorded, answered: number, unanswered: number): Check {
  const { rows, operationsMin, unansweredShareMax } = recorded;
  const problems: string[] = [];
  const share = unanswered / Math.max(answered + unanswered, 1);
  if (answered < operationsMin) {
    problems.push(`shows nothing: ${answered} answers on the hot keys, not ${operationsMin}`);
  }
  if (share >= unansweredShareMax) {
    problems.push(`shows nothing: ${(share * 100).toFixed(1)} % of them without an answer`);
  }
  const errors = new Map<string, number>();
  for (const row of rows) {
    const outcomes = [...row.steps.map(({ outcome }) => outcome), row.query?.outcome];
    for (const outcome of outcomes) {
      if (outcome === undefined || !("error" in outcome)) continue;
      const { error = "in-doubt" } = outcome;
      if (error !== OF_ITS_BATCH) errors.set(error, (errors.get(error) ?? 0) + 1);
    }
    const { query } = row;
    if (query?.outcome.kind === "answered" && !query.outcome.complete) {
      problems.push(`${row.client}/${row.number}: a query answered incompletely, unasked`);
    }
  }
  for (const [error, number] of errors) {
    if (!errorsExpected.has(error)) problems.push(`${number} times: ${error}`);
  }
  const told = [...errors].map(([error, number]) => `${error} ${number}`).join(", ");
  const all = rows.filter((row) => isAnswered(row)).length.toLocaleString("en-US");
  const figures = `${all} of ${rows.length.toLocaleString("en-US")}; ${told || "no errors"}`;
  return { name: "answers", figures, problems };
}

/** In one step one of a pair gains what the other loses: so after each step the sum is 0. */
function pairProblems(versions: ReadonlyMap<string, KeyVersions>): string[] {
  return pairs.flatMap(([one, other]) => {
    const [ones, others] = [versions.get(one)?.list ?? [], versions.get(other)?.list ?? []];
    if (ones.length !== others.length) {
      return [`${one} was changed ${ones.length} times, ${other} ${others.length} times`];
    }
    const halves = ones.filter((version, index) => {
      const twin = others[index];
      const sum = Number(version.value ?? 0) + Number(twin?.value ?? 0);
      return sum !== 0 || (index > 0 && twin?.revision !== version.revision + 1);
    });
    return halves.map(({ value, revision }) => {
      return `${one} was ${value} at ${revision} without its twin's change`;
    });
  });
}

/** Every row of every store: records, index, digests, copies of a shard against each other. */
async function storesCheck(
  dataFolder: string,
  versions: ReadonlyMap<string, KeyVersions>,
): Promise<Check> {
  const expected = new Map<string, string>();
  for (const [key, { last }] of versions) {
    if (last.value !== undefined) expected.set(key, last.value);
  }
  const report = await checkStores(dataFolder, expected);
  const count = (number: number): string => number.toLocaleString("en-US");
  const figures =
    `${report.stores.length}, with ${count(report.recordCount)} records ` +
    `and ${count(report.indexRowCount)} index rows`;
  return { name: "stores", figures, problems: report.problems.lines() };
}
