/**
 * Replica: one copy of a shard on this node, and the loops that keep it.
 *
 * Mailbox     kv.ring.<position>.> of every owned position, kv.shard.<shard>.>, in the queue groups
 * State       the store; Applied, which the loops share
 * Decides in  proposer-core.ts, applier-core.ts, reader-core.ts, query-plan.ts
 * Lifecycle   loading → catching-up ⇄ serving → stopped; see below
 * On a bug    InvariantError or a failed store leaves run(); the node starts the replica again
 *
 * States. Loading: the state is read back from the store. Catching up: the log is being applied,
 * nothing is answered. Serving: the lag against a probe younger than SERVING_CHECK_MS is small, and
 * the replica is subscribed (rule L9). Between these two it goes by the lag, with a margin, so that
 * it does not flutter. Stopped: going on would be wrong (stopped.ts); only a person mends that, and
 * status shows the reason.
 */
import type { Bus, Message, Subscription } from "../../infra/bus.js";
import { sleep, type Chance, type Clock } from "../../infra/clock.js";
import type { Log } from "../../infra/log.js";
import type { Logger } from "../../infra/logger.js";
import type { Store } from "../../infra/store.js";
import { PositionDigest } from "../../protocol/digest.js";
import { KvError } from "../../protocol/errors.js";
import type { Epoch, NodeName, Sequence } from "../../protocol/ids.js";
import {
  LAG_SERVING_AGAIN,
  LAG_SERVING_MAX,
  REQUEST_TIMEOUT_MS,
  TICK_QUIET_MS,
} from "../../protocol/limits.js";
import type { ReplicaPhase } from "../../protocol/replica-phase.js";
import {
  packedBatchReply,
  type BatchResult,
  type Reply,
  type Result,
} from "../../protocol/reply.js";
import { parsePackedBatch, type Request } from "../../protocol/request.js";
import { queryErrorOf } from "../../protocol/query-messages.js";
import { singleKeyVerbs, type Names } from "../../protocol/subjects.js";
import { Answers } from "../answer.js";
import { asKvError } from "../incident.js";
import { ServiceCounters } from "../service.js";
import { Applied } from "./applied.js";
import { Applier } from "./applier.js";
import { runBatch } from "./batch.js";
import { Border } from "./border.js";
import { loadReplica } from "./load.js";
import { Proposer } from "./proposer.js";
import { Query, queryVerbs } from "./query.js";
import { Reader } from "./reader.js";
import type { ReplicaState } from "./replica-state.js";
import { ReplicaStopped } from "./stopped.js";

/** How often the lag is looked at. */
const SERVING_CHECK_MS = 500;
/** A lag is known by a probe younger than this, or it is not known. */
const PROBE_MS_MAX = 1_000;

export interface ReplicaParts {
  readonly names: Names;
  readonly node: NodeName;
  readonly epoch: Epoch;
  readonly positionCount: number;
  readonly bus: Bus;
  readonly log: Log;
  readonly store: Store;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly logger: Logger;
  /** Brings a request of another shard to its owner. */
  readonly forward: (request: Request) => Promise<Result>;
  /** Of replicaVerbs. Default: nobody looks at them. */
  readonly counters?: ServiceCounters;
}

/** What a replica answers: by position, then by shard. */
export const replicaVerbs: readonly string[] = [...singleKeyVerbs, "batch", ...queryVerbs];

