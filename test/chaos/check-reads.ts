/**
 * Check reads: do the versions of the keys allow all answers? It checks every get, and every row
 * and number of every query, of any level.
 *
 *   linearizable  a version that was possible between the request's start and its end
 *   session       a version not older than the session had seen
 *   stale         a version that existed at some time before the end
 *
 * It compares a query with brute force over all keys: a record that matched all the time must be in
 * the answer, and a record in the answer must have matched at some time. Pages of one find are one
 * query: a key that did not change from the first page to the last is in exactly one of them.
 */
import {
  nameOf,
  describeRow,
  type FoundItem,
  type HistoryRow,
  type QueryStep,
  type Step,
} from "../history/history.js";
import { isSameJson, KeyVersions, type Version } from "./versions.js";

export interface ReadsReport {
  readonly problems: readonly string[];
  readonly getCount: number;
  readonly queryCount: number;
  /** Rows, keys and counted records of all queries. */
  readonly resultCount: number;
}

type VersionsByKey = ReadonlyMap<string, KeyVersions>;

export function checkReads(rows: readonly HistoryRow[], versions: VersionsByKey): ReadsReport {
  return new ReadsCheck(versions).run(rows);
}

const unwritten = new KeyVersions();

class ReadsCheck {
  readonly #problems: string[] = [];
  #getCount = 0;
  #queryCount = 0;
  #resultCount = 0;

  constructor(private readonly versions: VersionsByKey) {}

  run(rows: readonly HistoryRow[]): ReadsReport {
    for (const row of rows) for (const step of row.steps) this.#get(row, step);
    for (const pages of chainsOf(rows)) this.#query(pages);
    return {
      problems: this.#problems,
      getCount: this.#getCount,
      queryCount: this.#queryCount,
      resultCount: this.#resultCount,
    };
  }

  #get(row: HistoryRow, step: Step): void {
    const { verb, outcome, level = "linearizable" } = step;
    if (verb !== "get" || (outcome.kind !== "value" && outcome.kind !== "absent")) return;
    this.#getCount += 1;
    const known = this.versions.get(step.key) ?? unwritten;
    const toMs = row.returnedAt ?? Infinity;
    let possible: readonly Version[];
    if (level === "linearizable") possible = known.possible(row.invokedAt, toMs);
    else {
      const seen = known.list.findLastIndex(({ revision }) => revision <= (step.minRevision ?? 0));
      const from = level === "session" ? seen : 0;
      possible = known.list.slice(from).filter(({ invokedAt }) => invokedAt <= toMs);
    }
    const isThere = possible.some(({ revision, value }) => {
      if (outcome.kind === "absent") return value === undefined;
      return revision === outcome.revision && isSameJson(value, outcome.value);
    });
    if (!isThere) this.#say(`wrong get: ${describeRow(row)}`, possible);
  }

  #query(pages: readonly HistoryRow[]): void {
    const [first] = pages;
    const last = pages.at(-1);
    const query = first?.query;
    if (first === undefined || query === undefined) return;
    // A find that broke off tells nothing of what is missing in it.
    if (pages.some((page) => page.query?.outcome.kind !== "answered")) return;
    if (last?.query?.outcome.kind !== "answered" || last.query.outcome.more) return;
    this.#queryCount += 1;
    const toMs = last.returnedAt ?? Infinity;
    const span = { fromMs: first.invokedAt, toMs, query, pageCount: pages.length };
    const asked = `${first.kind} ${JSON.stringify(query.where ?? query.prefix)}`;
    const times = `${span.fromMs.toFixed(1)} … ${span.toMs.toFixed(1)}`;
    const complain = (text: string, known: readonly Version[] = []): void =>
      this.#say(`wrong ${asked} (${nameOf(first)}, ${times}): ${text}`, known);
    if (first.kind === "count") return this.#count(last.query, span, complain);
    const items = pages.flatMap((page) => itemsOf(page));
    this.#resultCount += items.length;
    this.#rows(items, span, complain);
  }

  #count({ outcome }: QueryStep, span: Span, complain: Complain): void {
    if (outcome.kind !== "answered" || outcome.count === undefined) return;
    let [least, most] = [0, 0];
    for (const [key, known] of this.versions) {
      const possible = possibleIn(known, span);
      const matching = possible.filter(({ value }) => matches(span.query, key, value)).length;
      if (matching > 0) most += 1;
      if (matching === possible.length) least += 1;
    }
    this.#resultCount += outcome.count;
    const isStale = span.query.level === "stale";
    if (outcome.count <= most && (isStale || outcome.count >= least)) return;
    complain(`counts ${outcome.count}, not ${least} … ${most}`);
  }

  #rows(items: readonly Partial<FoundItem>[], span: Span, complain: Complain): void {
    const found = new Map<string, number>();
    for (const { key = "", value, revision } of items) {
      found.set(key, (found.get(key) ?? 0) + 1);
      const known = this.versions.get(key) ?? unwritten;
      const possible = possibleIn(known, span);
      const isThere = possible.some((version) => {
        if (!matches(span.query, key, version.value)) return false;
        if (revision === undefined) return true; // keys tell only that they are there
        return version.revision === revision && isSameJson(version.value, value);
      });
      if (!isThere) complain(`${key} ${value ?? ""} at ${revision} should not be there`, possible);
    }
    if (span.query.level === "stale") return;
    for (const [key, known] of this.versions) {
      const possible = possibleIn(known, span);
      if (!possible.every(({ value }) => matches(span.query, key, value))) continue;
      const count = found.get(key) ?? 0;
      // A query may meet a record that changes between two pages before and after the change, or
      // miss it.
      if (count === 1 || (possible.length > 1 && span.pageCount > 1)) continue;
      complain(`${key} is there ${count} times`, possible);
    }
  }

  #say(text: string, possible: readonly Version[]): void {
    const shown = possible.map(({ revision, value }) => `${value ?? "absent"} at ${revision}`);
    const what = shown.length === 0 ? "" : `; possible: ${shown.slice(0, 8).join(", ")}`;
    this.#problems.push(`${text}${what}`);
  }
}

