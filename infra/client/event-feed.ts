/**
 * Event feed: the messages of the events stream in order, from a place on, for as long as wanted.
 *
 * An ephemeral JetStream consumer, pulled one bounded batch at a time: nothing more is asked for
 * until what came is used up, so a slow reader costs neither memory nor its connection. (nats.js's
 * ordered consumer refills by what has arrived and not by what was read, and lets the promises of
 * its resets float.) Whenever there is doubt, the consumer is made anew after the last sequence
 * that was handed over:
 *   - a delivery number is missing,
 *   - not even a heartbeat came for HEARTBEATS_MISSED_MAX of them,
 *   - the connection returned, or the server says that the consumer is gone.
 *
 * Invariants
 *   1. Sequences handed over only rise.
 *   2. At most BATCH_MESSAGES and BATCH_BYTES wait to be handed over.
 */
import {
  AckPolicy,
  createInbox,
  DeliverPolicy,
  JSONCodec,
  nanos,
  NatsError,
  type ConsumerConfig,
  type JetStreamManager,
  type Msg,
  type NatsConnection,
  type Subscription,
} from "nats";
import { KvError } from "../../protocol/errors.js";
import type { Clock, Timer } from "../clock.js";
import { deniedError } from "../nats/connection-status.js";
import { inboxPrefixIn } from "../nats/inbox.js";

export const BATCH_MESSAGES = 256;
const BATCH_BYTES = 4 * 1_024 * 1_024;
/** A pull stands this long if nothing comes. */
const PULL_EXPIRES_MS = 30_000;
const HEARTBEAT_MS = 1_000;
const HEARTBEATS_MISSED_MAX = 3;
/** The server forgets the consumer of a client that went away after this. */
const INACTIVE_MS = 60_000;

const pullCodec = JSONCodec<Readonly<Record<string, number>>>();

export type FeedStart =
  | { readonly kind: "sequence"; readonly sequence: number }
  | { readonly kind: "time"; readonly time: Date };

export interface FeedParts {
  readonly connection: NatsConnection;
  /** Where JetStream's API is; undefined = `$JS.API`, else `$JS.<domain>.API`. */
  readonly domain: string | undefined;
  readonly clock: Clock;
  readonly stream: string;
  readonly filters: readonly string[];
  /** Ends the feed. */
  readonly signal: AbortSignal;
  /** Between two tries to make a consumer; rejects once the signal fires. */
  readonly pause: (count: number) => Promise<void>;
  /** Calls the listener whenever the connection has returned. Returns its end. */
  readonly onReconnect: (listener: () => void) => () => void;
}

/** Undefined = the consumer must be made anew. */
type Next = Msg | undefined;

export class EventFeed {
  #sequenceLast = 0;

  constructor(
    private readonly parts: FeedParts,
    private readonly start: FeedStart,
  ) {}

  /**
   * Ends when the signal fires. Throws KvError `unavailable` if there never was such a stream, or
   * if somebody else closes the connection.
   */
  async *messages(): AsyncGenerator<Msg, void, undefined> {
    const { signal, connection } = this.parts;
    let failedCount = 0;
    let wasMade = false;
    while (!signal.aborted) {
      if (connection.isClosed()) throw noStream(this.parts.stream, "the connection is closed");
      const manager = await managerOf(connection, this.parts.domain);
      const name = await this.#make(manager).catch((error: unknown) => {
        throwIfDenied(error);
        if (!wasMade && isMissing(error)) throw noStream(this.parts.stream, error);
        return undefined;
      });
      if (name === undefined) {
        failedCount += 1;
        await this.parts.pause(failedCount).catch(() => undefined);
        continue;
      }
      wasMade = true;
      // Both may have come while the consumer was made; the next turn of the loop tells which.
      if (signal.aborted || connection.isClosed()) continue;
      const pull = new Pull(this.parts, name);
      try {
        for (let next = await pull.next(); next !== undefined; next = await pull.next()) {
          failedCount = 0;
          this.#sequenceLast = sequencesOf(next).stream;
          yield next;
        }
      } finally {
        pull.stop();
        // The server forgets it anyway, after INACTIVE_MS.
        manager.consumers.delete(this.parts.stream, name).catch(() => undefined);
      }
      failedCount += 1;
      if (!signal.aborted) await this.parts.pause(failedCount).catch(() => undefined);
    }
  }

  async #make(manager: JetStreamManager): Promise<string> {
    const { filters, stream } = this.parts;
    const config: Partial<ConsumerConfig> = {
      ...this.#startConfig(),
      ack_policy: AckPolicy.None,
      filter_subjects: [...filters],
      inactive_threshold: nanos(INACTIVE_MS),
      max_deliver: 1,
      mem_storage: true,
      num_replicas: 1,
    };
    return (await manager.consumers.add(stream, config)).name;
  }

  #startConfig(): Partial<ConsumerConfig> {
    const { start } = this;
    if (this.#sequenceLast === 0 && start.kind === "time") {
      const opt_start_time = start.time.toISOString();
      return { deliver_policy: DeliverPolicy.StartTime, opt_start_time };
    }
    const first = start.kind === "sequence" ? start.sequence : 1;
    const opt_start_seq = this.#sequenceLast === 0 ? first : this.#sequenceLast + 1;
    return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq };
  }
}

