/**
 * Entry work: applies one log entry to a ChangeSet.
 *
 * For each group of operations it asks in this order: does the shard own the position, was the
 * request already answered, may it be executed (its id's age, the outcomes' limit), are its records
 * still alive, and what does it do to them. A group of several takes effect whole or not at all.
 *
 * Invariants
 *   1. A refusal because the shard does not own the position leaves no outcome record: the request
 *      goes to another shard, and that refusal must not answer it. Rule L4.
 *   2. A record due at the entry's log time is gone before an operation looks at it, and its
 *      removal takes a revision. Rule L6.
 */
import { assert } from "../../../protocol/assert.js";
import { KvError } from "../../../protocol/errors.js";
import type { Position, Revision, Sequence, TimeMs } from "../../../protocol/ids.js";
import { REQUEST_AHEAD_MAX_MS, REQUEST_WINDOW_MS } from "../../../protocol/limits.js";
import type { Group } from "../../../protocol/log/entry.js";
import { operationHash } from "../../../protocol/log/operation-hash.js";
import {
  isDue,
  type Done,
  type Operation,
  type Outcome,
  type StoredRecord,
} from "../../../protocol/operation.js";
import { positionOf } from "../../../protocol/position.js";
import { requestTime } from "../../../protocol/request-id.js";
import type { Expired, OutcomeRow, StoredOutcome } from "../../../protocol/store/outcome-row.js";
import { fingerprint } from "../state/outcomes.js";
import { notOwned } from "../state/ownership.js";
import type { ReplicaState } from "../state/replica-state.js";
import type { ChangeSet } from "./change-set.js";
import { evaluate, type Evaluation } from "./operation-core.js";

/** Records that are due by the entry's log time, and each looked-at position's next expiry. */
export interface DueRows {
  readonly rows: readonly {
    readonly position: Position;
    readonly key: string;
    readonly time: TimeMs;
  }[];
  /** Infinity = nothing else expires there. */
  readonly next: ReadonlyMap<Position, TimeMs>;
}

/** The outcome rows that a repeat may be answered from. */
export interface OutcomeRows {
  readonly outcomes: ReadonlyMap<Sequence, OutcomeRow>;
}

export class EntryWork {
  readonly operations: StoredOutcome[] = [];
  readonly expired: Expired[] = [];

  constructor(
    private readonly state: ReplicaState,
    private readonly changes: ChangeSet,
    private readonly rows: OutcomeRows,
    /** From the entries before this one in the same batch. */
    private readonly written: ReadonlyMap<Sequence, readonly StoredOutcome[]>,
    private readonly sequence: Sequence,
    readonly logTime: TimeMs,
  ) {}

  /** From the genesis: the shard owns `position` from now on. */
  own(position: Position): void {
    const working = this.changes.position(position);
    working.state = "owned";
    working.generation += 1;
  }

  /** Removes the due records; the positions' next expiries hold from then on. */
  expire(due: DueRows): void {
    for (const { position, key } of due.rows) this.#expireIfDue(position, key);
    this.changes.dueRead(due.next);
  }

  /** One outcome for each operation, in order. */
  applyGroup(group: Group): Outcome[] {
    const [first, ...others] = group;
    assert(first !== undefined, "a group has at least one operation");
    const done = others.length === 0 ? [this.#applyOne(first)] : this.#applyAtomic(group);
    this.operations.push(...done);
    return done.map(({ outcome }) => outcome);
  }

  #applyOne(operation: Operation): StoredOutcome {
    try {
      const repeat = this.#admit(operation);
      if (repeat !== undefined) return repeat;
    } catch (error) {
      return unrecorded(operation, error);
    }
    this.#expireIfDue(operation.position, operation.key);
    try {
      const record = this.changes.record(operation.key);
      return this.#commit(operation, this.#evaluate(operation, record, 1), 0);
    } catch (error) {
      return this.#refused(operation, error, 0);
    }
  }

  /** All operations are in one position: the border refuses others. */
  #applyAtomic(group: Group): StoredOutcome[] {
    const repeats: StoredOutcome[] = [];
    try {
      for (const [index, operation] of group.entries()) {
        const repeat = this.#admitOf(operation, index);
        if (repeat !== undefined) repeats.push(repeat);
      }
      checkWholeRepeat(group, repeats);
      checkOnePosition(group);
    } catch (error) {
      return group.map((operation) => unrecorded(operation, error));
    }
    if (repeats.length > 0) return repeats;
    for (const { position, key } of group) this.#expireIfDue(position, key);
    const evaluations: Evaluation[] = [];
    const records = new Map<string, StoredRecord | undefined>();
    let changeCount = 0;
    for (const [index, operation] of group.entries()) {
      const { key } = operation;
      const record = records.has(key) ? records.get(key) : this.changes.record(key);
      try {
        const evaluation = this.#evaluate(operation, record, changeCount + 1);
        if (evaluation.kind !== "unchanged") {
          changeCount += 1;
          records.set(key, evaluation.kind === "put" ? evaluation.record : undefined);
        }
        evaluations.push(evaluation);
      } catch (error) {
        const refusal = withIndex(error, index);
        return group.map((each, groupIndex) => this.#refused(each, refusal, groupIndex));
      }
    }
    return group.map((each, index) => this.#commit(each, evaluations[index] as Evaluation, index));
  }

  /** Throws what leaves no outcome record; returns the first outcome of a repeated request. */
  #admit(operation: Operation): StoredOutcome | undefined {
    const { key, position, request } = operation;
    const { ownership } = this.state;
    if (positionOf(key, ownership.positionCount) !== position) {
      throw new KvError("bad-request", `key ${JSON.stringify(key)} is not in position ${position}`);
    }
    if (this.changes.position(position).state !== "owned") throw notOwned(position);
    if (request === undefined) return undefined;
    const first = this.#firstOutcome(operation);
    if (first !== undefined) return first;
    this.#checkAge(request.id);
    const { outcomes, genesis } = this.state;
    if (outcomes.count >= genesis.limits.outcomesMax) {
      const max = genesis.limits.outcomesMax;
      const text = `the shard remembers at most ${max} requests; send it again in a moment`;
      throw new KvError("overloaded", text, { limit: "outcomes", max });
    }
    return undefined;
  }

