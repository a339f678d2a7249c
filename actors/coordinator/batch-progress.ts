/**
 * Batch progress: the state of each operation of a batch, and the operations to send (again).
 *
 * An operation is open until it has an outcome, or a refusal that sending again would not change.
 * Sending again must not change the order of operations on one key. If a shard has not answered a
 * part at all, all operations of the part are open and go again in order. But a shard may answer a
 * part in pieces: it lost the log for a moment, refused the first write of a key and did the
 * second. The second has then overtaken the first; done now, the first would undo it. So the first
 * keeps its refusal. The caller may send a refused operation again, together with all the others
 * and their ids. So no later operation on its key may be done before.
 *
 * Invariants
 *   1. No operation is open while a later one on its key has been answered by a shard, or while an
 *      earlier one is given up with a refusal that allows sending it again.
 *   2. An operation gets `written: no` only if every attempt at it was answered.
 */
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import type { BatchResult, Result } from "../../protocol/reply/result.js";
import { keyOf } from "../../protocol/request/batch.js";
import type { BatchRequest } from "../../protocol/request/request.js";
import { finalError, isWorthAnother, readError } from "./attempts.js";

export class BatchProgress {
  /** By index; undefined = not answered yet. */
  readonly #results: (Result | undefined)[];
  /** Writes with an attempt that was not answered. */
  readonly #doubtful = new Set<number>();
  /** Open before, but no longer, by invariant 1. */
  readonly #closed = new Set<number>();

  constructor(private readonly batch: BatchRequest) {
    this.#results = batch.requests.map((request) =>
      request.kind === "refused" ? request : undefined,
    );
  }

  isOpen(index: number): boolean {
    if (this.#closed.has(index) || this.batch.requests[index]?.kind === "refused") return false;
    const result = this.#results[index];
    if (result === undefined) return true;
    return result.kind === "refused" && isWorthAnother(result.error, this.#doubtful.has(index));
  }

  /** Ascending. */
  open(): number[] {
    return [...this.#results.keys()].filter((index) => this.isOpen(index));
  }

  get isDone(): boolean {
    return !this.#results.some((_, index) => this.isOpen(index));
  }

  /** A shard's answer to the operations at `indexes`, which were sent together, in this order. */
  take(indexes: readonly number[], answer: BatchResult): void {
    for (const [partIndex, index] of indexes.entries()) {
      const result = answer instanceof KvError ? refused(answer) : answer[partIndex];
      assert(result !== undefined, `a reply has an outcome for each of ${indexes.length}`);
      this.#note(index, result);
    }
    this.#closeOvertaken(indexes);
    this.#closeBehindGivenUp();
  }

  /** The results as of now; operations that are still open get a refusal. */
  result(): BatchResult {
    const results = this.#results.map((result, index): Result => {
      const error = new KvError(
        "unavailable",
        "timed out waiting for an earlier operation on the same key; retry",
      );
      if (result !== undefined && result.kind !== "refused") return result;
      return refused(finalError(result?.error ?? error, this.#doubtful.has(index)));
    });
    const refusal = this.batch.atomic ? results.find(({ kind }) => kind === "refused") : undefined;
    return refusal?.kind === "refused" ? refusal.error : results;
  }

  #note(index: number, result: Result): void {
    const isRead = this.batch.requests[index]?.kind === "get";
    if (result.kind !== "refused") {
      this.#results[index] = result;
      return;
    }
    this.#results[index] = isRead ? refused(readError(result.error)) : result;
    if (!isRead && result.error.written === "unknown") this.#doubtful.add(index);
  }

  #closeOvertaken(indexes: readonly number[]): void {
    const answered = new Set<string>();
    for (const index of indexes.toReversed()) {
      const key = this.#keyOf(index);
      if (key === undefined) continue;
      if (!this.isOpen(index)) answered.add(key);
      else if (answered.has(key)) this.#closed.add(index);
    }
  }

  #closeBehindGivenUp(): void {
    const givenUp = new Set<string>();
    for (const [index, result] of this.#results.entries()) {
      const key = this.#keyOf(index);
      if (key === undefined) continue;
      if (this.isOpen(index)) {
        if (givenUp.has(key)) this.#closed.add(index);
      } else if (result?.kind === "refused" && result.error.retryable) givenUp.add(key);
    }
  }

  /** Undefined = it was refused by its form, and is sent nowhere. */
  #keyOf(index: number): string | undefined {
    const request = this.batch.requests[index];
    if (request === undefined || request.kind === "refused") return undefined;
    return keyOf(request);
  }
}

function refused(error: KvError): Result {
  return { kind: "refused", error };
}