/** What status tells of a replica. */
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
  #loops: Loops | undefined;
  #tail = 0 as Sequence;
  #subscriptions: Subscription[] = [];
  #closed = false;
  readonly #loaded = withResolvers<Applied | undefined>();

  constructor(private readonly parts: ReplicaParts) {}

  get phase(): ReplicaPhase {
    return this.#phase;
  }

  /** True once run() has ended, or is about to. */
  get isEnded(): boolean {
    return this.#closed;
  }

  /** What its relay needs, once the state is read back; undefined if that comes to nothing. */
  loaded(): Promise<Applied | undefined> {
    return this.#loaded.promise;
  }

  /** Outcome rows before `sequence` are not needed by the relay any more. */
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
    }
  }

  /** Answers what is on its way, then ends run(). */
  async close(): Promise<void> {
    if (this.#closed) return;
    const drained = this.#subscriptions.map((subscription) => subscription.drain());
    this.#subscriptions = [];
    await Promise.allSettled(drained);
    await this.#loops?.drained();
    this.#closed = true;
    this.#loops?.close();
  }

  status(): ReplicaStatus {
    const loops = this.#loops;
    const sequenceApplied = loops?.applied.sequence ?? (0 as Sequence);
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

  /** Rule L9. */
  async #serveByLag(loops: Loops): Promise<void> {
    const { clock } = this.parts;
    let probedAtMs = clock.elapsedMs();
    while (!this.#closed) {
      try {
        const askedAtMs = clock.elapsedMs();
        this.#tail = await loops.end();
        probedAtMs = askedAtMs;
        loops.applier.expect(this.#tail);
        const lag = this.#tail - loops.applied.sequence;
        const hasBegun = loops.state.hasBegun && loops.applied.sequence > 0;
        // A log that lost entries may show no lag at all: what it holds is compared first.
        const isReady = hasBegun && loops.applier.hasCompared;
        if (this.#phase === "catching-up" && lag <= LAG_SERVING_AGAIN && isReady) {
          this.#startServing(loops);
        } else if (this.#phase === "serving" && lag > LAG_SERVING_MAX) {
          this.#catchUp(`it lags by ${lag} entries`);
        }
        this.#reason = "";
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        this.#reason = `the log's end is not known: ${error.message}`;
        const isOld = clock.elapsedMs() - probedAtMs > PROBE_MS_MAX;
        if (this.#phase === "serving" && isOld) this.#catchUp(this.#reason);
      }
      const soon = this.#phase === "serving" ? SERVING_CHECK_MS : SERVING_CHECK_MS / 10;
      await sleep(clock, soon);
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
        loops.handleShard(message),
      ),
    );
    this.#phase = "serving";
    logger.info("the replica serves", {
      shard: log.shard,
      sequence: loops.applied.sequence,
      positions: positions.length,
    });
  }

  #stopServing(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#subscriptions = [];
  }

  /** Rule L6: records that are due go although nobody writes. */
  async #moveTimeWhenDue(loops: Loops): Promise<void> {
    const { clock, chance, logger, log } = this.parts;
    while (!this.#closed) {
      await sleep(clock, TICK_QUIET_MS * (1 + chance.fraction()));
      if (this.#closed || this.#phase !== "serving") continue;
      const isQuiet = clock.elapsedMs() - loops.applier.appliedAtMs >= TICK_QUIET_MS;
      if (!isQuiet || !loops.applied.table.hasDue(clock.now())) continue;
      try {
        await loops.proposer.barrier();
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        logger.debug("log time could not be moved", { shard: log.shard, error: error.message });
      }
    }
  }
}

/** The loops of one replica and what connects them. */
class Loops {
  readonly applied: Applied;
  readonly applier: Applier;
  readonly proposer: Proposer;
  readonly reader: Reader;
  readonly query: Query;
  readonly border: Border;
  readonly #answers: Answers;
  readonly #counters: ServiceCounters;
  #batchesUnderWay = 0;

  constructor(
    private readonly parts: ReplicaParts,
    readonly state: ReplicaState,
  ) {
    const { names, bus, log, store, clock, chance, logger } = parts;
    this.applied = new Applied(state.ownership, state.table, store, clock);
    this.applied.sequence = state.sequence;
    this.applied.logTime = state.logTime;
    this.applied.epoch = parts.epoch;
    this.proposer = new Proposer(
      log,
      () => this.#basis(),
      (sequence) => this.applier.expect(sequence),
      clock,
      chance,
    );
    this.applier = new Applier(
      log,
      store,
      state,
      this.applied,
      (result) => this.proposer.applied(result),
      clock,
      chance,
      logger,
    );
    this.#counters = parts.counters ?? new ServiceCounters(replicaVerbs, clock);
    const barrier = (): Promise<void> => this.#barrier();
    const moveTime = (): Promise<void> => this.proposer.barrier();
    this.reader = new Reader(this.applied, store, barrier, moveTime, clock);
    this.query = new Query({
      shard: log.shard,
      applied: this.applied,
      indexPolicy: () => state.genesis.indexPolicy,
      barrier: () => this.#barrierAndTime(),
      clock,
      logger,
    });
    this.#answers = new Answers(names, bus, logger);
    this.border = new Border(
      names,
      this.#answers,
      state.ownership,
      this.proposer,
      this.reader,
      parts.forward,
      this.#counters,
      logger,
    );
  }

