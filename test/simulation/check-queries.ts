/**
 * Check queries: each answer of a run must equal a filter over all records at the sequences that
 * its certificate names. These must lie between the sequences acknowledged before the query and the
 * logs' ends when the answer came. Pages of one query together must have every record that did not
 * change meanwhile, once.
 */
import type { ShardId } from "../../protocol/ids.js";
import { fromRanges, toRanges } from "../../protocol/ring/ring.js";
import { nameOf, type HistoryRow, type QueryOutcome, type QueryStep } from "../history/history.js";
import type { CheckContext } from "./check-context.js";
import { matches } from "./filter-truth.js";
import { jsonOf, type ModelRecord } from "./log-model.js";
import { textOf, type LogTruth } from "./log-truth.js";

interface Answered {
  readonly row: HistoryRow;
  readonly query: QueryStep;
  readonly outcome: Extract<QueryOutcome, { kind: "answered" }>;
}

export function checkQueries(context: CheckContext): void {
  const chains = new Map<string, Answered[]>();
  for (const row of context.facts.rows) {
    const { query } = row;
    if (query?.outcome.kind !== "answered") continue;
    const answered = { row, query, outcome: query.outcome };
    const chain = [...(chains.get(query.continues ?? "") ?? []), answered];
    chains.delete(query.continues ?? "");
    chains.set(nameOf(row), chain);
    if (query.outcome.certificate !== undefined) checkCertified(context, answered);
  }
  for (const chain of chains.values()) {
    // A chain without its first page cannot be checked.
    if (chain[0]?.query.continues !== undefined) continue;
    if (chain[0]?.row.kind === "keys") checkKeys(context, chain);
    else if (chain.length > 1) checkPages(context, chain);
  }
}

function checkCertified(context: CheckContext, answered: Answered): void {
  const { row, query, outcome } = answered;
  const { certificate = [] } = outcome;
  const covered = new Map<number, number>();
  for (const { shard, sequence, epoch, positions } of certificate) {
    checkFreshness(context, answered, shard as ShardId, sequence);
    if (epoch !== context.facts.ring.epoch) context.problem(`epoch ${epoch}`, row);
    for (const position of fromRanges(positions, context.positionCount)) {
      if (covered.has(position)) context.problem(`position ${position} is there twice`, row);
      if (context.shardOfPosition(position) !== shard) {
        context.problem(`position ${position} is not ${shard}'s`, row);
      }
      covered.set(position, sequence);
    }
  }
  checkMissing(context, answered, covered);
  const wanted = wantedAt(context, query, covered);
  if (outcome.count !== undefined) {
    // A damaged log's part of the number is not known.
    if (!context.areWhole) return;
    context.count("counts compared");
    if (outcome.count !== wanted.size) context.problem(`the count is ${wanted.size}`, row);
  } else checkItems(context, answered, wanted);
}

function checkFreshness(
  context: CheckContext,
  { row, query }: Answered,
  shard: ShardId,
  sequence: number,
): void {
  if (!context.isWhole(shard)) return;
  const end = query.logEnds?.[shard] ?? Infinity;
  if (sequence > end) context.problem(`${shard} at ${sequence}, its log ended at ${end}`, row);
  if (query.level === "stale") return;
  context.count("query freshness");
  const least = context.acknowledgedBefore(shard, row.invokedAt);
  if (sequence >= least) return;
  context.problem(`${shard} at ${sequence}, though ${least} was acknowledged before`, row);
}

/** The answer lists exactly the positions that it does not cover. */
function checkMissing(
  context: CheckContext,
  { row, query, outcome }: Answered,
  covered: ReadonlyMap<number, number>,
): void {
  const all = Array.from({ length: context.positionCount }, (_, position) => position);
  const missing = toRanges(all.filter((position) => !covered.has(position)) as never);
  const told = outcome.missing ?? missing;
  if (outcome.complete !== (missing.length === 0) || told.join() !== missing.join()) {
    context.problem(`${missing.join() || "nothing"} is missing`, row);
  }
  if (missing.length === 0) return;
  context.count("partial answers");
  if (!query.partial) context.problem("it is partial unasked", row);
}

/** By key: what matches, at the sequence at which its position is certified. */
function wantedAt(
  context: CheckContext,
  query: QueryStep,
  covered: ReadonlyMap<number, number>,
): Map<string, ModelRecord> {
  const wanted = new Map<string, ModelRecord>();
  for (const [shard, truth] of context.truths) {
    for (const key of truth.versions.keys()) {
      const position = context.positionOf(key);
      const sequence = covered.get(position);
      if (sequence === undefined || context.shardOf(key) !== shard) continue;
      const record = truth.recordAt(key, sequence);
      if (record !== undefined && isMatch(query, key, record)) wanted.set(key, record);
    }
  }
  return wanted;
}

function isMatch({ where }: QueryStep, key: string, record: ModelRecord): boolean {
  let known = values.get(record);
  if (known === undefined) values.set(record, (known = { value: jsonOf(record.value) }));
  return matches(where ?? {}, key, known.value);
}

