/**
 * Replica: one copy of a shard on this node, and the loops that keep it.
 *
 * Mailbox     kv.ring.<position>.> of every owned position, kv.shard.<shard>.>, in the queue groups
 * State       the store; Applied, which the loops share
 * Decides in  proposer-core.ts, applier-core.ts, reader-core.ts, query-plan.ts
 * Lifecycle   loading → catching-up ⇄ serving → stopped; see below
 * On a bug    InvariantError or a failed store leaves run(); the node starts the replica again
 *
 * States. Loading: the replica reads its state from the store. Catching up: it applies the log and
 * answers nothing. Serving: it is subscribed, and its lag against a probe younger than PROBE_MS_MAX
 * is small (rule L9). It changes between these two by the lag, with a margin, so that it does not
 * flutter. Stopped: it would be wrong to continue (stopped.ts); only a person can mend that, and
 * status shows the reason.
 */
import type { Subscription } from "../../infra/bus.js";
import { sleep } from "../../infra/clock.js";
import { PositionDigest } from "../../protocol/digest.js";
import { KvError } from "../../protocol/errors.js";
import type { LogId, Sequence } from "../../protocol/ids.js";
import { LAG_SERVING_AGAIN, LAG_SERVING_MAX, BARRIER_QUIET_MS } from "../../protocol/limits.js";
import { isMissingLog } from "../../protocol/log/missing-log.js";
import type { StoreFinding } from "../../protocol/node/repair.js";
import type { ReplicaPhase } from "../../protocol/node/replica-phase.js";
import { loadReplica } from "./load.js";
import { Loops, type ReplicaParts } from "./loops.js";
import type { Applied } from "./state/applied.js";
import { REPAIR, ReplicaStopped, type StopReason } from "./state/stopped.js";
import { findingOf } from "./store-finding.js";

/** How often the lag is looked at. */
const SERVING_CHECK_MS = 500;
/** While no record expires: how often that is looked at all the same. */
const EXPIRY_LOOK_MS = 60_000;
/** The log must be known to be gone for so long: a server that is starting may say so too. */
const MISSING_MS = 10_000;
/** A lag is known by a probe younger than this, or it is not known. */
const PROBE_MS_MAX = 1_000;

/** A replica as status shows it. */
export interface ReplicaStatus {
  readonly state: ReplicaPhase;
  /** Why it is stopped, or is not serving; empty else. */
  readonly reason: string;
  readonly sequenceApplied: Sequence;
  readonly sequenceLast: Sequence;
  readonly lag: number;
  readonly keys: number;
  readonly bytes: number;
  readonly positionsOwned: number;
  readonly queueLength: number;
  readonly digest: {
    readonly sequence: Sequence;
    readonly records: string;
    readonly index: string;
  };
}

export class Replica {
  #phase: ReplicaPhase = "loading";
  #reason = "";
  #stopReason: StopReason | undefined;
  #loops: Loops | undefined;
  #tail = 0 as Sequence;
  #subscriptions: Subscription[] = [];
  #closed = false;
  /** It answers the requests on their way, and takes no new ones. */
  #isClosing = false;
  readonly #loaded = withResolvers<Applied | undefined>();

  constructor(private readonly parts: ReplicaParts) {}

  get phase(): ReplicaPhase {
    return this.#phase;
  }

  /** Why it has stopped for good; undefined = it has not. */
  get stopReason(): StopReason | undefined {
    return this.#stopReason;
  }

  /** True once run() has ended, or is about to. */
  get isEnded(): boolean {
    return this.#closed;
  }

  /** The parts for its relay, once the state is read back; undefined if the reading fails. */
  loaded(): Promise<Applied | undefined> {
    return this.#loaded.promise;
  }

