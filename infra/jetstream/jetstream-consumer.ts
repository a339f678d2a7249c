/**
 * JetStream consumer: reads a stream in order, by pulls that are limited in bytes.
 *
 * An ephemeral consumer without acknowledgements, kept in the server's memory. It is thrown away
 * and made anew, after the last message handed over, whenever it may not be what it was: after a
 * reconnect, when the server says so or falls silent, and when its own numbering shows that
 * messages were lost. Each time the reader first gets `resumed`.
 *
 * Pulls ask by bytes because a pull by count, catching up on large entries, ended in a disconnect
 * as a slow consumer, for good. One pull is open at a time; the next one is sent when the reader
 * asks for more than is here. So no more than PULL_BYTES_MAX is ever on its way or waiting.
 *
 * States
 *   none      there is no consumer, or it is not to be trusted; next() makes one
 *   creating  asking for one, again and again until there is one or stop()
 *   ready     there is one; `pull` tells whether a pull is open
 *
 * Invariants
 *   1. Sequences handed over ascend. JetStream starts at another sequence than asked for where the
 *      stream has none such; what is not above the last one handed over is dropped.
 *   2. After a consumer was made, `resumed` is handed over before any of its messages.
 */
import { assert } from "../../protocol/assert.js";
import { BackOff } from "../../protocol/back-off.js";
import type { Sequence, TimeMs } from "../../protocol/ids.js";
import { PULL_BYTES_MAX } from "../../protocol/limits.js";
import type { Subscription } from "../bus.js";
import type { Clock, Timer } from "../clock.js";
import type { Delivery, LogConsumer, LogMessage } from "../log.js";
import type { NatsBus } from "../nats/nats-bus.js";
import type { NatsMessage } from "../nats/nats-message.js";
import { askJetstream } from "./jetstream-api.js";

/** A pull asks for this many messages: more than PULL_BYTES_MAX can hold. */
const PULL_COUNT_MAX = 1_000_000;
/** A pull that found nothing ends after this, and is sent again if somebody still waits. */
const PULL_EXPIRES_MS = 30_000;
/** The server deletes a consumer that nobody has pulled from for so long. */
const INACTIVE_MS = 120_000;
const NANOSECONDS_PER_MS = 1_000_000;
/** Between attempts to make a consumer. */
const RETRY_FIRST_MS = 20;
const RETRY_MAX_MS = 2_000;

export interface JetstreamConsumerOptions {
  /** A connection that is not used for requests: a catch-up would hold their replies up. */
  readonly pulls: NatsBus;
  readonly stream: string;
  /**
   * What is kept under another subject is handed over without its bytes. A stream takes messages of
   * its own subjects only, but JetStream can be told to deliver another stream's messages there.
   */
  readonly subject?: string;
  /** The first message wanted is the one after. */
  readonly after: Sequence;
  readonly clock: Clock;
  /** The server speaks at least this often while a pull is open; 2.5 of it in silence is a loss. */
  readonly heartbeatMs?: number;
  /** Why a consumer was given up or could not be made. For logging only. */
  readonly warn?: ((description: string, cause?: unknown) => void) | undefined;
}

const nothing = new Uint8Array(0);

type State = "none" | "creating" | "ready" | "stopped";

export class JetstreamConsumer implements LogConsumer {
  readonly #options: JetstreamConsumerOptions;
  readonly #heartbeatMs: number;
  readonly #unlisten: () => void;
  #state: State = "none";
  /** Counts what makes a consumer obsolete, so that one created meanwhile is not taken. */
  #generation = 0;
  #name = "";
  #inbox = "";
  #subscription: Subscription | undefined;
  #resumedDue = false;
  #sequenceLast: Sequence;
  /** Messages of this consumer so far, as the server numbers them. */
  #deliveredCount = 0;
  /** `number` is the last token of its reply subject, so that a late word about another is told. */
  #pull: { readonly number: number; bytesLeft: number; received: number } | undefined;
  #pullNumberLast = 0;
  #ready: LogMessage[] = [];
  #waiter: ((delivery: Delivery | undefined) => void) | undefined;
  #handOverDue = false;
  #heardAtMs = 0;
  #silenceTimer: Timer | undefined;
  readonly #retries = new BackOff(RETRY_FIRST_MS, RETRY_MAX_MS, { atOnce: true });
  #retryTimer: Timer | undefined;

