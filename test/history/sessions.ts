/**
 * Sessions: what reads at level session and stale promise, checked from a history alone.
 *
 *   session   not older than what the same client has seen, and never back from there
 *   all       a value that was written: one value for each revision of a key, and not one that
 *             nobody can have written at that time
 *
 * A client of the history is one session. Requests of one client may overlap: only what had been
 * answered before a read began counts as seen by it.
 */
import { describeStep, nameOf, type HistoryRow, type Step } from "./history.js";

export interface SessionReport {
  readonly problems: readonly string[];
  /** Reads that were compared with something seen before. */
  readonly sessionReads: number;
  /** Reads of any level whose value was compared with what was written. */
  readonly values: number;
}

interface Seen {
  readonly step: Step;
  readonly row: HistoryRow;
  /** Of the key at that time; absence has none. */
  readonly revision: number;
}

export function checkSessions(rows: readonly HistoryRow[]): SessionReport {
  const problems: string[] = [];
  const removals = removalsOf(rows);
  let sessionReads = 0;
  for (const client of groupBy(rows, ({ client: name }) => name).values()) {
    for (const seen of groupBy(client.flatMap(seenBy), ({ step }) => step.key).values()) {
      const reads = seen.filter(({ step }) => step.verb === "get" && step.level === "session");
      for (const read of reads) {
        const before = lastBefore(seen, read);
        if (before === undefined) continue;
        sessionReads += 1;
        const isGone = read.step.outcome.kind === "absent";
        const mayBeGone = (): boolean =>
          (removals.get(read.step.key) ?? []).some((removal) => isAfter(removal, before));
        if (isGone ? mayBeGone() : read.revision >= before.revision) continue;
        problems.push(`session: ${shown(read)} after it had seen ${shown(before)}`);
      }
    }
  }
  const { problems: invented, values } = checkValues(rows);
  return { problems: [...problems, ...invented], sessionReads, values };
}

/** What a request showed its client of each key. */
function seenBy(row: HistoryRow): Seen[] {
  return row.steps.flatMap((step) => {
    const { outcome } = step;
    if (outcome.kind === "absent" && step.verb === "get") return [{ step, row, revision: 0 }];
    // A stale read is no promise, but what it showed has been seen.
    const isShown =
      outcome.kind === "value" ||
      (outcome.kind === "written" && outcome.revision > 0 && step.verb !== "check");
    return isShown ? [{ step, row, revision: outcome.revision }] : [];
  });
}

/** The highest revision that the client knew of when it asked; undefined = none. */
function lastBefore(seen: readonly Seen[], { row }: Seen): Seen | undefined {
  let last: Seen | undefined;
  for (const each of seen) {
    const isKnown = each.row !== row && (each.row.returnedAt ?? Infinity) < row.invokedAt;
    if (isKnown && each.revision > (last?.revision ?? 0)) last = each;
  }
  return last;
}

interface Removal {
  /** 0 = not known, and Infinity = at any time from now on: its record expires. */
  readonly revision: number;
  readonly row: HistoryRow;
}

/** What may have taken a key away: deletes of any fate, and times to live. */
function removalsOf(rows: readonly HistoryRow[]): Map<string, Removal[]> {
  const removals = new Map<string, Removal[]>();
  for (const row of rows) {
    for (const { verb, key, ttl, outcome } of row.steps) {
      const mayBeDone = outcome.kind === "written" || outcome.kind === "unknown";
      const mayExpire = typeof ttl === "number";
      if (!mayBeDone || (verb !== "del" && !mayExpire)) continue;
      const told = outcome.kind === "written" ? outcome.revision : Infinity;
      const removal = { revision: mayExpire ? Infinity : told, row };
      removals.set(key, [...(removals.get(key) ?? []), removal]);
    }
  }
  return removals;
}

function isAfter(removal: Removal, { revision, row, step }: Seen): boolean {
  // Of a delete that the client was told of itself, the key is absent at its very revision.
  if (removal.row === row && step.verb === "del") return true;
  return removal.revision > revision;
}

/** One value for each revision, and no value that nobody wrote. */
function checkValues(rows: readonly HistoryRow[]): { problems: string[]; values: number } {
  const problems: string[] = [];
  const values = new Map<string, { value: string; row: HistoryRow; step: Step }>();
  const writes = groupBy(
    rows.flatMap((row) => row.steps.map((step) => ({ row, step }))),
    ({ step }) => step.key,
  );
  let count = 0;
  const note = (row: HistoryRow, step: Step, revision: number, value: string): void => {
    const at = `${revision} ${step.key}`;
    const known = values.get(at);
    if (known === undefined) values.set(at, { value, row, step });
    else if (known.value !== value) {
      const other = `${nameOf(known.row)} ${describeStep(known.step)}`;
      problems.push(`two values at one revision: ${nameOf(row)} ${describeStep(step)}; ${other}`);
    }
  };
  for (const row of rows) {
    for (const step of row.steps) {
      const { verb, key, value, outcome } = step;
      if (outcome.kind === "written" && verb === "set") {
        note(row, step, outcome.revision, value ?? "");
      } else if (outcome.kind === "value") {
        count += 1;
        note(row, step, outcome.revision, outcome.value);
        const { returnedAt = Infinity } = row;
        const mayBeFrom = (each: { row: HistoryRow; step: Step }): boolean =>
          each.row.invokedAt <= returnedAt && mayLeave(each.step, outcome.value, outcome.revision);
        if ((writes.get(key) ?? []).some(mayBeFrom)) continue;
        problems.push(`nobody can have written this: ${nameOf(row)} ${describeStep(step)}`);
      }
    }
  }
  return { problems, values: count };
}

/** Whether the step may have left this value at this revision. */
function mayLeave({ verb, value, outcome }: Step, found: string, revision: number): boolean {
  if (outcome.kind === "written") {
    if (outcome.revision !== revision) return false;
  } else if (outcome.kind !== "unknown") return false;
  if (verb === "set") return value === found;
  // What a patch or an increment makes depends on what was there: key-state.ts works it out.
  return verb === "patch" || verb === "incr" || verb === "touch";
}

function groupBy<Item>(items: readonly Item[], nameOfItem: (item: Item) => string) {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const name = nameOfItem(item);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return groups;
}

function shown({ row, step }: Seen): string {
  return `${nameOf(row)} ${describeStep(step)}`;
}
