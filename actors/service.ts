/**
 * Service: answers NATS's micro protocol ($SRV.PING, INFO, STATS) for one actor.
 *
 * Tools list services by it and show per verb how many requests came, how many failed and how long
 * they took. It is our own responder because the endpoints are verbs and not subscriptions: a
 * replica has hundreds of subscriptions for six verbs.
 */
import type { Bus, Message, Subscription } from "../infra/bus.js";
import type { KvError } from "../protocol/errors.js";

interface Figures {
  requests: number;
  errors: number;
  elapsedMs: number;
  lastError: string;
}

/** Counts by verb, since the actor started. */
export class ServiceCounters {
  readonly #figures = new Map<string, Figures>();

  constructor(private readonly verbs: readonly string[]) {
    for (const verb of verbs) {
      this.#figures.set(verb, { requests: 0, errors: 0, elapsedMs: 0, lastError: "" });
    }
  }

  /** A verb that is none of the service's is counted under no name. */
  count(verb: string, elapsedMs: number, error?: KvError): void {
    const figures = this.#figures.get(verb);
    if (figures === undefined) return;
    figures.requests += 1;
    figures.elapsedMs += elapsedMs;
    if (error === undefined) return;
    figures.errors += 1;
    figures.lastError = `${error.code}:${error.message}`;
  }

  entries(): [verb: string, figures: Figures][] {
    return this.verbs.map((verb) => [verb, this.#figures.get(verb) as Figures]);
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

export class Service {
  #subscriptions: Subscription[] = [];

  constructor(
    private readonly bus: Bus,
    private readonly description: ServiceDescription,
    private readonly counters: ServiceCounters,
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
        const answer = ({ reply }: Message): void => {
          if (reply !== undefined) this.bus.publish(reply, encoder.encode(JSON.stringify(body())));
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
    const endpoints = this.counters.entries().map(([verb]) => {
      return { name: verb, subject: subjectOf(verb), queue_group: queue, metadata: {} };
    });
    return { type: "io.nats.micro.v1.info_response", ...this.#head(), description, endpoints };
  }

  #stats(): object {
    const { started, queue, subjectOf } = this.description;
    const endpoints = this.counters.entries().map(([verb, figures]) => {
      const processing = Math.round(figures.elapsedMs * 1e6);
      return {
        name: verb,
        subject: subjectOf(verb),
        queue_group: queue,
        num_requests: figures.requests,
        num_errors: figures.errors,
        last_error: figures.lastError,
        processing_time: processing,
        average_processing_time:
          figures.requests === 0 ? 0 : Math.round(processing / figures.requests),
      };
    });
    return { type: "io.nats.micro.v1.stats_response", ...this.#head(), started, endpoints };
  }
}
