/**
 * Plants: copies of the real history of a run, each with one mistake in it that a store could make.
 * A checker that does not reject them proves nothing by accepting the history itself.
 *
 *   stale read       a get answers with a version that an acknowledged write had replaced before
 *   lost write       a set is acknowledged, and the get after it sees what was there before it
 *   wrong not-found  a get answers "not found" while the key was there all the time
 */
import type { HistoryRow, Step, StepOutcome } from "../history/history.js";

export interface Plant {
  readonly name: string;
  /** Undefined if the history has no place for it. */
  readonly rows: readonly HistoryRow[] | undefined;
}

interface Read {
  readonly row: HistoryRow;
  readonly step: Step;
  readonly revision: number;
}

interface Write extends Read {
  readonly value: string;
}

/** `rows`: of the hot keys. Of a plant, those of the key that has the mistake. */
export function plantMistakes(rows: readonly HistoryRow[]): Plant[] {
  return [
    { name: "stale read", rows: plantStaleRead(rows) },
    { name: "lost write", rows: plantLostWrite(rows) },
    { name: "wrong not-found", rows: plantNotFound(rows) },
  ];
}

function plantStaleRead(rows: readonly HistoryRow[]): HistoryRow[] | undefined {
  const writes = setsOf(rows);
  for (const read of fromTheMiddle(readsOf(rows))) {
    const replaced = writes.filter(({ row, step, revision }) => {
      return step.key === read.step.key && endOf(row) < read.row.invokedAt && revision > 0;
    });
    // The last set that had ended before the get began, and one before that.
    const [last, old] = replaced.toSorted((a, b) => b.revision - a.revision);
    if (last === undefined || old === undefined) continue;
    const { value, revision } = old;
    return withOutcome(rows, read, { kind: "value", value, revision });
  }
  return undefined;
}

function plantLostWrite(rows: readonly HistoryRow[]): HistoryRow[] | undefined {
  const writes = setsOf(rows);
  for (const read of fromTheMiddle(readsOf(rows))) {
    const { key } = read.step;
    const seen = writes.find(({ step, revision }) => {
      return step.key === key && revision === read.revision;
    });
    if (seen === undefined || endOf(seen.row) >= read.row.invokedAt) continue;
    const [from, to] = [endOf(seen.row), read.row.invokedAt];
    const outcome = { kind: "written", revision: read.revision + 1 } as const;
    const lost: HistoryRow = {
      client: "planted",
      number: 1,
      kind: "single",
      steps: [{ verb: "set", key, value: '"lost"', outcome }],
      invokedAt: from + (to - from) / 3,
      returnedAt: from + ((to - from) * 2) / 3,
    };
    return [...rowsOf(rows, key), lost];
  }
  return undefined;
}

function plantNotFound(rows: readonly HistoryRow[]): HistoryRow[] | undefined {
  const writes = setsOf(rows);
  const dels = rows.flatMap((row) => row.steps.map((step) => ({ row, step })));
  for (const read of fromTheMiddle(readsOf(rows))) {
    const { key } = read.step;
    const seen = writes.find(({ step, revision }) => {
      return step.key === key && revision === read.revision;
    });
    if (seen === undefined || endOf(seen.row) >= read.row.invokedAt) continue;
    const mayBeDeleted = dels.some(({ row, step }) => {
      if (step.verb !== "del" || step.key !== key || step.outcome.kind === "refused") return false;
      const end = step.outcome.kind === "unknown" ? Infinity : endOf(row);
      return row.invokedAt <= endOf(read.row) && end >= seen.row.invokedAt;
    });
    if (!mayBeDeleted) return withOutcome(rows, read, { kind: "absent" });
  }
  return undefined;
}

function endOf({ returnedAt = Infinity }: HistoryRow): number {
  return returnedAt;
}

function withOutcome(
  rows: readonly HistoryRow[],
  { row, step }: Read,
  outcome: StepOutcome,
): HistoryRow[] {
  const changed = row.steps.map((one) => (one === step ? { ...step, outcome } : one));
  const copy = rows.map((one) => (one === row ? { ...row, steps: changed } : one));
  return rowsOf(copy, step.key);
}

function rowsOf(rows: readonly HistoryRow[], key: string): HistoryRow[] {
  return rows.flatMap((row) => {
    const steps = row.steps.filter((step) => step.key === key);
    return steps.length === 0 ? [] : [{ ...row, steps }];
  });
}

/** Linearizable gets that found something. */
function readsOf(rows: readonly HistoryRow[]): Read[] {
  return rows.flatMap((row) =>
    row.steps.flatMap((step) => {
      const { verb, level = "linearizable", outcome } = step;
      if (verb !== "get" || level !== "linearizable" || outcome.kind !== "value") return [];
      return [{ row, step, revision: outcome.revision }];
    }),
  );
}

/** Acknowledged sets. */
function setsOf(rows: readonly HistoryRow[]): Write[] {
  return rows.flatMap((row) =>
    row.steps.flatMap((step) => {
      const { verb, value, outcome } = step;
      if (verb !== "set" || value === undefined || outcome.kind !== "written") return [];
      return [{ row, step, value, revision: outcome.revision }];
    }),
  );
}

/** Mistakes are to be found wherever they are, and not because nothing came before. */
function fromTheMiddle<Item>(items: readonly Item[]): Item[] {
  const middle = Math.floor(items.length / 2);
  return [...items.slice(middle), ...items.slice(0, middle)];
}
