/**
 * Border: where messages become requests and results become replies, for one replica.
 *
 * Mailbox     kv.ring.<position>.> of every owned position, kv.shard.<shard>.batch
 * State       none
 * Decides in  protocol/request/ and reply/ (form, limits); which loop takes what is said here
 * Lifecycle   none of its own: called for each message while the replica is subscribed
 * On a bug    the request is answered `internal`, with the incident it was logged as
 *
 * A key that is not in the position of its subject (keys with a tag), or whose position this shard
 * does not own, is forwarded; the one who asked never sees it (rule M4).
 */
import type { Message } from "../../infra/bus.js";
import type { Logger } from "../../infra/logger.js";
import { KvError } from "../../protocol/errors.js";
import { HOPS_MAX } from "../../protocol/limits.js";
import { singleKeyVerbs, type Names, type SingleKeyVerb } from "../../protocol/nats/subjects.js";
import type { Operation, Outcome } from "../../protocol/operation.js";
import { packedReply } from "../../protocol/reply/packed.js";
import type { Reply, Result } from "../../protocol/reply/result.js";
import { errorReply, subjectReply } from "../../protocol/reply/subject.js";
import { parsePackedRequest } from "../../protocol/request/packed.js";
import type { GetRequest, Request } from "../../protocol/request/request.js";
import { parseSubjectRequest } from "../../protocol/request/text.js";
import type { Answers } from "../answer.js";
import { asKvError } from "../incident.js";
import { tooLate } from "../pulse.js";
import type { ServiceCounters } from "../service.js";
import type { Proposer } from "./propose/proposer.js";
import type { Reader } from "./read/reader.js";
import { isNotOwned, type Ownership } from "./state/ownership.js";

/** Made in advance: when many are to be told it, there is no time to make it for each. */
const tooLatePacked = packed({ kind: "refused", error: tooLate });
const tooLateReplies = new Map(singleKeyVerbs.map((verb) => [verb, errorReply(tooLate, verb)]));

type Settle = (result: Result) => void;

export class Border {
  constructor(
    private readonly names: Names,
    private readonly answers: Answers,
    private readonly ownership: Ownership,
    private readonly proposer: Proposer,
    private readonly reader: Reader,
    /** Brings a request that is not ours to its owner. */
    private readonly forward: (request: Request) => Promise<Result>,
    private readonly counters: ServiceCounters,
    /** Of the node's pulse. */
    private readonly isLate: () => boolean,
    private readonly logger: Logger,
  ) {}

  /** One message to kv.ring.<position>.<verb>[.<key>]. */
  handle(message: Message): void {
    const address = this.names.parseRingSubject(message.subject);
    if (address === undefined) return this.#answerUnknown(message);
    const { verb, key } = address;
    const { positionCount } = this.ownership;
    this.counters.begin(verb);
    if (this.isLate()) return this.#refuseLate(message, verb, key === undefined);
    try {
      const request =
        key === undefined
          ? parsePackedRequest(verb, message.data, positionCount)
          : parseSubjectRequest(verb, key, message.data, message.headers, positionCount);
      this.take(request, (result) => {
        this.counters.end(verb, result.kind === "refused" ? result.error : undefined);
        if (key === undefined) this.#replyPacked(message, result);
        else this.#replyToSubject(message, verb, request, result);
      });
    } catch (error) {
      const refused = { kind: "refused", error: asKvError(error, this.logger) } as const;
      this.counters.end(verb, refused.error);
      if (key === undefined) this.#replyPacked(message, refused);
      else this.#replyToSubject(message, verb, undefined, refused);
    }
  }

  /**
   * Gives the request to its loop. `settle` is called once; refusals come through it too. `unless`
   * is asked when a write's turn has come: why it is not to be done after all.
   */
  take(request: Request, settle: Settle, unless?: () => KvError | undefined): void {
    try {
      const { position } = request.kind === "get" ? request : request.operation;
      if (!this.ownership.owns(position)) return this.#sendOn(request, settle);
      if (request.kind === "get") this.#takeGet(request, settle);
      else this.#takeWrite(request.operation, request, settle, unless);
    } catch (error) {
      settle({ kind: "refused", error: asKvError(error, this.logger) });
    }
  }

  #takeGet(request: GetRequest, settle: Settle): void {
    this.reader.offer({
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
    this.proposer.offer([operation], settleWrite, unless);
  }

  #sendOn(request: Request, settle: Settle): void {
    if (request.hops >= HOPS_MAX) {
      const text = "the request went from shard to shard; the ring is changing, send it again";
      return settle({ kind: "refused", error: new KvError("unavailable", text) });
    }
    this.forward({ ...request, hops: request.hops + 1 }).then(settle, (error: unknown) => {
      settle({ kind: "refused", error: asKvError(error, this.logger) });
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
    this.answers.send(message, reply, (error) => errorReply(error, verb));
  }

  #refuseLate(message: Message, verb: SingleKeyVerb, isPacked: boolean): void {
    this.counters.end(verb, tooLate);
    const reply = isPacked ? tooLatePacked : (tooLateReplies.get(verb) ?? errorReply(tooLate));
    this.answers.send(message, reply, errorReply);
  }

  #answerUnknown(message: Message): void {
    const error = new KvError("unsupported", `nothing answers on ${message.subject}`);
    this.answers.send(message, errorReply(error), errorReply);
  }

  #replyPacked(message: Message, result: Result): void {
    this.answers.send(message, packed(result), (error) => packed({ kind: "refused", error }));
  }
}

function packed(result: Result): Reply {
  return { headers: [], body: packedReply(result) };
}

export function resultOf(operation: Operation, outcome: Outcome | undefined): Result {
  if (outcome === undefined) {
    return { kind: "refused", error: new KvError("internal", "an operation has no outcome") };
  }
  if (!outcome.ok) return { kind: "refused", error: outcome.error };
  return {
    kind: "written",
    key: operation.key,
    position: operation.position,
    done: outcome.done,
  };
}

function isElsewhere(result: Result): boolean {
  return result.kind === "refused" && isNotOwned(result.error);
}
