/**
 * Linearizability of the hot keys, by two independent checkers: ours (test/history/linearizable.ts)
 * and Porcupine. Both get the recorded history, and each of its copies with a planted mistake: they
 * must accept the history and reject the copies.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatHistory, type HistoryRow, type Step } from "../history/history.js";
import { checkLinearizable } from "../history/linearizable.js";
import { isHot } from "./keys.js";
import { plantMistakes } from "./plant.js";
import { askPorcupine, buildPorcupine, type NotAsked, type Result } from "./porcupine.js";

export interface Opinion {
  /** "recorded", or what was planted. */
  readonly history: string;
  readonly mustBe: "Ok" | "Illegal";
  readonly ours: Result;
  /** Undefined = not asked. */
  readonly porcupine: Result | undefined;
  readonly operations: number;
}

export interface LinearReport {
  readonly opinions: readonly Opinion[];
  readonly problems: readonly string[];
  /** Why Porcupine was not asked, if so; a problem unless the run may do without. */
  readonly notAsked: string | undefined;
  readonly keyCount: number;
  readonly oursMs: number;
  readonly porcupineMs: number | undefined;
}

/** Moves of our search on one key. */
const MOVES_MAX = 5_000_000;

export interface CheckOptions {
  /** Histories are written here, which is where Porcupine reads them. */
  readonly folder: string;
  readonly needsPorcupine: boolean;
}

export async function checkLinear(
  rows: readonly HistoryRow[],
  { folder, needsPorcupine }: CheckOptions,
): Promise<LinearReport> {
  const hot = hotRows(rows);
  const problems: string[] = [];
  const histories = [{ name: "recorded", rows: hot as readonly HistoryRow[] | undefined }];
  histories.push(...plantMistakes(hot));
  const files: string[] = [];
  const ours: { readonly result: Result; readonly operations: number; readonly ms: number }[] = [];
  for (const history of histories) {
    if (history.rows === undefined) {
      problems.push(`the history has no place to plant a ${history.name}: run longer`);
      return { ...nothing, problems };
    }
    const file = join(folder, `hot-${history.name.replaceAll(" ", "-")}.jsonl`);
    await writeFile(file, formatHistory(history.rows));
    files.push(file);
    const startMs = performance.now();
    const report = checkLinearizable(history.rows, { movesMax: MOVES_MAX });
    const isGivenUp = report.problems.every((problem) => problem.startsWith("undecided"));
    const wrong: Result = isGivenUp ? "Unknown" : "Illegal";
    const result = report.problems.length === 0 ? "Ok" : wrong;
    ours.push({ result, operations: report.operations, ms: performance.now() - startMs });
    if (history.name === "recorded") problems.push(...report.problems);
  }
  const program = await buildPorcupine(folder);
  const isAsked = typeof program === "string";
  const asked = isAsked ? await askPorcupine(program, files) : [];
  if (!isAsked && needsPorcupine) problems.push(withoutPorcupine(program));
  const opinions = histories.map(({ name }, index): Opinion => {
    const mustBe = index === 0 ? "Ok" : "Illegal";
    const own = ours[index];
    const result = own?.result ?? "Unknown";
    const operations = own?.operations ?? 0;
    // A checker that was asked and gave no result has not agreed.
    const porcupine = isAsked ? (asked[index]?.result ?? "Unknown") : undefined;
    return { history: name, mustBe, ours: result, porcupine, operations };
  });
  problems.push(...opinions.flatMap((opinion) => disagreements(opinion)));
  return {
    opinions,
    problems,
    notAsked: isAsked ? undefined : program.notAsked,
    keyCount: new Set(hot.flatMap(({ steps }) => steps.map(({ key }) => key))).size,
    oursMs: ours[0]?.ms ?? 0,
    porcupineMs: asked[0]?.ms,
  };
}

const nothing = {
  opinions: [],
  notAsked: "there was nothing to ask about",
  keyCount: 0,
  oursMs: 0,
  porcupineMs: undefined,
};

/** The problem that only one checker was asked, and what to do about it. */
export function withoutPorcupine({ notAsked }: NotAsked): string {
  return `Porcupine was not asked: ${notAsked}; install Go, or say: make chaos PORCUPINE=no`;
}

function disagreements({ history, mustBe, ours, porcupine }: Opinion): string[] {
  const wrong = [
    { who: "our checker", result: ours },
    { who: "Porcupine", result: porcupine },
  ].filter(({ result }) => result !== undefined && result !== mustBe);
  return wrong.map(({ who, result }) => `${history}: ${who} says ${result}, not ${mustBe}`);
}

/** The operations on the hot keys, and their outcomes. */
export function hotRows(rows: readonly HistoryRow[]): HistoryRow[] {
  return rows.flatMap((row) => {
    const steps = row.steps.filter(({ key }: Step) => isHot(key));
    return steps.length === 0 ? [] : [{ ...row, steps }];
  });
}
