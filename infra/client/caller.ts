/**
 * Caller: sends a request until it is answered, refused for good, or out of time.
 *
 * Whatever says `retryable` is sent again with the very same bytes, request id included, so a
 * write that arrived the first time is not done twice. Pauses grow and are drawn by chance, so
 * that many clients of a shard that was away do not come back in step.
 *
 * An error that ends the tries tells about all of them: if one attempt of a write went unanswered
 * and a later one was refused, the first may still have landed, so the whole is `in-doubt`.
 *
 * Invariants
 *   1. A request id goes with one payload only.
 *   2. At most `inFlightMax` requests are under way; the rest wait in the gate, which lets in as
 *      many as the store answers (gate.ts).
 *   3. A call's time begins when the gate has let it in, and while it waits before that it is told
 *      of as not sent.
 */
import { setMaxListeners } from "node:events";
import { KvError } from "../../protocol/errors.js";
import type { Bus, HeaderList, Message } from "../bus.js";
import { sleep, type Chance, type Clock } from "../clock.js";
import { Gate, passageOf } from "./gate.js";
import type { CallOptions } from "./options.js";

/** Requests of one client under way at once. */
export const IN_FLIGHT_MAX = 4_096;
/** The first pause is up to this long, and each next one up to twice as long … */
const PAUSE_FIRST_MS = 20;
/** … until this. */
const PAUSE_MAX_MS = 500;

export interface Outgoing {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers?: HeaderList;
  /** False: sending it twice or not at all makes no difference to the store. */
  readonly isWrite: boolean;
}

export interface CallerParts {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Of a call that names none. */
  readonly timeoutMs: number;
  /** Of one sending; what is unanswered then is sent again. */
  readonly attemptTimeoutMs: number;
  readonly inFlightMax: number;
  /** Told of each request that is to be sent again. */
  readonly onRetry?: ((error: KvError) => void) | undefined;
}

export class Caller {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly attemptTimeoutMs: number;
  readonly onRetry: (error: KvError) => void;
  readonly #chance: Chance;
  readonly #timeoutMs: number;
  readonly #gate: Gate;
  readonly #closing = new AbortController();

