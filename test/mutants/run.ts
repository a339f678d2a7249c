/**
 * `make mutants`: plants each mutant into a copy of the project, runs the simulation on it, and
 * tells after how many seeds its checks noticed.
 *
 * ONLY=<part of a name> runs some of them, WORKERS=<count> so many side by side, SEEDS=<count> ends
 * each after so many instead of those its patch names. Ends with 1 if a patch does not apply, if
 * what must be noticed was not, or if what nobody can notice was.
 */
import { execFile } from "node:child_process";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readMutants, Workshop, type Mutant } from "./mutants.js";
import { summaryOf, tableOf, type Verdict } from "./report.js";

const project = fileURLToPath(new URL("../../..", import.meta.url));
const patches = join(project, "test", "mutants", "patches");
/** A simulation that does not end by itself has been stopped by the mutant. */
const MINUTES_MAX = 15;
const LINES_BYTES_MAX = 64 * 1_024 * 1_024;

/** What the simulation says with --json, as far as it is looked at here. */
interface SimulationTotals {
  readonly seeds: number;
  readonly failures: readonly { readonly seed: number; readonly problems: readonly string[] }[];
}

async function main(): Promise<number> {
  const { ONLY = "", SEEDS } = process.env;
  const all = await readMutants(patches);
  const wrongly = wronglyAsked(ONLY, all);
  if (wrongly !== undefined) {
    process.stderr.write(`mutants: ${wrongly}\n`);
    return 1;
  }
  const mutants = all
    .filter(({ name }) => name.includes(ONLY))
    .map((mutant) => (SEEDS === undefined ? mutant : { ...mutant, seedsMax: Number(SEEDS) }));
  const workerCount = Math.min(Number(process.env["WORKERS"] ?? cpus().length), mutants.length);
  const waiting = [...mutants];
  const verdicts: Verdict[] = [];
  const work = async (_: unknown, number: number): Promise<void> => {
    const folder = join(project, ".cache", "mutants", String(number));
    const workshop = await Workshop.open(project, folder);
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const verdict = await verdictOn(workshop, mutant);
      verdicts.push(verdict);
      process.stderr.write(`${verdicts.length}/${mutants.length}  ${summaryOf(verdict)}\n`);
    }
  };
  await Promise.all(Array.from({ length: workerCount }, work));
  verdicts.sort((one, other) => mutants.indexOf(one.mutant) - mutants.indexOf(other.mutant));
  const wrong = verdicts.filter(({ isRight }) => !isRight);
  process.stdout.write(`${tableOf(verdicts)}\n`);
  const caught = verdicts.filter(({ seed }) => seed !== undefined).length;
  const survive = verdicts.filter(({ mutant }) => mutant.lives !== undefined).length;
  process.stdout.write(
    `\n${verdicts.length} mutants: ${caught} noticed, ${survive} that nobody can notice, ` +
      `${wrong.length} not as they should be\n`,
  );
  return wrong.length === 0 ? 0 : 1;
}

/** What is wrong with what was asked for; undefined = nothing. */
function wronglyAsked(only: string, all: readonly Mutant[]): string | undefined {
  for (const name of ["SEEDS", "WORKERS"]) {
    const text = process.env[name];
    if (text === undefined || /^[1-9]\d*$/.test(text)) continue;
    return `${name} is ${JSON.stringify(text)}; it must be a whole number, 1 or more`;
  }
  if (all.some(({ name }) => name.includes(only))) return undefined;
  const names = all.map(({ name }) => `  ${name}`).join("\n");
  return `no mutant has ${JSON.stringify(only)} in its name; there are\n${names}`;
}

async function verdictOn(workshop: Workshop, mutant: Mutant): Promise<Verdict> {
  try {
    await workshop.plant(mutant);
  } catch (error) {
    const { message, cause } = error as Error;
    const why = cause instanceof Error ? `${message} (${cause.message})` : message;
    return { mutant, seed: undefined, noticed: why, isRight: false };
  }
  try {
    const { seed, noticed } = await simulate(workshop.folder, mutant.seedsMax);
    const isRight = (seed !== undefined) === (mutant.lives === undefined);
    return { mutant, seed, noticed, isRight };
  } finally {
    await workshop.remove(mutant);
  }
}

/** `seed`: the first that failed, counted from 1. */
async function simulate(
  folder: string,
  seedsMax: number,
): Promise<{ seed: number | undefined; noticed: string }> {
  const program = join(folder, "dist", "test", "simulation", "run.js");
  const options = ["--seeds", String(seedsMax), "--workers", "1", "--stop-at-first", "--json"];
  const { code, stdout, stderr } = await outputOf([program, ...options]);
  let totals: SimulationTotals;
  try {
    totals = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as SimulationTotals;
  } catch {
    const last = stderr.trim().split("\n").at(-1) ?? "";
    throw new Error(`the simulation said nothing, exit code ${code}: ${last}`);
  }
  const [failure] = totals.failures;
  if (failure === undefined) return { seed: undefined, noticed: `nothing in ${totals.seeds}` };
  return { seed: failure.seed, noticed: failure.problems[0] ?? "" };
}

function outputOf(
  argumentList: readonly string[],
): Promise<{ code: number | string; stdout: string; stderr: string }> {
  const options = { timeout: MINUTES_MAX * 60_000, maxBuffer: LINES_BYTES_MAX };
  return new Promise((resolve) => {
    execFile(process.execPath, argumentList, options, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? error?.signal ?? 0, stdout, stderr });
    });
  });
}

process.exitCode = await main();
