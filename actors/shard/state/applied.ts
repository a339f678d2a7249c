/**
 * Applied: the state that the loops of one replica share.
 *
 * The applier is the only writer. It changes this state in one synchronous step after it has
 * written a batch, so a loop that looks between two awaits sees exactly what the store holds up to
 * `appliedSequence`. The other loops wait here: for a sequence, for a position's revision, or for
 * the moment between two batches, which is the only one at which several iterators see one state
 * (RocksDB writes a batch on another thread while iterators are opened on ours).
 *
 * Invariants
 *   1. `appliedSequence` and `appliedLogTime` never go back.
 *   2. While `open` of betweenBatches runs, no batch is in flight, and the in-memory state is that
 *      of the store.
 *   3. At most VIEWS_MAX views are open; each pins a snapshot of the store.
 */
import type { Clock, Timer } from "../../../infra/clock.js";
import type { Store, StoreIterator, StoreRange } from "../../../infra/store.js";
import { assert } from "../../../protocol/assert.js";
import { KvError } from "../../../protocol/errors.js";
import type { Epoch, LogId, Position, Revision, Sequence, TimeMs } from "../../../protocol/ids.js";
import { VIEW_MS_MAX, VIEWS_MAX } from "../../../protocol/limits.js";
import type { Ownership } from "./ownership.js";
import type { PositionTable } from "./position-table.js";

/** One state of the replica, held still: iterators opened together, and the counters with them. */
export interface View {
  readonly sequence: Sequence;
  readonly logTime: TimeMs;
  readonly epoch: Epoch;
  /** Positions owned at `sequence`, ascending. */
  readonly positions: readonly Position[];
  /** One for each range asked for, in that order. */
  readonly iterators: readonly StoreIterator[];
  /** The position's revision counter at `sequence`. A record above it was written later. */
  revisionCounter(position: Position): Revision;
  /** True if some record is past its expiry but still in the store and its index. */
  readonly hasDue: boolean;
  /** Records as they are now, in the order of `keys`; see revisionCounter. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>;
  /** Must be called; frees the snapshots. After VIEW_MS_MAX it is called by itself. */
  close(): Promise<void>;
}

interface Waiter<Value> {
  readonly wanted: Value;
  readonly resolve: () => void;
  readonly reject: (error: KvError) => void;
  readonly timer: Timer;
}

/** Waits for the batch in flight. */
interface Opener {
  readonly open: () => void;
  readonly reject: (error: KvError) => void;
}

export class Applied {
  /** Last entry whose batch is written; 0 = none. */
  appliedSequence = 0 as Sequence;
  appliedLogTime = 0 as TimeMs;
  /** The log of the last entry applied; undefined = none was. */
  logId: LogId | undefined;
  /** Epoch of the ring this replica was told of last; for certificates. */
  epoch = 0 as Epoch;
  readonly #sequenceWaiters: Waiter<Sequence>[] = [];
  readonly #revisionWaiters = new Map<Position, Waiter<Revision>[]>();
  readonly #openers: Opener[] = [];
  #batchInFlight = false;
  #viewCount = 0;
  #ended: KvError | undefined;

  constructor(
    readonly ownership: Ownership,
    readonly table: PositionTable,
    private readonly store: Store,
    private readonly clock: Clock,
  ) {}

  get viewCount(): number {
    return this.#viewCount;
  }

