/**
 * Chunks: the operations of one call on many keys, and how they are cut to fit a message.
 */
import type { KvError } from "../../protocol/errors.js";
import type { Position } from "../../protocol/ids.js";
import { BATCH_OPERATIONS_MAX } from "../../protocol/limits.js";
import type { RequestRef } from "../../protocol/operation.js";
import type { Result } from "../../protocol/reply/result.js";
import type { Request } from "../../protocol/request/request.js";
import type { BatchOperation } from "./operations.js";
import { newRequestId } from "./request-ids.js";

/** What an operation's other members may take beside key, value, path and request id. */
const OPERATION_BYTES_EXTRA = 160;

/** One operation of a call, and what is known of it. */
export interface Item {
  readonly index: number;
  readonly operation: BatchOperation<unknown>;
  readonly position: Position;
  readonly bytes: number;
  request: Request;
  /** Since its first sending. */
  deadlineMs: number | undefined;
  /** How many fit into a chunk with it, as a `too-large` taught. */
  chunkMax: number;
  /** Of an attempt that may have written. */
  doubt: KvError | undefined;
  result: Result | undefined;
}

/** How an operation becomes a request, which the caller's session has a say in. */
export type Prepare = (
  operation: BatchOperation<unknown>,
  position: Position,
  request: RequestRef | undefined,
) => Request;

export function itemsOf(
  operations: readonly BatchOperation<unknown>[],
  positions: readonly Position[],
  prepare: Prepare,
): Item[] {
  return operations.map((operation, index) => {
    const position = positions[index] as Position;
    const { requestId } = operation;
    const ref = requestId === undefined ? undefined : { id: requestId, index: 0 };
    const request = prepare(operation, position, ref);
    const bytes = bytesOf(request);
    const open = { deadlineMs: undefined, doubt: undefined, result: undefined };
    return { index, operation, position, request, bytes, chunkMax: BATCH_OPERATIONS_MAX, ...open };
  });
}

/** Gives each write that has no request id the chunk's own, which it keeps. */
export function nameWrites(chunk: readonly Item[]): void {
  let id: string | undefined;
  for (const [index, item] of chunk.entries()) {
    const { request } = item;
    if (request.kind !== "write" || request.operation.request !== undefined) continue;
    id ??= newRequestId();
    item.request = { ...request, operation: { ...request.operation, request: { id, index } } };
  }
}

/** In their order; `bytesMax`: of the operations in one message. */
export function chunksOf(items: readonly Item[], bytesMax: number): Item[][] {
  const chunks: Item[][] = [];
  let chunk: Item[] = [];
  let bytes = 0;
  let countMax = BATCH_OPERATIONS_MAX;
  for (const item of items) {
    const isFull = chunk.length >= Math.min(countMax, item.chunkMax);
    if (chunk.length > 0 && (isFull || bytes + item.bytes > bytesMax)) {
      chunks.push(chunk);
      chunk = [];
      bytes = 0;
      countMax = BATCH_OPERATIONS_MAX;
    }
    chunk.push(item);
    bytes += item.bytes;
    countMax = Math.min(countMax, item.chunkMax);
  }
  if (chunk.length > 0) chunks.push(chunk);
  return chunks;
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
