/**
 * EventStream: the events of a store as a JetStream stream.
 *
 * The stream is derived data: what it loses can be told again from the logs. So on a single server
 * it is written asynchronously (`persist_mode: async`, nats-server 2.12), which gives 190–240 k
 * messages/s where a log that is flushed for each message gives 6 k. Replicated streams and older
 * servers do not offer it; there the stream is made without.
 *
 * Fences are JetStream's own `Nats-Expected-Last-Subject-Sequence`, looked at before a message is
 * stored.
 */
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import type { Sequence } from "../../protocol/ids.js";
import { ATTEMPT_TIMEOUT_MS } from "../../protocol/limits.js";
import type { Names } from "../../protocol/nats/subjects.js";
import type { Clock } from "../clock.js";
import type { Events, EventsState, EventWriter, StoredEvent } from "../events.js";
import type { NatsBus } from "../nats/nats-bus.js";
import { parseHeaders, type NatsMessage } from "../nats/nats-message.js";
import { EventStreamWriter } from "./event-stream-writer.js";
import {
  askJetstream,
  errorCodes,
  hasErrorCode,
  InsufficientStorage,
  JetstreamError,
  type JsonObject,
  objectIn,
  readMessage,
  streamStateIn,
} from "./jetstream-api.js";

/** JetStream's shortest window for its own duplicate detection, which is not used. */
const DUPLICATE_WINDOW_NS = 100_000_000;
/** Asked for less than this, a server without room is told of. */
const BYTES_MIN = 1_024 * 1_024;
/** What one request of read() brings at most; one message more is let through. */
const READ_COUNT = 1_000;
const READ_BYTES = 4 * 1_024 * 1_024;

export interface EventStreamOptions {
  readonly names: Names;
  readonly bus: NatsBus;
  readonly clock: Clock;
  /** Reserved by JetStream at once; halved until it fits. */
  readonly bytesMax: number;
  /** Copies of the stream in a NATS cluster; 1 on a single server. */
  readonly replicas: number;
  /** Told of what is not as asked for. */
  readonly warn?: (description: string, cause?: unknown) => void;
}

export class EventStream implements Events {
  readonly #options: EventStreamOptions;
  readonly #stream: string;

  constructor(options: EventStreamOptions) {
    this.#options = options;
    this.#stream = options.names.eventsStream;
  }

  async open(): Promise<{ isDurable: boolean }> {
    let config: JsonObject;
    try {
      config = await this.#create();
    } catch (error) {
      throw unavailable(`the stream ${this.#stream} cannot be made`, error);
    }
    return { isDurable: config.persist_mode !== "async" };
  }

