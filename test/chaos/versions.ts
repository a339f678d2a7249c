/**
 * Versions: each key's successive values, from the events, and for each version the request of the
 * history that made it.
 *
 * Every set of the load writes a unique value, so this alone shows a request that took effect
 * twice, a refused one that took effect, an acknowledged one that left no trace, and a change that
 * no client requested.
 *
 * A version is possible at a time if its write may have begun by then and no later one had ended
 * before. Reads and queries are compared with what was possible between their start and their end.
 */
import { describeRow, nameOf, type HistoryRow, type Step } from "../history/history.js";
import type { ReadEvent } from "./events.js";

export interface Version {
  readonly revision: number;
  /** Undefined = absent. */
  readonly value: string | undefined;
  readonly invokedAt: number;
  /** Of a write that was never answered: when it was seen to have been done, Infinity = never. */
  readonly returnedAt: number;
}

const beginning: Version = {
  revision: 0,
  value: undefined,
  invokedAt: -Infinity,
  returnedAt: -Infinity,
};

/** One key's versions, by revision, from "never written" on. */
export class KeyVersions {
  readonly list: Version[] = [beginning];
  /** At each version: the first end, and the first start, of a later one's write. */
  #endsAfter: number[] | undefined;
  #startsFrom: number[] = [];

  get last(): Version {
    return this.list.at(-1) as Version;
  }

  add(version: Version): void {
    this.list.push(version);
    this.#endsAfter = undefined;
  }

  at(revision: number): Version | undefined {
    return this.list.find((version) => version.revision === revision && revision > 0);
  }

  /** Those that the key may have been at, at some time between the two. */
  possible(fromMs: number, toMs: number): Version[] {
    const endsAfter = this.#endsAfter ?? this.#prepare();
    // Ends of later writes only rise along the list: before this place all are overwritten.
    let low = 0;
    let high = this.list.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((endsAfter[middle] as number) < fromMs) low = middle + 1;
      else high = middle;
    }
    const versions: Version[] = [];
    for (let index = low; index < this.list.length; index += 1) {
      if ((this.#startsFrom[index] as number) > toMs) break;
      const version = this.list[index] as Version;
      if (version.invokedAt <= toMs) versions.push(version);
    }
    return versions;
  }

  #prepare(): number[] {
    const endsAfter: number[] = [];
    this.#startsFrom = [];
    let [firstEnd, firstStart] = [Infinity, Infinity];
    for (let index = this.list.length - 1; index >= 0; index -= 1) {
      const { returnedAt, invokedAt } = this.list[index] as Version;
      endsAfter[index] = firstEnd;
      firstEnd = Math.min(firstEnd, returnedAt);
      firstStart = Math.min(firstStart, invokedAt);
      this.#startsFrom[index] = firstStart;
    }
    this.#endsAfter = endsAfter;
    return endsAfter;
  }
}

interface Write {
  readonly row: HistoryRow;
  readonly step: Step;
  isSpent: boolean;
}

export interface Matched {
  readonly versions: ReadonlyMap<string, KeyVersions>;
  /** Acknowledged, but no event tells of it. */
  readonly lost: readonly string[];
  /** Took effect more than once, or although it was refused, or was asked for by nobody. */
  readonly doubled: readonly string[];
  /** An event that is not what the request it belongs to has written. */
  readonly wrong: readonly string[];
  readonly writeCount: number;
}

/** `seenAllMs`: when the last of the events had been read, so that what they tell was done. */
export function matchVersions(
  events: readonly ReadEvent[],
  rows: readonly HistoryRow[],
  seenAllMs = Infinity,
): Matched {
  return new Matching(rows, seenAllMs).run(events);
}

class Matching {
  readonly #versions = new Map<string, KeyVersions>();
  readonly #acknowledged = new Map<string, Write>();
  /** Not acknowledged, by key: done once or never, or refused. */
  readonly #others = new Map<string, Write[]>();
  readonly #lost: string[] = [];
  readonly #doubled: string[] = [];
  readonly #wrong: string[] = [];

  constructor(
    rows: readonly HistoryRow[],
    private readonly seenAllMs: number,
  ) {
    for (const row of rows) for (const step of row.steps) this.#take(row, step);
  }