  /** Applier only: from now on the store may change. */
  batchStarts(): void {
    assert(!this.#batchInFlight, "one writer, one batch in flight");
    this.#batchInFlight = true;
  }

  /** Applier only, in the same turn in which it learnt that the batch is written. */
  batchWritten(sequence: Sequence, logTime: TimeMs): void {
    assert(this.#batchInFlight, "a batch was started");
    assert(
      sequence >= this.appliedSequence,
      `applied ${this.appliedSequence} does not go back to ${sequence}`,
    );
    assert(
      logTime >= this.appliedLogTime,
      `log time ${this.appliedLogTime} does not go back to ${logTime}`,
    );
    this.#batchInFlight = false;
    this.appliedSequence = sequence;
    this.appliedLogTime = logTime;
    for (const { open } of this.#openers.splice(0)) open();
    this.#wakeSequences();
    this.#wakeRevisions();
  }

  /** True once nothing more will be applied. */
  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** Nothing more will be applied: every waiter, now or later, gets `error`. */
  end(error: KvError): void {
    this.#ended = error;
    for (const { reject } of this.#openers.splice(0)) reject(error);
    for (const waiter of this.#sequenceWaiters.splice(0)) refuse(waiter, error);
    for (const waiters of this.#revisionWaiters.values()) {
      for (const waiter of waiters.splice(0)) refuse(waiter, error);
    }
  }

  /** Resolves when everything up to `sequence` is applied; `unavailable` after `timeoutMs`. */
  reached(sequence: Sequence, timeoutMs: number): Promise<void> {
    if (this.appliedSequence >= sequence) return Promise.resolve();
    return this.#wait(this.#sequenceWaiters, sequence, timeoutMs, () => {
      return `waited ${timeoutMs} ms for sequence ${sequence}; ${this.appliedSequence} is applied`;
    });
  }

  /** Resolves when the position's counter is at `revision` or past it; `unavailable` else. */
  reachedRevision(position: Position, revision: Revision, timeoutMs: number): Promise<void> {
    if (this.table.revision(position) >= revision) return Promise.resolve();
    const waiters = this.#revisionWaiters.get(position) ?? [];
    this.#revisionWaiters.set(position, waiters);
    return this.#wait(waiters, revision, timeoutMs, () => {
      const now = this.table.revision(position);
      const awaited = `revision ${revision} of position ${position}`;
      return `waited ${timeoutMs} ms for ${awaited}; it is at ${now}`;
    });
  }

  /** Calls `open` when no batch is in flight: at once, or when the one in flight is written. */
  betweenBatches<Result>(open: () => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      const task = (): void => {
        try {
          resolve(open());
        } catch (error) {
          reject(error);
        }
      };
      if (!this.#batchInFlight) task();
      else if (this.#ended !== undefined) reject(this.#ended);
      else this.#openers.push({ open: task, reject });
    });
  }

  /** One view over `ranges`; KvError `overloaded` when VIEWS_MAX are open. */
  openView(ranges: readonly StoreRange[]): Promise<View> {
    return this.betweenBatches(() => {
      if (this.#viewCount >= VIEWS_MAX) {
        throw new KvError("overloaded", `${VIEWS_MAX} queries already run here; send it again`, {
          limit: "views",
          max: VIEWS_MAX,
        });
      }
      return this.#viewNow(ranges);
    });
  }

  #viewNow(ranges: readonly StoreRange[]): View {
    const revisions = this.table.copyRevisions();
    const iterators = ranges.map((range) => this.store.iterate(range));
    this.#viewCount += 1;
    let closing: Promise<void> | undefined;
    const close = (): Promise<void> => {
      closing ??= (async () => {
        timer.cancel();
        await Promise.all(iterators.map((iterator) => iterator.close()));
        this.#viewCount -= 1;
      })();
      return closing;
    };
    const timer = this.clock.after(VIEW_MS_MAX, () => void close());
    return {
      sequence: this.appliedSequence,
      logTime: this.appliedLogTime,
      epoch: this.epoch,
      positions: this.ownership.owned(),
      iterators,
      revisionCounter: (position) => (revisions[position] ?? 0) as Revision,
      hasDue: this.table.hasDue(this.appliedLogTime),
      getMany: (keys) => this.store.getMany(keys),
      close,
    };
  }

  #wait<Value>(
    waiters: Waiter<Value>[],
    wanted: Value,
    timeoutMs: number,
    describe: () => string,
  ): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const timer = this.clock.after(timeoutMs, () => {
        waiters.splice(waiters.indexOf(waiter), 1);
        reject(new KvError("unavailable", describe()));
      });
      const waiter = { wanted, resolve, reject, timer };
      waiters.push(waiter);
    });
  }

  #wakeSequences(): void {
    wake(this.#sequenceWaiters, this.appliedSequence);
  }

  #wakeRevisions(): void {
    for (const [position, waiters] of this.#revisionWaiters) {
      wake(waiters, this.table.revision(position));
      if (waiters.length === 0) this.#revisionWaiters.delete(position);
    }
  }
}

function refuse({ timer, reject }: Waiter<number>, error: KvError): void {
  timer.cancel();
  reject(error);
}

function wake<Value extends number>(waiters: Waiter<Value>[], reached: Value): void {
  let kept = 0;
  for (const waiter of waiters) {
    if (waiter.wanted <= reached) {
      waiter.timer.cancel();
      waiter.resolve();
    } else {
      waiters[kept] = waiter;
      kept += 1;
    }
  }
  waiters.length = kept;
}