  /** The configuration as the server has it. */
  async #create(): Promise<JsonObject> {
    const { replicas, warn } = this.#options;
    let { bytesMax } = this.#options;
    let isAsync = replicas === 1;
    for (;;) {
      try {
        const config = this.#config(bytesMax, isAsync);
        const answer = await askJetstream(
          this.#options.bus,
          `STREAM.CREATE.${this.#stream}`,
          config,
        );
        return objectIn(answer, "config");
      } catch (error) {
        if (!(error instanceof JetstreamError)) throw error;
        if (hasErrorCode(error, errorCodes.streamNameInUse)) return this.#existing();
        if (error instanceof InsufficientStorage && bytesMax / 2 >= BYTES_MIN) {
          bytesMax = Math.floor(bytesMax / 2);
          warn?.(`no room for the events stream, trying ${bytesMax} bytes`, error);
        } else if (isAsync && !(error instanceof InsufficientStorage)) {
          isAsync = false;
          warn?.("the events stream cannot be written asynchronously here", error);
        } else throw error;
      }
    }
  }

  /** Another node has made it, or an earlier run with other settings. */
  async #existing(): Promise<JsonObject> {
    const answer = await askJetstream(this.#options.bus, `STREAM.INFO.${this.#stream}`);
    const config = objectIn(answer, "config");
    const subjects = Array.isArray(config.subjects) ? (config.subjects as unknown[]) : [];
    const missing = this.#subjects.filter((subject) => !subjects.includes(subject));
    if (missing.length === 0) return config;
    const text = `the stream ${this.#stream} is not ours, it lacks ${missing.join()}`;
    throw new KvError("unavailable", text);
  }

  get #subjects(): string[] {
    const { names } = this.#options;
    return [names.eventWildcard, names.relayMarkerWildcard];
  }

  #config(bytesMax: number, isAsync: boolean): JsonObject {
    return {
      name: this.#stream,
      subjects: this.#subjects,
      retention: "limits",
      discard: "old",
      storage: "file",
      num_replicas: this.#options.replicas,
      max_bytes: bytesMax,
      max_msgs: -1,
      max_msgs_per_subject: -1,
      max_consumers: -1,
      max_age: 0,
      max_msg_size: -1,
      duplicate_window: DUPLICATE_WINDOW_NS,
      allow_direct: true,
      allow_rollup_hdrs: false,
      deny_delete: true,
      deny_purge: false,
      ...(isAsync ? { persist_mode: "async" } : {}),
    };
  }

  writer(): EventWriter {
    const { bus, clock } = this.#options;
    return new EventStreamWriter(bus, clock, this.#stream);
  }

  async last(subject: string): Promise<StoredEvent | undefined> {
    const { bus } = this.#options;
    const which = { last_by_subj: subject };
    const message = await readMessage(bus, this.#stream, which).catch((error: unknown) => {
      throw unavailable(`the last message on ${subject} is not known`, error);
    });
    if (message === undefined) return undefined;
    const { sequence, data } = message;
    return { sequence, subject: message.subject, headers: parseHeaders(message.headers), data };
  }

  async state(): Promise<EventsState> {
    let answer: JsonObject;
    try {
      answer = await askJetstream(this.#options.bus, `STREAM.INFO.${this.#stream}`);
    } catch (error) {
      throw unavailable(`the stream ${this.#stream} does not answer`, error);
    }
    return streamStateIn(answer);
  }

  /** By direct gets, which any replica of the stream may answer: hence the message at `before`. */
  async *read(after: Sequence, before: Sequence): AsyncGenerator<readonly StoredEvent[]> {
    let next = after + 1;
    while (next < before) {
      const found = await this.#readSome(next);
      const last = found.at(-1);
      if (last === undefined) throw unavailable(`nothing from ${next} on in ${this.#stream}`);
      const wanted = found.filter(({ sequence }) => sequence < before);
      if (wanted.length > 0) yield wanted;
      next = last.sequence + 1;
    }
  }

  #readSome(first: number): Promise<StoredEvent[]> {
    const { bus, clock } = this.#options;
    const inbox = bus.newInbox();
    return new Promise((resolve, reject) => {
      const found: StoredEvent[] = [];
      const end = (error?: Error): void => {
        timer.cancel();
        unlisten();
        subscription.unsubscribe();
        if (error === undefined) resolve(found);
        else reject(error);
      };
      const subscription = bus.subscribe(inbox, undefined, (message) => {
        const { status } = message;
        // An event may have been published with a status of its own; what the server says itself
        // has no place in the stream.
        const event = storedEvent(message);
        if (event !== undefined) found.push(event);
        // 204 ends a batch, 404 says that there is nothing.
        else if (status === 204 || status === 404) end();
        else end(unavailable(`a read of ${this.#stream}: ${status} ${message.statusDescription}`));
      });
      const unlisten = bus.onStatus(() => end(unavailable("the connection went during a read")));
      const timer = clock.after(ATTEMPT_TIMEOUT_MS, () => {
        end(unavailable(`no answer to a read of ${this.#stream}`));
      });
      const request = { seq: first, batch: READ_COUNT, max_bytes: READ_BYTES };
      const body = Buffer.from(JSON.stringify(request));
      bus.publish(`$JS.API.DIRECT.GET.${this.#stream}`, body, { reply: inbox });
    });
  }
}

/** Undefined = it has no place. The server's own headers come last, whatever was published. */
function storedEvent({ headers, data }: NatsMessage): StoredEvent | undefined {
  const sequence = Number(headers?.get("nats-sequence")?.at(-1));
  if (!Number.isSafeInteger(sequence)) return undefined;
  const subject = headers?.get("nats-subject")?.at(-1);
  assert(subject !== undefined, "a direct get names its place");
  return { sequence: sequence as Sequence, subject, headers, data };
}

function unavailable(description: string, cause?: unknown): KvError {
  if (cause instanceof KvError) return cause;
  const text = cause instanceof Error ? `${description}: ${cause.message}` : description;
  return new KvError("unavailable", text, {}, cause === undefined ? undefined : { cause });
}
