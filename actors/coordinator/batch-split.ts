/**
 * Batch split: turns a batch over many shards into one message a shard, and the answers into one
 * reply.
 *
 * Operations keep their order within a shard, and one key is always in one shard, so operations on
 * one key take effect in order. The coordinator sends an operation again until REQUEST_TIMEOUT_MS
 * if its position has moved or its shard did not answer. So it gives a batch without a request id
 * one of its own (rule L4); an operation's index in the whole batch completes the id.
 */
import type { Bus } from "../../infra/bus.js";
import { sleep, type Chance, type Clock } from "../../infra/clock.js";
import { KvError } from "../../protocol/errors.js";
import type { Position, ShardId } from "../../protocol/ids.js";
import {
  ATTEMPT_MS_PER_OPERATION,
  ATTEMPT_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
} from "../../protocol/limits.js";
import type { Names } from "../../protocol/nats/subjects.js";
import { batchReply } from "../../protocol/reply/batch.js";
import { parsePackedBatchReply } from "../../protocol/reply/packed.js";
import type { BatchResult, Reply } from "../../protocol/reply/result.js";
import { keyOf } from "../../protocol/request/batch.js";
import { encodePackedBatch } from "../../protocol/request/packed.js";
import type {
  BatchRequest,
  RefusedRequest,
  Request,
  RequestHeaders,
} from "../../protocol/request/request.js";
import { parseBatchRequest } from "../../protocol/request/text.js";
import { RingLookup, type RingTable } from "../../protocol/ring/ring.js";
import { AGAIN_FIRST_MS, AGAIN_MAX_MS, newRequestId } from "./attempts.js";
import { BatchProgress } from "./batch-progress.js";

/** Payload bytes of one message to a shard; an operation of the largest size fits with the rest. */
const PART_BYTES_MAX = 512 * 1_024;

/** Operations of one shard, and the index of each in the batch. */
export interface Part {
  readonly shard: ShardId;
  readonly indexes: readonly number[];
  readonly requests: readonly Request[];
}

/** In the order of first appearance; refused requests are in no part. */
export function splitByShard(
  requests: readonly (Request | RefusedRequest)[],
  indexes: readonly number[],
  lookup: Pick<RingLookup, "shardOf">,
): Part[] {
  const open = new Map<ShardId, { indexes: number[]; requests: Request[]; bytes: number }>();
  const parts: Part[] = [];
  for (const index of indexes) {
    const request = requests[index];
    if (request === undefined || request.kind === "refused") continue;
    const { shard } = lookup.shardOf(positionOf(request));
    const bytes = bytesOf(request);
    let part = open.get(shard);
    if (part === undefined || part.bytes + bytes > PART_BYTES_MAX) {
      part = { indexes: [], requests: [], bytes: 0 };
      open.set(shard, part);
      parts.push({ shard, indexes: part.indexes, requests: part.requests });
    }
    part.indexes.push(index);
    part.requests.push(request);
    part.bytes += bytes;
  }
  return parts;
}

function positionOf(request: Request): Position {
  return request.kind === "get" ? request.position : request.operation.position;
}

function bytesOf(request: Request): number {
  const head = 256;
  if (request.kind === "get") return head + request.key.length * 3;
  const { operation } = request;
  const value = "value" in operation ? operation.value.length : 0;
  return head + operation.key.length * 3 + value;
}

export class BatchRunner {
  constructor(
    private readonly names: Names,
    private readonly bus: Bus,
    private readonly ring: () => RingTable,
    private readonly positionCount: number,
    private readonly clock: Clock,
    private readonly chance: Chance,
  ) {}

  /** Throws KvError if the batch is refused as a whole. */
  async run(payload: Uint8Array, headers: RequestHeaders | undefined): Promise<Reply> {
    const batch = this.#repeatable(parseBatchRequest(payload, headers, this.positionCount));
    const result = await this.#untilAnswered(batch);
    if (result instanceof KvError) throw result;
    return batchReply(result, batch);
  }

  #repeatable(batch: BatchRequest): BatchRequest {
    const id = newRequestId(this.chance);
    const requests = batch.requests.map((request, index) => {
      if (request.kind !== "write" || request.operation.request !== undefined) return request;
      return { ...request, operation: { ...request.operation, request: { id, index } } };
    });
    return { ...batch, requests };
  }

  async #untilAnswered(batch: BatchRequest): Promise<BatchResult> {
    const end = this.clock.elapsedMs() + REQUEST_TIMEOUT_MS;
    const progress = new BatchProgress(batch);
    let waitMs = AGAIN_FIRST_MS;
    for (;;) {
      await this.#askParts(batch, this.#parts(batch, progress.open()), progress);
      if (progress.isDone || this.clock.elapsedMs() + waitMs > end) return progress.result();
      await sleep(this.clock, waitMs * (0.5 + this.chance.fraction()));
      waitMs = Math.min(2 * waitMs, AGAIN_MAX_MS);
    }
  }

  /** Parts of one shard are sent one after another: later ones may depend on earlier ones. */
  async #askParts(
    batch: BatchRequest,
    parts: readonly Part[],
    progress: BatchProgress,
  ): Promise<void> {
    const byShard = new Map<ShardId, Part[]>();
    for (const part of parts) {
      byShard.set(part.shard, [...(byShard.get(part.shard) ?? []), part]);
    }
    const askShard = async (shardParts: readonly Part[]): Promise<void> => {
      for (const part of shardParts) {
        progress.take(part.indexes, await this.#ask(batch, part));
        // Later parts for the same shard must not overtake operations to be sent again.
        if (part.indexes.some((index) => progress.isOpen(index))) return;
      }
    };
    await Promise.all([...byShard.values()].map(askShard));
  }

  #parts(batch: BatchRequest, open: readonly number[]): Part[] {
    const ring = this.ring();
    const lookup = new RingLookup(ring);
    if (!batch.atomic) return splitByShard(batch.requests, open, lookup);
    const requests = batch.requests.filter((request) => request.kind !== "refused");
    const [first] = requests;
    if (first === undefined) return [];
    const { shard } = lookup.shardOf(positionOf(first));
    return [{ shard, indexes: open, requests }];
  }

  async #ask(batch: BatchRequest, part: Part): Promise<BatchResult> {
    const { atomic, level, hops } = batch;
    const payload = encodePackedBatch({ requests: part.requests, atomic, level, hops });
    const keys = part.requests.map(keyOf);
    const timeoutMs = ATTEMPT_TIMEOUT_MS + ATTEMPT_MS_PER_OPERATION * part.requests.length;
    try {
      const subject = this.names.shard(part.shard, "batch");
      const reply = await this.bus.request(subject, payload, { timeoutMs });
      return parsePackedBatchReply(reply.data, keys);
    } catch (error) {
      if (error instanceof KvError) return error;
      throw error;
    }
  }
}
