/**
 * Coordinator: fans requests out to many shards and aggregates the replies.
 *
 * Mailbox     kv.<verb> of every verb, and kv.<verb>.> of the single-key verbs, in one queue group
 *             over all nodes; the latter sees only what the server's mapping did not take
 * State       how many requests are under way, and their bytes (under-way.ts)
 * Decides in  coverage.ts, merge.ts (queries), batch-split.ts (batches), protocol/request/ (form)
 * Lifecycle   run until closed; answers all requests that it has taken before it ends
 * On a bug    the request is answered `internal`, with the incident it was logged as
 */
import type { Surroundings } from "../surroundings.js";
import type { Message, Subscription } from "../../infra/bus.js";
import { KvError } from "../../protocol/errors.js";
import { REQUEST_TIMEOUT_MS } from "../../protocol/limits.js";
import {
  isSingleKeyVerb,
  multiKeyVerbs,
  singleKeyVerbs,
  type MultiKeyVerb,
  type SingleKeyVerb,
} from "../../protocol/nats/subjects.js";
import type { Reply } from "../../protocol/reply/result.js";
import { errorReply, subjectReply } from "../../protocol/reply/subject.js";
import { readQueryLevel } from "../../protocol/request/headers.js";
import type { Request } from "../../protocol/request/request.js";
import { parseKeylessRequest, parseSubjectRequest } from "../../protocol/request/text.js";
import { RefusalLog, tooManyRequests } from "../admission.js";
import { Answers } from "../answer.js";
import { asKvError } from "../incident.js";
import { tooLate } from "../pulse.js";
import type { ServiceCounters } from "../service.js";
import { untilDone } from "../until-done.js";
import type { BatchRunner } from "./batch-split.js";
import type { Finder } from "./find.js";
import type { Router } from "./router.js";
import type { StatusCollector } from "./status.js";
import { UnderWay } from "./under-way.js";

export interface CoordinatorParts extends Surroundings {
  readonly positionCount: number;
  readonly router: Router;
  readonly finder: Finder;
  readonly batches: BatchRunner;
  readonly status: StatusCollector;
  readonly counters: ServiceCounters;
  /** The node's pulse, asked at each request. Default: never late. */
  readonly isLate?: () => boolean;
}

const verbs = [...singleKeyVerbs, ...multiKeyVerbs];

/** Answered also when requests wait too long: they are few, and show what is happening. */
const aboutTheStore: ReadonlySet<string> = new Set<MultiKeyVerb>(["ring", "status", "info"]);

/**
 * Replies by error and verb, made in advance: when many clients get an error, there is no time to
 * make a reply for each.
 */
const madeReplies = new Map(
  [tooLate, tooManyRequests].map((error) => {
    const replies = verbs.map((verb): [string, Reply] => [verb, errorReply(error, verb)]);
    return [error, new Map(replies)];
  }),
);

export class Coordinator {
  #subscriptions: Subscription[] = [];
  readonly #underWay: UnderWay;
  readonly #refusals: RefusalLog;
  readonly #answers: Answers;

  constructor(private readonly parts: CoordinatorParts) {
    const { clock, logger } = parts;
    this.#refusals = new RefusalLog(clock, logger, { requests: "to the coordinator" });
    this.#underWay = new UnderWay(this.#refusals.note);
    this.#answers = new Answers(parts);
  }

  start(): void {
    const { names, bus } = this.parts;
    const queue = names.coordinatorsQueue;
    const handle = (message: Message): void => this.#take(message);
    for (const verb of singleKeyVerbs) {
      this.#subscriptions.push(bus.subscribe(names.verbWildcard(verb), queue, handle));
    }
    for (const verb of verbs) {
      this.#subscriptions.push(bus.subscribe(names.verb(verb), queue, handle));
    }
  }

  /** Takes no new requests, and answers those it has taken. */
  async close(): Promise<void> {
    const { clock } = this.parts;
    await Promise.allSettled(this.#subscriptions.map((subscription) => subscription.drain()));
    await untilDone(clock, () => this.#underWay.count === 0, REQUEST_TIMEOUT_MS / 2);
  }

  #take(message: Message): void {
    const { names, counters, logger } = this.parts;
    const address = names.parseVerbSubject(message.subject);
    const verb = address?.verb ?? "unknown";
    counters.begin(verb);
    const answer = (reply: Reply, error?: KvError): void => {
      counters.end(verb, error);
      this.#answers.send(message, reply, (tooLarge) => errorReply(tooLarge, verb));
    };
    const refuse = (cause: unknown): void => {
      const error = asKvError(cause, logger);
      answer(madeReplies.get(error)?.get(verb) ?? errorReply(error, verb), error);
    };
    if (address === undefined) {
      return refuse(new KvError("unsupported", `nothing answers on ${message.subject}`));
    }
    if (this.parts.isLate?.() === true && !aboutTheStore.has(verb)) {
      this.#refusals.note(tooLate);
      return refuse(tooLate);
    }
    let leave: () => void;
    try {
      leave = this.#underWay.enter(message.data.length);
    } catch (error) {
      return refuse(error);
    }
    this.#answer(address.verb, address.key, message)
      .then((reply) => answer(reply), refuse)
      .finally(leave)
      .catch((error: unknown) => logger.error("could not send a reply", { error }));
  }

  #answer(
    verb: SingleKeyVerb | MultiKeyVerb,
    key: string | undefined,
    message: Message,
  ): Promise<Reply> {
    return isSingleKeyVerb(verb)
      ? this.#answerOne(verb, key, message)
      : this.#answerMany(verb, message);
  }

  async #answerOne(
    verb: SingleKeyVerb,
    key: string | undefined,
    { data, headers }: Message,
  ): Promise<Reply> {
    const { positionCount, router } = this.parts;
    const request: Request =
      key === undefined
        ? parseKeylessRequest(verb, data, headers, positionCount)
        : parseSubjectRequest(verb, key, data, headers, positionCount);
    const result = await router.route(request);
    if (result.kind === "refused") throw result.error;
    const accept = request.kind === "get" ? request.accept : undefined;
    const returnPrevious = request.kind === "write" && request.operation.returnPrevious;
    return subjectReply(verb, result, { accept, returnPrevious });
  }

  async #answerMany(verb: MultiKeyVerb, { data, headers }: Message): Promise<Reply> {
    const { finder, batches, status } = this.parts;
    if (verb === "batch") return batches.run(data, headers);
    const level = readQueryLevel(verb, headers);
    switch (verb) {
      case "find":
        return jsonReply(await finder.find(data, level));
      case "count":
        return jsonReply(await finder.count(data, level));
      case "keys":
        return jsonReply(await finder.keys(data, level));
      case "ring":
        return jsonReply(status.ring());
      case "status":
        return jsonReply(await status.status());
      case "info":
        return jsonReply(status.info());
      case "distinct":
      case "aggregate":
      case "explain":
        throw new KvError("unsupported", `${verb} is not built yet`, { verb });
    }
  }
}

const encoder = new TextEncoder();

function jsonReply(body: string): Reply {
  return { headers: [], body: encoder.encode(body) };
}
