/**
 * Batch: many operations of one shard in one message (kv.shard.<shard>.batch, and
 * kv.shard.<shard>.get for gets alone).
 *
 * Each operation stands alone, unless the batch is atomic; operations on one key take effect in
 * order, gets among them included. Writes that follow one another go to the proposer together and
 * in order; a get that follows a write of its key, or a write that follows a get, waits for it.
 *
 * If one of them is refused and may be sent again, the batch refuses those that wait for it too.
 * Otherwise, if this reply is lost, the client sends the whole batch again: the shard then does the
 * first one, and answers the others with the outcomes that they had before it.
 */
import { KvError } from "../../protocol/errors.js";
import type { Operation, Outcome } from "../../protocol/operation.js";
import type { BatchResult, Result } from "../../protocol/reply/result.js";
import { keyOf } from "../../protocol/request/batch.js";
import type { BatchRequest, RefusedRequest, Request } from "../../protocol/request/request.js";
import type { Proposer } from "./propose/proposer.js";

/** Takes one request: Border. */
export interface Taker {
  take(
    request: Request,
    settle: (result: Result) => void,
    unless?: () => KvError | undefined,
  ): void;
}

/** Resolves with one result for each request, in order, or one error for an atomic batch. */
export async function runBatch(
  batch: BatchRequest,
  border: Taker,
  proposer: Proposer,
): Promise<BatchResult> {
  if (batch.atomic) return runAtomic(batch, proposer);
  const results: Result[] = [];
  const notDone = new Set<string>();
  for (const stretch of stretchesOf(batch.requests)) {
    const found = stretch.map((request) => runOne(request, border, notDone));
    results.push(...(await Promise.all(found)));
  }
  return results;
}

/** `notDone`: keys of operations that were refused for the moment only. */
function runOne(
  request: Request | RefusedRequest,
  border: Taker,
  notDone: Set<string>,
): Promise<Result> {
  if (request.kind === "refused") return Promise.resolve(request);
  const key = keyOf(request);
  if (notDone.has(key)) return Promise.resolve({ kind: "refused", error: waits });
  // An operation offered with it may be refused before this one's turn in the log comes.
  const unless = (): KvError | undefined => (notDone.has(key) ? waits : undefined);
  return new Promise((resolve) => {
    const settle = (result: Result): void => {
      if (result.kind === "refused" && result.error.isUndecided) notDone.add(key);
      resolve(result);
    };
    border.take(request, settle, unless);
  });
}

/** Made once: nothing in it is of the request. */
const waits = new KvError(
  "unavailable",
  "an earlier operation on the same key in this batch has no confirmed outcome; retry both",
);

async function runAtomic(batch: BatchRequest, proposer: Proposer): Promise<BatchResult> {
  const operations: Operation[] = [];
  for (const request of batch.requests) {
    if (request.kind === "write") operations.push(request.operation);
  }
  if (operations.length === 0) return [];
  try {
    const outcomes = await proposer.propose(operations);
    const refusal = outcomes.find((outcome) => !outcome.ok);
    if (refusal !== undefined && !refusal.ok) return withIndex(refusal.error);
    return operations.map((operation, index) => resultOf(operation, outcomes[index]));
  } catch (error) {
    if (error instanceof KvError) return error;
    throw error;
  }
}

/** A batch of one is applied like an operation by itself, whose refusal needs no index. */
function withIndex(error: KvError): KvError {
  return error.details["index"] === undefined ? error.withIndex(0) : error;
}

/** Runs of requests in which no key is both read and written. */
export function stretchesOf(
  requests: readonly (Request | RefusedRequest)[],
): (readonly (Request | RefusedRequest)[])[] {
  const stretches: (Request | RefusedRequest)[][] = [];
  let stretch: (Request | RefusedRequest)[] = [];
  let kinds = new Map<string, "get" | "write">();
  for (const request of requests) {
    if (request.kind !== "refused") {
      const { kind } = request;
      const key = keyOf(request);
      const before = kinds.get(key);
      if (before !== undefined && before !== kind) {
        stretches.push(stretch);
        stretch = [];
        kinds = new Map();
      }
      kinds.set(key, kind);
    }
    stretch.push(request);
  }
  if (stretch.length > 0) stretches.push(stretch);
  return stretches;
}

/** The result that a caller gets for an operation's outcome in the log. */
export function resultOf(operation: Operation, outcome: Outcome | undefined): Result {
  if (outcome === undefined) {
    return { kind: "refused", error: new KvError("internal", "an operation has no outcome") };
  }
  if (!outcome.ok) return { kind: "refused", error: outcome.error };
  return {
    kind: "written",
    key: operation.key,
    position: operation.position,
    done: outcome.done,
  };
}
