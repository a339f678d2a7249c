/**
 * Totals: adds up the counts of many runs, and prints them as a table.
 */
import { checkNames } from "./check-context.js";
import { faultNames } from "./faults.js";
import { ruleNames } from "./rules.js";
import type { SimulationReport } from "./simulate.js";

/** From so many runs on, it is a failure if some fault, rule or check never came into play. */
export const SEEDS_ENOUGH = 1_000;
/** Failures listed; there may be more. */
const FAILURES_MAX = 100;

export interface Failure {
  readonly seed: number;
  readonly problems: readonly string[];
}

export interface Totals {
  seeds: number;
  nodes: number;
  operations: number;
  faultKinds: number;
  entries: number;
  virtualMs: number;
  steps: number;
  readonly faults: Record<string, number>;
  readonly rules: Record<string, number>;
  readonly checks: Record<string, number>;
  failed: number;
  readonly failures: Failure[];
}

export function noTotals(): Totals {
  const figures = { nodes: 0, operations: 0, faultKinds: 0, entries: 0, virtualMs: 0, steps: 0 };
  return { seeds: 0, ...figures, faults: {}, rules: {}, checks: {}, failed: 0, failures: [] };
}

export function addReport(totals: Totals, report: SimulationReport): void {
  const { seed, problems, faults, rules, checks } = report;
  const isFailed = problems.length > 0;
  addTotals(totals, {
    ...report,
    seeds: 1,
    faults: { ...faults },
    rules: { ...rules },
    checks: { ...checks },
    failed: isFailed ? 1 : 0,
    failures: isFailed ? [{ seed, problems }] : [],
  });
}

export function addTotals(totals: Totals, more: Totals): void {
  totals.seeds += more.seeds;
  totals.nodes += more.nodes;
  totals.operations += more.operations;
  totals.faultKinds += more.faultKinds;
  totals.entries += more.entries;
  totals.virtualMs += more.virtualMs;
  totals.steps += more.steps;
  totals.failed += more.failed;
  for (const name of ["faults", "rules", "checks"] as const) {
    const own = totals[name];
    for (const [what, count] of Object.entries(more[name])) own[what] = (own[what] ?? 0) + count;
  }
  totals.failures.push(...more.failures.slice(0, FAILURES_MAX - totals.failures.length));
}

/** Faults, rules and checks that never came into play, though there were enough runs. */
export function neverSeen({ seeds, faults, rules, checks }: Totals): string[] {
  if (seeds < SEEDS_ENOUGH) return [];
  const never = (names: readonly string[], counts: Readonly<Record<string, number>>): string[] =>
    names.filter((name) => (counts[name] ?? 0) === 0);
  return [
    ...never(faultNames, faults).map((name) => `fault: ${name}`),
    ...never(ruleNames, rules).map((name) => `rule: ${name}`),
    ...never(checkNames, checks).map((name) => `check: ${name}`),
  ];
}

/** The aligned table, as lines. */
export function tableOf(totals: Totals, seconds: number): string[] {
  const { seeds, nodes, operations, faultKinds, faults, rules, checks } = totals;
  const mean = (sum: number): string => (sum / Math.max(seeds, 1)).toFixed(1);
  return [
    ...section("faults", faultNames, faults),
    ...section("rules", ruleNames, rules),
    ...section("compared", checkNames, checks),
    "",
    `${seeds} seeds, ${totals.failed} failed, ${(seeds / Math.max(seconds, 0.001)).toFixed(1)}/s`,
    `on average ${mean(operations)} operations, ${mean(nodes)} nodes, ${mean(faultKinds)} kinds ` +
      `of fault, ${mean(totals.entries)} entries, ${mean(totals.virtualMs / 1_000)} s`,
  ];
}

function section(
  title: string,
  names: readonly string[],
  counts: Readonly<Record<string, number>>,
): string[] {
  const width = Math.max(...names.map((name) => name.length), 0);
  const lines = names.map((name) => {
    const count = String(counts[name] ?? 0);
    return `  ${name.padEnd(width)}  ${count.padStart(10)}`;
  });
  return ["", title, ...lines];
}