  run(events: readonly ReadEvent[]): Matched {
    for (const event of events) this.#match(event);
    for (const { row, isSpent } of this.#acknowledged.values()) {
      if (!isSpent) this.#lost.push(describeRow(row));
    }
    return {
      versions: this.#versions,
      lost: this.#lost,
      doubled: this.#doubled,
      wrong: this.#wrong,
      writeCount: this.#acknowledged.size,
    };
  }

  #take(row: HistoryRow, step: Step): void {
    const { verb, key, outcome } = step;
    if (verb === "get" || verb === "check") return;
    const write = { row, step, isSpent: false };
    if (outcome.kind !== "written") {
      const others = this.#others.get(key);
      if (others === undefined) this.#others.set(key, [write]);
      else others.push(write);
      return;
    }
    if (outcome.revision === 0) return; // a del of nothing
    const name = `${key} ${outcome.revision}`;
    const earlier = this.#acknowledged.get(name);
    if (earlier === undefined) this.#acknowledged.set(name, write);
    else this.#lost.push(`one revision for two: ${describeRow(earlier.row)}, ${describeRow(row)}`);
  }

  #match(event: ReadEvent): void {
    const { key, revision, value } = event;
    const versions = this.#versions.get(key) ?? new KeyVersions();
    this.#versions.set(key, versions);
    const before = versions.last.value;
    const write = this.#acknowledged.get(`${key} ${revision}`) ?? this.#unanswered(event, before);
    const known = { revision, value };
    if (write === undefined) {
      this.#doubled.push(this.#explain(event));
      return versions.add({ ...known, invokedAt: -Infinity, returnedAt: this.seenAllMs });
    }
    write.isSpent = true;
    const { row, step } = write;
    if (!isEffect(step, before, event)) {
      this.#wrong.push(`${describeEvent(event)} after ${before ?? "nothing"}: ${describeRow(row)}`);
    }
    const isAnswered = step.outcome.kind === "written";
    const returnedAt = isAnswered ? (row.returnedAt ?? Infinity) : this.seenAllMs;
    versions.add({ ...known, invokedAt: row.invokedAt, returnedAt });
  }

  /** The first request without an answer that may have done it. */
  #unanswered(event: ReadEvent, before: string | undefined): Write | undefined {
    return this.#others.get(event.key)?.find(({ step, isSpent }) => {
      return step.outcome.kind === "unknown" && !isSpent && isEffect(step, before, event);
    });
  }

  #explain(event: ReadEvent): string {
    const all = [...this.#acknowledged.values(), ...(this.#others.get(event.key) ?? [])];
    const doubled = all.find(({ step }) => {
      return step.key === event.key && step.value !== undefined && step.value === event.value;
    });
    const found = describeEvent(event);
    if (doubled === undefined) return `${found}: nobody asked for it`;
    const { row, step, isSpent } = doubled;
    const why = step.outcome.kind === "written" || isSpent ? "again" : "although it was refused";
    return `${found}: ${nameOf(row)} took effect ${why}: ${describeRow(row)}`;
  }
}

function describeEvent({ op, key, revision, value }: ReadEvent): string {
  return `${op} of ${key} at ${revision}${value === undefined ? "" : ` to ${value}`}`;
}

/** Whether the step turns the value before into that one. */
function isEffect(step: Step, before: string | undefined, { op, value }: ReadEvent): boolean {
  const { verb, outcome } = step;
  if (verb === "del") return op === "del" && before !== undefined;
  if (op !== "set" || value === undefined) return false;
  if (verb === "set") return value === step.value;
  if (verb === "incr") {
    const number = (before === undefined ? 0 : Number(before)) + (step.by ?? 1);
    const isTold = outcome.kind !== "written" || outcome.number === number;
    return isTold && value === String(number);
  }
  const members = { ...(JSON.parse(before ?? "{}") as object), ...patchOf(step) };
  return verb === "patch" && isSameJson(value, JSON.stringify(members));
}

/** The load's patches set one member. */
function patchOf({ value }: Step): object {
  return JSON.parse(value ?? "{}") as object;
}

/** Members may stand in another order. */
export function isSameJson(one: string | undefined, other: string | undefined): boolean {
  if (one === other) return true;
  return one !== undefined && other !== undefined && sorted(one) === sorted(other);
}

function sorted(json: string): string {
  const value: unknown = JSON.parse(json);
  if (typeof value !== "object" || value === null) return json;
  return JSON.stringify(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
