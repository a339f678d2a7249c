/**
 * Batch split: a coordinator sends a batch as messages to its shards, and makes one reply of all.
 *
 * BatchCourse (protocol/reply/) decides what may be sent (again) and what the caller is told. The
 * coordinator sends an operation again until REQUEST_TIMEOUT_MS if its position has moved or its
 * shard did not answer. So it gives a batch without a request id one of its own (rule L4); an
 * operation's index in the whole batch completes the id.
 */
import type { Surroundings } from "../surroundings.js";
import { sleep } from "../../infra/clock.js";
import { BackOff } from "../../protocol/back-off.js";
import { KvError } from "../../protocol/errors.js";
import type { Position, ShardId } from "../../protocol/ids.js";
import {
  ATTEMPT_MS_PER_OPERATION,
  ATTEMPT_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
} from "../../protocol/limits.js";
import { finalError, readError } from "../../protocol/reply/attempts.js";
import { BatchCourse, type CoursePolicy } from "../../protocol/reply/batch-course.js";
import { batchReply } from "../../protocol/reply/batch.js";
import { parsePackedBatchReply } from "../../protocol/reply/packed.js";
import type { BatchResult, Reply } from "../../protocol/reply/result.js";
import { keyOf } from "../../protocol/request/batch.js";
import { chunksByShard, type Chunk } from "../../protocol/request/chunks.js";
import { encodePackedBatch } from "../../protocol/request/packed.js";
import type { BatchRequest, Request, RequestHeaders } from "../../protocol/request/request.js";
import { parseBatchRequest } from "../../protocol/request/text.js";
import { RingLookup, type RingTable } from "../../protocol/ring/ring.js";
import { AGAIN_FIRST_MS, AGAIN_MAX_MS, newRequestId } from "./attempts.js";

/** Payload bytes of one message to a shard; an operation of the largest size fits with the rest. */
const CHUNK_BYTES_MAX = 512 * 1_024;

/** A coordinator's caller waits too: it hears of a busy shard, and of values that do not fit. */
const policy: CoursePolicy = {
  asksTheBusy: false,
  asksForLess: false,
  tell: (last, doubt, isWrite) =>
    isWrite ? finalError(last, doubt !== undefined) : readError(last),
};

export class BatchRunner {
  constructor(
    private readonly around: Pick<Surroundings, "names" | "bus" | "clock" | "chance">,
    private readonly ring: () => RingTable,
    private readonly positionCount: number,
  ) {}

  /** Throws KvError if the batch is refused as a whole. */
  async run(payload: Uint8Array, headers: RequestHeaders | undefined): Promise<Reply> {
    const batch = parseBatchRequest(payload, headers, this.positionCount);
    const course = new BatchCourse(batch.requests, policy);
    course.name([...batch.requests.keys()], () => newRequestId(this.around.chance));
    await this.#untilAnswered(batch, course);
    const results = course.results();
    const refusal = batch.atomic ? results.find(({ kind }) => kind === "refused") : undefined;
    if (refusal?.kind === "refused") throw refusal.error;
    return batchReply(results, batch);
  }

  async #untilAnswered(batch: BatchRequest, course: BatchCourse): Promise<void> {
    const end = this.around.clock.elapsedMs() + REQUEST_TIMEOUT_MS;
    const backOff = new BackOff(AGAIN_FIRST_MS, AGAIN_MAX_MS);
    for (;;) {
      const chunks = this.#chunks(batch, course);
      await Promise.all([...chunks].map((each) => this.#askShard(batch, course, ...each)));
      if (course.isDone || this.around.clock.elapsedMs() + backOff.waitMs > end) return;
      await sleep(this.around.clock, backOff.next(this.around.chance.fraction()));
    }
  }

  #chunks(batch: BatchRequest, course: BatchCourse): Map<ShardId, Chunk[]> {
    const lookup = new RingLookup(this.ring());
    const shardOf = (position: Position): ShardId => lookup.shardOf(position).shard;
    const open = course.open();
    // An atomic batch is one message; its size was checked with its form.
    const bytesMax = batch.atomic ? Infinity : CHUNK_BYTES_MAX;
    const countMaxOf = (index: number): number => course.countMaxOf(index);
    return chunksByShard(course.requests, open, shardOf, { bytesMax, countMaxOf });
  }

  /** One chunk after another: later ones may depend on earlier ones. */
  async #askShard(
    batch: BatchRequest,
    course: BatchCourse,
    shard: ShardId,
    chunks: readonly Chunk[],
  ): Promise<void> {
    for (const chunk of chunks) {
      // An answer to an earlier chunk may have closed some.
      const open = chunk.filter((index) => course.isOpen(index));
      if (open.length === 0) continue;
      course.take(open, await this.#ask(batch, shard, course.toSend(open)));
      // What follows for the same shard must not overtake what has to be sent again.
      if (open.some((index) => course.isOpen(index))) return;
    }
  }

  async #ask(
    { atomic, level, hops }: BatchRequest,
    shard: ShardId,
    requests: readonly Request[],
  ): Promise<BatchResult> {
    const payload = encodePackedBatch({ requests, atomic, level, hops });
    const timeoutMs = ATTEMPT_TIMEOUT_MS + ATTEMPT_MS_PER_OPERATION * requests.length;
    try {
      const subject = this.around.names.shard(shard, "batch");
      const reply = await this.around.bus.request(subject, payload, { timeoutMs });
      return parsePackedBatchReply(reply.data, requests.map(keyOf));
    } catch (error) {
      if (error instanceof KvError) return error;
      throw error;
    }
  }
}
