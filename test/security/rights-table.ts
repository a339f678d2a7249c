/**
 * The table of rights in docs/security.md, and whether it allows a subject.
 */
import { page, rowsUnder } from "../docs/pages.js";

export interface TableRights {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** By role, as the page has it. */
export function rightsTable(): ReadonlyMap<string, TableRights> {
  const [, ...rows] = rowsUnder(page("docs/security.md"), "## Rights");
  const subjects = (cell = ""): string[] =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, one = ""]) => one);
  return new Map(
    rows.map(([role = "", publish, subscribe]) => [
      role,
      { publish: subjects(publish), subscribe: subjects(subscribe) },
    ]),
  );
}

/** Whether every subject that `subject` stands for is one of a pattern's. */
export function isAllowed(patterns: readonly string[], subject: string): boolean {
  return patterns.some((pattern) => isWithin(pattern.split("."), subject.split(".")));
}

function isWithin(pattern: readonly string[], subject: readonly string[]): boolean {
  for (const [index, token] of pattern.entries()) {
    const other = subject[index];
    if (other === undefined) return false;
    if (token === ">") return true;
    if (other === ">") return false;
    if (token !== "*" && token !== other) return false;
  }
  return pattern.length === subject.length;
}
