/**
 * EventStreamWriter: publishes to the events stream without waiting for each acknowledgement.
 *
 * All acknowledgements come to one inbox, the message's number as the last token. The first thing
 * that goes wrong is the end of this writer: nothing is published after it, since that would stand
 * in the stream without what was lost before. So a connection that comes back does not revive it.
 */
import { KvError } from "../../protocol/errors.js";
import type { Sequence } from "../../protocol/ids.js";
import { ATTEMPT_TIMEOUT_MS } from "../../protocol/limits.js";
import type { HeaderList, Message, Subscription } from "../bus.js";
import type { Clock, Timer } from "../clock.js";
import {
  EVENTS_OUTSTANDING_BYTES_MAX,
  EVENTS_OUTSTANDING_MAX,
  type EventWriter,
  type Fence,
  type OutgoingEvent,
} from "../events.js";
import type { NatsBus } from "../nats/nats-bus.js";
import { errorIn, isOutdated, numberIn, parseJson, type JetstreamError } from "./jetstream-api.js";

/** Of a message: headers and subject, for the window. */
const OVERHEAD_BYTES = 512;

interface Outstanding {
  readonly bytes: number;
  readonly sentAtMs: number;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class EventStreamWriter implements EventWriter {
  readonly #prefix: string;
  readonly #subscription: Subscription;
  readonly #unlisten: () => void;
  /** By number, in the order of publishing. */
  readonly #outstanding = new Map<number, Outstanding>();
  #outstandingBytes = 0;
  #numberLast = 0;
  #sequenceLast = 0 as Sequence;
  #readyWaiter: Waiter | undefined;
  #flushWaiter: Waiter | undefined;
  #timer: Timer | undefined;
  #failure: KvError | undefined;

  constructor(
    private readonly bus: NatsBus,
    private readonly clock: Clock,
    private readonly stream: string,
  ) {
    this.#prefix = `${bus.newInbox()}.`;
    this.#subscription = bus.subscribe(`${this.#prefix}*`, undefined, (message) => {
      if (this.#failure === undefined) this.#onAnswer(message);
    });
    this.#unlisten = bus.onStatus((status) => {
      this.#fail(new KvError("in-doubt", `the connection is ${status}`));
    });
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  get isFull(): boolean {
    return (
      this.#outstanding.size >= EVENTS_OUTSTANDING_MAX ||
      this.#outstandingBytes >= EVENTS_OUTSTANDING_BYTES_MAX
    );
  }

  publish({ subject, headers, data }: OutgoingEvent, fence: Fence): void {
    if (this.#failure !== undefined) return;
    const number = ++this.#numberLast;
    const bytes = data.length + OVERHEAD_BYTES;
    this.#outstanding.set(number, { bytes, sentAtMs: this.clock.elapsedMs() });
    this.#outstandingBytes += bytes;
    const fenced: HeaderList = [
      ...headers,
      ["Nats-Expected-Last-Subject-Sequence", String(fence.sequence)],
      ["Nats-Expected-Last-Subject-Sequence-Subject", fence.subject],
    ];
    try {
      this.bus.publish(subject, data, { reply: this.#prefix + number, headers: fenced });
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      this.#fail(error);
    }
    if (this.#timer === undefined) this.#watch();
  }

  ready(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (!this.isFull) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#readyWaiter = { resolve, reject };
    });
  }

  async flushed(): Promise<Sequence> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#outstanding.size > 0) {
      await new Promise<void>((resolve, reject) => {
        this.#flushWaiter = { resolve, reject };
      });
    }
    return this.#sequenceLast;
  }

  close(): void {
    this.#fail(new KvError("unavailable", "the event writer is closed"));
  }

  #onAnswer(message: Message): void {
    const number = Number(message.subject.slice(this.#prefix.length));
    const sent = this.#outstanding.get(number);
    if (sent === undefined) return;
    try {
      const answer = parseJson(this.stream, message.data);
      const error = errorIn(this.stream, answer);
      // Another stream that captures our subjects answers too; ours is still to come.
      if (error === undefined && answer.stream !== this.stream) return;
      if (error !== undefined) return this.#fail(refusal(error));
      this.#sequenceLast = numberIn(answer, "seq") as Sequence;
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      return this.#fail(error);
    }
    this.#outstanding.delete(number);
    this.#outstandingBytes -= sent.bytes;
    this.#wake();
  }

  #wake(): void {
    const count = this.#outstanding.size;
    // At half, so that a full window is refilled by many messages and not by one.
    const hasRoom =
      count <= EVENTS_OUTSTANDING_MAX / 2 &&
      this.#outstandingBytes <= EVENTS_OUTSTANDING_BYTES_MAX / 2;
    if (hasRoom && this.#readyWaiter !== undefined) {
      this.#readyWaiter.resolve();
      this.#readyWaiter = undefined;
    }
    if (count === 0 && this.#flushWaiter !== undefined) {
      this.#flushWaiter.resolve();
      this.#flushWaiter = undefined;
    }
  }

  /** Answers come in order, more or less, so the oldest is the first to be missed. */
  #watch(): void {
    const [oldest] = this.#outstanding.values();
    this.#timer = undefined;
    if (oldest === undefined || this.#failure !== undefined) return;
    const leftMs = oldest.sentAtMs + ATTEMPT_TIMEOUT_MS - this.clock.elapsedMs();
    if (leftMs <= 0) this.#fail(new KvError("in-doubt", `${this.stream} did not answer in time`));
    else this.#timer = this.clock.after(leftMs, () => this.#watch());
  }

  #fail(error: KvError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#timer?.cancel();
    this.#subscription.unsubscribe();
    this.#unlisten();
    this.#outstanding.clear();
    this.#readyWaiter?.reject(error);
    this.#flushWaiter?.reject(error);
  }
}

function refusal(cause: JetstreamError): KvError {
  const kind = isOutdated(cause) ? "conflict" : "unavailable";
  return new KvError(kind, cause.message, {}, { cause });
}