/** The decoded contents of records: many queries look at each. */
const values = new WeakMap<ModelRecord, { readonly value: unknown }>();

function checkItems(
  context: CheckContext,
  { row, query, outcome }: Answered,
  wanted: ReadonlyMap<string, ModelRecord>,
): void {
  const { limit = Infinity } = query;
  const items = outcome.items ?? [];
  if (items.length > limit) context.problem(`more than ${limit} items`, row);
  const seen = new Set<string>();
  for (const { key, value, revision } of items) {
    if (seen.has(key)) context.problem(`${key} is there twice`, row);
    seen.add(key);
    if (context.truthOf(key) === undefined) continue;
    context.count("items compared");
    const record = wanted.get(key);
    if (record === undefined) context.problem(`${key} does not match, or is not there`, row);
    else if (record.revision !== revision || textOf(record) !== value) {
      context.problem(`${key} is ${textOf(record)} at ${record.revision}`, row);
    }
  }
  context.count("finds compared");
  // A page in the middle may leave out what another one has.
  if (outcome.more || query.continues !== undefined) return;
  for (const key of wanted.keys()) if (!seen.has(key)) context.problem(`${key} is left out`, row);
}

/** Pages of one find: what did not change from the first to the last is there, and once. */
function checkPages(context: CheckContext, chain: readonly Answered[]): void {
  const last = chain.at(-1) as Answered;
  const found = new Map<string, { revision: number; row: HistoryRow }>();
  for (const { row, outcome } of chain) {
    for (const { key, revision } of outcome.items ?? []) {
      if (found.get(key)?.revision === revision) context.problem(`${key} is there again`, row);
      found.set(key, { revision, row });
    }
  }
  if (last.outcome.more) return;
  context.count("paged finds compared");
  const sequences = chain.map(({ outcome }) => sequencesOf(context, outcome));
  for (const truth of context.truths.values()) {
    for (const key of truth.versions.keys()) {
      const position = context.positionOf(key);
      const at = sequences.map((page) => page.get(position) ?? -1);
      if (at.includes(-1) || context.truthOf(key) !== truth) continue;
      const record = unchanged(truth, key, Math.min(...at), Math.max(...at));
      if (record === undefined || !isMatch(last.query, key, record) || found.has(key)) continue;
      context.problem(`${key} is on none of ${chain.length} pages`, last.row);
    }
  }
}

function sequencesOf(context: CheckContext, outcome: Answered["outcome"]): Map<number, number> {
  const sequences = new Map<number, number>();
  for (const { positions, sequence } of outcome.certificate ?? []) {
    for (const position of fromRanges(positions, context.positionCount)) {
      sequences.set(position, sequence);
    }
  }
  return sequences;
}

/** The record, if it was there and the same from one sequence to the other. */
function unchanged(
  truth: LogTruth,
  key: string,
  from: number,
  to: number,
): ModelRecord | undefined {
  const record = truth.recordAt(key, from);
  const isSame = record !== undefined && truth.recordAt(key, to)?.revision === record.revision;
  return isSame ? record : undefined;
}

/** Keys come without a certificate: a key that existed all the time must be there, one that never
 * existed must not. */
function checkKeys(context: CheckContext, chain: readonly Answered[]): void {
  const first = chain[0] as Answered;
  const last = chain.at(-1) as Answered;
  const { prefix = "" } = first.query;
  const keys = chain.flatMap(({ outcome }) => outcome.keys ?? []);
  const inOrder = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const isOrdered = keys.every((key, index) => key === inOrder[index]);
  if (!isOrdered || new Set(keys).size < keys.length)
    context.problem("keys out of order", last.row);
  for (const key of keys) {
    if (!key.startsWith(prefix)) context.problem(`${key} has another prefix`, last.row);
  }
  const found = new Set(keys);
  for (const [shard, truth] of context.truths) {
    const isStale = first.query.level === "stale";
    const from = isStale ? 0 : context.acknowledgedBefore(shard, first.row.invokedAt);
    const end = last.query.logEnds?.[shard] ?? truth.sequenceLast;
    for (const key of truth.versions.keys()) {
      if (!key.startsWith(prefix)) continue;
      context.count("keys compared");
      const isThere = presence(truth, key, from, end);
      if (isThere === "never" && found.has(key)) context.problem(`${key} was not there`, last.row);
      if (isThere === "always" && !found.has(key) && !last.outcome.more) {
        context.problem(`${key} is left out`, last.row);
      }
    }
  }
}

function presence(
  truth: LogTruth,
  key: string,
  from: number,
  to: number,
): "always" | "never" | "sometimes" {
  const seen = new Set<boolean>();
  for (let sequence = from; sequence <= to && seen.size < 2; sequence += 1) {
    seen.add(truth.recordAt(key, sequence) !== undefined);
  }
  if (seen.size > 1) return "sometimes";
  return seen.has(true) ? "always" : "never";
}