  constructor(parts: CallerParts) {
    this.bus = parts.bus;
    this.clock = parts.clock;
    this.attemptTimeoutMs = parts.attemptTimeoutMs;
    this.onRetry = parts.onRetry ?? (() => undefined);
    this.#chance = parts.chance;
    this.#timeoutMs = parts.timeoutMs;
    this.#gate = new Gate(parts.clock, parts.inFlightMax);
    setMaxListeners(0, this.#closing.signal);
  }

  /** Fires at close(). */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** From here on calls are refused, and those that pause between two attempts end. */
  close(): void {
    this.#closing.abort(closedError());
    this.#gate.close(this.#closing.signal.reason);
  }

  timeoutOf(options: CallOptions): number {
    return options.timeoutMs ?? this.#timeoutMs;
  }

  /** What `read` makes of the reply; a KvError it throws counts as the reply's. */
  call<Value>(
    outgoing: Outgoing,
    read: (reply: Message) => Value,
    options: CallOptions,
  ): Promise<Value> {
    const attempt = (timeoutMs: number): Promise<Value> =>
      this.send(outgoing, timeoutMs, options.signal).then(read);
    return this.retry(attempt, outgoing.isWrite, options);
  }

  /** One attempt, without the gate: the caller has entered it, or must not wait for others. */
  send(outgoing: Outgoing, timeoutMs: number, signal?: AbortSignal): Promise<Message> {
    const { headers } = outgoing;
    // One signal for thousands of calls is no leak: each call takes its listener off again.
    if (signal !== undefined) setMaxListeners(0, signal);
    return this.bus.request(outgoing.subject, outgoing.payload, {
      timeoutMs,
      ...(headers === undefined ? {} : { headers }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /**
   * Waits for a turn to send. `deadlineMs` undefined: nothing was sent yet, and the call's time has
   * not begun; else when it ends. Call left() afterwards.
   */
  async enter(deadlineMs: number | undefined, options: CallOptions): Promise<void> {
    if (this.#gate.tryEnter()) return;
    const { signal } = options;
    if (signal !== undefined) setMaxListeners(0, signal);
    if (deadlineMs === undefined) await this.#gate.enter(this.timeoutOf(options), signal);
    else await this.#gate.enterAgain(deadlineMs - this.clock.elapsedMs(), signal);
  }

  /** What was sent after enter() has ended: by the error, or undefined = it was answered. */
  left(error: unknown, enteredAtMs: number, timeoutMs: number): void {
    const tookMs = this.clock.elapsedMs() - enteredAtMs;
    this.#gate.leave(passageOf(error, tookMs, timeoutMs), enteredAtMs);
  }

  /** Calls `attempt` until it succeeds, fails for good, or the call's time is over. */
  async retry<Value>(
    attempt: (timeoutMs: number) => Promise<Value>,
    isWrite: boolean,
    options: CallOptions,
  ): Promise<Value> {
    const { signal } = options;
    const timeoutMs = this.timeoutOf(options);
    let deadlineMs: number | undefined;
    let last: KvError | undefined;
    let doubt: KvError | undefined;
    for (let count = 0; ; count += 1) {
      signal?.throwIfAborted();
      if (this.closing.aborted) throw closedError(doubt, isWrite);
      try {
        if (!this.#gate.tryEnter()) await this.enter(deadlineMs, options);
      } catch (error) {
        if (last === undefined || !(error instanceof KvError)) throw error;
        if (this.closing.aborted) throw closedError(doubt, isWrite);
        throw finalError(last, doubt, isWrite, timeoutMs);
      }
      const enteredAtMs = this.clock.elapsedMs();
      deadlineMs ??= enteredAtMs + timeoutMs;
      const attemptMs = Math.min(this.attemptTimeoutMs, Math.max(deadlineMs - enteredAtMs, 1));
      try {
        const value = await attempt(attemptMs);
        this.left(undefined, enteredAtMs, attemptMs);
        return value;
      } catch (error) {
        this.left(error, enteredAtMs, attemptMs);
        if (!(error instanceof KvError)) throw error;
        if (!error.retryable) throw settledError(error, doubt, isWrite, timeoutMs);
        last = error;
        if (error.written === "unknown") doubt = error;
        deadlineMs += this.#busyMs(error, enteredAtMs + attemptMs);
        if (this.closing.aborted) throw closedError(doubt, isWrite);
        const pauseMs = this.pauseMs(count);
        if (this.clock.elapsedMs() + pauseMs >= deadlineMs) {
          throw finalError(error, doubt, isWrite, timeoutMs);
        }
        this.onRetry(error);
        // Why it ended is told at the beginning of the loop, with the doubt that there is.
        await this.pause(pauseMs, signal).catch(() => undefined);
      }
    }
  }

  /** By how much a time-out came late: as long the process was busy, and read no reply. */
  #busyMs(error: KvError, dueMs: number): number {
    return error.kind === "in-doubt" ? Math.max(this.clock.elapsedMs() - dueMs, 0) : 0;
  }

  pauseMs(count: number): number {
    const most = Math.min(PAUSE_FIRST_MS * 2 ** Math.min(count, 16), PAUSE_MAX_MS);
    return most / 2 + (most / 2) * this.#chance.fraction();
  }

  /** Rejects if the client is closed or the signal fires meanwhile. */
  pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const ends = signal === undefined ? this.closing : AbortSignal.any([signal, this.closing]);
    return sleep(this.clock, ms, ends);
  }
}

/** What the caller is told in the end, given the last error and the last that leaves a doubt. */
export function finalError(
  last: KvError,
  doubt: KvError | undefined,
  isWrite: boolean,
  timeoutMs: number,
): KvError {
  const options = { cause: last };
  if (doubt === undefined) return last;
  if (!isWrite) {
    const description = `no answer within ${timeoutMs} ms: ${last.message}`;
    return new KvError("unavailable", description, last.details, options);
  }
  const description =
    `no answer within ${timeoutMs} ms: the write may have been done; send it again with the ` +
    `same request id within its window, or read the key (${doubt.message})`;
  return new KvError("in-doubt", description, doubt.details, options);
}

/** An error that is not sent again: it settles an earlier doubt, unless it is of the moment. */
export function settledError(
  error: KvError,
  doubt: KvError | undefined,
  isWrite: boolean,
  timeoutMs: number,
): KvError {
  return error.isUndecided ? finalError(error, doubt, isWrite, timeoutMs) : error;
}

/** What close() leaves of a call that it ends: what was sent and not answered is in doubt. */
export function closedError(doubt?: KvError, isWrite = false): KvError {
  if (doubt === undefined || !isWrite) {
    return new KvError("unavailable", "this client is closed", {}, { retryable: false });
  }
  const description =
    "this client was closed before the write was answered, so it may have been done; read the " +
    "key, or send it again with the same request id within its window";
  return new KvError("in-doubt", description, doubt.details, { cause: doubt, retryable: false });
}
