/**
 * What holds for a batch in every wire form: how many operations, what an atomic one may hold,
 * and that its outcomes fit one reply.
 *
 * The last is decided before anything is done: once operations have taken effect, there is no
 * honest way left to say that their outcomes were too long to tell. (Values are no part of that:
 * a get whose value does not fit is `too-large` by itself.)
 */
import { KvError } from "../errors.js";
import { ATOMIC_BYTES_MAX, BATCH_OPERATIONS_MAX, REPLY_BYTES_MAX } from "../limits.js";
import { finishRequest, type Draft } from "./draft.js";
import type { BatchRequest, ReadLevel, RefusedRequest, Request } from "./request.js";

/** Bytes an outcome takes in a reply at most, without its key and without values. */
export const OUTCOME_BYTES_MAX = 512;

export interface BatchFrame {
  readonly atomic: boolean;
  readonly hops: number;
  readonly positionCount: number;
}

/** `draftAt` reads one operation; a KvError it throws is that operation's alone, unless atomic. */
export function assembleBatch(
  count: number,
  frame: BatchFrame,
  draftAt: (index: number) => Draft,
): BatchRequest {
  if (count > BATCH_OPERATIONS_MAX) {
    const max = BATCH_OPERATIONS_MAX;
    const text = `a batch has at most ${max} operations; received ${count}`;
    throw new KvError("limit-exceeded", text, { limit: "batch_operations", max, received: count });
  }
  const requests: (Request | RefusedRequest)[] = [];
  for (let index = 0; index < count; index++) {
    requests.push(requestAt(index, frame, draftAt));
  }
  checkOutcomesFit(requests);
  if (frame.atomic) checkAtomic(requests);
  return { requests, atomic: frame.atomic, level: strongest(requests), hops: frame.hops };
}

function requestAt(
  index: number,
  frame: BatchFrame,
  draftAt: (index: number) => Draft,
): Request | RefusedRequest {
  try {
    return finishRequest(draftAt(index), frame.positionCount);
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    if (!frame.atomic) return { kind: "refused", error };
    throw error.withIndex(index, `operation ${index}: ${error.message}`);
  }
}

function checkOutcomesFit(requests: readonly (Request | RefusedRequest)[]): void {
  let size = 0;
  for (const request of requests) {
    size += request.kind === "refused" ? OUTCOME_BYTES_MAX : outcomeBytes(request);
  }
  if (size <= REPLY_BYTES_MAX) return;
  const limit = REPLY_BYTES_MAX;
  const text = `the outcomes of a batch (a key and ${OUTCOME_BYTES_MAX} bytes each) are at most`;
  throw new KvError(
    "too-large",
    `${text} ${limit} bytes; received operations for ${size}: send fewer at once`,
    {
      limit,
      size,
    },
  );
}

function checkAtomic(requests: readonly (Request | RefusedRequest)[]): void {
  const first = requests[0];
  let size = 0;
  for (const [index, request] of requests.entries()) {
    if (request.kind !== "write" || first?.kind !== "write") {
      const text =
        'an atomic batch takes only writes and checks; for values, ask writes for "previous"';
      throw new KvError("unsupported", `${text}: operation ${index} is a get`, { index });
    }
    const { operation } = request;
    if (operation.position !== first.operation.position) {
      const text = "the keys of an atomic batch must share a position: give them the same {tag}";
      const [at, other] = [first.operation.position, operation.position];
      const got = `operation 0 is in position ${at}, operation ${index} in ${other}`;
      throw new KvError("bad-request", `${text}; ${got}`, { index });
    }
    size += Buffer.byteLength(operation.key);
    if ("value" in operation) size += operation.value.length;
    if (size > ATOMIC_BYTES_MAX) {
      const limit = ATOMIC_BYTES_MAX;
      const text = `the keys and values of an atomic batch have at most ${limit} bytes`;
      throw new KvError("too-large", `${text}; reached ${size} with operation ${index}`, {
        limit,
        size,
        index,
      });
    }
  }
}

function strongest(requests: readonly (Request | RefusedRequest)[]): ReadLevel {
  let level: ReadLevel = "stale";
  for (const request of requests) {
    if (request.kind !== "get" || request.level === "stale") continue;
    if (request.level === "linearizable") return "linearizable";
    level = request.level;
  }
  return level;
}

/** The key that the request is about. */
export function keyOf(request: Request): string {
  return request.kind === "get" ? request.key : request.operation.key;
}

/** Bytes that its outcome takes in a reply at most, without a value. */
export function outcomeBytes(request: Request): number {
  return OUTCOME_BYTES_MAX + Buffer.byteLength(JSON.stringify(keyOf(request)));
}
