/**
 * Proposer core: the queue, the entry in flight, and the meaning of each answer of the log. No I/O.
 *
 * One entry is in flight at a time; the groups that arrive meanwhile become the next entry, so
 * entries grow with load. The proposer knows an entry's fate only when the applier has met it in
 * the log (or the fence that killed it): an acknowledgement only tells where to look.
 *
 *   idle ──take──▶ in flight ──applied──▶ idle
 *                   │  ▲ unanswered: the same bytes again
 *                   │  └──────────────
 *                   ├── refused, never unanswered before: dead at once, its number is free again
 *                   ├── refused after an unanswered attempt: fenced ──fence applied──▶ idle, dead
 *                   └── accepted, but the log lost it again: in doubt; the origin is given up
 *
 * Invariants
 *   1. Numbers go up by one with each entry that may have landed. Rule L2.
 *   2. Every pending group is settled exactly once: applied, dead, or in doubt.
 *   3. The log has never seen a queued group: refusing one is always `written: no`.
 */
import type { Appended } from "../../../infra/log.js";
import { assert } from "../../../protocol/assert.js";
import { KvError } from "../../../protocol/errors.js";
import type { Origin, Sequence } from "../../../protocol/ids.js";
import { ENTRY_BYTES_TARGET, ENTRY_OPERATIONS_MAX } from "../../../protocol/limits.js";
import {
  BEHAVIOUR_VERSION,
  encodeEntry,
  operationBytesMax,
  type EntryBody,
  type Group,
} from "../../../protocol/log/entry.js";
import type { Outcome } from "../../../protocol/operation.js";
import { Admission, barrierRules, mailboxRules, type OnRefusal } from "../../admission.js";

/** A group that waits for its outcomes. Times are by elapsed time. */
export interface Pending {
  readonly group: Group;
  /** Past it the caller is told `in-doubt` or `unavailable`. As long after `offer` for all. */
  readonly deadlineMs: number;
  /** Called once: outcomes in the group's order, or why there are none. */
  readonly settle: (outcomes: readonly Outcome[] | KvError) => void;
  /** Asked when its turn has come: why it is not to be done after all. Undefined = it is. */
  readonly unless?: (() => KvError | undefined) | undefined;
}

/** A caller that waits for an entry, whatever stands in it. One of the two is called, once. */
export interface Barrier {
  /** Past it the caller is told `unavailable`. */
  readonly deadlineMs: number;
  readonly resolve: () => void;
  readonly reject: (error: KvError) => void;
}

/** How far this replica has applied the log, for the entry's basis (rule L1). */
export interface Basis {
  readonly sequence: Sequence;
  readonly chain: bigint;
}

interface InFlight {
  readonly kind: EntryBody["kind"];
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly pending: (Pending & { settled?: true })[];
  barriers: readonly Barrier[];
  /** Some attempt had no answer: it may land at any time. */
  unanswered: boolean;
  /** What a refusal after that said; the fence settles the rest with it. */
  refusal: KvError | undefined;
  fence: { readonly number: number; readonly bytes: Uint8Array } | undefined;
  /** Where the log said that its entry, or its fence, stands. */
  acceptedAt: Sequence | undefined;
}

export class ProposerCore {
  #queue: Pending[] = [];
  readonly #admission: Admission;
  #barriers: Barrier[] = [];
  readonly #barrierAdmission: Admission;
  #inFlight: InFlight | undefined;
  #numberLast = 0;
  #isOpen = false;
  #needsOrigin = false;
  /** The last entry that the applier has met, of any proposer. */
  #metLast = 0;

  constructor(
    private origin: Origin,
    onRefusal?: OnRefusal,
  ) {
    this.#admission = new Admission(mailboxRules, onRefusal);
    this.#barrierAdmission = new Admission(barrierRules, onRefusal);
  }

  get queueLength(): number {
    return this.#queue.length;
  }

  get isIdle(): boolean {
    return this.#inFlight === undefined;
  }

  /** True if nothing can be proposed any more as who it is: see `reopen`. */
  get needsOrigin(): boolean {
    return this.#needsOrigin;
  }

  get hasWork(): boolean {
    return this.#queue.length > 0 || this.#barriers.length > 0;
  }

  /** Throws KvError `overloaded` when the mailbox is full. */
  offer(pending: Pending): void {
    // All are given the same time, so their deadlines tell how long the oldest has waited.
    const oldest = this.#queue[0] ?? pending;
    this.#admission.enter(groupBytes(pending.group), pending.deadlineMs - oldest.deadlineMs);
    this.#queue.push(pending);
  }

  /** Resolved when an entry taken after this call has been applied. */
  wantBarrier(barrier: Barrier): void {
    this.#barrierAdmission.enter(0);
    this.#barriers.push(barrier);
  }

