/**
 * PullConsumer: reads a JetStream stream in order, by pulls that are limited in bytes. The logs of
 * shards and the client's watches are read with it.
 *
 * An ephemeral consumer without acknowledgements, kept in the server's memory. It is thrown away
 * and made again, after the last message handed over, whenever it may have changed: after a
 * reconnect, when the server says so or falls silent, and when its own numbering shows that
 * messages were lost. Each time the reader first gets `resumed`. (nats.js's ordered consumer
 * refills by what has arrived and not by what was read, and lets the promises of its resets float.)
 *
 * Pulls ask by bytes because a pull by count, catching up on large entries, ended in a disconnect
 * as a slow consumer, for good. One pull is open at a time; the next one is sent when the reader
 * asks for more than is here. So no more than one pull brings is ever on its way or waiting.
 *
 * States
 *   none      there is no consumer, or it is not to be trusted; next() makes one as soon as the
 *             connection stands
 *   creating  asking for one, again and again until there is one or stop()
 *   ready     there is one; `pull` tells whether a pull is open
 *   stopped   for good: by stop(), or the connection was closed
 *
 * Invariants
 *   1. Of one consumer no message is left out: they are handed over by its numbering, without gaps.
 *   2. After a consumer was made, `resumed` is handed over before any of its messages.
 *   3. A consumer that is made again starts after the last message handed over.
 */
import { AckPolicy, nanos, ReplayPolicy, type ConsumerConfig } from "nats";
import { assert } from "../../protocol/assert.js";
import type { Subscription } from "../bus.js";
import type { Clock, Timer } from "../clock.js";
import { parseAckSubject, type Place } from "./ack-subject.js";
import type { NatsBus } from "./nats-bus.js";
import type { NatsMessage } from "./nats-message.js";

/** A pull that found nothing ends after this, and is sent again if the reader still waits. */
const PULL_EXPIRES_MS = 30_000;

/** What the reader is given of a message. */
export interface Taken {
  readonly sequence: number;
}

export type PullDelivery<Item> =
  | { readonly kind: "messages"; readonly messages: readonly Item[] }
  /** The connection returned or the consumer was made again. */
  | { readonly kind: "resumed" };

export interface PullConsumerOptions<Item extends Taken> {
  readonly bus: Pick<NatsBus, "newInbox" | "onStatus" | "publish" | "status" | "subscribe">;
  /** Subjects of JetStream's requests begin with it; default `$JS.API`. */
  readonly api?: string;
  readonly stream: string;
  /** Asks JetStream for the consumer. Called again after a while if it rejects. */
  readonly create: (
    config: Partial<ConsumerConfig> & { readonly name: string },
  ) => Promise<unknown>;
  /** Where the consumer starts; `after` = the last sequence handed over, 0 = none was. */
  readonly start: (after: number) => Partial<ConsumerConfig>;
  /**
   * Makes what is handed over; undefined = nothing is. `after` = the last sequence taken before.
   * JetStream starts at another sequence than asked for where the stream has none such.
   */
  readonly take: (message: NatsMessage, place: Place, after: number) => Item | undefined;
  /** What one pull brings at the most. */
  readonly pullBytes: number;
  readonly pullCount: number;
  readonly clock: Clock;
  /** The server speaks at least this often while a pull is open; 2.5 of it in silence is a loss. */
  readonly heartbeatMs: number;
  /** The server deletes a consumer that nobody has pulled from for so long. */
  readonly inactiveMs: number;
  /** The wait before a consumer is made again; `count` = attempts since all was well, 1 or more. */
  readonly pauseMs: (count: number) => number;
  /** Why a consumer was given up or could not be made. For logging only. */
  readonly warn?: ((description: string, cause?: unknown) => void) | undefined;
}

type State = "none" | "creating" | "ready" | "stopped";

export class PullConsumer<Item extends Taken> {
  readonly #options: PullConsumerOptions<Item>;
  readonly #api: string;
  readonly #unlisten: () => void;
  #state: State = "none";
  /** Counts what makes a consumer obsolete, so that one created meanwhile is not taken. */
  #generation = 0;
  #name = "";
  #inbox = "";
  #subscription: Subscription | undefined;
  #resumedDue = false;
  /** Of the last message handed over; 0 = none was. */
  #sequenceLast = 0;
  /** Messages of this consumer so far, as the server numbers them. */
  #deliveredCount = 0;
  /** `number` is the last token of its reply subject, so that a late word about another is told. */
  #pull: { readonly number: number; bytesLeft: number; received: number } | undefined;
  #pullNumberLast = 0;
  #ready: Item[] = [];
  #waiter: ((delivery: PullDelivery<Item> | undefined) => void) | undefined;
  #handOverDue = false;
  #heardAtMs = 0;
  #silenceTimer: Timer | undefined;
  #failedCount = 0;
  #retryTimer: Timer | undefined;

