/**
 * An in-memory log: one stream as the server has it, and a handle for each program that uses it.
 *
 * Tests set faults on the stream (it loses, forgets, fills up) or on a handle (it loses its
 * connection, an acknowledgement or a delivery). Everything passes through the clock.
 */
import type { Clock } from "../../infra/clock.js";
import {
  type Appended,
  type Delivery,
  type Log,
  type LogConsumer,
  type LogMessage,
  type LogState,
  LOG_ROOM_BYTES,
} from "../../infra/log.js";
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import type { LogId, Sequence, ShardId, TimeMs } from "../../protocol/ids.js";
import { ENTRY_BYTES_MAX, PULL_BYTES_MAX } from "../../protocol/limits.js";
import { copyOfBytes } from "./copy-of-bytes.js";
import type { HostClock } from "./manual-clock.js";

/** The bytes that JetStream adds to each message, roughly. */
const OVERHEAD_BYTES = 64;

export interface MemoryStreamOptions {
  readonly clock: Clock;
  readonly shard?: string;
  readonly id?: string;
  readonly bytesMax?: number;
  /** Sequence of its first entry. Default 1; more for a log that continues another one. */
  readonly first?: number;
}

export class MemoryStream {
  readonly clock: Clock;
  readonly shard: ShardId;
  readonly id: LogId;
  bytesMax: number;
  /** How far the log's clock is off the others'. */
  clockOffsetMs = 0;
  /** Way of a message to the log, and of its acknowledgement back. */
  delayMs: () => number = () => 0;
  tailIsExact = true;
  #entries: LogMessage[] = [];
  readonly #trimmed: LogMessage[] = [];
  #first = 1;
  #bytes = 0;
  readonly #logs = new Set<MemoryLog>();

  constructor(options: MemoryStreamOptions) {
    this.clock = options.clock;
    this.shard = (options.shard ?? "s1") as ShardId;
    this.id = (options.id ?? "0000000000000001") as LogId;
    this.bytesMax = options.bytesMax ?? Infinity;
    this.#first = options.first ?? 1;
  }

  /** A handle for one program. `host`: its process; default: one that always runs. */
  open(host?: HostClock): MemoryLog {
    const log = new MemoryLog(this, host);
    this.#logs.add(log);
    return log;
  }

  /** The program is gone. */
  close(log: MemoryLog): void {
    this.#logs.delete(log);
  }

  /** Entries kept, oldest first. */
  get entries(): readonly LogMessage[] {
    return this.#entries;
  }