/** One consumer's deliveries. */
class Pull {
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #arrived: Msg[] = [];
  readonly #unlisten: () => void;
  readonly #end = (): void => this.#ended();
  #wake: (() => void) | undefined;
  #timer: Timer | undefined;
  /** Messages that the pull under way may still bring; 0 = none is under way. */
  #left = 0;
  #deliveredLast = 0;
  #isOver = false;

  constructor(
    private readonly parts: FeedParts,
    private readonly consumer: string,
  ) {
    const { connection, signal } = parts;
    this.#inbox = createInbox(inboxPrefixIn(connection));
    this.#subscription = connection.subscribe(this.#inbox, {
      callback: (error, message) => {
        if (error === null) this.#take(message);
        else this.#ended();
      },
    });
    this.#unlisten = parts.onReconnect(this.#end);
    signal.addEventListener("abort", this.#end, { once: true });
    if (signal.aborted) this.#ended();
  }

  async next(): Promise<Next> {
    for (;;) {
      if (this.parts.signal.aborted) return undefined;
      const message = this.#arrived.shift();
      if (message !== undefined) return this.#inSequence(message) ? message : undefined;
      if (this.#isOver) return undefined;
      if (this.#left === 0) this.#ask();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  stop(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#unlisten();
    this.parts.signal.removeEventListener("abort", this.#end);
    this.#subscription.unsubscribe();
  }

  #ask(): void {
    const { connection, stream, domain } = this.parts;
    if (connection.isClosed()) return this.#ended();
    this.#left = BATCH_MESSAGES;
    this.#watchHeartbeat();
    const pull = {
      batch: BATCH_MESSAGES,
      max_bytes: BATCH_BYTES,
      expires: nanos(PULL_EXPIRES_MS),
      idle_heartbeat: nanos(HEARTBEAT_MS),
    };
    const api = domain === undefined ? "$JS.API" : `$JS.${domain}.API`;
    const subject = `${api}.CONSUMER.MSG.NEXT.${stream}.${this.consumer}`;
    connection.publish(subject, pullCodec.encode(pull), { reply: this.#inbox });
  }

  #take(message: Msg): void {
    if (this.#isOver) return;
    if (message.subject === this.#inbox) return this.#control(message);
    this.#arrived.push(message);
    this.#left -= 1;
    if (this.#left === 0) this.#timer?.cancel();
    else this.#watchHeartbeat();
    this.#wake?.();
  }

  /** Messages of the server about the pull, told apart by their status. */
  #control(message: Msg): void {
    const code = message.headers?.code ?? 0;
    const text = message.headers?.description.toLowerCase() ?? "";
    if (code === 100) return this.#watchHeartbeat();
    const isEndOfPull = code === 404 || code === 408 || text.includes("batch completed");
    if (!isEndOfPull && !text.includes("exceeds maxbytes")) return this.#ended();
    this.#left = 0;
    this.#timer?.cancel();
    this.#wake?.();
  }

  #watchHeartbeat(): void {
    this.#timer?.cancel();
    this.#timer = this.parts.clock.after(HEARTBEAT_MS * HEARTBEATS_MISSED_MAX, this.#end);
  }

  #ended(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#wake?.();
  }

  #inSequence(message: Msg): boolean {
    const { delivered } = sequencesOf(message);
    if (delivered !== this.#deliveredLast + 1) return false;
    this.#deliveredLast = delivered;
    return true;
  }
}

/**
 * From the reply subject of a delivery, with or without domain and account in front:
 * `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<times>.<stream sequence>.<delivered>.…`
 */
export function sequencesOf(message: Msg): { readonly stream: number; readonly delivered: number } {
  const tokens = message.reply?.split(".") ?? [];
  const start = tokens.length > 9 ? 7 : 5;
  return { stream: Number(tokens[start]), delivered: Number(tokens[start + 1]) };
}

/** Sequence of the stream's last message, 0 if it has none. `unavailable` if there is no stream. */
export async function streamEnd(
  { connection, domain }: Pick<FeedParts, "connection" | "domain">,
  stream: string,
): Promise<number> {
  try {
    const manager = await managerOf(connection, domain);
    return (await manager.streams.info(stream)).state.last_seq;
  } catch (error) {
    throwIfDenied(error);
    throw noStream(stream, error);
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
function throwIfDenied(error: unknown): void {
  if (!(error instanceof NatsError) || !error.isPermissionError()) return;
  const subject = error.permissionContext?.subject ?? "JetStream's API";
  throw deniedError({ operation: "publish", subject });
}

function isMissing(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.err_code === 10_059;
}

function noStream(stream: string, cause: unknown): KvError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const description = `cannot watch: the events stream ${stream} cannot be read (${why})`;
  return new KvError("unavailable", description, { stream }, { cause });
}
