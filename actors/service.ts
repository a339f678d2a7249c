/**
 * Service: answers NATS's micro protocol ($SRV.PING, INFO, STATS) for one actor.
 *
 * Tools use it to list services and to show per verb how many requests came, how many failed and
 * how long they took. We have our own responder because our endpoints are verbs, not
 * subscriptions: a replica has hundreds of subscriptions for six verbs.
 */
import type { Bus, Message, Subscription } from "../infra/bus.js";
import type { Clock } from "../infra/clock.js";
import { assert } from "../protocol/assert.js";
import type { KvError } from "../protocol/errors.js";
import type { Reply } from "../protocol/reply/result.js";
import type { Answers } from "./answer.js";

/** The figures of one verb in STATS. */
interface Figures {
  requests: number;
  errors: number;
  /** Begun and not ended. */
  underWay: number;
  /** The times of all ends less those of all begins; so nothing is kept for each request. */
  balanceMs: number;
  errorLast: KvError | undefined;
}

/** Counts by verb, since the actor started. Cost of a request: two looks at the clock. */
export class ServiceCounters {
  readonly #figures = new Map<string, Figures>();

  constructor(
    private readonly verbs: readonly string[],
    private readonly clock: Clock,
  ) {
    for (const verb of verbs) {
      const figures = { requests: 0, errors: 0, underWay: 0, balanceMs: 0, errorLast: undefined };
      this.#figures.set(verb, figures);
    }
  }

  /** A verb that the service does not have is counted under no name. */
  begin(verb: string): void {
    const figures = this.#figures.get(verb);
    if (figures === undefined) return;
    figures.underWay += 1;
    figures.balanceMs -= this.clock.elapsedMs();
  }

  /** Once for each `begin`. */
  end(verb: string, error?: KvError): void {
    const figures = this.#figures.get(verb);
    if (figures === undefined) return;
    figures.requests += 1;
    figures.underWay -= 1;
    figures.balanceMs += this.clock.elapsedMs();
    if (error === undefined) return;
    figures.errors += 1;
    figures.errorLast = error;
  }

  /** Requests answered, and the time spent; open requests count with their time so far. */
  entries(): { verb: string; requests: number; errors: number; ms: number; errorLast: string }[] {
    const nowMs = this.clock.elapsedMs();
    return this.verbs.map((verb) => {
      const figures = this.#figures.get(verb);
      assert(figures !== undefined, "the constructor made figures for each verb");
      const { requests, errors, underWay, balanceMs, errorLast } = figures;
      const ms = Math.max(0, balanceMs + underWay * nowMs);
      const text = errorLast === undefined ? "" : `${errorLast.code}:${errorLast.message}`;
      return { verb, requests, errors, ms, errorLast: text };
    });
  }
}

export interface ServiceDescription {
  /** [A-Za-z0-9_-]+ */
  readonly name: string;
  /** Unique among all instances. */
  readonly id: string;
  readonly version: string;
  readonly description: string;
  /** RFC 3339. */
  readonly started: string;
  readonly queue: string;
  /** The subject of a verb's endpoint, as people should read it. */
  readonly subjectOf: (verb: string) => string;
  readonly metadata: Readonly<Record<string, string>>;
}

const encoder = new TextEncoder();

/** For a server that takes messages of a few kilobytes only; it is refused at a node's start. */
function tooLarge(error: KvError): Reply {
  return { headers: [], body: encoder.encode(JSON.stringify({ error: error.toBody() })) };
}

export class Service {
  #subscriptions: Subscription[] = [];

  constructor(
    private readonly bus: Bus,
    private readonly description: ServiceDescription,
    private readonly counters: ServiceCounters,
    private readonly answers: Answers,
  ) {}

  start(): void {
    const { name, id } = this.description;
    const bodies = {
      PING: () => this.#ping(),
      INFO: () => this.#info(),
      STATS: () => this.#stats(),
    };
    for (const [verb, body] of Object.entries(bodies)) {
      for (const subject of [
        `$SRV.${verb}`,
        `$SRV.${verb}.${name}`,
        `$SRV.${verb}.${name}.${id}`,
      ]) {
        const answer = (message: Message): void => {
          if (message.reply === undefined) return;
          const reply = encoder.encode(JSON.stringify(body()));
          this.answers.send(message, { headers: [], body: reply }, tooLarge);
        };
        this.#subscriptions.push(this.bus.subscribe(subject, undefined, answer));
      }
    }
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#subscriptions = [];
  }

  #head(): object {
    const { name, id, version, metadata } = this.description;
    return { name, id, version, metadata };
  }

  #ping(): object {
    return { type: "io.nats.micro.v1.ping_response", ...this.#head() };
  }

  #info(): object {
    const { description, queue, subjectOf } = this.description;
    const endpoints = this.counters.entries().map(({ verb }) => {
      return { name: verb, subject: subjectOf(verb), queue_group: queue, metadata: {} };
    });
    return { type: "io.nats.micro.v1.info_response", ...this.#head(), description, endpoints };
  }

  #stats(): object {
    const { started, queue, subjectOf } = this.description;
    const endpoints = this.counters.entries().map(({ verb, requests, errors, ms, errorLast }) => {
      // In nanoseconds.
      const processing = Math.round(ms * 1e6);
      return {
        name: verb,
        subject: subjectOf(verb),
        queue_group: queue,
        num_requests: requests,
        num_errors: errors,
        last_error: errorLast,
        processing_time: processing,
        average_processing_time: requests === 0 ? 0 : Math.round(processing / requests),
      };
    });
    return { type: "io.nats.micro.v1.stats_response", ...this.#head(), started, endpoints };
  }
}
