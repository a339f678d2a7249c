/**
 * Loops: the parts of one replica, and what connects them.
 *
 * replica.ts says when they run and when the replica serves. Here stands who calls whom: the
 * proposer's acknowledgements and the reader's probes tell the applier how far the log goes, what
 * the applier has applied settles the proposer's callers, and messages to the shard go to the loop
 * that answers them.
 */
import type { Bus, Message } from "../../infra/bus.js";
import type { Chance, Clock } from "../../infra/clock.js";
import type { Log } from "../../infra/log.js";
import type { Logger } from "../../infra/logger.js";
import type { Store } from "../../infra/store.js";
import { KvError } from "../../protocol/errors.js";
import type { Epoch, Sequence } from "../../protocol/ids.js";
import { MAILBOX_BYTES_MAX, REQUEST_TIMEOUT_MS } from "../../protocol/limits.js";
import { singleKeyVerbs, type Names } from "../../protocol/nats/subjects.js";
import { encodeQueryError } from "../../protocol/query/messages.js";
import { packedBatchReply } from "../../protocol/reply/packed.js";
import type { BatchResult, Reply, Result } from "../../protocol/reply/result.js";
import { parsePackedBatch } from "../../protocol/request/packed.js";
import type { BatchRequest, Request } from "../../protocol/request/request.js";
import { Answers } from "../answer.js";
import { asKvError } from "../incident.js";
import { tooLate } from "../pulse.js";
import { ServiceCounters } from "../service.js";
import { untilDone } from "../until-done.js";
import { Applier } from "./apply/applier.js";
import { runBatch } from "./batch.js";
import { Border } from "./border.js";
import { Proposer } from "./propose/proposer.js";
import { Query, queryVerbs } from "./query/query.js";
import { Reader } from "./read/reader.js";
import { Applied } from "./state/applied.js";
import type { ReplicaState } from "./state/replica-state.js";

export interface ReplicaParts {
  readonly names: Names;
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
  /** Of the node's pulse; asked for each request. Default: never. */
  readonly isLate?: (() => boolean) | undefined;
}

/** What a replica answers: by position, then by shard. */
export const replicaVerbs: readonly string[] = [...singleKeyVerbs, "batch", ...queryVerbs];

/** Made in advance, as in border.ts. */
const tooLateBatch = packedBatchReply(tooLate);
const tooLateQuery = encodeQueryError(tooLate);

export class Loops {
  readonly applied: Applied;
  readonly applier: Applier;
  readonly proposer: Proposer;
  readonly reader: Reader;
  readonly query: Query;
  readonly border: Border;
  readonly #answers: Answers;
  readonly #counters: ServiceCounters;
  readonly #isLate: () => boolean;
  #batchesUnderWay = 0;
  #batchBytes = 0;

  constructor(
    private readonly parts: ReplicaParts,
    readonly state: ReplicaState,
  ) {
    const { names, bus, log, store, clock, chance, logger } = parts;
    this.applied = new Applied(state.ownership, state.table, store, clock);
    this.applied.sequence = state.sequence;
    this.applied.logTime = state.logTime;
    this.applied.logId = state.appliedLogId;
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
      this.proposer,
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
    this.#isLate = parts.isLate ?? ((): boolean => false);
    this.border = new Border(
      names,
      this.#answers,
      state.ownership,
      this.proposer,
      this.reader,
      parts.forward,
      this.#counters,
      this.#isLate,
      logger,
    );
  }

  /** A message to kv.shard.<shard>.<verb>. */
  handleShard(message: Message): void {
    const verb = this.parts.names.parseShardSubject(message.subject)?.verb ?? "";
    this.#counters.begin(verb);
    if (this.#isLate()) return this.#refuseLate(message, verb);
    if (verb === "batch" || verb === "get") return this.#batch(message, verb);
    const reply = (bytes: Uint8Array, error?: KvError): void => {
      this.#counters.end(verb, error);
      this.#reply(message, bytes);
    };
    if (queryVerbs.has(verb)) return this.query.offer(verb, message.data, reply);
    const error = new KvError("unsupported", `a shard has no verb ${JSON.stringify(verb)}`);
    reply(packedBatchReply(error), error);
  }

  #refuseLate(message: Message, verb: string): void {
    this.#counters.end(verb, tooLate);
    this.#reply(message, queryVerbs.has(verb) ? tooLateQuery : tooLateBatch);
  }

  /** `get`: a batch of gets alone, for users who have no right to write. */
  #batch(message: Message, verb: "batch" | "get"): void {
    const { logger, positionCount } = this.parts;
    const bytes = message.data.length;
    this.#batchesUnderWay += 1;
    this.#batchBytes += bytes;
    const run = async (): Promise<void> => {
      let result: BatchResult;
      try {
        if (this.#batchBytes > MAILBOX_BYTES_MAX) throw tooManyBytes(bytes);
        const batch = parsePackedBatch(message.data, positionCount);
        if (verb === "get") checkOnlyGets(batch);
        result = await runBatch(batch, this.border, this.proposer);
      } catch (error) {
        result = asKvError(error, logger);
      }
      this.#batchesUnderWay -= 1;
      this.#batchBytes -= bytes;
      this.#counters.end(verb, result instanceof KvError ? result : undefined);
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
    const { sequence } = this.applied;
    const tail = await log.tail();
    if (tail < sequence) {
      this.applier.compareAgain();
      throw new KvError("unavailable", "the log ends before what was applied here");
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
      return isIdle && this.#batchesUnderWay === 0;
    };
    return untilDone(this.parts.clock, isDone, REQUEST_TIMEOUT_MS / 2);
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

/** A batch keeps its message until its last operation is done. */
function tooManyBytes(received: number): KvError {
  const text = "batches under way here have more bytes than the limit; send it again in a moment";
  const details = { limit: "mailbox_bytes", max: MAILBOX_BYTES_MAX, received };
  return new KvError("overloaded", text, details);
}

function checkOnlyGets({ requests, atomic }: BatchRequest): void {
  const index = requests.findIndex(({ kind }) => kind === "write");
  if (index < 0 && !atomic) return;
  const text = "this subject takes gets only; send writes to kv.shard.<shard>.batch";
  throw new KvError("bad-request", text, index < 0 ? {} : { index });
}