  constructor(options: PullConsumerOptions<Item>) {
    this.#options = options;
    this.#api = options.api ?? "$JS.API";
    this.#unlisten = options.bus.onStatus((status) => {
      if (status === "disconnected") this.#giveUp("the connection went");
      else if (status === "connected") this.#advance();
      else this.stop();
    });
    if (options.bus.status === "closed") this.stop();
  }

  /** What comes next, `resumed` first of all; undefined after stop(). */
  next(): Promise<PullDelivery<Item> | undefined> {
    assert(this.#waiter === undefined, "a consumer has one reader, which waits for each next()");
    return new Promise((resolve) => {
      this.#waiter = resolve;
      this.#advance();
    });
  }

  stop(): void {
    if (this.#state === "stopped") return;
    this.#discard();
    this.#state = "stopped";
    this.#unlisten();
    this.#advance();
  }

  /** Does what brings the reader's next delivery nearer. */
  #advance(): void {
    if (this.#waiter === undefined) return;
    if (this.#state === "stopped") this.#resolve(undefined);
    else if (this.#state === "none") {
      // What is asked while the connection is down may be lost with it.
      if (this.#options.bus.status === "connected") this.#createSoon();
    } else if (this.#state === "creating") return;
    else if (this.#resumedDue) {
      this.#resumedDue = false;
      this.#resolve({ kind: "resumed" });
    } else if (this.#ready.length > 0) {
      const messages = this.#ready;
      this.#ready = [];
      this.#failedCount = 0;
      this.#sequenceLast = messages.at(-1)?.sequence ?? this.#sequenceLast;
      this.#resolve({ kind: "messages", messages });
    } else if (this.#pull === undefined) this.#sendPull();
  }

  #resolve(delivery: PullDelivery<Item> | undefined): void {
    const resolve = this.#waiter;
    this.#waiter = undefined;
    resolve?.(delivery);
  }

  #createSoon(): void {
    this.#state = "creating";
    const pauseMs = this.#failedCount === 0 ? 0 : this.#options.pauseMs(this.#failedCount);
    this.#retryTimer = this.#options.clock.after(pauseMs, () => void this.#create());
    this.#failedCount += 1;
  }

  async #create(): Promise<void> {
    const { bus, create } = this.#options;
    const generation = ++this.#generation;
    this.#inbox = bus.newInbox();
    // An inbox's last token is as unlikely to repeat as a consumer's name must be.
    this.#name = this.#inbox.slice(this.#inbox.lastIndexOf(".") + 1);
    this.#deliveredCount = 0;
    try {
      const subscription = bus.subscribe(`${this.#inbox}.*`, undefined, (message) => {
        if (generation === this.#generation) this.#onMessage(message);
      });
      this.#subscription = subscription;
      await create(this.#config());
    } catch (error) {
      if (generation === this.#generation) this.#giveUp("no consumer could be made", error);
      return;
    }
    if (generation !== this.#generation) return;
    this.#state = "ready";
    this.#resumedDue = true;
    this.#advance();
  }

  #config(): Partial<ConsumerConfig> & { readonly name: string } {
    return {
      name: this.#name,
      ...this.#options.start(this.#sequenceLast),
      ack_policy: AckPolicy.None,
      replay_policy: ReplayPolicy.Instant,
      inactive_threshold: nanos(this.#options.inactiveMs),
      num_replicas: 1,
      mem_storage: true,
    };
  }

  #sendPull(): void {
    const { bus, stream, pullBytes, pullCount, heartbeatMs, clock } = this.#options;
    const number = ++this.#pullNumberLast;
    this.#pull = { number, bytesLeft: pullBytes, received: 0 };
    const request = {
      batch: pullCount,
      max_bytes: pullBytes,
      expires: nanos(PULL_EXPIRES_MS),
      idle_heartbeat: nanos(heartbeatMs),
    };
    const subject = `${this.#api}.CONSUMER.MSG.NEXT.${stream}.${this.#name}`;
    const reply = `${this.#inbox}.${number}`;
    bus.publish(subject, Buffer.from(JSON.stringify(request)), { reply });
    this.#heardAtMs = clock.elapsedMs();
    this.#watchSilence();
  }

  /** Gives the consumer up if a pull is open and nothing was heard for 2.5 heartbeats. */
  #watchSilence(): void {
    const { clock, heartbeatMs } = this.#options;
    this.#silenceTimer?.cancel();
    this.#silenceTimer = clock.after(heartbeatMs, () => {
      if (this.#pull === undefined) return;
      const silentMs = clock.elapsedMs() - this.#heardAtMs;
      if (silentMs > heartbeatMs * 2.5) {
        this.#giveUp(`nothing heard for ${Math.round(silentMs)} ms`);
      } else this.#watchSilence();
    });
  }

  #onMessage(message: NatsMessage): void {
    this.#heardAtMs = this.#options.clock.elapsedMs();
    // What tells the server's own words from messages is the place: a message may have been
    // published with a status, as if it were such a word.
    const place = parseAckSubject(message.reply ?? "");
    if (place === undefined) return this.#onStatus(message.status, message);
    if (place.delivered !== this.#deliveredCount + 1) {
      const description = `message ${place.delivered} followed ${this.#deliveredCount}`;
      return this.#giveUp(description);
    }
    this.#deliveredCount = place.delivered;
    const after = this.#ready.at(-1)?.sequence ?? this.#sequenceLast;
    const item = this.#options.take(message, place, after);
    if (item !== undefined) {
      this.#ready.push(item);
      this.#handOverSoon();
    }
    this.#count(message.size);
  }

  #count(bytes: number): void {
    const pull = this.#pull;
    if (pull === undefined) return;
    pull.bytesLeft -= bytes;
    pull.received += 1;
    // A pull that is used up to the byte ends without a word from the server.
    if (pull.bytesLeft <= 0 || pull.received >= this.#options.pullCount) this.#endPull();
  }

  /** A delivery holds what one read of the socket brought, rather than one message. */
  #handOverSoon(): void {
    if (this.#handOverDue || this.#waiter === undefined) return;
    this.#handOverDue = true;
    queueMicrotask(() => {
      this.#handOverDue = false;
      this.#advance();
    });
  }

  #onStatus(status: number, message: NatsMessage): void {
    // Neither: another program has sent it here.
    if (status === 0) return;
    if (status === 100) {
      this.#failedCount = 0;
      // A heartbeat tells how many messages the server believes to have sent.
      const delivered = Number(message.headers?.get("nats-last-consumer")?.[0] ?? 0);
      if (delivered > this.#deliveredCount) this.#giveUp("a heartbeat shows lost messages");
      return;
    }
    const pull = this.#pull;
    if (message.subjectNumber(this.#inbox.length + 1) !== pull?.number) return;
    const description = message.statusDescription;
    const usedUp = description.startsWith("Message Size Exceeds") && pull.received > 0;
    const ended =
      status === 408 || (status === 409 && (usedUp || description === "Batch Completed"));
    if (ended) this.#endPull();
    else this.#giveUp(`the server says ${status} ${description}`);
  }

  #endPull(): void {
    this.#pull = undefined;
    this.#silenceTimer?.cancel();
    // Not at once: what is here is handed over first, and asking before that would hold more.
    if (this.#ready.length === 0) this.#advance();
  }

  #giveUp(description: string, cause?: unknown): void {
    if (this.#state === "none" || this.#state === "stopped") return;
    this.#options.warn?.(`consumer of ${this.#options.stream}: ${description}`, cause);
    this.#discard();
    this.#advance();
  }

  /** To state `none`. What was received but not handed over is read again, after `resumed`. */
  #discard(): void {
    const { bus, stream } = this.#options;
    this.#generation += 1;
    this.#retryTimer?.cancel();
    this.#silenceTimer?.cancel();
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    this.#pull = undefined;
    this.#ready = [];
    this.#resumedDue = false;
    this.#state = "none";
    // The server would delete it in time; nobody waits for the answer.
    if (this.#name === "" || bus.status !== "connected") return;
    bus.publish(`${this.#api}.CONSUMER.DELETE.${stream}.${this.#name}`, new Uint8Array());
    this.#name = "";
  }
}
