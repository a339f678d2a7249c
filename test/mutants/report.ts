/**
 * What became of the mutants, as an aligned table that also is one of Markdown.
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

export function summaryOf({ mutant, seed, noticed, isRight }: Verdict): string {
  const mark = isRight ? "" : "WRONG: ";
  const when = seed === undefined ? "lives" : `seed ${seed}`;
  return `${mark}${mutant.name}: ${when}, ${oneLine(noticed)}`;
}

export function tableOf(verdicts: readonly Verdict[]): string {
  const head = ["mutant", "rule", "seed", "of", "what was noticed"];
  const rows = verdicts.map(({ mutant, seed, noticed, isRight }) => [
    mutant.name,
    mutant.rule,
    seed === undefined ? (isRight ? "lives" : "MISSED") : String(seed),
    String(mutant.seedsMax),
    oneLine(mutant.lives ?? noticed),
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [line(head), rule, ...rows.map(line)].join("\n");
}

function oneLine(text: string): string {
  const flat = text.replace(/\s+/g, " ").replaceAll("|", "/");
  return flat.length <= NOTICED_CHARS_MAX ? flat : `${flat.slice(0, NOTICED_CHARS_MAX - 1)}…`;
}
