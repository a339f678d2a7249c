/**
 * Many: operations on many keys as one request per shard, for getMany, setMany and batch.
 *
 * Operations are grouped by the shard that the ring table names, cut into chunks that fit a
 * message (chunks.ts), and sent to all shards at once. Each outcome stands alone. What may be sent
 * again goes into the next round, after the table was read again: a shard that has moved a position
 * away refuses it as `unavailable`, and the new table says where it is now.
 *
 * Invariants
 *   1. An operation keeps the request id and index of its first chunk, wherever it is sent later.
 *   2. Operations on one key are under way one after another if a key occurs more than once: then
 *      a shard's chunks go one by one, and after a chunk that must be repeated none is sent. Of a
 *      chunk answered in pieces nothing is repeated that a later operation on its key overtook.
 *   3. Every round ends operations or takes time, so rounds are bounded by the call's time-out,
 *      which runs for each operation from its first sending.
 */
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import type { Position, ShardId } from "../../protocol/ids.js";
import { ATTEMPT_MS_PER_OPERATION, BATCH_OPERATIONS_MAX } from "../../protocol/limits.js";
import type { Names } from "../../protocol/nats/subjects.js";
import { parsePackedBatchReply } from "../../protocol/reply/packed.js";
import type { Result } from "../../protocol/reply/result.js";
import { encodePackedBatch } from "../../protocol/request/packed.js";
import { readLevels, type Request } from "../../protocol/request/request.js";
import { closedError, settledError, type Caller } from "./caller.js";
import { chunksOf, itemsOf, nameWrites, type Item, type Prepare } from "./chunks.js";
import type { BatchOperation } from "./operations.js";
import type { CallOptions } from "./options.js";
import type { RingView } from "./ring-view.js";

/** Chunks of one shard under way at once, where no key occurs twice. */
const LANE_CHUNKS_MAX = 2;
/** What is left of a message's bytes for what stands around the operations. */
const MESSAGE_BYTES_SPARE = 16 * 1_024;

export interface ManyParts {
  readonly caller: Caller;
  readonly ring: RingView;
  readonly names: Names;
}

export class Many {
  constructor(private readonly parts: ManyParts) {}

  /** What came of each, in order; not found and refused among them. */
  async run(
    operations: readonly BatchOperation<unknown>[],
    positions: readonly Position[],
    prepare: Prepare,
    options: CallOptions,
  ): Promise<Result[]> {
    const items = itemsOf(operations, positions, prepare);
    const inOrder = new Set(items.map(({ operation }) => operation.key)).size < items.length;
    const { caller, ring } = this.parts;
    caller.closing.throwIfAborted();
    let pending = items;
    let idleCount = 0;
    for (;;) {
      let again = await this.#round(pending, inOrder, options);
      const pauseMs = caller.pauseMs(idleCount);
      again = this.#inTime(again, pauseMs, options);
      if (again.length === 0) return items.map(resultOf);
      for (const [, error] of again) caller.onRetry(error);
      idleCount = again.length < pending.length ? 0 : idleCount + 1;
      again.sort(([a], [b]) => a.index - b.index);
      pending = again.map(([item]) => item);
      // Replies that were too large for one message need a smaller request and no pause.
      if (again.every(([, error]) => error.kind === "too-large")) continue;
      await caller.pause(pauseMs, options.signal).catch(() => options.signal?.throwIfAborted());
      // If it cannot be read the old one is tried again, and in the end their own error is told.
      if (!caller.closing.aborted) await ring.refresh(this.#leftMs(pending)).catch(() => undefined);
      pending = this.#inTime(again, 0, options).map(([item]) => item);
      if (pending.length === 0) return items.map(resultOf);
    }
  }

  /** Ends those that close() ends, and those whose time will be over in `pauseMs`. */
  #inTime(
    again: readonly [Item, KvError][],
    pauseMs: number,
    options: CallOptions,
  ): [Item, KvError][] {
    const { clock, closing } = this.parts.caller;
    const thenMs = clock.elapsedMs() + pauseMs;
    return again.filter(([item, error]) => {
      // What was too large for one reply is asked again without a pause.
      const isInTime = error.kind === "too-large" || thenMs < (item.deadlineMs ?? Infinity);
      if (isInTime && !closing.aborted) return true;
      this.#end(item, error, options);
      return false;
    });
  }