  /** Also those that were trimmed, but not what was lost. */
  get history(): readonly LogMessage[] {
    return [...this.#trimmed, ...this.#entries];
  }

  get first(): Sequence {
    return this.#first as Sequence;
  }

  get last(): Sequence {
    return (this.#first + this.#entries.length - 1) as Sequence;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Appends as a program would, without faults. */
  take(data: Uint8Array): Appended {
    if (data.length > ENTRY_BYTES_MAX) return { kind: "refused", reason: "entry too large" };
    if (this.bytes + data.length + OVERHEAD_BYTES > this.bytesMax) {
      return { kind: "full", reason: "maximum bytes exceeded" };
    }
    const sequence = (this.last + 1) as Sequence;
    const time = (this.clock.now() + this.clockOffsetMs) as TimeMs;
    this.#bytes += data.length + OVERHEAD_BYTES;
    this.#entries.push({ sequence, time, data: copyOfBytes(data) });
    for (const log of this.#logs) log.onEntry();
    return { kind: "accepted", sequence };
  }

  /** As JetStream's purge: entries below `first` go. */
  trim(first: number): void {
    const count = Math.min(Math.max(first - this.#first, 0), this.#entries.length);
    const gone = this.#entries.splice(0, count);
    this.#forget(gone);
    this.#trimmed.push(...gone);
    this.#first += count;
  }

  /** The server comes back and has lost everything after `last`. All connections were lost too. */
  truncate(last: number): void {
    this.#forget(this.#entries.splice(Math.max(last - this.#first + 1, 0)));
    for (const log of this.#logs) log.interrupt();
  }

  #forget(gone: readonly LogMessage[]): void {
    for (const { data } of gone) this.#bytes -= data.length + OVERHEAD_BYTES;
  }

  /** The server comes back without the last entries, and others have written these instead. */
  replace(last: number, data: readonly Uint8Array[]): void {
    this.truncate(last);
    for (const each of data) this.take(each);
  }
}

export class MemoryLog implements Log {
  readonly #stream: MemoryStream;
  readonly #consumers = new Set<MemoryConsumer>();
  #connected = true;
  #acknowledgementsLost: ("landed" | "vanished")[] = [];
  #looksAtOnce = false;
  isPaused = false;

  constructor(
    stream: MemoryStream,
    private readonly host?: HostClock,
  ) {
    this.#stream = stream;
  }

  get shard(): ShardId {
    return this.#stream.shard;
  }

  get id(): LogId {
    return this.#stream.id;
  }

  get tailIsExact(): boolean {
    return this.#stream.tailIsExact;
  }

  /** The next append is `unanswered`, and the entry is there or is not. */
  loseNextAck(entry: "landed" | "vanished"): void {
    this.#acknowledgementsLost.push(entry);
  }

  /** The newest entry, when it comes, is not delivered until another one follows. */
  dropNextDelivery(): void {
    for (const consumer of this.#consumers) consumer.dropNext();
  }

  /** Delivers nothing until resumeDeliveries(); everything else continues. */
  pauseDeliveries(): void {
    this.isPaused = true;
  }

  resumeDeliveries(): void {
    this.isPaused = false;
    for (const consumer of this.#consumers) consumer.onEntry();
  }

  disconnect(): void {
    this.#connected = false;
    for (const consumer of this.#consumers) consumer.interrupt();
  }

  reconnect(): void {
    this.#connected = true;
    this.interrupt();
  }

  get isConnected(): boolean {
    return this.#connected;
  }

  /** The connection went and came back at once. */
  interrupt(): void {
    for (const consumer of this.#consumers) consumer.interrupt();
  }

  onEntry(): void {
    for (const consumer of this.#consumers) consumer.onEntry();
  }

  forget(consumer: MemoryConsumer): void {
    this.#consumers.delete(consumer);
  }

  /** Messages on their way arrive, even if the program dies. */
  append(data: Uint8Array, timeoutMs: number): Promise<Appended> {
    const fate = this.#acknowledgementsLost.shift();
    return new Promise((resolve) => {
      const answer = (ms: number, appended: Appended): void =>
        this.#after(ms, () => this.enter(() => resolve(appended)));
      if (!this.#connected) {
        return answer(timeoutMs, { kind: "refused", reason: "no connection" });
      }
      this.#after(this.#stream.delayMs(), () => {
        const appended = fate === "vanished" ? undefined : this.#stream.take(data);
        this.#after(this.#stream.delayMs(), () => {
          if (fate === undefined && this.#connected && appended !== undefined) {
            return this.enter(() => resolve(appended));
          }
          answer(timeoutMs, { kind: "unanswered", reason: "the acknowledgement was lost" });
        });
      });
    });
  }

  async makeRoom(): Promise<void> {
    await this.#ask(() => {
      this.#stream.bytesMax = Math.max(this.#stream.bytes, this.#stream.bytesMax) + LOG_ROOM_BYTES;
    });
  }

  /** In the program that has the handle. */
  enter(task: () => void): void {
    if (this.host === undefined) task();
    else this.host.enter(task);
  }

  consume(after: Sequence): LogConsumer {
    const consumer = new MemoryConsumer(this, this.#stream, after);
    this.#consumers.add(consumer);
    return consumer;
  }

  async read(sequence: Sequence): Promise<LogMessage | undefined> {
    return this.#ask(() => this.#stream.entries[sequence - this.#stream.first]);
  }

  async state(): Promise<LogState> {
    return this.#ask(() => {
      const { first, last, bytes, bytesMax } = this.#stream;
      return { first, last, bytes, bytesMax };
    });
  }

  async tail(): Promise<Sequence> {
    assert(this.tailIsExact, "tail() is asked only where it is exact");
    return this.#ask(() => this.#stream.last);
  }

  /**
   * The server looks at some moment between question and answer. Every other time that is the
   * first there is, so that the answer is as old as it may be; else the last. One step of the clock
   * does for both.
   */
  #ask<Answer>(look: () => Answer): Promise<Answer> {
    this.#looksAtOnce = !this.#looksAtOnce;
    const early = this.#looksAtOnce ? { answer: look() } : undefined;
    return new Promise((resolve, reject) => {
      this.#after(this.#stream.delayMs() + this.#stream.delayMs(), () => {
        const { answer } = early ?? { answer: look() };
        this.enter(() => {
          if (this.#connected) resolve(answer);
          else reject(new KvError("unavailable", "no connection to the log"));
        });
      });
    });
  }

  #after(ms: number, task: () => void): void {
    const { clock } = this.#stream;
    if (ms > 0) clock.after(ms, task);
    else clock.soon(task);
  }
}

class MemoryConsumer implements LogConsumer {
  readonly #log: MemoryLog;
  readonly #stream: MemoryStream;
  #sequenceLast: number;
  #resumedDue = true;
  #stopped = false;
  #dropNext = false;
  /** Sequence whose delivery was lost; nothing is handed over until a later one exists. */
  #dropped: number | undefined;
  #waiter: ((delivery: Delivery | undefined) => void) | undefined;
  #wakeDue = false;

