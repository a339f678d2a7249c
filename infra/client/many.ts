/**
 * Many: operations on many keys as one request per shard, for getMany, setMany and batch.
 *
 * Operations are grouped by the shard that the ring table names, cut into chunks that fit a message
 * (protocol/request/chunks.ts), and sent to all shards at once. Each outcome stands alone.
 * BatchCourse (protocol/reply/) decides what may be sent again. That goes into the next round,
 * after the table was read again: a shard that has moved a position away refuses it as
 * `unavailable`, and the new table says where it is now.
 *
 * Invariants
 *   1. An operation keeps the request id and index of its first chunk, wherever it is sent later.
 *   2. Where two operations on one key have an order, a shard's chunks go one by one, and after a
 *      chunk that must be repeated none is sent.
 *   3. Every round ends operations or takes time, so rounds are bounded by the call's time-out,
 *      which runs for each operation from its first sending.
 */
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import type { Position, ShardId } from "../../protocol/ids.js";
import { ATTEMPT_MS_PER_OPERATION, BATCH_OPERATIONS_MAX } from "../../protocol/limits.js";
import type { Names } from "../../protocol/nats/subjects.js";
import type { RequestRef } from "../../protocol/operation.js";
import { BatchCourse } from "../../protocol/reply/batch-course.js";
import { parsePackedBatchReply } from "../../protocol/reply/packed.js";
import type { BatchResult, Result } from "../../protocol/reply/result.js";
import { keyOf } from "../../protocol/request/batch.js";
import { chunksByShard, type Chunk } from "../../protocol/request/chunks.js";
import { encodePackedBatch } from "../../protocol/request/packed.js";
import { readLevels, type Request } from "../../protocol/request/request.js";
import { closedError, settledError, type Caller } from "./caller.js";
import type { BatchOperation } from "./operations.js";
import type { CallOptions } from "./options.js";
import { newRequestId } from "./request-ids.js";
import type { RingView } from "./ring-view.js";

/** Chunks of one shard under way at once, where no two operations have an order. */
const LANE_CHUNKS_MAX = 2;
/** What is left of a message's bytes for what stands around the operations. */
const MESSAGE_BYTES_SPARE = 16 * 1_024;

export interface ManyParts {
  readonly caller: Caller;
  /** Known: its positions are those of the operations. */
  readonly ring: RingView;
  readonly names: Names;
}

/** How an operation becomes a request, which the caller's session has a say in. */
export type Prepare = (
  operation: BatchOperation<unknown>,
  position: Position,
  request: RequestRef | undefined,
) => Request;

export class Many {
  constructor(private readonly parts: ManyParts) {}

  /** What came of each, in order; not found and refused among them. */
  run(
    operations: readonly BatchOperation<unknown>[],
    positions: readonly Position[],
    prepare: Prepare,
    options: CallOptions,
  ): Promise<Result[]> {
    return new ManyCall(this.parts, requestsOf(operations, positions, prepare), options).run();
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
    const call = new ManyCall(this.parts, requestsOf(operations, positions, prepare), options);
    return call.runAtomic(position);
  }
}

/** One call: its operations by index, and the time that each has. */
class ManyCall {
  readonly #course: BatchCourse;
  /** Since its first sending. */
  readonly #deadlinesMs = new Map<number, number>();

  constructor(
    private readonly parts: ManyParts,
    private readonly requests: readonly Request[],
    private readonly options: CallOptions,
  ) {
    const tell = (last: KvError, doubt: KvError | undefined, isWrite: boolean): KvError =>
      this.#told(last, doubt, isWrite);
    this.#course = new BatchCourse(requests, { asksTheBusy: true, asksForLess: true, tell });
  }

