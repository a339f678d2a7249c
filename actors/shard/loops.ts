/**
 * Loops: the parts of one replica, and their connections.
 *
 * replica.ts decides when they run and when the replica serves. This file connects them: the
 * proposer's acknowledgements and the reader's probes tell the applier how far the log goes, and
 * the applier settles the proposer's callers. The border gives messages to the loops.
 */
import type { Surroundings } from "../surroundings.js";
import type { Log } from "../../infra/log.js";
import type { Store } from "../../infra/store.js";
import { KvError } from "../../protocol/errors.js";
import type { Epoch, Sequence } from "../../protocol/ids.js";
import { REQUEST_TIMEOUT_MS } from "../../protocol/limits.js";
import type { Result } from "../../protocol/reply/result.js";
import type { Request } from "../../protocol/request/request.js";
import { RefusalLog, type OnRefusal } from "../admission.js";
import { Answers } from "../answer.js";
import { ServiceCounters } from "../service.js";
import { untilDone } from "../until-done.js";
import { Applier } from "./apply/applier.js";
import { Border, replicaVerbs } from "./border.js";
import { Proposer } from "./propose/proposer.js";
import { Query } from "./query/query.js";
import { Reader } from "./read/reader.js";
import { Applied } from "./state/applied.js";
import type { ReplicaState } from "./state/replica-state.js";

export interface ReplicaParts extends Surroundings {
  readonly epoch: Epoch;
  readonly positionCount: number;
  readonly log: Log;
  readonly store: Store;
  /** Brings a request of another shard to its owner. */
  readonly forward: (request: Request) => Promise<Result>;
  /** Counters by replicaVerbs. Default: unused. */
  readonly counters?: ServiceCounters;
  /** The node's pulse, asked at each request. Default: never late. */
  readonly isLate?: (() => boolean) | undefined;
}

export class Loops {
  readonly applied: Applied;
  readonly applier: Applier;
  readonly proposer: Proposer;
  readonly reader: Reader;
  readonly query: Query;
  readonly border: Border;

  constructor(
    private readonly parts: ReplicaParts,
    readonly state: ReplicaState,
  ) {
    const { names, log, store, clock, chance, logger } = parts;
    this.applied = new Applied(state.ownership, state.table, store, clock);
    this.applied.appliedSequence = state.decidedSequence;
    this.applied.appliedLogTime = state.decidedLogTime;
    this.applied.logId = state.appliedLogId;
    this.applied.epoch = parts.epoch;
    this.proposer = new Proposer(
      log,
      () => this.#basis(),
      (sequence) => this.applier.expect(sequence),
      clock,
      chance,
      this.#refusalsOf("writes"),
    );
    this.applier = new Applier(
      log,
      store,
      state,
      this.applied,
      this.proposer,
      clock,
      chance,
      logger,
    );
    const barrier = (): Promise<void> => this.#barrier();
    const moveTime = (): Promise<void> => this.proposer.barrier();
    const refusedGets = this.#refusalsOf("gets");
    this.reader = new Reader(this.applied, store, barrier, moveTime, clock, refusedGets);
    this.query = new Query({
      shard: log.shard,
      applied: this.applied,
      indexPolicy: () => state.genesis.indexPolicy,
      barrier: () => this.#barrierAndTime(),
      clock,
      logger,
      onRefusal: this.#refusalsOf("queries"),
    });
    this.border = new Border({
      names,
      answers: new Answers(parts),
      ownership: state.ownership,
      proposer: this.proposer,
      reader: this.reader,
      query: this.query,
      forward: parts.forward,
      counters: parts.counters ?? new ServiceCounters(replicaVerbs, clock),
      isLate: parts.isLate ?? ((): boolean => false),
      onRefusal: this.#refusalsOf("messages"),
      logger,
    });
  }

  /** Tells the log of the node how many `requests` this shard refuses. */
  #refusalsOf(requests: string): OnRefusal {
    const { clock, logger, log } = this.parts;
    return new RefusalLog(clock, logger, { shard: log.shard, requests }).note;
  }

  #basis(): { sequence: Sequence; chain: bigint } {
    const { appliedSequence: sequence } = this.applied;
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
    const { appliedSequence: sequence } = this.applied;
    const tail = await log.tail();
    if (tail < sequence) {
      this.applier.compareAgain();
      throw new KvError("unavailable", "the log ends before the last entry applied here");
    }
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
  drained(): Promise<void> {
    const isDone = (): boolean => {
      const isIdle = this.proposer.isIdle && this.reader.isIdle && this.query.isIdle;
      return isIdle && this.border.isIdle;
    };
    return untilDone(this.parts.clock, isDone, REQUEST_TIMEOUT_MS / 2);
  }

  close(): void {
    const error = new KvError("unavailable", "the replica is closed; send it again");
    this.applier.stop();
    this.applied.end(error);
    this.proposer.close(error);
    this.reader.close();
    this.query.close();
  }
}
