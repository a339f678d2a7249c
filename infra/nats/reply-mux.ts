/**
 * Reply mux: requests over one wildcard inbox subscription, for a plain nats.js connection.
 *
 * nats.js's request() tops out at 30–50 k/s; this gives 113–135 k/s on one connection. A request is
 * a publish with the reply subject `<inbox>.<number>` and a row in a Map. All time-outs share one
 * timer, set for the earliest deadline of those that wait: under load most requests are answered
 * long before it fires, so the Map is walked about once a time-out and not once a request.
 *
 * What a failure says about the request:
 *   unavailable  it was not sent, or nobody listened: nothing was done
 *   in-doubt     it was sent and the time ended or the connection went: it may have been done
 *   bad-request  this user has no right to the subject: nothing was done
 *
 * While the connection is down nats.js throws away what is published (each attempt to reconnect
 * empties its buffer), so a request made then waits here and is sent when the connection returns.
 *
 * Invariants
 *   1. A request settles once: its row leaves the Map first.
 *   2. While rows wait, a timer stands at or before the earliest deadline (plus TICK_MS).
 */
import { createInbox, type NatsConnection } from "nats";
import { KvError } from "../../protocol/errors.js";
import type { BusStatus, HeaderList, Message, RequestOptions } from "../bus.js";
import type { Clock, Timer } from "../clock.js";
import {
  deniedError,
  inboxDeniedError,
  type ConnectionStatus,
  type Denial,
} from "./connection-status.js";
import { inboxPrefixIn } from "./inbox.js";
import { asNatsHeaders, encodeHeaders, natsMessage } from "./nats-message.js";

/** Time-outs are met this late at most, so that many with near deadlines share one walk. */
const TICK_MS = 5;
/** Requests and their bytes that wait for a connection; more are `unavailable` at once. */
const PARKED_COUNT_MAX = 65_536;
const PARKED_BYTES_MAX = 16 * 1_024 * 1_024;

interface Waiting {
  readonly subject: string;
  readonly deadlineMs: number;
  readonly resolve: (reply: Message) => void;
  readonly reject: (reason: unknown) => void;
  readonly unlisten: (() => void) | undefined;
  /** Bytes and headers of a request that has not been sent yet. */
  parked: { readonly data: Uint8Array; readonly headers: Uint8Array | undefined } | undefined;
}

export class ReplyMux {
  readonly #connection: NatsConnection;
  readonly #clock: Clock;
  readonly #status: ConnectionStatus;
  readonly #prefix: string;
  readonly #waiting = new Map<number, Waiting>();
  #numberLast = 0;
  #parkedCount = 0;
  #parkedBytes = 0;
  #timer: Timer | undefined;
  #timerAtMs = Infinity;
  /** The server does not let us read replies; until the next connection. */
  #inboxDenied: KvError | undefined;

  constructor(connection: NatsConnection, status: ConnectionStatus, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
    this.#status = status;
    this.#prefix = `${createInbox(inboxPrefixIn(connection))}.`;
    connection.subscribe(`${this.#prefix}*`, {
      callback: (error, message) => {
        if (error === null) this.#answer(natsMessage(message));
      },
    });
    status.listen((now) => this.#onStatus(now));
    status.onDenied((denial) => this.#onDenied(denial));
  }

  /** As Bus.request. Throws nothing: what is wrong rejects. */
  request(subject: string, data: Uint8Array, options: RequestOptions): Promise<Message> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error);
      if (this.#inboxDenied !== undefined) return reject(this.#inboxDenied);
      const headers = headerBytes(options.headers);
      checkSize(this.#connection, subject, data, headers);
      const number = ++this.#numberLast;
      const abort = (): void => this.#fail(number, signal?.reason);
      signal?.addEventListener("abort", abort, { once: true });
      const unlisten = signal && (() => signal.removeEventListener("abort", abort));
      const deadlineMs = this.#clock.elapsedMs() + options.timeoutMs;
      const parked = { data, headers };
      const row: Waiting = { subject, deadlineMs, resolve, reject, unlisten, parked };
      this.#waiting.set(number, row);
      this.#park(row);
      if (this.#status.current === "connected") this.#send(number, row);
      else this.#checkParked(number);
      if (deadlineMs < this.#timerAtMs) this.#setTimer(deadlineMs);
    });
  }

  #park(row: Waiting): void {
    this.#parkedCount += 1;
    this.#parkedBytes += row.parked?.data.length ?? 0;
  }

  #unpark(row: Waiting): void {
    if (row.parked === undefined) return;
    this.#parkedCount -= 1;
    this.#parkedBytes -= row.parked.data.length;
    row.parked = undefined;
  }

