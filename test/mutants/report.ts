/**
 * What became of the mutants, as the table of Markdown that docs/testing.md has.
 */
import type { Mutant } from "./mutants.js";

export interface Verdict {
  readonly mutant: Mutant;
  /** The first seed that failed; undefined = none did. */
  readonly seed: number | undefined;
  /** What was seen then; or why it could not be tried. */
  readonly noticed: string;
  /** Noticed within its seeds; or, of one that nobody can notice, not noticed. */
  readonly isRight: boolean;
}

const NOTICED_CHARS_MAX = 72;

/** Of the table, as docs/testing.md has it. */
export const columns = [
  "mutant",
  "what is wrong in it",
  "rule",
  "noticed at seed",
  "what was noticed",
] as const;

export function summaryOf({ mutant, seed, noticed, isRight }: Verdict): string {
  const mark = isRight ? "" : "WRONG: ";
  const when = seed === undefined ? "lives" : `seed ${seed}`;
  return `${mark}${mutant.name}: ${when}, ${cut(noticed)}`;
}

export function tableOf(verdicts: readonly Verdict[]): string {
  const rule = `|${columns.map(() => "---").join("|")}|`;
  return [lineOf(columns), rule, ...verdicts.map((verdict) => lineOf(cellsOf(verdict)))].join("\n");
}

function cellsOf({ mutant, seed, noticed, isRight }: Verdict): string[] {
  const { name, defect, rule, lives } = mutant;
  const when = seed === undefined ? (lives === undefined ? "not noticed" : "lives") : String(seed);
  // Of one that lives the reason, which is ours and plain text; else what a program said.
  const what = seed === undefined && lives !== undefined ? oneLine(lives) : code(cut(noticed));
  return [name, oneLine(defect), rule, isRight ? when : `**${when}**`, what];
}

function lineOf(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function cut(text: string): string {
  const flat = oneLine(text);
  return flat.length <= NOTICED_CHARS_MAX ? flat : `${flat.slice(0, NOTICED_CHARS_MAX - 1)}…`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").replaceAll("|", "/").trim();
}

/** What it holds is not to become Markdown. */
function code(text: string): string {
  return `\`${text.replaceAll("`", "'")}\``;
}
