/**
 * Batch course: what is known of each operation of a batch, which of them may be sent (again), and
 * the outcome of each in the end. Coordinators and clients carry it out, each with its own
 * transport, clock and limits.
 *
 * An operation is open until it has an outcome, or a refusal that sending again would not change.
 * Sending again must not change the order of operations on one key. Those of a chunk that a shard
 * has not answered at all are all open and go again in order. But a shard may answer a chunk in
 * pieces: it lost the log for a moment, refused the first write of a key and did the second. The
 * first has then been overtaken; done now, it would undo the second. So it keeps its refusal. And
 * a refusal that allows sending again, and is final here, allows the caller to send the whole batch
 * again with the same ids: what comes after it on its key must not have been done by then. Two gets
 * have no order.
 *
 * Invariants
 *   1. No operation is open while a later one on its key has been answered by a shard, or while an
 *      earlier one is given up with a refusal that allows sending it again; unless both are gets.
 *      (A get whose value did not fit beside others stays open: it cannot be read otherwise.)
 *   2. `written: no` is told only of operations of which no attempt went without an answer.
 *   3. A write keeps its first request id, wherever it is sent later.
 *   4. Only what is open is sent. The sender keeps the chunks of a shard in order where
 *      `hasOrder`, and sends none after one that has left something open.
 */
import { assert } from "../assert.js";
import { KvError } from "../errors.js";
import { BATCH_OPERATIONS_MAX } from "../limits.js";
import { keyOf } from "../request/batch.js";
import type { RefusedRequest, Request } from "../request/request.js";
import { isWorthAnother } from "./attempts.js";
import type { BatchResult, RefusedResult, Result } from "./result.js";

/** What differs between those who send batches. */
export interface CoursePolicy {
  /** Waits an `overloaded` out; else the caller gets it, unless there is a doubt to be resolved. */
  readonly asksTheBusy: boolean;
  /** A get whose value did not fit into a reply beside others is asked for again with fewer. */
  readonly asksForLess: boolean;
  /** What the caller is told; `doubt`: the last attempt without an answer, if there was one. */
  readonly tell: (last: KvError, doubt: KvError | undefined, isWrite: boolean) => KvError;
}

export class BatchCourse {
  readonly #requests: (Request | RefusedRequest)[];
  /** The last answer to each; undefined = none yet. */
  readonly #results: (Result | undefined)[];
  /** The last error that left open whether the operation was done. */
  readonly #doubts = new Map<number, KvError>();
  /** Given up, or by invariant 1 no longer open. */
  readonly #closed = new Set<number>();
  /** How many fit into a chunk with an operation, as a `too-large` taught. */
  readonly #countMax = new Map<number, number>();
  /** Operations on one key, ascending, of which two have an order; by each of their indexes. */
  readonly #rivals: ReadonlyMap<number, readonly number[]>;

  constructor(
    requests: readonly (Request | RefusedRequest)[],
    private readonly policy: CoursePolicy,
  ) {
    this.#requests = [...requests];
    this.#results = requests.map((request) => (request.kind === "refused" ? request : undefined));
    this.#rivals = rivalsIn(requests);
  }

  /** As named by name(); refused requests among them. */
  get requests(): readonly (Request | RefusedRequest)[] {
    return this.#requests;
  }

  /** Some operations have an order among them. */
  get hasOrder(): boolean {
    return this.#rivals.size > 0;
  }