  /** As `#admit`; the refusal names the operation's index in its atomic group. */
  #admitOf(operation: Operation, index: number): StoredOutcome | undefined {
    try {
      return this.#admit(operation);
    } catch (error) {
      throw withIndex(error, index);
    }
  }

  #firstOutcome(operation: Operation): StoredOutcome | undefined {
    const { request, position } = operation;
    if (request === undefined) return undefined;
    for (const place of this.state.outcomes.lookup(fingerprint(position, request))) {
      const operations =
        this.written.get(place.sequence) ??
        (place.sequence === this.sequence ? this.operations : undefined) ??
        this.rows.outcomes.get(place.sequence)?.operations;
      const found = operations?.[place.index];
      const known = found?.request;
      if (found === undefined || known === undefined) continue;
      const isSame =
        known.id === request.id && known.index === request.index && found.position === position;
      if (!isSame) continue;
      if (known.hash !== operationHash(operation)) {
        const text = `request id ${request.id} was used for another operation`;
        throw new KvError("bad-request", text, { field: "request_id" });
      }
      const outcome = withoutPrevious(found.outcome);
      return { position, outcome, changed: false, result: undefined, request: undefined };
    }
    return undefined;
  }

  #checkAge(id: string): void {
    const time = requestTime(id);
    if (time === undefined) return;
    if (time < this.logTime - REQUEST_WINDOW_MS) {
      const text =
        `request id ${id} is older than ${REQUEST_WINDOW_MS / 1_000} s: the shard no longer ` +
        "knows its outcome, and does not do it again; read the key";
      throw new KvError("in-doubt", text, { field: "request_id" }, { retryable: false });
    }
    if (time > this.logTime + REQUEST_AHEAD_MAX_MS) {
      const text = `request id ${id} is ${time - this.logTime} ms ahead of the log's time`;
      throw new KvError("bad-request", `${text}; set the clock`, { field: "request_id" });
    }
  }

  #evaluate(operation: Operation, record: StoredRecord | undefined, ahead: number): Evaluation {
    const { genesis } = this.state;
    const revision = this.changes.position(operation.position).revision + ahead;
    return evaluate(operation, record, {
      logTime: this.logTime,
      revisionNext: revision as Revision,
      limits: genesis.limits,
      policy: genesis.indexPolicy,
    });
  }

  /** `groupIndex`: which operation of its group it is. */
  #commit(operation: Operation, evaluation: Evaluation, groupIndex: number): StoredOutcome {
    const { position, key, verb } = operation;
    const changed = evaluation.kind !== "unchanged";
    if (evaluation.kind !== "unchanged") {
      this.changes.takeRevision(position);
      const after = evaluation.kind === "put" ? evaluation.record : undefined;
      const attributes = evaluation.kind === "put" ? evaluation.attributes : [];
      this.changes.replace(position, key, after, attributes);
    }
    const keepsResult = evaluation.kind === "put" && verb !== "set";
    return {
      position,
      outcome: { ok: true, done: evaluation.done },
      changed,
      result: keepsResult ? evaluation.record : undefined,
      request: this.#remember(operation, groupIndex),
    };
  }

  #refused(operation: Operation, error: unknown, groupIndex: number): StoredOutcome {
    const refusal = unrecorded(operation, error);
    return { ...refusal, request: this.#remember(operation, groupIndex) };
  }

  #remember(operation: Operation, groupIndex: number): StoredOutcome["request"] {
    const { request, position } = operation;
    if (request === undefined) return undefined;
    const index = this.operations.length + groupIndex;
    const print = fingerprint(position, request);
    this.state.outcomes.add(print, { sequence: this.sequence, index }, this.logTime);
    return { ...request, hash: operationHash(operation) };
  }

  #expireIfDue(position: Position, key: string): void {
    const record = this.changes.record(key);
    if (record === undefined || !isDue(record, this.logTime)) return;
    const revision = this.changes.takeRevision(position);
    this.changes.replace(position, key, undefined, []);
    this.expired.push({ position, revision, key });
  }
}

function unrecorded({ position }: Operation, error: unknown): StoredOutcome {
  if (!(error instanceof KvError)) throw error;
  const outcome = { ok: false, error } as const;
  return { position, outcome, changed: false, result: undefined, request: undefined };
}

function withoutPrevious(outcome: Outcome): Outcome {
  if (!outcome.ok || outcome.done.previous === undefined) return outcome;
  const done: Done = { ...outcome.done, previous: undefined };
  return { ok: true, done };
}

function withIndex(error: unknown, index: number): unknown {
  return error instanceof KvError ? error.withIndex(index) : error;
}

function checkWholeRepeat(group: Group, repeats: readonly StoredOutcome[]): void {
  if (repeats.length === 0 || repeats.length === group.length) return;
  const text = "the request id was used for another batch";
  throw new KvError("bad-request", text, { field: "request_id" });
}

function checkOnePosition(group: Group): void {
  const first = group[0]?.position;
  const index = group.findIndex(({ position }) => position !== first);
  if (index < 0) return;
  const text = `operation ${index} of an atomic batch is in another position than the first`;
  throw new KvError("bad-request", text, { index });
}
