/**
 * Check context: the facts that the checks of a run share: the shard of a key, the contents of each
 * log, and the end of each log when a request began.
 */
import type { Position, ShardId } from "../../protocol/ids.js";
import { positionOf } from "../../protocol/position.js";
import { RingLookup } from "../../protocol/ring/ring.js";
import { describeRow, type HistoryRow, type Step } from "../history/history.js";
import type { RunFacts, ShardFacts } from "./facts.js";
import { LogTruth } from "./log-truth.js";

/** The comparisons, by their names in the counts of a run. */
export const checkNames = [
  "acknowledged writes",
  "counts compared",
  "digests compared",
  "events compared",
  "fates of writes known by the log",
  "finds compared",
  "items compared",
  "keys compared",
  "linearizable reads",
  "nameless writes",
  "operations put into an order",
  "paged finds compared",
  "partial answers",
  "query freshness",
  "repeats that get their first outcome",
  "resets",
  "session reads",
  "stale reads",
  "stores compared",
  "writes",
] as const;

export type CheckName = (typeof checkNames)[number];

/** How much was compared, by what. A zero over many runs is a check that checks nothing. */
export type CheckCounts = Partial<Record<CheckName, number>>;

interface Place {
  readonly position: Position;
  readonly shard: ShardId;
}

export class CheckContext {
  readonly truths = new Map<ShardId, LogTruth>();
  readonly problems: string[] = [];
  readonly counts: CheckCounts = {};
  readonly #lookup: RingLookup;
  readonly #shards = new Map<ShardId, ShardFacts>();
  /** By key. */
  readonly #places = new Map<string, Place>();
  /** By shard: acknowledged writes, by the time at which they were. */
  readonly #acknowledged = new Map<ShardId, { at: number; sequence: number }[]>();

  constructor(readonly facts: RunFacts) {
    this.#lookup = new RingLookup(facts.ring);
    for (const shard of facts.shards) {
      const id = shard.shard.shard;
      this.#shards.set(id, shard);
      if (this.isWhole(id)) this.truths.set(id, new LogTruth(shard.entries));
    }
    this.#noteAcknowledged();
  }

  get positionCount(): number {
    return this.facts.ring.positionCount;
  }

  /** The shard's log was never damaged on purpose: what was acknowledged must be there. */
  isWhole(shard: ShardId): boolean {
    return this.#shards.get(shard)?.damage === undefined;
  }

  /** All shards are. */
  get areWhole(): boolean {
    return this.facts.shards.every(({ damage }) => damage === undefined);
  }

  positionOf(key: string): Position {
    return this.#placeOf(key).position;
  }

  shardOf(key: string): ShardId {
    return this.#placeOf(key).shard;
  }

  #placeOf(key: string): Place {
    let place = this.#places.get(key);
    if (place !== undefined) return place;
    const position = positionOf(key, this.positionCount);
    place = { position, shard: this.#lookup.shardOf(position).shard };
    this.#places.set(key, place);
    return place;
  }

  shardOfPosition(position: number): ShardId {
    return this.#lookup.shardOf(position as Position).shard;
  }

  /** Undefined = its log was damaged. */
  truthOf(key: string): LogTruth | undefined {
    return this.truths.get(this.shardOf(key));
  }

  /** When the shard's log was damaged; Infinity = it was not. */
  damagedAt(shard: ShardId): number {
    return this.#shards.get(shard)?.damage?.atMs ?? Infinity;
  }

  /** Every write acknowledged before `time` stands at or before this sequence of the shard. */
  acknowledgedBefore(shard: ShardId, time: number): number {
    const list = this.#acknowledged.get(shard) ?? [];
    return list.findLast(({ at }) => at < time)?.sequence ?? 0;
  }

  count(what: CheckName, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by;
  }

  problem(text: string, row?: HistoryRow): void {
    this.problems.push(row === undefined ? text : `${text}: ${describeRow(row)}`);
  }

  *steps(): Generator<{ row: HistoryRow; step: Step }> {
    for (const row of this.facts.rows) for (const step of row.steps) yield { row, step };
  }

  #noteAcknowledged(): void {
    for (const { row, step } of this.steps()) {
      const shard = this.shardOf(step.key);
      const sequence = this.truths.get(shard)?.sequenceOf(row, step);
      if (sequence === undefined) continue;
      const list = this.#acknowledged.get(shard) ?? [];
      this.#acknowledged.set(shard, list);
      list.push({ at: row.returnedAt ?? Infinity, sequence });
    }
    for (const list of this.#acknowledged.values()) {
      list.sort((a, b) => a.at - b.at);
      let highest = 0;
      for (const each of list) each.sequence = highest = Math.max(highest, each.sequence);
    }
  }
}
