/**
 * Proposer: brings a replica's writes into the shard's log.
 *
 * Mailbox     groups of operations, taken in batches: all that has arrived
 * State       the queue and the entry in flight (ProposerCore)
 * Decides in  proposer-core.ts (no I/O); this file only carries its decisions out
 * Lifecycle   run until closed; the applier settles callers through `applied`
 * On a bug    InvariantError leaves run(); the replica is started again
 */
import { type Chance, type Clock, type Timer, sleep } from "../../../infra/clock.js";
import type { Log } from "../../../infra/log.js";
import { BackOff } from "../../../protocol/back-off.js";
import { KvError } from "../../../protocol/errors.js";
import type { Origin, Sequence } from "../../../protocol/ids.js";
import { ATTEMPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS } from "../../../protocol/limits.js";
import type { Group } from "../../../protocol/log/entry.js";
import type { Outcome } from "../../../protocol/operation.js";
import type { OnRefusal } from "../../admission.js";
import type { EntryOutcome } from "../apply/applier-core.js";
import { ProposerCore, type Basis, type Pending } from "./proposer-core.js";

/** Waits between attempts of the same entry, growing. */
const AGAIN_FIRST_MS = 20;
const AGAIN_MAX_MS = 1_000;
/** How often callers past their deadline are looked for, while anybody waits. */
const EXPIRE_MS = 250;
/** A proposer that was silent for this long takes a new origin (see origins.ts). */
const ORIGIN_IDLE_MS = 6 * 3_600_000;

export class Proposer {
  readonly #core: ProposerCore;
  #wake: (() => void) | undefined;
  #expiring: Timer | undefined;
  #closed = false;
  readonly #renewals = new BackOff(AGAIN_FIRST_MS, AGAIN_MAX_MS, { atOnce: true });
  #usedAtMs: number;

  constructor(
    private readonly log: Log,
    private readonly basis: () => Basis,
    /** Told of each accepted entry's sequence, so that a lost delivery is noticed (rule L7). */
    private readonly expect: (sequence: Sequence) => void,
    private readonly clock: Clock,
    private readonly chance: Chance,
    onRefusal?: OnRefusal,
  ) {
    this.#core = new ProposerCore(newOrigin(chance), onRefusal);
    this.#usedAtMs = clock.elapsedMs();
  }

  get queueLength(): number {
    return this.#core.queueLength;
  }

  /** True if nothing waits and nothing is in flight. */
  get isIdle(): boolean {
    return this.#core.isIdle && !this.#core.hasWork;
  }

  /** Outcomes in the group's order. Rejects with KvError only. */
  propose(group: Group): Promise<readonly Outcome[]> {
    return new Promise((resolve, reject) => {
      const settle = (outcomes: readonly Outcome[] | KvError): void => {
        if (outcomes instanceof KvError) reject(outcomes);
        else resolve(outcomes);
      };
      this.offer(group, settle);
    });
  }

  /** As `propose`, without a promise for each. Throws KvError `overloaded`. */
  offer(group: Group, settle: Pending["settle"], unless?: Pending["unless"]): void {
    if (this.#closed) throw new KvError("unavailable", "the replica is closing; send it again");
    const deadlineMs = this.clock.elapsedMs() + REQUEST_TIMEOUT_MS;
    this.#core.offer({ group, deadlineMs, settle, unless });
    this.#expireLater();
    this.#wakeUp();
  }

  /** Resolves when an entry proposed after this call has been applied here. Rejects with KvError,
   * `unavailable` after half of what a request may take. */
  barrier(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new KvError("unavailable", "the replica is closing"));
      const deadlineMs = this.clock.elapsedMs() + REQUEST_TIMEOUT_MS / 2;
      this.#core.wantBarrier({ deadlineMs, resolve, reject });
      this.#expireLater();
      this.#wakeUp();
    });
  }

  /** From the applier, when an entry's batch is written. */
  applied({ kind, sequence, origin, number, outcomes }: EntryOutcome): void {
    if (origin !== undefined) {
      if (kind === "accepted") this.#core.applied(origin, number, outcomes);
      else this.#core.skipped(origin, number);
    }
    this.#core.met(sequence);
    if (!this.#core.isIdle) return;
    if (!this.#core.needsOrigin) this.#renewals.reset();
    this.#wakeUp();
  }

  /** From the applier: the log has lost the entries from `first` to `last`. */
  lost(first: Sequence, last: Sequence): void {
    this.#core.lost(first, last);
    if (this.#core.isIdle) this.#wakeUp();
  }

  async run(): Promise<void> {
    while (!this.#closed) {
      await this.#somethingToDo();
      if (this.#core.isIdle) await this.#renewOrigin();
      const bytes = this.#core.take(this.basis());
      if (bytes !== undefined) await this.#append(bytes);
    }
  }

  /** Ends run(); waiting callers get `error`, or `in-doubt` if their write was on its way. */
  close(error: KvError): void {
    this.#closed = true;
    this.#expiring?.cancel();
    this.#core.close(error);
    this.#wakeUp();
  }

  async #append(first: Uint8Array): Promise<void> {
    const backOff = new BackOff(AGAIN_FIRST_MS, AGAIN_MAX_MS);
    let bytes: Uint8Array | undefined = first;
    while (bytes !== undefined && !this.#closed) {
      const result = await this.log.append(bytes, ATTEMPT_TIMEOUT_MS);
      if (result.kind === "accepted") this.expect(result.sequence);
      bytes = this.#core.appended(result, this.basis());
      if (bytes === undefined) return;
      await sleep(this.clock, backOff.next(this.chance.fraction()));
      // Meanwhile the applier may have met it, and there is nothing left to append.
      if (this.#core.isIdle) return;
    }
  }

  /** One origin after another that comes to nothing gets ever more time: the log is being lost. */
  async #renewOrigin(): Promise<void> {
    const { needsOrigin } = this.#core;
    if (needsOrigin) {
      const waitMs = this.#renewals.next();
      if (waitMs > 0) await sleep(this.clock, waitMs);
    }
    const nowMs = this.clock.elapsedMs();
    if (needsOrigin || nowMs - this.#usedAtMs > ORIGIN_IDLE_MS) {
      this.#core.reopen(newOrigin(this.chance));
    }
    this.#usedAtMs = nowMs;
  }

  async #somethingToDo(): Promise<void> {
    while (!this.#closed && !(this.#core.isIdle && this.#core.hasWork)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    // Groups that arrive with the same read of the socket go into the same entry.
    await new Promise<void>((resolve) => this.clock.soon(resolve));
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** An idle replica sets no timer. */
  #expireLater(): void {
    this.#expiring ??= this.clock.after(EXPIRE_MS, () => {
      this.#expiring = undefined;
      this.#core.expire(this.clock.elapsedMs());
      if (!this.isIdle && !this.#closed) this.#expireLater();
    });
  }
}

function newOrigin(chance: Chance): Origin {
  return Buffer.from(chance.bytes(16)).toString("hex") as Origin;
}