  isOpen(index: number): boolean {
    if (this.#closed.has(index) || this.#requests[index]?.kind === "refused") return false;
    const result = this.#results[index];
    if (result === undefined) return true;
    return result.kind === "refused" && this.#goesAgain(index, result.error);
  }

  /** Ascending. */
  open(): number[] {
    return [...this.#requests.keys()].filter((index) => this.isOpen(index));
  }

  get isDone(): boolean {
    return !this.#requests.some((_, index) => this.isOpen(index));
  }

  countMaxOf(index: number): number {
    return this.#countMax.get(index) ?? BATCH_OPERATIONS_MAX;
  }

  /** The last answer's error. */
  refusalOf(index: number): KvError | undefined {
    const result = this.#results[index];
    return result?.kind === "refused" ? result.error : undefined;
  }

  /** Gives each write at `indexes` that has no request id a common one, with its place there. */
  name(indexes: readonly number[], newId: () => string): void {
    let id: string | undefined;
    for (const [place, index] of indexes.entries()) {
      const request = this.#requests[index];
      if (request?.kind !== "write" || request.operation.request !== undefined) continue;
      id ??= newId();
      const operation = { ...request.operation, request: { id, index: place } };
      this.#requests[index] = { ...request, operation };
    }
  }

  /** What is sent as one message. */
  toSend(indexes: readonly number[]): Request[] {
    return indexes.map((index) => {
      const request = this.#requests[index];
      assert(request !== undefined && this.isOpen(index), `operation ${index} is open`);
      return request as Request;
    });
  }

  /** A shard's answer to the operations at `indexes`, which were sent together, in this order. */
  take(indexes: readonly number[], answer: BatchResult): void {
    if (!(answer instanceof KvError)) {
      assert(answer.length === indexes.length, `a reply has ${indexes.length} outcomes`);
    }
    const countMax = countTaught(indexes.length, answer);
    for (const [place, index] of indexes.entries()) {
      assert(this.isOpen(index), `operation ${index} was open when it was sent`);
      const result = answer instanceof KvError ? refused(answer) : (answer[place] as Result);
      this.#results[index] = result;
      if (result.kind !== "refused") continue;
      if (result.error.written === "unknown") this.#doubts.set(index, result.error);
      if (this.#isCut(index, result.error) && indexes.length === 1) this.#closed.add(index);
      this.#countMax.set(index, Math.min(this.countMaxOf(index), countMax));
    }
    this.#keepOrder(indexes);
  }

  /** It is not sent again: there is no time. `error`: the reason, if it is not the last answer. */
  giveUp(index: number, error?: KvError): void {
    if (!this.isOpen(index)) return;
    if (error !== undefined) this.#results[index] = refused(error);
    this.#closed.add(index);
    this.#keepOrder([index]);
  }

  /** What is told now; operations that are still open are refused. */
  results(): Result[] {
    return this.#results.map((result, index): Result => {
      if (result !== undefined && result.kind !== "refused") return result;
      const request = this.#requests[index];
      if (result !== undefined && request?.kind === "refused") return result;
      const last = result?.error ?? neverSent();
      return refused(this.policy.tell(last, this.#doubts.get(index), request?.kind === "write"));
    });
  }

  #goesAgain(index: number, error: KvError): boolean {
    if (this.#isCut(index, error)) return true;
    const isWrite = this.#requests[index]?.kind === "write";
    const isDoubtful = isWrite && this.#doubts.has(index);
    return isWorthAnother(error, isDoubtful || this.policy.asksTheBusy);
  }

  /** A get's value did not fit beside others. */
  #isCut(index: number, error: KvError): boolean {
    if (!this.policy.asksForLess || error.kind !== "too-large") return false;
    return this.#requests[index]?.kind === "get";
  }

  /** Closes what must not be sent again by invariant 1. */
  #keepOrder(touched: readonly number[]): void {
    const groups = new Set<readonly number[]>();
    for (const index of touched) {
      const rivals = this.#rivals.get(index);
      if (rivals !== undefined) groups.add(rivals);
    }
    for (const rivals of groups) {
      this.#closeOvertaken(rivals);
      this.#closeBehindGivenUp(rivals);
    }
  }

  #closeOvertaken(rivals: readonly number[]): void {
    const answered = new Kinds();
    for (const index of rivals.toReversed()) {
      const isWrite = this.#requests[index]?.kind === "write";
      if (!this.isOpen(index)) answered.add(isWrite);
      else if (answered.haveOrderWith(isWrite) && !this.#isCutNow(index)) this.#closed.add(index);
    }
  }

  #closeBehindGivenUp(rivals: readonly number[]): void {
    const givenUp = new Kinds();
    for (const index of rivals) {
      const isWrite = this.#requests[index]?.kind === "write";
      if (this.isOpen(index)) {
        if (!givenUp.haveOrderWith(isWrite)) continue;
        this.#closed.add(index);
      }
      const result = this.#results[index];
      const mayBeSentAgain = result === undefined || this.refusalOf(index)?.isUndecided === true;
      if (mayBeSentAgain) givenUp.add(isWrite);
    }
  }

  #isCutNow(index: number): boolean {
    const error = this.refusalOf(index);
    return error !== undefined && this.#isCut(index, error);
  }
}

/** Which kinds of operations on one key were met. */
class Kinds {
  #hasRead = false;
  #hasWrite = false;

  add(isWrite: boolean): void {
    if (isWrite) this.#hasWrite = true;
    else this.#hasRead = true;
  }

  /** Two gets have no order. */
  haveOrderWith(isWrite: boolean): boolean {
    return this.#hasWrite || (isWrite && this.#hasRead);
  }
}

function rivalsIn(requests: readonly (Request | RefusedRequest)[]): Map<number, number[]> {
  const byKey = new Map<string, number[]>();
  for (const [index, request] of requests.entries()) {
    if (request.kind === "refused") continue;
    const key = keyOf(request);
    const before = byKey.get(key);
    if (before === undefined) byKey.set(key, [index]);
    else before.push(index);
  }
  const rivals = new Map<number, number[]>();
  for (const group of byKey.values()) {
    if (group.length < 2) continue;
    if (!group.some((index) => requests[index]?.kind === "write")) continue;
    for (const index of group) rivals.set(index, group);
  }
  return rivals;
}

/** How many operations may be sent together after this answer. */
function countTaught(count: number, answer: BatchResult): number {
  if (answer instanceof KvError) {
    return answer.kind === "too-large" ? Math.max(Math.floor(count / 2), 1) : BATCH_OPERATIONS_MAX;
  }
  const fitting = answer.filter((result) => !isTooLarge(result));
  return fitting.length === count ? BATCH_OPERATIONS_MAX : Math.max(fitting.length, 1);
}

function isTooLarge(result: Result): boolean {
  return result.kind === "refused" && result.error.kind === "too-large";
}

function neverSent(): KvError {
  const text = "timed out waiting for an earlier operation of the batch; retry";
  return new KvError("unavailable", text);
}

function refused(error: KvError): RefusedResult {
  return { kind: "refused", error };
}