  constructor(log: MemoryLog, stream: MemoryStream, after: Sequence) {
    this.#log = log;
    this.#stream = stream;
    this.#sequenceLast = after;
  }

  next(): Promise<Delivery | undefined> {
    assert(this.#waiter === undefined, "a consumer has one reader, which waits for each next()");
    return new Promise((resolve) => {
      this.#waiter = resolve;
      this.#wake();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#log.forget(this);
    this.#wake();
  }

  dropNext(): void {
    this.#dropNext = true;
  }

  interrupt(): void {
    this.#resumedDue = true;
    this.#dropped = undefined;
    this.#wake();
  }

  onEntry(): void {
    if (this.#dropped !== undefined) this.interrupt();
    else if (this.#dropNext) this.#dropped = this.#stream.last;
    this.#dropNext = false;
    this.#wake();
  }

  #wake(): void {
    if (this.#wakeDue || this.#waiter === undefined || !this.#hasSomething) return;
    this.#wakeDue = true;
    this.#stream.clock.soon(() => this.#log.enter(() => this.#hand()));
  }

  /** As far as can be told cheaply: a step of the clock for nothing costs as much as any. */
  get #hasSomething(): boolean {
    if (this.#stopped) return true;
    if (!this.#log.isConnected || this.#log.isPaused) return false;
    return this.#resumedDue || this.#stream.last > this.#sequenceLast;
  }

  #hand(): void {
    this.#wakeDue = false;
    const delivery = this.#take();
    if (delivery === "nothing") return;
    const resolve = this.#waiter;
    this.#waiter = undefined;
    resolve?.(delivery);
  }

  #take(): Delivery | undefined | "nothing" {
    if (this.#stopped) return undefined;
    if (!this.#log.isConnected || this.#log.isPaused) return "nothing";
    if (this.#resumedDue) {
      this.#resumedDue = false;
      return { kind: "resumed" };
    }
    const messages: LogMessage[] = [];
    let bytes = 0;
    const { entries, first } = this.#stream;
    for (let index = Math.max(this.#sequenceLast + 1 - first, 0); index < entries.length; index++) {
      const entry = entries[index];
      if (entry === undefined || entry.sequence === this.#dropped) break;
      bytes += entry.data.length;
      if (bytes > PULL_BYTES_MAX) break;
      messages.push(entry);
    }
    if (messages.length === 0) return "nothing";
    this.#sequenceLast = messages.at(-1)?.sequence ?? this.#sequenceLast;
    return { kind: "messages", messages };
  }
}
