/**
 * An in-memory events stream, and a handle for each program that uses it.
 *
 * Faults: the stream loses its tail (a server crash) or its oldest messages, or refuses one message
 * and accepts the next; a handle loses its connection with messages on their way, or is paused, so
 * that its messages arrive later.
 */
import type { Clock } from "../../infra/clock.js";
import {
  EVENTS_OUTSTANDING_MAX,
  type Events,
  type EventsState,
  type EventWriter,
  type Fence,
  type OutgoingEvent,
  type StoredEvent,
} from "../../infra/events.js";
import { KvError } from "../../protocol/errors.js";
import type { Sequence } from "../../protocol/ids.js";
import { copyOfBytes } from "./copy-of-bytes.js";
import type { HostClock } from "./manual-clock.js";

/** A writer that gets no answer gives up after this. */
const ANSWER_MS = 2_000;
const READ_COUNT = 100;
/** The bytes that JetStream adds to each message, roughly. */
const OVERHEAD_BYTES = 64;

export class MemoryEventStream {
  #messages: StoredEvent[] = [];
  /** All that was ever taken. */
  readonly history: StoredEvent[] = [];
  #first = 1;
  #bytes = 0;
  /** By subject. */
  #last = new Map<string, StoredEvent>();
  /** Messages that will be refused: returns true for each such one. */
  refuses: (event: OutgoingEvent) => boolean = () => false;
  /** Above it the oldest messages go. */
  bytesMax = Infinity;

  constructor(
    readonly clock: Clock,
    readonly isDurable = true,
  ) {}

  /** Kept messages, oldest first. */
  get messages(): readonly StoredEvent[] {
    return this.#messages;
  }

  get first(): Sequence {
    return this.#first as Sequence;
  }