  #checkParked(number: number): void {
    const full = this.#parkedCount > PARKED_COUNT_MAX || this.#parkedBytes > PARKED_BYTES_MAX;
    if (this.#status.current === "closed")
      this.#fail(number, unavailable("the connection is closed"));
    else if (full)
      this.#fail(number, unavailable("the connection is down, and too many requests wait for it"));
  }

  #send(number: number, row: Waiting): void {
    const { parked } = row;
    if (parked === undefined) return;
    this.#unpark(row);
    const reply = this.#prefix + number;
    try {
      if (parked.headers === undefined) {
        this.#connection.publish(row.subject, parked.data, { reply });
      } else {
        const headers = asNatsHeaders(parked.headers);
        this.#connection.publish(row.subject, parked.data, { reply, headers });
      }
    } catch (error) {
      this.#fail(number, unavailable(`not sent to ${row.subject}`, error));
    }
  }

  #answer(message: ReturnType<typeof natsMessage>): void {
    const number = message.subjectNumber(this.#prefix.length);
    const row = this.#waiting.get(number);
    // Answers that come too late, and second answers, have no row any more.
    if (row === undefined) return;
    if (message.isNoResponders) {
      this.#fail(number, unavailable(nobody(row.subject)));
      return;
    }
    this.#waiting.delete(number);
    row.unlisten?.();
    row.resolve(message);
  }

  #fail(number: number, reason: unknown): void {
    const row = this.#waiting.get(number);
    if (row === undefined) return;
    this.#waiting.delete(number);
    this.#unpark(row);
    row.unlisten?.();
    row.reject(reason);
  }

  /** The server tells the subject and not the message, so all that were sent there fail. */
  #onDenied(denial: Denial): void {
    const isInbox = denial.operation === "subscription" && denial.subject === `${this.#prefix}*`;
    if (isInbox) this.#inboxDenied = inboxDeniedError(denial.subject);
    for (const [number, row] of this.#waiting) {
      if (row.parked !== undefined) continue;
      const isRefused = denial.operation === "publish" && row.subject === denial.subject;
      if (isRefused) this.#fail(number, deniedError(denial));
      // It was sent before we knew, and may have been done.
      else if (isInbox) this.#fail(number, inboxDeniedError(denial.subject, "in-doubt"));
    }
  }

  #onStatus(status: BusStatus): void {
    if (status !== "connected") this.#inboxDenied = undefined;
    for (const [number, row] of this.#waiting) {
      if (status === "connected") this.#send(number, row);
      else if (row.parked === undefined) this.#fail(number, lost(row.subject));
      else if (status === "closed") this.#fail(number, unavailable("the connection was closed"));
    }
  }

  #setTimer(deadlineMs: number): void {
    this.#timer?.cancel();
    this.#timerAtMs = deadlineMs;
    const waitMs = Math.max(deadlineMs - this.#clock.elapsedMs(), 0) + TICK_MS;
    // Where the process was busy the timer is late, and replies may lie unread in the socket: they
    // are read first.
    this.#timer = this.#clock.after(waitMs, () => this.#clock.soon(() => this.#expire()));
  }

  #expire(): void {
    const nowMs = this.#clock.elapsedMs();
    this.#timer = undefined;
    this.#timerAtMs = Infinity;
    let earliestMs = Infinity;
    for (const [number, row] of this.#waiting) {
      if (row.deadlineMs > nowMs) earliestMs = Math.min(earliestMs, row.deadlineMs);
      else if (row.parked === undefined) this.#fail(number, timedOut(row.subject));
      else this.#fail(number, unavailable("no connection within the time"));
    }
    if (earliestMs < Infinity) this.#setTimer(earliestMs);
  }
}

export function headerBytes(headers: HeaderList | undefined): Uint8Array | undefined {
  return headers === undefined || headers.length === 0 ? undefined : encodeHeaders(headers);
}

/** Throws KvError `too-large` for what the server would answer by closing the connection. */
export function checkSize(
  connection: NatsConnection,
  subject: string,
  data: Uint8Array,
  headers: Uint8Array | undefined,
): void {
  const limit = connection.info?.max_payload ?? Infinity;
  const size = data.length + (headers?.length ?? 0);
  if (size <= limit) return;
  const description = `message to ${subject} has ${size} bytes, the server takes ${limit}`;
  throw new KvError("too-large", description, { limit, size });
}

function unavailable(description: string, cause?: unknown): KvError {
  return new KvError("unavailable", description, {}, { cause });
}

function nobody(subject: string): string {
  const reasons = "its nodes are not running, its replicas have stopped (status tells why)";
  return `nobody listens to ${subject}: ${reasons}, or the store has another name`;
}

function timedOut(subject: string): KvError {
  return new KvError("in-doubt", `no answer from ${subject} in time`);
}

function lost(subject: string): KvError {
  return new KvError("in-doubt", `the connection was lost before ${subject} answered`);
}
