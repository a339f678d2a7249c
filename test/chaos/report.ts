/**
 * Report: what a chaos run prints at its end for people: tables, and the failures below them.
 */
import { renderTable } from "../../infra/cli/table.js";
import type { ChaosReport } from "./checks.js";

/** Problems shown of each check; all are in the JSON. */
const SHOWN = 10;

export function renderReport(report: ChaosReport): string {
  const parts = [gapsTable(report), opinionsTable(report), checksTable(report)];
  const problems = report.checks.flatMap(({ name, problems: all }) => [
    ...all.slice(0, SHOWN).map((problem) => `${name}: ${problem}`),
    ...(all.length > SHOWN ? [`${name}: and ${all.length - SHOWN} more`] : []),
  ]);
  if (problems.length > 0) parts.push(`${problems.join("\n")}\n`);
  return parts.join("\n");
}

function gapsTable({ gaps }: ChaosReport): string {
  const seconds = (ms: number | undefined): string =>
    ms === undefined ? "" : (ms / 1_000).toFixed(2);
  const rows = gaps.map(({ name, lastedMs, wellMs, reads, writes, unansweredCount }) => [
    name,
    seconds(lastedMs),
    seconds(wellMs),
    seconds(reads.worstShardMs),
    seconds(reads.storeMs),
    seconds(writes.worstShardMs),
    seconds(writes.storeMs),
    unansweredCount,
  ]);
  const number = (head: string): { head: string; isNumber: true } => ({ head, isNumber: true });
  const heads = [
    { head: "longest time without an answer, in s" },
    number("lasted"),
    number("well after"),
    number("reads, worst shard"),
    number("whole store"),
    number("writes, worst shard"),
    number("whole store"),
    number("unanswered"),
  ];
  return renderTable(heads, rows, undefined);
}

function opinionsTable({ linear }: ChaosReport): string {
  const rows = linear.opinions.map(({ history, mustBe, ours, porcupine, operations }) => [
    history === "recorded" ? "as recorded" : `with a planted ${history}`,
    operations,
    mustBe,
    ours,
    porcupine ?? "not asked",
  ]);
  const heads = [
    { head: "history" },
    { head: "operations", isNumber: true },
    { head: "must be" },
    { head: "our checker" },
    { head: "Porcupine" },
  ];
  const asked =
    linear.notAsked === undefined ? "" : `Porcupine was not asked: ${linear.notAsked}\n`;
  return `${renderTable(heads, rows, undefined)}${asked}`;
}

function checksTable({ checks, isGood }: ChaosReport): string {
  const rows = checks.map(({ name, figures, problems }) => [
    name,
    problems.length === 0 ? "ok" : `FAILED: ${problems.length}`,
    figures,
  ]);
  const verdict = isGood ? "all hold" : "FAILED";
  rows.push(["", verdict, ""]);
  return renderTable([{ head: "check" }, { head: "" }, { head: "" }], rows, undefined);
}
