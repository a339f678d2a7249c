/**
 * Event feed: the messages of the events stream in order, from a place on, for as long as wanted.
 *
 * nats/pull-consumer.ts reads the stream: nothing more is asked for until what came is used up, so
 * a slow reader costs neither memory nor its connection. This file says where the feed starts, and
 * which failures end it.
 *
 * Invariants
 *   1. Messages come in the order of the stream, none twice, and none is left out.
 *   2. At most BATCH_MESSAGES and BATCH_BYTES wait to be handed over.
 */
import {
  DeliverPolicy,
  NatsError,
  type ConsumerConfig,
  type JetStreamManager,
  type NatsConnection,
} from "nats";
import { KvError } from "../../protocol/errors.js";
import type { Clock } from "../clock.js";
import { deniedError } from "../nats/connection-status.js";
import type { NatsBus } from "../nats/nats-bus.js";
import type { NatsMessage } from "../nats/nats-message.js";
import { PullConsumer, type Taken } from "../nats/pull-consumer.js";

export const BATCH_MESSAGES = 256;
const BATCH_BYTES = 4 * 1_024 * 1_024;
const HEARTBEAT_MS = 1_000;
/** The server forgets the consumer of a client that went away after this. */
const INACTIVE_MS = 60_000;

export type FeedStart =
  | { readonly kind: "sequence"; readonly sequence: number }
  | { readonly kind: "time"; readonly time: Date };

export interface FeedParts {
  readonly bus: NatsBus;
  /** Where JetStream's API is; undefined = `$JS.API`, else `$JS.<domain>.API`. */
  readonly domain: string | undefined;
  readonly clock: Clock;
  readonly stream: string;
  readonly filters: readonly string[];
  /** Ends the feed. */
  readonly signal: AbortSignal;
  /** As in PullConsumerOptions. */
  readonly pauseMs: (count: number) => number;
}

interface Event extends Taken {
  readonly message: NatsMessage;
}

export class EventFeed {
  #wasMade = false;
  /** Why no consumer can be had; set once, and then the feed ends with it. */
  #refusal: KvError | undefined;

  constructor(
    private readonly parts: FeedParts,
    private readonly start: FeedStart,
  ) {}

  /**
   * Ends when the signal fires. Throws KvError `unavailable` if there never was such a stream, or
   * if another part of the program closes the connection.
   */
  async *messages(): AsyncGenerator<NatsMessage, void, undefined> {
    const { signal, bus, stream } = this.parts;
    if (signal.aborted) return;
    if (bus.connection.isClosed()) throw noStream(stream, "the connection is closed");
    const consumer = this.#consumer();
    const stop = (): void => consumer.stop();
    signal.addEventListener("abort", stop, { once: true });
    try {
      let delivery = await consumer.next();
      for (; delivery !== undefined; delivery = await consumer.next()) {
        if (delivery.kind === "resumed") continue;
        for (const { message } of delivery.messages) {
          if (isAborted(signal)) return;
          yield message;
        }
      }
    } finally {
      signal.removeEventListener("abort", stop);
      stop();
    }
    if (!isAborted(signal)) throw this.#refusal ?? noStream(stream, "the connection is closed");
  }

  #consumer(): PullConsumer<Event> {
    const { bus, domain, clock, stream, pauseMs } = this.parts;
    const consumer = new PullConsumer<Event>({
      bus,
      ...(domain === undefined ? {} : { api: `$JS.${domain}.API` }),
      stream,
      create: async (config) => {
        try {
          await this.#make(config);
        } catch (error) {
          this.#refusal = this.#refusalOf(error);
          if (this.#refusal !== undefined) consumer.stop();
          throw error;
        }
      },
      start: (after) => this.#startConfig(after),
      take: (message, { sequence }) => ({ sequence, message }),
      pullBytes: BATCH_BYTES,
      pullCount: BATCH_MESSAGES,
      clock,
      heartbeatMs: HEARTBEAT_MS,
      inactiveMs: INACTIVE_MS,
      pauseMs,
    });
    return consumer;
  }

  async #make(config: Partial<ConsumerConfig>): Promise<void> {
    const { bus, domain, stream, filters } = this.parts;
    const manager = await managerOf(bus.connection, domain);
    await manager.consumers.add(stream, { ...config, filter_subjects: [...filters] });
    this.#wasMade = true;
  }

  /** Undefined = another try may go better. */
  #refusalOf(error: unknown): KvError | undefined {
    const denied = deniedIn(error);
    if (denied !== undefined) return denied;
    if (this.#wasMade || !isMissing(error)) return undefined;
    return noStream(this.parts.stream, error);
  }

  #startConfig(after: number): Partial<ConsumerConfig> {
    const { start } = this;
    if (after === 0 && start.kind === "time") {
      const opt_start_time = start.time.toISOString();
      return { deliver_policy: DeliverPolicy.StartTime, opt_start_time };
    }
    const first = start.kind === "sequence" ? start.sequence : 1;
    const opt_start_seq = after === 0 ? first : after + 1;
    return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq };
  }
}

/** A function: the compiler does not expect a signal to fire while a generator waits. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

/** Sequence of the stream's last message, 0 if it has none. `unavailable` if there is no stream. */
export async function streamEnd(
  { bus, domain }: Pick<FeedParts, "bus" | "domain">,
  stream: string,
): Promise<number> {
  try {
    const manager = await managerOf(bus.connection, domain);
    return (await manager.streams.info(stream)).state.last_seq;
  } catch (error) {
    throw deniedIn(error) ?? noStream(stream, error);
  }
}

function managerOf(
  connection: NatsConnection,
  domain: string | undefined,
): Promise<JetStreamManager> {
  const where = domain === undefined ? {} : { domain };
  return connection.jetstreamManager({ checkAPI: false, ...where });
}

/** To try again is no use then. */
function deniedIn(error: unknown): KvError | undefined {
  if (!(error instanceof NatsError) || !error.isPermissionError()) return undefined;
  const subject = error.permissionContext?.subject ?? "JetStream's API";
  return deniedError({ operation: "publish", subject });
}

function isMissing(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.err_code === 10_059;
}

function noStream(stream: string, cause: unknown): KvError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const description = `cannot watch: the events stream ${stream} cannot be read (${why})`;
  return new KvError("unavailable", description, { stream }, { cause });
}