  /** The relay no longer needs outcome rows before `sequence`. */
  setRelayFloor(sequence: Sequence): void {
    if (this.#loops !== undefined) this.#loops.state.relayFloor = sequence;
  }

  /**
   * Ends when closed, or stopped for good (`phase` is then `stopped`). Rejects with InvariantError,
   * StoreError or DamagedError: start another one.
   */
  async run(): Promise<void> {
    const { store, log, positionCount, logger } = this.parts;
    try {
      const state = await loadReplica(store, log.id, positionCount);
      if (this.#closed) return;
      this.#loops = new Loops(this.parts, state);
      this.#loaded.resolve(this.#loops.applied);
      this.#phase = "catching-up";
      await this.#runLoops(this.#loops);
    } catch (error) {
      this.#phase = "loading";
      if (!(error instanceof ReplicaStopped)) throw error;
      this.#phase = "stopped";
      this.#stopReason = error.reason;
      this.#reason = `${error.reason}: ${error.message}`;
      logger.error("the replica stops", { shard: log.shard, reason: this.#reason });
    } finally {
      this.#closed = true;
      this.#loaded.resolve(undefined);
    }
  }

  async #runLoops(loops: Loops): Promise<void> {
    const running = [
      loops.applier.run(),
      loops.proposer.run(),
      loops.reader.run(),
      loops.query.run(),
      this.#serveByLag(loops),
      this.#moveTimeWhenDue(loops),
    ];
    // The first loop that ends takes the others along; its error is the replica's.
    const ended = Promise.race(running);
    try {
      await ended;
    } finally {
      this.#stopServing();
      loops.close();
      this.#closed = true;
      await Promise.allSettled(running);
      // One read that failed ends its loop at once; those beside it still hold the store.
      await Promise.all([loops.reader.ended(), loops.query.ended()]);
    }
  }

  /** Answers the requests on their way, then ends run(). */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#isClosing = true;
    const drained = this.#subscriptions.map((subscription) => subscription.drain());
    this.#subscriptions = [];
    await Promise.allSettled(drained);
    await this.#loops?.drained();
    this.#closed = true;
    this.#loops?.close();
  }

  status(): ReplicaStatus {
    const loops = this.#loops;
    const sequenceApplied = loops?.applied.appliedSequence ?? (0 as Sequence);
    const sequenceLast = Math.max(this.#tail, sequenceApplied) as Sequence;
    const totals = loops?.applied.table.totals() ?? { keys: 0, bytes: 0 };
    const digest = loops === undefined ? new PositionDigest() : digestOf(loops.applied);
    return {
      state: this.#phase,
      reason: this.#reason,
      sequenceApplied,
      sequenceLast,
      lag: sequenceLast - sequenceApplied,
      ...totals,
      positionsOwned: loops?.applied.ownership.ownedCount ?? 0,
      queueLength: loops?.proposer.queueLength ?? 0,
      digest: {
        sequence: sequenceApplied,
        records: digest.recordsHex,
        index: digest.indexHex,
      },
    };
  }

  /** What the store holds; null = nothing, or it is not read back yet. */
  finding(chainsAt: readonly number[]): StoreFinding | null {
    return this.#loops === undefined ? null : findingOf(this.#loops.state, chainsAt);
  }

  /** True if the store may be copied: it is of this log, and nothing speaks against it. */
  get isSound(): boolean {
    return this.#loops?.state.hasBegun === true && !this.#closed && this.#loops.applier.hasCompared;
  }

  /** Rule L9. */
  async #serveByLag(loops: Loops): Promise<void> {
    const { clock, log } = this.parts;
    let probedAtMs = clock.elapsedMs();
    let thereAtMs = probedAtMs;
    while (!this.#closed) {
      try {
        const askedAtMs = clock.elapsedMs();
        const { appliedSequence: sequence } = loops.applied;
        const tail = await loops.end();
        // It may have ended meanwhile: who serves then would never be unsubscribed.
        if (this.#closed) return;
        this.#tail = tail;
        probedAtMs = askedAtMs;
        thereAtMs = askedAtMs;
        loops.applier.expect(this.#tail);
        const lag = this.#tail - loops.applied.appliedSequence;
        if (tail < sequence && log.tailIsExact) loops.applier.compareAgain();
        // A log that lost entries may show no lag at all, so its entries are compared first.
        const { hasCompared } = loops.applier;
        const isReady = hasTakenOver(loops) && hasCompared && !this.#isClosing;
        if (this.#phase === "catching-up" && lag <= LAG_SERVING_AGAIN && isReady) {
          this.#startServing(loops);
        } else if (this.#phase === "serving" && !hasCompared) {
          this.#catchUp("its log may have lost entries that it has applied");
        } else if (this.#phase === "serving" && lag > LAG_SERVING_MAX) {
          this.#catchUp(`it lags by ${lag} entries`);
        }
        this.#reason = "";
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        this.#reason = `could not read the log's end: ${error.message}`;
        const isOld = clock.elapsedMs() - probedAtMs > PROBE_MS_MAX;
        if (this.#phase === "serving" && isOld) this.#catchUp(this.#reason);
        if (!(await this.#isLogMissing())) thereAtMs = clock.elapsedMs();
        if (clock.elapsedMs() - thereAtMs >= MISSING_MS) throw missing(this.parts.log.id);
      }
      const soon = this.#phase === "serving" ? SERVING_CHECK_MS : SERVING_CHECK_MS / 10;
      await sleep(clock, soon);
    }
  }

  /** True if the server says so; false also if it says nothing. */
  async #isLogMissing(): Promise<boolean> {
    try {
      await this.parts.log.state();
      return false;
    } catch (error) {
      if (error instanceof KvError) return isMissingLog(error);
      throw error;
    }
  }

  #catchUp(reason: string): void {
    const { logger, log } = this.parts;
    logger.info("the replica stops serving", { shard: log.shard, reason });
    this.#stopServing();
    this.#phase = "catching-up";
  }

  #startServing(loops: Loops): void {
    const { names, bus, log, logger } = this.parts;
    const positions = loops.applied.ownership.owned();
    const queue = names.shardsQueue;
    this.#subscriptions = positions.map((position) =>
      bus.subscribe(names.ringWildcard(position), queue, (message) => loops.border.handle(message)),
    );
    // By shard there is no other shard to reach: the group is the shard's own.
    this.#subscriptions.push(
      bus.subscribe(names.shardWildcard(log.shard), `${queue}-${log.shard}`, (message) =>
        loops.border.handleShard(message),
      ),
    );
    this.#phase = "serving";
    logger.info("the replica serves", {
      shard: log.shard,
      sequence: loops.applied.appliedSequence,
      positions: positions.length,
    });
  }

  #stopServing(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#subscriptions = [];
  }

  /** Rule L6: due records go also while no client writes. */
  async #moveTimeWhenDue(loops: Loops): Promise<void> {
    const { clock, chance, logger, log } = this.parts;
    const { applied } = loops;
    while (!this.#closed) {
      // While no record expires, only an entry can change that: an idle replica need not look.
      if (applied.table.dueFromAll === Infinity) {
        const next = (applied.appliedSequence + 1) as Sequence;
        await applied.reached(next, EXPIRY_LOOK_MS).catch(() => undefined);
      }
      await sleep(clock, BARRIER_QUIET_MS * (1 + chance.fraction()));
      if (this.#closed || this.#phase !== "serving") continue;
      const isQuiet = clock.elapsedMs() - loops.applier.appliedAtMs >= BARRIER_QUIET_MS;
      if (!isQuiet || !loops.applied.table.hasDue(clock.now())) continue;
      try {
        await loops.proposer.barrier();
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        logger.debug("could not advance log time", { shard: log.shard, error: error.message });
      }
    }
  }
}

/** Has applied at least its log's genesis: the state knows that a moment before `applied` does. */
function hasTakenOver({ state, applied }: Loops): boolean {
  return state.hasBegun && applied.appliedSequence > (state.genesis.parent?.sequence ?? 0);
}

function missing(logId: LogId): ReplicaStopped {
  return new ReplicaStopped(
    "log-missing",
    `log ${logId} no longer exists: its stream was deleted, or the NATS server lost its data. ` +
      `The store is kept as it is${REPAIR}`,
  );
}

function withResolvers<Value>(): { promise: Promise<Value>; resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** The digest of all positions together. */
function digestOf(applied: Applied): PositionDigest {
  const all = new PositionDigest();
  for (const position of applied.ownership.owned()) all.combine(applied.table.digest(position));
  return all;
}