  /** Of the item that has the least. */
  #leftMs(items: readonly Item[]): number {
    const { caller } = this.parts;
    const leftMs = (deadlineOf(items) ?? Infinity) - caller.clock.elapsedMs();
    return Math.max(Math.min(caller.attemptTimeoutMs, leftMs), 1);
  }

  /** All or nothing; every operation in one position. Throws what refused it. */
  async runAtomic(
    operations: readonly BatchOperation<unknown>[],
    positions: readonly Position[],
    prepare: Prepare,
    options: CallOptions,
  ): Promise<readonly Result[]> {
    const [position] = positions;
    if (position === undefined) return [];
    checkAtomic(operations, positions);
    const items = itemsOf(operations, positions, prepare);
    nameWrites(items);
    const attempt = async (timeoutMs: number): Promise<readonly Result[]> => {
      const { ring } = this.parts;
      if (!ring.isKnown) await ring.refresh(timeoutMs);
      const shard = ring.shardOf(position);
      if (shard === undefined) throw new KvError("unavailable", "the ring cannot be read");
      try {
        return await this.#send(shard, items, true, timeoutMs, options);
      } catch (error) {
        // The position may have moved: the next attempt is to see the ring as it is then.
        if (error instanceof KvError && error.retryable) ring.suspect();
        throw error;
      }
    };
    return this.parts.caller.retry(attempt, true, options);
  }

  async #round(
    pending: readonly Item[],
    inOrder: boolean,
    options: CallOptions,
  ): Promise<[Item, KvError][]> {
    const { caller, ring } = this.parts;
    options.signal?.throwIfAborted();
    if (!ring.isKnown) {
      try {
        await ring.refresh(Math.min(caller.attemptTimeoutMs, caller.timeoutOf(options)));
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        return pending.flatMap((item) => this.#refused(item, error, 1, options));
      }
    }
    const again = await Promise.all(
      [...this.#lanes(pending)].map(([shard, items]) => this.#lane(shard, items, inOrder, options)),
    );
    return again.flat();
  }

  #lanes(pending: readonly Item[]): Map<ShardId, Item[]> {
    const lanes = new Map<ShardId, Item[]>();
    for (const item of pending) {
      const shard = this.parts.ring.shardOf(item.position);
      assert(shard !== undefined, "a known ring has a shard for every position");
      const lane = lanes.get(shard);
      if (lane === undefined) lanes.set(shard, [item]);
      else lane.push(item);
    }
    return lanes;
  }

  /** Sends a shard's chunks; gives back what must be sent again, and why. */
  async #lane(
    shard: ShardId,
    items: readonly Item[],
    inOrder: boolean,
    options: CallOptions,
  ): Promise<[Item, KvError][]> {
    const chunks = chunksOf(items, this.#bytesMax());
    const again: [Item, KvError][] = [];
    const work = async (): Promise<void> => {
      for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift()) {
        const refused = await this.#chunk(shard, chunk, options);
        const failed = inOrder ? this.#notOvertaken(chunk, refused, options) : refused;
        again.push(...failed);
        const [first] = failed;
        if (!inOrder || first === undefined) continue;
        for (const item of chunks.splice(0).flat()) again.push([item, first[1]]);
      }
    };
    const width = inOrder ? 1 : LANE_CHUNKS_MAX;
    await Promise.all(Array.from({ length: width }, work));
    return again;
  }

  /**
   * Ends what must not be sent again: the shard refused it, and has answered a later operation on
   * its key. Done now a write would undo that one, or a get's answer would be of another time.
   */
  #notOvertaken(
    chunk: readonly Item[],
    refused: readonly [Item, KvError][],
    options: CallOptions,
  ): [Item, KvError][] {
    const errors = new Map(refused);
    const answered = new Map<string, Request["kind"]>();
    const kept: [Item, KvError][] = [];
    for (const item of chunk.toReversed()) {
      const { key } = item.operation;
      const { kind } = item.request;
      const error = errors.get(item);
      const later = answered.get(key);
      if (error === undefined) answered.set(key, later === "write" ? later : kind);
      // Two gets have no order, and what did not fit into a reply cannot be asked otherwise.
      else if (later === undefined || (kind === "get" && later === "get")) kept.push([item, error]);
      else if (error.kind === "too-large") kept.push([item, error]);
      else this.#end(item, error, options);
    }
    return kept.toReversed();
  }

  async #chunk(
    shard: ShardId,
    chunk: readonly Item[],
    options: CallOptions,
  ): Promise<[Item, KvError][]> {
    const { caller } = this.parts;
    try {
      await caller.enter(deadlineOf(chunk), options);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      for (const item of chunk) this.#end(item, error, options);
      return [];
    }
    const nowMs = caller.clock.elapsedMs();
    for (const item of chunk) item.deadlineMs ??= nowMs + caller.timeoutOf(options);
    nameWrites(chunk);
    const leftMs = (deadlineOf(chunk) ?? nowMs) - nowMs;
    const attemptMs = caller.attemptTimeoutMs + ATTEMPT_MS_PER_OPERATION * chunk.length;
    const timeoutMs = Math.max(Math.min(leftMs, attemptMs), 1);
    let results: readonly Result[];
    try {
      results = await this.#send(shard, chunk, false, timeoutMs, options);
      caller.left(overloadIn(results), nowMs, timeoutMs);
    } catch (error) {
      caller.left(error, nowMs, timeoutMs);
      if (!(error instanceof KvError)) throw error;
      return chunk.flatMap((item) => this.#refused(item, error, chunk.length, options));
    }
    const answeredCount = results.filter((result) => !isTooLarge(result)).length;
    return chunk.flatMap((item, index) => {
      const result = results[index] as Result;
      if (result.kind === "refused") {
        item.chunkMax = Math.min(item.chunkMax, Math.max(answeredCount, 1));
        return this.#refused(item, result.error, chunk.length, options);
      }
      item.result = result;
      return [];
    });
  }

  /** Ends the item by the error, unless it is to be sent again. */
  #refused(
    item: Item,
    error: KvError,
    chunkLength: number,
    options: CallOptions,
  ): [Item, KvError][] {
    const { clock } = this.parts.caller;
    const timeoutMs = this.parts.caller.timeoutOf(options);
    const isWrite = item.request.kind === "write";
    item.deadlineMs ??= clock.elapsedMs() + timeoutMs;
    if (error.written === "unknown") item.doubt = error;
    // A get's value did not fit beside the others' in one reply.
    if (error.kind === "too-large" && !isWrite && chunkLength > 1) return [[item, error]];
    const isOver = clock.elapsedMs() >= item.deadlineMs;
    if (error.retryable && !isOver) return [[item, error]];
    this.#end(item, error, options);
    return [];
  }

  /** It is not sent again. */
  #end(item: Item, error: KvError, options: CallOptions): void {
    const timeoutMs = this.parts.caller.timeoutOf(options);
    const isWrite = item.request.kind === "write";
    const told = settledError(error, item.doubt, isWrite, timeoutMs);
    const { closing } = this.parts.caller;
    const isClosed = closing.aborted && (error.retryable || error === closing.reason);
    const ending = isClosed ? closedError(item.doubt, isWrite) : told;
    item.result = { kind: "refused", error: ending };
  }

  async #send(
    shard: ShardId,
    items: readonly Item[],
    atomic: boolean,
    timeoutMs: number,
    options: CallOptions,
  ): Promise<readonly Result[]> {
    const requests = items.map((item) => item.request);
    const payload = encodePackedBatch({ requests, atomic, level: strongest(requests), hops: 0 });
    const isRead = !atomic && requests.every((request) => request.kind === "get");
    const subject = this.parts.names.shard(shard, isRead ? "get" : "batch");
    const outgoing = { subject, payload, isWrite: true };
    const reply = await this.parts.caller.send(outgoing, timeoutMs, options.signal);
    const keys = items.map(({ operation }) => operation.key);
    const results = parsePackedBatchReply(reply.data, keys);
    if (results instanceof KvError) throw results;
    if (results.length === items.length) return results;
    throw new KvError("internal", `${items.length} operations, but ${results.length} outcomes`);
  }

  #bytesMax(): number {
    return this.parts.caller.bus.server().maxPayload - MESSAGE_BYTES_SPARE;
  }
}

