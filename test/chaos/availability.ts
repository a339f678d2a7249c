/**
 * Availability: the longest time without an acknowledgement, of reads and of writes, from one fault
 * to the next.
 *
 * The probes measure it: they ask each shard at a steady beat, while a client that waits for one
 * shard asks no other. "worst shard" is the longest gap of any single shard; "store" the longest
 * time in which no shard answered.
 */
import type { HistoryRow, StepOutcome } from "../history/history.js";

export interface Span {
  readonly name: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** How long the fault itself lasted. */
  readonly lastedMs?: number;
  /** How long it took from its end until all replicas served. */
  readonly wellMs?: number;
}

export interface Gaps {
  readonly worstShardMs: number;
  readonly storeMs: number;
}

export interface SpanGaps extends Span {
  readonly reads: Gaps;
  readonly writes: Gaps;
  /** Of all requests begun in the span, of any client. */
  readonly requestCount: number;
  readonly unansweredCount: number;
}

const PROBE = "probe-";

export function measureGaps(rows: readonly HistoryRow[], spans: readonly Span[]): SpanGaps[] {
  const reads = acknowledgements(rows, "get");
  const writes = acknowledgements(rows, "set");
  return spans.map((span) => {
    const begun = rows.filter(({ invokedAt }) => {
      return invokedAt >= span.fromMs && invokedAt < span.toMs;
    });
    return {
      ...span,
      reads: gapsIn(reads, span),
      writes: gapsIn(writes, span),
      requestCount: begun.length,
      unansweredCount: begun.filter((row) => !isAnswered(row)).length,
    };
  });
}

export function isAnswered({ steps, query }: HistoryRow): boolean {
  if (query !== undefined) return query.outcome.kind === "answered";
  return steps.every(({ outcome }) => isAnswer(outcome));
}

/** An answer of the store: done, or refused for what the record is. */
export function isAnswer({ kind }: StepOutcome): boolean {
  return kind !== "unknown" && kind !== "refused";
}

/** By shard, the times of the answers, rising. */
function acknowledgements(rows: readonly HistoryRow[], verb: "get" | "set"): Map<string, number[]> {
  const times = new Map<string, number[]>();
  for (const row of rows) {
    if (!row.client.startsWith(PROBE) || row.returnedAt === undefined) continue;
    if (row.steps[0]?.verb !== verb || !isAnswered(row)) continue;
    const list = times.get(row.client);
    if (list === undefined) times.set(row.client, [row.returnedAt]);
    else list.push(row.returnedAt);
  }
  for (const list of times.values()) list.sort((a, b) => a - b);
  return times;
}

function gapsIn(byShard: ReadonlyMap<string, readonly number[]>, span: Span): Gaps {
  const all = [...byShard.values()];
  const any = all.flat().toSorted((a, b) => a - b);
  return {
    worstShardMs: Math.max(0, ...all.map((times) => longestGap(times, span))),
    storeMs: longestGap(any, span),
  };
}

/** Between two answers, of which the second comes after the span's start; cut at its end. */
export function longestGap(times: readonly number[], { fromMs, toMs }: Span): number {
  let longest = 0;
  let before = fromMs;
  for (const time of times) {
    if (time <= fromMs) continue;
    longest = Math.max(longest, Math.min(time, toMs) - before);
    before = time;
    if (time >= toMs) return longest;
  }
  return Math.max(longest, toMs - Math.min(before, toMs));
}
