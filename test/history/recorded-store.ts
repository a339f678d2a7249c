/**
 * Recorded store: the history of clients of a store that is right by construction, for tests of
 * the checkers: each operation takes effect at one instant between its start and its end.
 */
import { seededChance, type SeededChance } from "../support/manual-clock.js";
import type { HistoryRow, Step, StepOutcome } from "./history.js";

interface RecordedOptions {
  readonly keys: number;
  readonly clients: number;
  readonly operations: number;
}

interface Plan {
  readonly client: string;
  readonly number: number;
  readonly from: number;
  readonly at: number;
  readonly to: number;
  readonly step: Omit<Step, "outcome">;
  /** Its answer is lost. */
  readonly isLost: boolean;
}

/** Rows in the order of their ends. Of the lost ones, half never took effect. */
export function recordedStore(seed: number, options: RecordedOptions): HistoryRow[] {
  const chance = seededChance(seed);
  const plans = plansOf(chance, options).toSorted((a, b) => a.at - b.at);
  const store = new Map<string, { value: string; revision: number }>();
  let revision = 0;
  const effect = (step: Omit<Step, "outcome">): StepOutcome => {
    const { verb, key } = step;
    const record = store.get(key);
    if (step.ifRevision !== undefined && step.ifRevision !== (record?.revision ?? 0)) {
      return { kind: "conflict", revision: record?.revision ?? 0 };
    }
    if (verb === "get") return record ? { kind: "value", ...record } : { kind: "absent" };
    if (verb === "del" && !store.delete(key)) {
      return { kind: "written", revision: 0, existed: false };
    }
    revision += 1;
    if (verb === "del") return { kind: "written", revision, existed: true };
    const number = Number(record?.value ?? 0) + 1;
    store.set(key, { value: verb === "set" ? (step.value ?? "") : String(number), revision });
    if (verb === "set") return { kind: "written", revision, created: record === undefined };
    return { kind: "written", revision, number };
  };
  const rows = plans.map(({ client, number, from, to, step, isLost }): HistoryRow => {
    const isDone = !isLost || chance.happens(0.5);
    const outcome: StepOutcome = isDone ? effect(step) : { kind: "unknown" };
    const told = isLost ? ({ kind: "unknown" } as const) : outcome;
    const steps = [{ ...step, outcome: told }];
    return { client, number, kind: "single", steps, invokedAt: from, returnedAt: to };
  });
  return rows.toSorted((a, b) => (a.returnedAt ?? 0) - (b.returnedAt ?? 0));
}

function plansOf(chance: SeededChance, { keys, clients, operations }: RecordedOptions): Plan[] {
  const plans: Plan[] = [];
  const nextAt = Array<number>(clients).fill(0);
  for (let number = 0; number < operations; number += 1) {
    const client = number % clients;
    const from = (nextAt[client] ?? 0) + 1 + chance.integer(50);
    const isLost = chance.happens(0.1);
    const at = from + chance.integer(isLost ? 500 : 50);
    const to = isLost ? from + 50 : at + chance.integer(50);
    nextAt[client] = to;
    const step = stepOf(chance, `k${chance.integer(keys)}`, number);
    plans.push({ client: `c${client}`, number, from, at: at + 0.5, to: to + 0.9, step, isLost });
  }
  return plans;
}

function stepOf(chance: SeededChance, key: string, number: number): Omit<Step, "outcome"> {
  switch (chance.integer(6)) {
    case 0:
      return { verb: "set", key, value: String(1_000 * number) };
    case 1:
      return { verb: "set", key, value: String(1_000 * number), ifRevision: chance.integer(20) };
    case 2:
      return { verb: "incr", key, by: 1 };
    case 3:
      return { verb: "del", key };
    default:
      return { verb: "get", key };
  }
}