type Complain = (text: string, known?: readonly Version[]) => void;

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
  readonly query: QueryStep;
  readonly pageCount: number;
}

function possibleIn(known: KeyVersions, { fromMs, toMs, query }: Span): Version[] {
  if (query.level === "linearizable") return known.possible(fromMs, toMs);
  return known.list.filter(({ invokedAt }) => invokedAt <= toMs);
}

/** The filters that the load asks with; any other is a mistake of the load. */
export function matches(
  { where, prefix }: Pick<QueryStep, "where" | "prefix">,
  key: string,
  json: string | undefined,
): boolean {
  if (json === undefined) return false;
  if (prefix !== undefined) return key.startsWith(prefix);
  const value = parsed(json);
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(where as object).every(([path, condition]) => {
    const member = (value as Readonly<Record<string, unknown>>)[path];
    if (typeof condition !== "object") return member === condition;
    const { $gte } = condition as { readonly $gte: number };
    return typeof member === "number" && member >= $gte;
  });
}

/** The same few thousand values are looked at by every query. */
const parsedValues = new Map<string, unknown>();

function parsed(json: string): unknown {
  let value = parsedValues.get(json);
  if (value === undefined) parsedValues.set(json, (value = JSON.parse(json)));
  return value;
}

function itemsOf({ query }: HistoryRow): readonly Partial<FoundItem>[] {
  if (query?.outcome.kind !== "answered") return [];
  const { items, keys } = query.outcome;
  return items ?? (keys ?? []).map((key) => ({ key }));
}

/** Pages of one find, in order; in a history a page stands behind the one that it continues. */
function chainsOf(rows: readonly HistoryRow[]): HistoryRow[][] {
  const chains = new Map<string, HistoryRow[]>();
  const all: HistoryRow[][] = [];
  for (const row of rows) {
    if (row.query === undefined) continue;
    const before = row.query.continues;
    const chain = before === undefined ? undefined : chains.get(before);
    if (chain === undefined) all.push([row]);
    else chain.push(row);
    chains.set(nameOf(row), chain ?? (all.at(-1) as HistoryRow[]));
  }
  return all;
}