  async run(): Promise<Result[]> {
    const { caller, ring } = this.parts;
    const { signal } = this.options;
    const course = this.#course;
    caller.closing.throwIfAborted();
    let pending = course.open();
    let idleCount = 0;
    while (pending.length > 0) {
      await this.#round(pending);
      const pauseMs = caller.pauseMs(idleCount);
      const again = this.#openInTime(pauseMs);
      if (again.length === 0) break;
      const errors = again.flatMap((index) => course.refusalOf(index) ?? []);
      for (const error of errors) caller.onRetry(error);
      idleCount = again.length < pending.length ? 0 : idleCount + 1;
      pending = again;
      // Replies that were too large for one message need a smaller request and no pause.
      if (errors.every(({ kind }) => kind === "too-large")) continue;
      await caller.pause(pauseMs, signal).catch(() => signal?.throwIfAborted());
      // If it cannot be read the old one is tried again, and in the end their own error is told.
      if (!caller.closing.aborted) await ring.refresh(this.#leftMs(pending)).catch(() => undefined);
      pending = this.#openInTime(0);
    }
    return course.results();
  }

  async runAtomic(position: Position): Promise<readonly Result[]> {
    const { caller, ring } = this.parts;
    const all = [...this.requests.keys()];
    this.#course.name(all, newRequestId);
    const requests = this.#course.toSend(all);
    const attempt = async (timeoutMs: number): Promise<readonly Result[]> => {
      try {
        const answer = await this.#send(this.#shardOf(position), requests, true, timeoutMs);
        if (answer instanceof KvError) throw answer;
        return answer;
      } catch (error) {
        // The position may have moved: the next attempt is to see the ring as it is then.
        if (error instanceof KvError && error.retryable) ring.suspect();
        throw error;
      }
    };
    return caller.retry(attempt, true, this.options);
  }

  /** Gives up what close() ends, and what will have no time left in `pauseMs`. */
  #openInTime(pauseMs: number): number[] {
    const { clock, closing } = this.parts.caller;
    const thenMs = clock.elapsedMs() + pauseMs;
    const course = this.#course;
    for (const index of course.open()) {
      // What was too large for one reply is asked again without a pause.
      const isTooLarge = course.refusalOf(index)?.kind === "too-large";
      const isInTime = isTooLarge || thenMs < (this.#deadlinesMs.get(index) ?? Infinity);
      if (!isInTime || closing.aborted) course.giveUp(index);
    }
    return course.open();
  }

  async #round(pending: Chunk): Promise<void> {
    this.options.signal?.throwIfAborted();
    const shardOf = (position: Position): ShardId => this.#shardOf(position);
    const bytesMax = this.parts.caller.bus.server().maxPayload - MESSAGE_BYTES_SPARE;
    const countMaxOf = (index: number): number => this.#course.countMaxOf(index);
    const { requests } = this.#course;
    const lanes = chunksByShard(requests, pending, shardOf, { bytesMax, countMaxOf });
    await Promise.all([...lanes].map(([shard, chunks]) => this.#lane(shard, chunks)));
  }

  #shardOf(position: Position): ShardId {
    const shard = this.parts.ring.shardOf(position);
    assert(shard !== undefined, "a known ring has a shard for every position");
    return shard;
  }

  /** Sends a shard's chunks. */
  async #lane(shard: ShardId, chunks: Chunk[]): Promise<void> {
    const course = this.#course;
    const work = async (): Promise<void> => {
      for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift()) {
        // An answer to an earlier chunk may have closed some.
        const open = chunk.filter((index) => course.isOpen(index));
        if (open.length > 0) await this.#chunk(shard, open);
        if (course.hasOrder && open.some((index) => course.isOpen(index))) return;
      }
    };
    const width = course.hasOrder ? 1 : LANE_CHUNKS_MAX;
    await Promise.all(Array.from({ length: width }, work));
  }

  async #chunk(shard: ShardId, chunk: Chunk): Promise<void> {
    const { caller } = this.parts;
    const course = this.#course;
    try {
      await caller.enter(this.#deadlineOf(chunk), this.options);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      for (const index of chunk) course.giveUp(index, error);
      return;
    }
    const nowMs = caller.clock.elapsedMs();
    const endMs = nowMs + caller.timeoutOf(this.options);
    for (const index of chunk) {
      if (!this.#deadlinesMs.has(index)) this.#deadlinesMs.set(index, endMs);
    }
    course.name(chunk, newRequestId);
    const leftMs = (this.#deadlineOf(chunk) ?? nowMs) - nowMs;
    const attemptMs = caller.attemptTimeoutMs + ATTEMPT_MS_PER_OPERATION * chunk.length;
    const timeoutMs = Math.max(Math.min(leftMs, attemptMs), 1);
    let answer: BatchResult;
    try {
      answer = await this.#send(shard, course.toSend(chunk), false, timeoutMs);
    } catch (error) {
      if (!(error instanceof KvError)) {
        caller.left(error, nowMs, timeoutMs);
        throw error;
      }
      answer = error;
    }
    caller.left(answer instanceof KvError ? answer : overloadIn(answer), nowMs, timeoutMs);
    course.take(chunk, answer);
  }

  /** What the caller is told of an operation that is not sent again. */
  #told(last: KvError, doubt: KvError | undefined, isWrite: boolean): KvError {
    const { caller } = this.parts;
    const { closing } = caller;
    const isClosed = closing.aborted && (last.retryable || last === closing.reason);
    if (isClosed) return closedError(doubt, isWrite);
    return settledError(last, doubt, isWrite, caller.timeoutOf(this.options));
  }

  /** Of those that have the least. */
  #leftMs(indexes: Chunk): number {
    const { caller } = this.parts;
    const leftMs = (this.#deadlineOf(indexes) ?? Infinity) - caller.clock.elapsedMs();
    return Math.max(Math.min(caller.attemptTimeoutMs, leftMs), 1);
  }

  /** When the time of the first of them ends; undefined = none was sent yet. */
  #deadlineOf(indexes: Chunk): number | undefined {
    let first: number | undefined;
    for (const index of indexes) {
      const deadlineMs = this.#deadlinesMs.get(index);
      if (deadlineMs !== undefined && deadlineMs < (first ?? Infinity)) first = deadlineMs;
    }
    return first;
  }

  async #send(
    shard: ShardId,
    requests: readonly Request[],
    atomic: boolean,
    timeoutMs: number,
  ): Promise<BatchResult> {
    const payload = encodePackedBatch({ requests, atomic, level: strongest(requests), hops: 0 });
    const isRead = !atomic && requests.every((request) => request.kind === "get");
    const subject = this.parts.names.shard(shard, isRead ? "get" : "batch");
    const outgoing = { subject, payload, isWrite: true };
    const reply = await this.parts.caller.send(outgoing, timeoutMs, this.options.signal);
    return parsePackedBatchReply(reply.data, requests.map(keyOf));
  }
}

function requestsOf(
  operations: readonly BatchOperation<unknown>[],
  positions: readonly Position[],
  prepare: Prepare,
): Request[] {
  return operations.map((operation, index) => {
    const { requestId } = operation;
    const ref = requestId === undefined ? undefined : { id: requestId, index: 0 };
    return prepare(operation, positions[index] as Position, ref);
  });
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