/** When the time of the first of them ends; undefined = none was sent yet. */
function deadlineOf(chunk: readonly Item[]): number | undefined {
  let first: number | undefined;
  for (const { deadlineMs } of chunk) {
    if (deadlineMs !== undefined && deadlineMs < (first ?? Infinity)) first = deadlineMs;
  }
  return first;
}

/** A refusal that tells of too much work, if there is one. */
function overloadIn(results: readonly Result[]): KvError | undefined {
  const refusals = results.flatMap((each) => (each.kind === "refused" ? each.error : []));
  return refusals.find(({ kind }) => kind === "overloaded");
}

function strongest(requests: readonly Request[]): (typeof readLevels)[number] {
  const levels = requests.map((request) => (request.kind === "get" ? request.level : "stale"));
  return readLevels.find((level) => levels.includes(level)) ?? "stale";
}

function resultOf(item: Item): Result {
  if (item.result !== undefined) return item.result;
  throw new KvError("internal", `no outcome for ${JSON.stringify(item.operation.key)}`);
}

function isTooLarge(result: Result): boolean {
  return result.kind === "refused" && result.error.kind === "too-large";
}

function checkAtomic(
  operations: readonly BatchOperation<unknown>[],
  positions: readonly Position[],
): void {
  const limit = BATCH_OPERATIONS_MAX;
  if (operations.length > limit) {
    const description = `an atomic batch has at most ${limit} operations; received`;
    const details = { limit, size: operations.length };
    throw new KvError("limit-exceeded", `${description} ${operations.length}`, details);
  }
  const index = positions.findIndex((position) => position !== positions[0]);
  if (index < 0) return;
  throw new KvError(
    "bad-request",
    `an atomic batch writes keys of one position; ${JSON.stringify(operations[0]?.key)} and ` +
      `${JSON.stringify(operations[index]?.key)} have different ones. Give them a common tag, ` +
      "like order-{42} and items-{42}",
    { index },
  );
}
