/**
 * Border: turns messages into requests and results into replies, for one replica.
 *
 * Mailbox     kv.ring.<position>.> of every owned position, kv.shard.<shard>.<verb>
 * State       the batches under way, and their bytes
 * Decides in  protocol/request/ and reply/ (form, limits); which loop takes what is said here
 * Lifecycle   none of its own: called for each message while the replica is subscribed
 * On a bug    the request is answered `internal`, with the incident it was logged as
 *
 * If a key is not in the position of its subject (keys with a tag), or if this shard does not own
 * its position, the border forwards the request; the client never sees that (rule M4).
 */
import type { Message } from "../../infra/bus.js";
import type { Logger } from "../../infra/logger.js";
import { KvError } from "../../protocol/errors.js";
import { HOPS_MAX } from "../../protocol/limits.js";
import { singleKeyVerbs, type Names, type SingleKeyVerb } from "../../protocol/nats/subjects.js";
import type { Operation, Outcome } from "../../protocol/operation.js";
import { encodeQueryError } from "../../protocol/query/messages.js";
import { packedBatchReply, packedReply } from "../../protocol/reply/packed.js";
import type { BatchResult, Reply, Result } from "../../protocol/reply/result.js";
import { errorReply, subjectReply } from "../../protocol/reply/subject.js";
import { parsePackedBatch, parsePackedRequest } from "../../protocol/request/packed.js";
import type { BatchRequest, GetRequest, Request } from "../../protocol/request/request.js";
import { parseSubjectRequest } from "../../protocol/request/text.js";
import { Admission, batchRules, type OnRefusal } from "../admission.js";
import type { Answers } from "../answer.js";
import { asKvError } from "../incident.js";
import { tooLate } from "../pulse.js";
import type { ServiceCounters } from "../service.js";
import { resultOf, runBatch } from "./batch.js";
import type { Proposer } from "./propose/proposer.js";
import { queryVerbs, type Query } from "./query/query.js";
import type { Reader } from "./read/reader.js";
import { isNotOwned, type Ownership } from "./state/ownership.js";

/** What a replica answers: by position, then by shard. */
export const replicaVerbs: readonly string[] = [...singleKeyVerbs, "batch", ...queryVerbs];

/** Made in advance: when many are to be told it, there is no time to make it for each. */
const tooLatePacked = packed({ kind: "refused", error: tooLate });
const tooLateBatch = packedBatchReply(tooLate);
const tooLateQuery = encodeQueryError(tooLate);
const tooLateReplies = new Map(singleKeyVerbs.map((verb) => [verb, errorReply(tooLate, verb)]));

type Settle = (result: Result) => void;

/** The loops that take what the border has read, and what it needs to answer. */
export interface BorderParts {
  readonly names: Names;
  readonly answers: Answers;
  readonly ownership: Ownership;
  readonly proposer: Proposer;
  readonly reader: Reader;
  readonly query: Query;
  /** Brings a request that is not ours to its owner. */
  readonly forward: (request: Request) => Promise<Result>;
  /** Of replicaVerbs. */
  readonly counters: ServiceCounters;
  /** Of the node's pulse; asked for each request. */
  readonly isLate: () => boolean;
  /** Called with refusals because of the pulse, or of too many batches. */
  readonly onRefusal: OnRefusal;
  readonly logger: Logger;
}

export class Border {
  readonly #batches: Admission;

  constructor(private readonly parts: BorderParts) {
    this.#batches = new Admission(batchRules, parts.onRefusal);
  }

  /** True if no batch is unanswered. */
  get isIdle(): boolean {
    return this.#batches.count === 0;
  }

  /** One message to kv.ring.<position>.<verb>[.<key>]. */
  handle(message: Message): void {
    const address = this.parts.names.parseRingSubject(message.subject);
    if (address === undefined) return this.#answerUnknown(message);
    const { verb, key } = address;
    const { positionCount } = this.parts.ownership;
    this.parts.counters.begin(verb);
    if (this.parts.isLate()) return this.#refuseLate(message, verb, key === undefined);
    try {
      const request =
        key === undefined
          ? parsePackedRequest(verb, message.data, positionCount)
          : parseSubjectRequest(verb, key, message.data, message.headers, positionCount);
      this.take(request, (result) => {
        this.parts.counters.end(verb, result.kind === "refused" ? result.error : undefined);
        if (key === undefined) this.#replyPacked(message, result);
        else this.#replyToSubject(message, verb, request, result);
      });
    } catch (error) {
      const refused = { kind: "refused", error: asKvError(error, this.parts.logger) } as const;
      this.parts.counters.end(verb, refused.error);
      if (key === undefined) this.#replyPacked(message, refused);
      else this.#replyToSubject(message, verb, undefined, refused);
    }
  }