  /** Takes the next entry into flight; undefined if one is, or nothing waits. */
  take(basis: Basis): Uint8Array | undefined {
    if (this.#inFlight !== undefined || !this.hasWork) return undefined;
    if (!this.#isOpen) return this.#launch({ kind: "open" }, [], [], basis);
    const pending = this.#takeQueue();
    if (pending.length === 0 && this.#barriers.length === 0) return undefined;
    const barriers = this.#takeBarriers();
    const groups = pending.map(({ group }) => group);
    const body: EntryBody =
      groups.length === 0 ? { kind: "barrier" } : { kind: "operations", groups };
    return this.#launch(body, pending, barriers, basis);
  }

  #takeBarriers(): Barrier[] {
    this.#barrierAdmission.leaveAll();
    return this.#barriers.splice(0);
  }

  #takeQueue(): Pending[] {
    const taken: Pending[] = [];
    let bytes = 0;
    let operations = 0;
    let count = 0;
    for (const pending of this.#queue) {
      const { group } = pending;
      const size = groupBytes(group);
      const refusal = pending.unless?.();
      if (refusal === undefined) {
        if (taken.length > 0 && operations + group.length > ENTRY_OPERATIONS_MAX) break;
        if (taken.length > 0 && bytes >= ENTRY_BYTES_TARGET) break;
        if (taken.length > 0 && bytes + size > 2 * ENTRY_BYTES_TARGET - ENTRY_HEAD_ROOM) break;
        taken.push(pending);
        bytes += size;
        operations += group.length;
      } else pending.settle(refusal);
      this.#admission.leave(size);
      count += 1;
    }
    this.#queue.splice(0, count);
    return taken;
  }

  #launch(
    body: EntryBody,
    pending: Pending[],
    barriers: readonly Barrier[],
    basis: Basis,
  ): Uint8Array {
    assert(
      this.#inFlight === undefined,
      `entry ${this.#numberLast} is in flight, and one at a time`,
    );
    this.#numberLast += 1;
    const bytes = this.#encode(body, this.#numberLast, basis);
    this.#inFlight = {
      kind: body.kind,
      number: this.#numberLast,
      bytes,
      pending,
      barriers,
      unanswered: false,
      refusal: undefined,
      fence: undefined,
      acceptedAt: undefined,
    };
    return bytes;
  }

  #encode(body: EntryBody, number: number, basis: Basis): Uint8Array {
    return encodeEntry({
      ...body,
      version: BEHAVIOUR_VERSION,
      origin: this.origin,
      number,
      basisSequence: basis.sequence,
      basisChain: basis.chain,
    });
  }

  /**
   * The log's answer to the last attempt. Returns what to append next, at once or after a wait,
   * or undefined: wait for the applier.
   */
  appended(result: Appended, basis: Basis): Uint8Array | undefined {
    const flight = this.#inFlight;
    // The applier may have met the entry before its acknowledgement came.
    if (flight === undefined) return undefined;
    switch (result.kind) {
      case "accepted":
        flight.acceptedAt = result.sequence;
        this.lost(1, this.#metLast);
        return undefined;
      case "unanswered":
        flight.unanswered = true;
        return flight.fence?.bytes ?? flight.bytes;
      case "full":
      case "refused":
        return this.#refused(flight, refusalOf(result.kind, result.reason), basis);
    }
  }

  #refused(flight: InFlight, error: KvError, basis: Basis): Uint8Array | undefined {
    if (flight.fence !== undefined) return flight.fence.bytes;
    assert(
      flight.number === this.#numberLast,
      `invariant 1: no number follows ${flight.number} in flight, but ${this.#numberLast} is taken`,
    );
    if (!flight.unanswered) {
      // Nothing of it can land any more: the number is free for the next entry.
      this.#numberLast -= 1;
      this.#settle(flight, error);
      // Without an `open` nothing can be proposed: what waits behind it would only try again.
      if (flight.kind === "open") this.#refuseQueue(error);
      return undefined;
    }
    flight.refusal = error;
    this.#numberLast += 1;
    const number = this.#numberLast;
    flight.fence = { number, bytes: this.#encode({ kind: "fence" }, number, basis) };
    return flight.fence.bytes;
  }

  /** The applier accepted an entry of this origin. */
  applied(origin: Origin, number: number, outcomes: readonly Outcome[]): void {
    const flight = this.#inFlight;
    if (origin !== this.origin || flight === undefined) return;
    if (number === flight.number) {
      this.#isOpen = true;
      const count = operationCount(flight.pending);
      assert(count === outcomes.length, `${count} operations have ${outcomes.length} outcomes`);
      let offset = 0;
      for (const pending of flight.pending) {
        const { group } = pending;
        settleOnce(pending, outcomes.slice(offset, offset + group.length));
        offset += group.length;
      }
      for (const barrier of flight.barriers) barrier.resolve();
      flight.barriers = [];
      // A fence that is on its way kills nothing any more, but its number is taken.
      if (flight.fence === undefined) this.#inFlight = undefined;
      return;
    }
    if (number === flight.fence?.number) {
      const dead = new KvError("unavailable", "the log did not accept the write; send it again");
      this.#settle(flight, flight.refusal ?? dead);
    }
  }

  /** The applier passed over an entry of this origin. */
  skipped(origin: Origin, number: number): void {
    const flight = this.#inFlight;
    if (origin !== this.origin || flight === undefined) return;
    // The entry with the origin's next number, or its fence, is passed over only if the origin is
    // unknown: its `open` never landed, or it was silent for too long. Then nothing of it counts.
    // With a fence on its way, what is passed over may be a copy of an entry that was applied.
    if (number !== (flight.fence?.number ?? flight.number)) return;
    const error = new KvError("unavailable", "the log does not know this replica; send it again");
    this.#settle(flight, flight.refusal ?? error);
    this.#needsOrigin = true;
  }

  /** The applier has met what stands at `sequence`, and has told `applied` or `skipped` of it. */
  met(sequence: Sequence): void {
    assert(sequence > this.#metLast, `the applier met ${this.#metLast}, and then ${sequence}`);
    this.#metLast = sequence;
    // What was accepted there, or before it, would have been met.
    this.lost(1, sequence);
  }

  /**
   * The log does not hold any more what it had accepted from `first` to `last`. What it has
   * accepted there since may be given up with it, which is needless but not wrong. In doubt, not
   * dead: of an attempt that had no answer a copy may still land.
   */
  lost(first: number, last: number): void {
    const flight = this.#inFlight;
    const at = flight?.acceptedAt;
    if (flight === undefined || at === undefined || at < first || at > last) return;
    const text =
      "the shard's log accepted the write and then lost it; send it again with the same request id";
    this.#settle(flight, new KvError("in-doubt", text), new KvError("unavailable", text));
    this.#needsOrigin = true;
  }

  /** Begins as an unknown proposer: the next entry will be an `open`. */
  reopen(origin: Origin): void {
    assert(this.#inFlight === undefined, "nothing of the old origin is in flight");
    this.origin = origin;
    this.#numberLast = 0;
    this.#isOpen = false;
    this.#needsOrigin = false;
  }

  /** Settles the callers whose deadline is before `elapsedMs`. */
  expire(elapsedMs: number): void {
    const kept: Pending[] = [];
    for (const pending of this.#queue) {
      if (pending.deadlineMs > elapsedMs) {
        kept.push(pending);
        continue;
      }
      this.#admission.leave(groupBytes(pending.group));
      const text = "the write timed out in the queue and was not done; send it again";
      pending.settle(new KvError("unavailable", text));
    }
    this.#queue = kept;
    for (const pending of this.#inFlight?.pending ?? []) {
      if (pending.deadlineMs > elapsedMs) continue;
      const text = "timed out waiting for the log; send it again with the same request id";
      settleOnce(pending, new KvError("in-doubt", text));
    }
    for (const barrier of keepTimely(this.#takeBarriers(), elapsedMs)) this.wantBarrier(barrier);
    const flight = this.#inFlight;
    if (flight !== undefined) flight.barriers = keepTimely(flight.barriers, elapsedMs);
  }

  /** The replica ends: what is queued was not done, what is in flight may have been. */
  close(error: KvError): void {
    this.#refuseQueue(error);
    const flight = this.#inFlight;
    if (flight === undefined) return;
    const text = `the write may have reached the log: ${error.message}`;
    this.#settle(flight, new KvError("in-doubt", text), error);
  }

  #refuseQueue(error: KvError): void {
    assert(error.written === "no", `invariant 3: ${error.kind} says that it may be written`);
    this.#admission.leaveAll();
    for (const pending of this.#queue.splice(0)) pending.settle(error);
    for (const barrier of this.#takeBarriers()) barrier.reject(error);
  }

  #settle(flight: InFlight, error: KvError, barrierError = error): void {
    assert(this.#inFlight === flight, `invariant 2: entry ${flight.number} was settled before`);
    for (const pending of flight.pending) settleOnce(pending, error);
    for (const barrier of flight.barriers) barrier.reject(barrierError);
    this.#inFlight = undefined;
  }
}

/** Rejects the barriers that have waited past `elapsedMs`, and returns the others. */
function keepTimely(barriers: readonly Barrier[], elapsedMs: number): Barrier[] {
  return barriers.filter((barrier) => {
    if (barrier.deadlineMs > elapsedMs) return true;
    barrier.reject(new KvError("unavailable", "timed out waiting for the shard's log"));
    return false;
  });
}

const ENTRY_HEAD_ROOM = 8 * 1_024;

function settleOnce(
  pending: Pending & { settled?: true },
  outcomes: readonly Outcome[] | KvError,
): void {
  if (pending.settled === true) return;
  pending.settled = true;
  pending.settle(outcomes);
}

function operationCount(pending: readonly Pending[]): number {
  let count = 0;
  for (const { group } of pending) count += group.length;
  return count;
}

function groupBytes(group: Group): number {
  let bytes = 0;
  for (const operation of group) bytes += operationBytesMax(operation);
  return bytes;
}

function refusalOf(kind: "full" | "refused", reason: string): KvError {
  if (kind === "refused") {
    return new KvError("unavailable", `the shard's log refused the write: ${reason}`);
  }
  const text =
    `the log of this shard is full (${reason}): nothing was written; make the log larger with ` +
    "RINGDEX_LOG_BYTES_MAX and a restart, or its stream (docs/operations.md, A log is full)";
  return new KvError("overloaded", text, { limit: "log_bytes" }, { retryable: false });
}
