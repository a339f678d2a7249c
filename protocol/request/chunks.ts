/**
 * Chunks: the operations of a batch over many shards, cut into messages for one shard each.
 *
 * A key is always in one shard, and the chunks of a shard keep the order of the batch. A chunk
 * stays within three limits: the bytes of a message, the operations of a batch, and the bytes that
 * its outcomes may take in one reply (batch.ts). A shard would refuse it as a whole beyond them.
 */
import type { Position, ShardId } from "../ids.js";
import { BATCH_OPERATIONS_MAX, REPLY_BYTES_MAX } from "../limits.js";
import { outcomeBytes } from "./batch.js";
import type { RefusedRequest, Request } from "./request.js";

/** Bytes of an operation's other members, beside key, value, path and request id. */
const OPERATION_BYTES_EXTRA = 160;

export interface ChunkLimits {
  /** Bytes of the operations in one message; a single operation may take more. */
  readonly bytesMax: number;
  /** How many operations a chunk with the one at this index may have. */
  readonly countMaxOf: (index: number) => number;
}

/** Indexes into `requests`. */
export type Chunk = readonly number[];

/** Of the operations at `indexes`, ascending. Those refused by their form are in no chunk. */
export function chunksByShard(
  requests: readonly (Request | RefusedRequest)[],
  indexes: Chunk,
  shardOf: (position: Position) => ShardId,
  limits: ChunkLimits,
): Map<ShardId, Chunk[]> {
  const cutters = new Map<ShardId, Cutter>();
  for (const index of indexes) {
    const request = requests[index];
    if (request === undefined || request.kind === "refused") continue;
    const shard = shardOf(positionOf(request));
    let cutter = cutters.get(shard);
    if (cutter === undefined) cutters.set(shard, (cutter = new Cutter(limits)));
    cutter.add(index, request);
  }
  return new Map([...cutters].map(([shard, { chunks }]) => [shard, chunks]));
}

/** The position of the request's key. */
export function positionOf(request: Request): Position {
  return request.kind === "get" ? request.position : request.operation.position;
}

/** Cuts the operations of one shard. */
class Cutter {
  readonly chunks: number[][] = [];
  #bytes = 0;
  #replyBytes = 0;
  #countMax = 0;

  constructor(private readonly limits: ChunkLimits) {}

  add(index: number, request: Request): void {
    const bytes = bytesOf(request);
    const replyBytes = outcomeBytes(request);
    const countMax = this.limits.countMaxOf(index);
    let chunk = this.chunks.at(-1);
    const isFull =
      chunk === undefined ||
      chunk.length >= Math.min(this.#countMax, countMax) ||
      this.#bytes + bytes > this.limits.bytesMax ||
      this.#replyBytes + replyBytes > REPLY_BYTES_MAX;
    if (chunk === undefined || isFull) {
      this.chunks.push((chunk = []));
      this.#bytes = 0;
      this.#replyBytes = 0;
      this.#countMax = BATCH_OPERATIONS_MAX;
    }
    chunk.push(index);
    this.#bytes += bytes;
    this.#replyBytes += replyBytes;
    this.#countMax = Math.min(this.#countMax, countMax);
  }
}

function bytesOf(request: Request): number {
  if (request.kind === "get") return OPERATION_BYTES_EXTRA + Buffer.byteLength(request.key);
  const { operation } = request;
  const valueBytes = "value" in operation ? operation.value.length : 0;
  const pathBytes = "path" in operation ? Buffer.byteLength(operation.path ?? "") : 0;
  const idBytes = Buffer.byteLength(operation.request?.id ?? "");
  const keyBytes = Buffer.byteLength(operation.key);
  return OPERATION_BYTES_EXTRA + keyBytes + valueBytes + pathBytes + idBytes;
}