  /** One message to kv.shard.<shard>.<verb>. */
  handleShard(message: Message): void {
    const { names, counters, query } = this.parts;
    const verb = names.parseShardSubject(message.subject)?.verb ?? "";
    const reply = (bytes: Uint8Array, error?: KvError): void => {
      counters.end(verb, error);
      this.#replyBytes(message, bytes);
    };
    counters.begin(verb);
    if (this.parts.isLate()) {
      this.parts.onRefusal(tooLate);
      return reply(queryVerbs.has(verb) ? tooLateQuery : tooLateBatch, tooLate);
    }
    if (verb === "batch" || verb === "get") {
      return void this.#runBatch(message.data, verb).then((result) => {
        reply(packedBatchReply(result), result instanceof KvError ? result : undefined);
      });
    }
    if (queryVerbs.has(verb)) return query.offer(verb, message.data, reply);
    const error = new KvError("unsupported", `a shard has no verb ${JSON.stringify(verb)}`);
    reply(packedBatchReply(error), error);
  }

  /** `get`: a batch of gets alone, for users who have no right to write. */
  async #runBatch(payload: Uint8Array, verb: "batch" | "get"): Promise<BatchResult> {
    const { ownership, proposer, logger } = this.parts;
    try {
      this.#batches.enter(payload.length);
    } catch (error) {
      return asKvError(error, logger);
    }
    try {
      const batch = parsePackedBatch(payload, ownership.positionCount);
      if (verb === "get") checkOnlyGets(batch);
      return await runBatch(batch, this, proposer);
    } catch (error) {
      return asKvError(error, logger);
    } finally {
      this.#batches.leave(payload.length);
    }
  }

  /**
   * Gives the request to its loop. `settle` is called once; refusals come through it too. `unless`
   * is asked when a write's turn has come: why it is not to be done after all.
   */
  take(request: Request, settle: Settle, unless?: () => KvError | undefined): void {
    try {
      const { position } = request.kind === "get" ? request : request.operation;
      if (!this.parts.ownership.owns(position)) return this.#sendOn(request, settle);
      if (request.kind === "get") this.#takeGet(request, settle);
      else this.#takeWrite(request.operation, request, settle, unless);
    } catch (error) {
      settle({ kind: "refused", error: asKvError(error, this.parts.logger) });
    }
  }

  #takeGet(request: GetRequest, settle: Settle): void {
    this.parts.reader.offer({
      request,
      settle: (result) => {
        if (isElsewhere(result)) this.#sendOn(request, settle);
        else settle(result);
      },
    });
  }

  #takeWrite(
    operation: Operation,
    request: Request,
    settle: Settle,
    unless: (() => KvError | undefined) | undefined,
  ): void {
    const settleWrite = (outcomes: readonly Outcome[] | KvError): void => {
      const result =
        outcomes instanceof KvError
          ? ({ kind: "refused", error: outcomes } as const)
          : resultOf(operation, outcomes[0]);
      if (isElsewhere(result)) this.#sendOn(request, settle);
      else settle(result);
    };
    this.parts.proposer.offer([operation], settleWrite, unless);
  }

  #sendOn(request: Request, settle: Settle): void {
    if (request.hops >= HOPS_MAX) {
      const text = "the shards forwarded it too often while the ring changes; send it again";
      return settle({ kind: "refused", error: new KvError("unavailable", text) });
    }
    this.parts.forward({ ...request, hops: request.hops + 1 }).then(settle, (error: unknown) => {
      settle({ kind: "refused", error: asKvError(error, this.parts.logger) });
    });
  }

  #replyToSubject(
    message: Message,
    verb: SingleKeyVerb,
    request: Request | undefined,
    result: Result,
  ): void {
    if (message.reply === undefined) return;
    const accept = request?.kind === "get" ? request.accept : undefined;
    const returnPrevious = request?.kind === "write" && request.operation.returnPrevious;
    const reply = subjectReply(verb, result, { accept, returnPrevious });
    this.parts.answers.send(message, reply, (error) => errorReply(error, verb));
  }

  #refuseLate(message: Message, verb: SingleKeyVerb, isPacked: boolean): void {
    this.parts.counters.end(verb, tooLate);
    this.parts.onRefusal(tooLate);
    const reply = isPacked ? tooLatePacked : (tooLateReplies.get(verb) ?? errorReply(tooLate));
    this.parts.answers.send(message, reply, errorReply);
  }

  #answerUnknown(message: Message): void {
    const error = new KvError("unsupported", `nothing answers on ${message.subject}`);
    this.parts.answers.send(message, errorReply(error), errorReply);
  }

  #replyPacked(message: Message, result: Result): void {
    this.parts.answers.send(message, packed(result), (error) => packed({ kind: "refused", error }));
  }

  #replyBytes(message: Message, bytes: Uint8Array): void {
    const reply = (body: Uint8Array): Reply => ({ headers: [], body });
    this.parts.answers.send(message, reply(bytes), (error) => reply(packedBatchReply(error)));
  }
}

function packed(result: Result): Reply {
  return { headers: [], body: packedReply(result) };
}

function isElsewhere(result: Result): boolean {
  return result.kind === "refused" && isNotOwned(result.error);
}

function checkOnlyGets({ requests, atomic }: BatchRequest): void {
  const index = requests.findIndex(({ kind }) => kind === "write");
  if (index < 0 && !atomic) return;
  const text = "this subject takes gets only; send writes to kv.shard.<shard>.batch";
  throw new KvError("bad-request", text, index < 0 ? {} : { index });
}
