/**
 * Log: one shard's totally ordered sequence of entries. In production a JetStream stream
 * (jetstream-log.ts).
 *
 * Delivery: entries have sequences 1, 2, 3, … by the order of their acceptance. A consumer hands
 * them over in ascending order, but what it hands over need not be contiguous with what came
 * before: after a server lost its last entries and others wrote on, it goes on with later ones
 * without a sign. The applier takes only `applied + 1` and compares the log with its own
 * past whenever the consumer says `resumed` (rules L1, L7).
 *
 * Concurrency: all methods may be called at any time, by several callers.
 */
import type { LogId, Sequence, ShardId, TimeMs } from "../protocol/ids.js";

export interface LogMessage {
  readonly sequence: Sequence;
  /** When the log took it, by the log's clock. May go back from one entry to the next. */
  readonly time: TimeMs;
  readonly data: Uint8Array;
}

/**
 * What became of one attempt to append.
 *   accepted    the entry stands at `sequence`
 *   full        refused: the log is at its limit. This attempt will not land.
 *   refused     refused for another reason, which `reason` tells. This attempt will not land.
 *   unanswered  nobody knows; it may still land (rule L2)
 */
export type Appended =
  | { readonly kind: "accepted"; readonly sequence: Sequence }
  | { readonly kind: "full" | "refused"; readonly reason: string }
  | { readonly kind: "unanswered"; readonly reason: string };

/** What `makeRoom` adds to the limit of a log that is full. Some hundred entries without data. */
export const LOG_ROOM_BYTES = 64 * 1_024;

export interface LogState {
  /** Sequence of the first entry kept; last + 1 if none is. */
  readonly first: Sequence;
  readonly last: Sequence;
  readonly bytes: number;
  readonly bytesMax: number;
}

export type Delivery =
  | { readonly kind: "messages"; readonly messages: readonly LogMessage[] }
  /** The connection returned or the consumer is a new one: compare before you continue. */
  | { readonly kind: "resumed" };

export interface LogConsumer {
  /**
   * Waits for what comes next; `resumed` first of all. At most PULL_BYTES_MAX are outstanding, and
   * nothing more is asked for while nobody calls. Undefined after stop().
   */
  next(): Promise<Delivery | undefined>;
  stop(): void;
}

export interface Log {
  readonly shard: ShardId;
  readonly id: LogId;
  /** Never rejects. One attempt; the caller repeats. `timeoutMs` bounds it. */
  append(data: Uint8Array, timeoutMs: number): Promise<Appended>;
  /**
   * Raises the limit of a log that is full by LOG_ROOM_BYTES, for the entry that proves where the
   * log ends and tells other replicas what it has lost (rule L3). Small writes may take the room.
   * Rejects with KvError `unavailable`, also if the server has no room.
   */
  makeRoom(): Promise<void>;
  /** From `after` + 1. Creates what it needs, and again as often as necessary. */
  consume(after: Sequence): LogConsumer;
  /** One entry, from the log's leader, never from a copy that may lag; undefined = not there. */
  read(sequence: Sequence): Promise<LogMessage | undefined>;
  /** From the log's leader. Rejects with KvError `unavailable`; isMissingLog: it is not there. */
  state(): Promise<LogState>;
  /** True if `tail()` is exact: the server is alone. Else only an own entry is a barrier. */
  readonly tailIsExact: boolean;
  /**
   * The last sequence, not behind any entry acknowledged before the call. Cost: one message (a
   * publish that is refused). Only if `tailIsExact`. Rejects with KvError `unavailable`.
   */
  tail(): Promise<Sequence>;
}
