/**
 * The power cut test, `make powercut`: what acknowledged writes are worth when machines lose power.
 *
 * Each row of the table is a round (rounds.ts): load, a cut in its midst, a start, all checks. Exit
 * code 0 only if with `sync_interval: always` nothing is missing, and if with nats-server's default
 * everything that a store still had is back after `ringdex repair`.
 *
 *   --seed <number>     chooses the moments and what is torn; printed (default: any)
 *   --rounds <number>   how often all rows are gone through (default: 1)
 *   --row <number>      only this row; with the seed it was run with, the same again
 *
 * Without strace, or with nothing to do, it ends with code 1 and says so.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { renderTable, type Cell } from "../../infra/cli/table.js";
import { systemChance, systemClock } from "../../infra/clock.js";
import { seededChance, type SeededChance } from "../support/manual-clock.js";
import { losses, type Loss } from "./disk.js";
import { lossless, lossy, type Machines } from "./rounds.js";
import { traceProblem } from "./trace.js";
import { TracedStore, type Syncing } from "./traced-store.js";

const SEEDS = 1_000_000;
const ROUNDS_MAX = 1_000;
const MS_PER_SECOND = 1_000;

interface Row {
  readonly syncing: Syncing;
  readonly machines: Machines;
  readonly loss: Loss;
  readonly isYoung?: boolean;
  readonly isTwice?: boolean;
}

const always: readonly Row[] = (["all", "server", "node"] as const).flatMap((machines) =>
  losses.map((loss) => ({ syncing: "always" as const, machines, loss })),
);
const young: readonly Row[] = losses.map((loss) => {
  return { syncing: "always" as const, machines: "all" as const, loss, isYoung: true };
});
const byDefault: readonly Row[] = [
  { syncing: "default", machines: "all", loss: "synced" },
  { syncing: "default", machines: "all", loss: "torn" },
  { syncing: "default", machines: "server", loss: "synced" },
  { syncing: "default", machines: "all", loss: "synced", isTwice: true },
];

const rows = [...always, ...young, ...byDefault];

const heads = [
  { head: "row", isNumber: true },
  { head: "sync_interval" },
  { head: "lose power" },
  { head: "left" },
  { head: "acknowledged", isNumber: true },
  { head: "not in the log", isNumber: true },
  { head: "in no store", isNumber: true },
  { head: "missing at the end", isNumber: true },
  { head: "retried", isNumber: true },
  { head: "events", isNumber: true },
  { head: "resets", isNumber: true },
  { head: "seconds", isNumber: true },
  { head: "" },
];

// What runs is ended, and its files stay, however this program ends.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
const code = await run().catch((error: unknown) => {
  if (!(error instanceof RangeError)) throw error;
  say(`powercut: ${error.message}\n`);
  return 1;
});
// A round that went wrong leaves clients behind that try on.
process.exit(code);

async function run(): Promise<number> {
  const problem = traceProblem();
  if (problem !== undefined) {
    say(`powercut: nothing was tried: ${problem}\n`);
    return 1;
  }
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      rounds: { type: "string", default: "1" },
      row: { type: "string" },
    },
  });
  const any = String(Math.floor(systemChance.fraction() * SEEDS));
  const seed = whole("seed", values.seed ?? any, 0, Number.MAX_SAFE_INTEGER / SEEDS);
  const rounds = whole("rounds", values.rounds, 1, ROUNDS_MAX);
  const last = rounds * rows.length;
  const only = values.row === undefined ? undefined : whole("row", values.row, 1, last);
  say(`powercut: SEED=${seed}\n`);
  const cells: Cell[][] = [];
  let isGood = true;
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, row] of rows.entries()) {
      const number = round * rows.length + index + 1;
      if (only !== undefined && number !== only) continue;
      const { cell, wrong } = await runRow(row, seededChance(seed + number * SEEDS));
      cells.push([number, ...cell]);
      say(`${[number, ...cell].join("  ")}\n`);
      for (const line of wrong) say(`  ${line}\n`);
      isGood &&= wrong.length === 0;
    }
  }
  say(`\n${renderTable(heads, cells, undefined)}`);
  say(isGood ? "nothing is missing that had to be there\n" : "there is something wrong\n");
  return isGood ? 0 : 1;
}

/** The store's folder is kept where something is wrong. */
async function runRow(
  { syncing, machines, loss, isYoung = false, isTwice = false }: Row,
  chance: SeededChance,
): Promise<{ readonly cell: Cell[]; readonly wrong: readonly string[] }> {
  const folder = mkdtempSync(join(tmpdir(), "ringdex-powercut-"));
  const store = new TracedStore(folder, syncing);
  const round = { store, machines, loss, chance, name: "powercut", isYoung, isTwice };
  const startMs = systemClock.elapsedMs();
  const about = isYoung ? ", young" : isTwice ? ", twice" : "";
  const what = [syncing, `${machines}${about}`, loss];
  const wrong: string[] = [];
  let figures: Cell[];
  try {
    if (syncing === "always") {
      const result = await lossless(round);
      wrong.push(...result.wrong);
      if (result.lost > 0) wrong.push(`${result.lost} acknowledged writes are missing`);
      if (result.resets > 0) wrong.push(`${result.resets} positions have lost their events`);
      const { acknowledged, lost, retried, events, resets } = result;
      figures = [acknowledged, lost, undefined, lost, retried, events, resets];
    } else {
      const result = await lossy(round);
      const { acknowledged, lostByLog, lostByAll, lost, events, resets } = result;
      wrong.push(...result.wrong);
      if (lost > lostByAll) wrong.push(`repair left ${lost - lostByAll} writes in the stores`);
      if (lostByLog === 0) wrong.push("the log lost nothing: the round shows nothing");
      figures = [acknowledged, lostByLog, lostByAll, lost, undefined, events, resets];
    }
  } catch (error) {
    wrong.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    figures = Array.from({ length: 7 }, () => undefined);
  }
  await store.stop();
  const seconds = Math.round((systemClock.elapsedMs() - startMs) / MS_PER_SECOND);
  if (wrong.length === 0) rmSync(folder, { recursive: true, force: true });
  else wrong.push(`its files are in ${folder}`);
  return { cell: [...what, ...figures, seconds, wrong.length === 0 ? "ok" : "WRONG"], wrong };
}

function whole(name: string, text: string, least: number, most: number): number {
  const number = Number(text);
  if (text.trim() !== "" && Number.isInteger(number) && number >= least && number <= most) {
    return number;
  }
  throw new RangeError(`--${name} is ${JSON.stringify(text)}; there is ${least} to ${most}`);
}

function say(text: string): void {
  process.stdout.write(text);
}