  /** A message to kv.shard.<shard>.<verb>. */
  handleShard(message: Message): void {
    const verb = this.parts.names.parseShardSubject(message.subject)?.verb ?? "";
    this.#counters.begin(verb);
    if (verb === "batch") return this.#batch(message);
    const reply = (bytes: Uint8Array): void => {
      this.#counters.end(verb, queryErrorOf(bytes));
      this.#reply(message, bytes);
    };
    if (queryVerbs.has(verb)) return this.query.offer(verb, message.data, reply);
    const error = new KvError("unsupported", `a shard has no verb ${JSON.stringify(verb)}`);
    reply(packedBatchReply(error));
  }

  #batch(message: Message): void {
    const { logger, positionCount } = this.parts;
    this.#batchesUnderWay += 1;
    const run = async (): Promise<void> => {
      let result: BatchResult;
      try {
        const batch = parsePackedBatch(message.data, positionCount);
        result = await runBatch(batch, this.border, this.proposer);
      } catch (error) {
        result = asKvError(error, logger);
      }
      this.#batchesUnderWay -= 1;
      this.#counters.end("batch", result instanceof KvError ? result : undefined);
      this.#reply(message, packedBatchReply(result));
    };
    void run();
  }

  #reply(message: Message, bytes: Uint8Array): void {
    const packed = (body: Uint8Array): Reply => ({ headers: [], body });
    this.#answers.send(message, packed(bytes), (error) => packed(packedBatchReply(error)));
  }

  #basis(): { sequence: Sequence; chain: bigint } {
    const { sequence } = this.applied;
    return { sequence, chain: this.state.chains.get(sequence) ?? this.state.chain };
  }

  /** The log's end, exact where the server is alone. */
  async end(): Promise<Sequence> {
    const { log } = this.parts;
    return log.tailIsExact ? log.tail() : (await log.state()).last;
  }

  /** Every write acknowledged before the call has been applied here when it resolves. */
  async #barrier(): Promise<void> {
    const { log } = this.parts;
    if (!log.tailIsExact) return this.proposer.barrier();
    const tail = await log.tail();
    this.applier.expect(tail);
    await this.applied.reached(tail, REQUEST_TIMEOUT_MS / 2);
  }

  /** A query counts and lists records by the log's time, which must not be behind ours by much. */
  async #barrierAndTime(): Promise<void> {
    const { clock } = this.parts;
    if (this.applied.table.hasDue(clock.now())) await this.proposer.barrier();
    else await this.#barrier();
  }

  /** Resolves when nothing that was accepted is unanswered, or after a while. */
  async drained(): Promise<void> {
    const { clock } = this.parts;
    const end = clock.elapsedMs() + REQUEST_TIMEOUT_MS / 2;
    while (clock.elapsedMs() < end) {
      const isIdle = this.proposer.isIdle && this.reader.isIdle && this.query.isIdle;
      if (isIdle && this.#batchesUnderWay === 0) return;
      await sleep(clock, 5);
    }
  }

  close(): void {
    const error = new KvError("unavailable", "the replica ended; send it again");
    this.applier.stop();
    this.applied.end(error);
    this.proposer.close(error);
    this.reader.close();
    this.query.close();
  }
}

function withResolvers<Value>(): { promise: Promise<Value>; resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Of all positions together. */
function digestOf(applied: Applied): PositionDigest {
  const all = new PositionDigest();
  for (const position of applied.ownership.owned()) all.combine(applied.table.digest(position));
  return all;
}
