/**
 * Runs simulations from the command line (`make simulate`):
 *
 *   --seeds <count>     how many; default 1,000
 *   --seed <first>      the first of them; default 1
 *   --workers <count>   threads; default: one for each processor
 *   --stop-at-first     ends at the first failure
 *   --json              totals as one line of JSON instead of the table
 *   --trace             writes the whole trace of each failed seed, and of a single one in any
 *                       case, to a file
 *
 * Exit code 1 if a seed failed, or if in 1,000 runs or more a fault, a rule or a check never came
 * into play.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { packageFolder } from "../../infra/files/package-version.js";
import { runSeeds } from "./seed-runner.js";
import { simulate } from "./simulate.js";
import { neverSeen, tableOf, type Failure, type Totals } from "./totals.js";

/** Of a failure's trace: the last lines are what one reads first. */
const TRACE_LINES = 300;
const PROGRESS_MS = 1_000;
/** Where nobody sees a line change, as in a file: a new line so often. */
const PROGRESS_LINE_MS = 60_000;
/** Failures printed with all their problems. */
const FAILURES_SHOWN = 10;
const PROBLEMS_SHOWN = 20;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    workers: { type: "string", default: "0" },
    "stop-at-first": { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  const [seeds, first] = [wholeOf("seeds", values.seeds), wholeOf("seed", values.seed)];
  const workers = wholeOf("workers", values.workers) || availableParallelism();
  const beganMs = performance.now();
  const seconds = (): number => (performance.now() - beganMs) / 1_000;
  const onProgress = values.json ? undefined : progress(seeds, seconds);
  const stopAtFirst = values["stop-at-first"];
  const common = { first, seeds, stopAtFirst, ...(onProgress === undefined ? {} : { onProgress }) };
  const totals = await runSeeds({ ...common, workers: Math.min(workers, seeds) });
  if (process.stderr.isTTY && !values.json) process.stderr.write("\r\u001b[K");
  const never = neverSeen(totals);
  if (values.json) say(JSON.stringify({ ...totals, never, seconds: seconds() }));
  else {
    for (const line of tableOf(totals, seconds())) say(line);
    await showFailures(totals.failures);
    for (const what of never) say(`never came into play: ${what}`);
    if (values.trace && seeds === 1 && totals.failed === 0) await writeTrace(first);
  }
  return totals.failed > 0 || never.length > 0 ? 1 : 0;
}

/** Shows how far it is, and each failed seed at once: a long run need not end to be of use. */
function progress(seeds: number, seconds: () => number): (totals: Totals) => void {
  const isTty = process.stderr.isTTY;
  let shownMs = performance.now();
  let failures = 0;
  return ({ seeds: done, failed, failures: all }) => {
    for (const { seed, problems } of all.slice(failures)) {
      process.stderr.write(`${isTty ? "\r\u001b[K" : ""}seed ${seed} fails: ${problems[0]}\n`);
    }
    failures = all.length;
    if (performance.now() - shownMs < (isTty ? PROGRESS_MS : PROGRESS_LINE_MS)) return;
    shownMs = performance.now();
    const rate = (done / seconds()).toFixed(1);
    const line = `${done} of ${seeds} seeds, ${failed} failed, ${rate}/s`;
    process.stderr.write(isTty ? `\r${line} ` : `${line}\n`);
  };
}

async function showFailures(failures: readonly Failure[]): Promise<void> {
  for (const { seed, problems } of failures.slice(0, FAILURES_SHOWN)) {
    say(`\nseed ${seed} fails; replay it by: make simulate SEED=${seed} SEEDS=1 TRACE=1`);
    for (const problem of problems.slice(0, PROBLEMS_SHOWN)) say(`  ${problem}`);
    if (values.trace) await writeTrace(seed);
  }
  const [shown] = failures;
  if (shown === undefined || shown.problems[0]?.startsWith("hangs: no step") === true) return;
  const { trace } = await simulate(shown.seed, { keepsTrace: true });
  say(`\nthe last of what happened with seed ${shown.seed}:`);
  for (const line of trace.slice(-TRACE_LINES)) say(line);
}

async function writeTrace(seed: number): Promise<void> {
  const { trace } = await simulate(seed, { keepsTrace: true });
  const folder = join(packageFolder(), ".cache", "simulation");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `seed-${seed}.txt`);
  writeFileSync(file, `${trace.join("\n")}\n`);
  say(`its trace: ${file}`);
}

function wholeOf(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new Error(`--${name} must be a whole number, but ${JSON.stringify(text)} was received`);
  }
  return value;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