  get last(): Sequence {
    return (this.#first + this.#messages.length - 1) as Sequence;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** `host`: the process that uses it; default: one that always runs. */
  connect(host?: HostClock): MemoryEvents {
    return new MemoryEvents(this, host);
  }

  lastOn(subject: string): StoredEvent | undefined {
    return this.#last.get(subject);
  }

  /** Stores or refuses, as the server does. */
  take(event: OutgoingEvent, fence: Fence): Sequence | KvError {
    if (this.refuses(event)) return new KvError("unavailable", "refused");
    const at = this.lastOn(fence.subject)?.sequence ?? 0;
    if (at !== fence.sequence) {
      return new KvError("conflict", `wrong last sequence: ${at}, expected ${fence.sequence}`);
    }
    const sequence = (this.last + 1) as Sequence;
    const headers = new Map<string, string[]>();
    for (const [name, value] of event.headers) headers.set(name.toLowerCase(), [value]);
    const { subject, data } = event;
    const message = { sequence, subject, headers, data: copyOfBytes(data) };
    this.#messages.push(message);
    this.history.push(message);
    this.#last.set(subject, message);
    this.#bytes += sizeOf(message);
    if (this.#bytes > this.bytesMax) this.trim(this.#firstThatFits());
    return sequence;
  }

  #firstThatFits(): number {
    let bytes = this.#bytes;
    let count = 0;
    while (bytes > this.bytesMax) bytes -= sizeOf(this.#messages[count++] as StoredEvent);
    return this.#first + count;
  }

  /** The server comes back without what followed `last`. */
  truncate(last: number): void {
    this.#keep(this.#messages.filter(({ sequence }) => sequence <= last));
  }

  /** The oldest messages go, up to before `first`. */
  trim(first: number): void {
    this.#first = Math.max(this.#first, first);
    this.#keep(this.#messages.filter(({ sequence }) => sequence >= first));
  }

  #keep(messages: StoredEvent[]): void {
    this.#messages = messages;
    this.#bytes = messages.reduce((bytes, message) => bytes + sizeOf(message), 0);
    this.#last = new Map(messages.map((message) => [message.subject, message]));
  }
}

export class MemoryEvents implements Events {
  readonly #stream: MemoryEventStream;
  readonly #writers = new Set<MemoryEventWriter>();
  #isConnected = true;
  isPaused = false;

  constructor(
    stream: MemoryEventStream,
    private readonly host?: HostClock,
  ) {
    this.#stream = stream;
  }

  async open(): Promise<{ isDurable: boolean }> {
    await this.#ask();
    return { isDurable: this.#stream.isDurable };
  }

  writer(): EventWriter {
    const writer = new MemoryEventWriter(this.#stream, this, () => this.#writers.delete(writer));
    this.#writers.add(writer);
    return writer;
  }

  async last(subject: string): Promise<StoredEvent | undefined> {
    await this.#ask();
    return this.#stream.lastOn(subject);
  }

  async *read(after: Sequence, before: Sequence): AsyncGenerator<readonly StoredEvent[]> {
    let next = after + 1;
    while (next < before) {
      await this.#ask();
      const { messages, first } = this.#stream;
      const begin = Math.max(0, next - first);
      const found = messages.slice(begin, begin + READ_COUNT);
      const last = found.at(-1);
      if (last === undefined) throw new KvError("unavailable", `nothing from ${next} on`);
      yield found.filter(({ sequence }) => sequence < before);
      next = last.sequence + 1;
    }
  }

  async state(): Promise<EventsState> {
    await this.#ask();
    const { first, last, bytes, bytesMax } = this.#stream;
    return { first, last, bytes, bytesMax };
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** `landed`: how many of the messages under way reach the stream all the same. */
  disconnect(landed = 0): void {
    this.#isConnected = false;
    for (const writer of this.#writers) writer.cut(landed);
  }

  reconnect(): void {
    this.#isConnected = true;
  }

  /** Messages published while paused arrive now. */
  resume(): void {
    this.isPaused = false;
    for (const writer of this.#writers) writer.deliver();
  }

  /** In the program that is connected. */
  enter(task: () => void): void {
    if (this.host === undefined) task();
    else this.host.enter(task);
  }

  async #ask(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#stream.clock.soon(() => this.enter(resolve));
    });
    if (!this.#isConnected) throw new KvError("unavailable", "no connection to the stream");
  }
}

class MemoryEventWriter implements EventWriter {
  failure: KvError | undefined;
  /** Published, and not yet at the stream. */
  readonly #way: { readonly event: OutgoingEvent; readonly fence: Fence }[] = [];
  #isLeaving = false;
  #outstandingCount = 0;
  #sequenceLast = 0 as Sequence;
  #waiters: { wanted: number; resolve: () => void; reject: (error: Error) => void }[] = [];

  constructor(
    private readonly stream: MemoryEventStream,
    private readonly events: MemoryEvents,
    private readonly onClose: () => void,
  ) {}

  get isFull(): boolean {
    return this.#outstandingCount >= EVENTS_OUTSTANDING_MAX;
  }

  publish(event: OutgoingEvent, fence: Fence): void {
    if (this.failure !== undefined) return;
    if (!this.events.isConnected) return this.#fail(new KvError("unavailable", "no connection"));
    this.#way.push({ event, fence });
    this.#outstandingCount += 1;
    // Messages published in one turn leave in one write to the socket.
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.stream.clock.soon(() => {
      this.#isLeaving = false;
      if (!this.events.isPaused) this.deliver();
    });
  }

  ready(): Promise<void> {
    return this.#wait(EVENTS_OUTSTANDING_MAX - 1);
  }

  async flushed(): Promise<Sequence> {
    await this.#wait(0);
    return this.#sequenceLast;
  }

  close(): void {
    this.#fail(new KvError("unavailable", "the event writer is closed"));
    this.onClose();
  }

  cut(landed: number): void {
    for (const { event, fence } of this.#way.splice(0).slice(0, landed)) {
      this.stream.take(event, fence);
    }
    this.events.enter(() => this.#fail(new KvError("in-doubt", "the connection went")));
  }

  /** Also after the writer has failed: what is under way arrives. */
  deliver(): void {
    const taken = this.#way.splice(0).map(({ event, fence }) => this.stream.take(event, fence));
    if (taken.length === 0) return;
    this.stream.clock.soon(() =>
      this.events.enter(() => {
        for (const each of taken) this.#answer(each);
      }),
    );
  }

  #answer(taken: Sequence | KvError): void {
    if (this.failure !== undefined) return;
    if (taken instanceof KvError) return this.#fail(taken);
    this.#sequenceLast = taken;
    this.#outstandingCount -= 1;
    const woken = this.#waiters.filter(({ wanted }) => this.#outstandingCount <= wanted);
    this.#waiters = this.#waiters.filter((waiter) => !woken.includes(waiter));
    for (const { resolve } of woken) resolve();
  }

  #wait(wanted: number): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (this.#outstandingCount <= wanted) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ wanted, resolve, reject });
      this.stream.clock.after(ANSWER_MS, () => this.events.enter(() => this.#giveUp(wanted)));
    });
  }

  #giveUp(wanted: number): void {
    if (this.#outstandingCount > wanted) this.#fail(new KvError("in-doubt", "no answer"));
  }

  #fail(error: KvError): void {
    this.failure ??= error;
    for (const { reject } of this.#waiters.splice(0)) reject(error);
  }
}

function sizeOf({ subject, data }: StoredEvent): number {
  return subject.length + data.length + OVERHEAD_BYTES;
}