  constructor(options: JetstreamConsumerOptions) {
    this.#options = options;
    this.#heartbeatMs = options.heartbeatMs ?? 2_000;
    this.#sequenceLast = options.after;
    this.#unlisten = options.pulls.onStatus((status) => {
      if (status === "disconnected") this.#giveUp("the connection went");
      else if (status === "closed") this.stop();
    });
  }

  next(): Promise<Delivery | undefined> {
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
    this.#retryTimer?.cancel();
    this.#advance();
  }

  /** Does what brings the reader's next delivery nearer. */
  #advance(): void {
    if (this.#waiter === undefined) return;
    if (this.#state === "stopped") this.#resolve(undefined);
    else if (this.#state === "none") this.#createSoon();
    else if (this.#state === "creating") return;
    else if (this.#resumedDue) {
      this.#resumedDue = false;
      this.#resolve({ kind: "resumed" });
    } else if (this.#ready.length > 0) {
      const messages = this.#ready;
      this.#ready = [];
      this.#retries.reset();
      this.#sequenceLast = messages.at(-1)?.sequence ?? this.#sequenceLast;
      this.#resolve({ kind: "messages", messages });
    } else if (this.#pull === undefined) this.#sendPull();
  }

  #resolve(delivery: Delivery | undefined): void {
    const resolve = this.#waiter;
    this.#waiter = undefined;
    resolve?.(delivery);
  }

  #createSoon(): void {
    this.#state = "creating";
    const waitMs = this.#retries.next();
    this.#retryTimer = this.#options.clock.after(waitMs, () => void this.#create());
  }

  async #create(): Promise<void> {
    const { pulls, stream } = this.#options;
    const generation = ++this.#generation;
    this.#inbox = pulls.newInbox();
    // An inbox's last token is as unlikely to repeat as a consumer's name must be.
    this.#name = this.#inbox.slice(this.#inbox.lastIndexOf(".") + 1);
    this.#deliveredCount = 0;
    try {
      const subscription = pulls.subscribe(`${this.#inbox}.*`, undefined, (message) => {
        if (generation === this.#generation) this.#onMessage(message);
      });
      this.#subscription = subscription;
      const config = this.#config();
      await askJetstream(pulls, `CONSUMER.CREATE.${stream}.${this.#name}`, config);
    } catch (error) {
      if (generation === this.#generation) this.#giveUp("no consumer could be made", error);
      return;
    }
    if (generation !== this.#generation) return;
    this.#state = "ready";
    this.#resumedDue = true;
    this.#advance();
  }

  #config(): Record<string, unknown> {
    return {
      stream_name: this.#options.stream,
      action: "create",
      config: {
        name: this.#name,
        deliver_policy: "by_start_sequence",
        opt_start_seq: this.#sequenceLast + 1,
        ack_policy: "none",
        replay_policy: "instant",
        inactive_threshold: INACTIVE_MS * NANOSECONDS_PER_MS,
        num_replicas: 1,
        mem_storage: true,
      },
    };
  }

  #sendPull(): void {
    const { pulls, stream } = this.#options;
    const number = ++this.#pullNumberLast;
    this.#pull = { number, bytesLeft: PULL_BYTES_MAX, received: 0 };
    const request = {
      batch: PULL_COUNT_MAX,
      max_bytes: PULL_BYTES_MAX,
      expires: PULL_EXPIRES_MS * NANOSECONDS_PER_MS,
      idle_heartbeat: this.#heartbeatMs * NANOSECONDS_PER_MS,
    };
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${this.#name}`;
    const reply = `${this.#inbox}.${number}`;
    pulls.publish(subject, Buffer.from(JSON.stringify(request)), { reply });
    this.#heardAtMs = this.#options.clock.elapsedMs();
    this.#watchSilence();
  }

  /** Gives the consumer up if a pull is open and nothing was heard for 2.5 heartbeats. */
  #watchSilence(): void {
    const limitMs = this.#heartbeatMs * 2.5;
    this.#silenceTimer?.cancel();
    this.#silenceTimer = this.#options.clock.after(this.#heartbeatMs, () => {
      if (this.#pull === undefined) return;
      const silentMs = this.#options.clock.elapsedMs() - this.#heardAtMs;
      if (silentMs > limitMs) this.#giveUp(`nothing heard for ${Math.round(silentMs)} ms`);
      else this.#watchSilence();
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
    if (place.sequence > (this.#ready.at(-1)?.sequence ?? this.#sequenceLast)) {
      const isForeign =
        this.#options.subject !== undefined && message.subject !== this.#options.subject;
      const data = isForeign ? nothing : message.data;
      this.#ready.push({ sequence: place.sequence, time: place.time, data });
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
    if (pull.bytesLeft <= 0 || pull.received >= PULL_COUNT_MAX) this.#endPull();
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
    // Neither: somebody else has sent it here.
    if (status === 0) return;
    if (status === 100) {
      this.#retries.reset();
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
    const { pulls, stream } = this.#options;
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
    if (this.#name === "" || pulls.status !== "connected") return;
    pulls.publish(`$JS.API.CONSUMER.DELETE.${stream}.${this.#name}`, new Uint8Array());
    this.#name = "";
  }
}

interface Place {
  readonly sequence: Sequence;
  readonly delivered: number;
  readonly time: TimeMs;
}

/**
 * The place of a message, from the subject its acknowledgement would go to. By tokens:
 *
 *   $JS.ACK.<stream>.<consumer>.<attempts>.<sequence>.<delivered>.<nanoseconds>.<pending>
 *   $JS.ACK.<domain>.<account>.<stream>.<consumer>.<attempts>.….<pending>[.<random>]
 *
 * Undefined if it is neither. Milliseconds are rounded down.
 */
export function parseAckSubject(subject: string): Place | undefined {
  const tokens = subject.split(".");
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined;
  const at = tokens.length === 9 ? 5 : 7;
  if (tokens.length !== 9 && tokens.length < 11) return undefined;
  const sequence = wholeOf(tokens[at]);
  const delivered = wholeOf(tokens[at + 1]);
  // Nanoseconds since 1970 exceed 2^53, so they are cut as text.
  const time = wholeOf(tokens[at + 2]?.slice(0, -6));
  if (sequence === undefined || delivered === undefined || time === undefined) return undefined;
  return { sequence: sequence as Sequence, delivered, time: time as TimeMs };
}

/** Digits only: Number by itself takes "", "-1" and "0x1" too. */
function wholeOf(digits = ""): number | undefined {
  const value = /^[0-9]+$/.test(digits) ? Number(digits) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}
