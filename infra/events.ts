/**
 * Events: one stream of messages, written by the relays of all shards, oldest going first when it
 * is full. In production a JetStream stream (event-stream.ts).
 *
 * A writer is fenced: each message names the sequence that the last message on some subject must
 * have (its shard's marker), and is refused otherwise. So a writer that has been replaced can
 * write nothing any more, whatever is still on its way.
 *
 * Delivery: the messages of one writer stand in the stream in the order of their publishing. After
 * the first one that is refused, unanswered or sent on a connection that then went, a writer
 * publishes no further one; but those that were under way behind it may have landed without it.
 *
 * Concurrency: all methods may be called at any time; a writer belongs to one caller.
 */
import type { Sequence } from "../protocol/ids.js";
import type { HeaderList, HeaderMap } from "./bus.js";

/** Messages a writer may have unanswered. */
export const EVENTS_OUTSTANDING_MAX = 1_024;
/** Bytes a writer may have unanswered; one message more is let through. */
export const EVENTS_OUTSTANDING_BYTES_MAX = 8 * 1_024 * 1_024;

/** The last message on `subject` must be at `sequence`; 0 = there must be none. */
export interface Fence {
  readonly subject: string;
  readonly sequence: Sequence;
}

export interface OutgoingEvent {
  readonly subject: string;
  readonly headers: HeaderList;
  readonly data: Uint8Array;
}

export interface StoredEvent {
  readonly sequence: Sequence;
  readonly subject: string;
  readonly headers: HeaderMap | undefined;
  readonly data: Uint8Array;
}

export interface EventsState {
  /** Sequence of the first message kept; last + 1 if none is. */
  readonly first: Sequence;
  readonly last: Sequence;
  readonly bytes: number;
  readonly bytesMax: number;
}

export interface EventWriter {
  /** Hands one message over; never throws for what the server may do, see `failure`. */
  publish(event: OutgoingEvent, fence: Fence): void;
  /** True = wait for `ready()` before the next message. */
  readonly isFull: boolean;
  /** Resolves when there is room; rejects with `failure`. */
  ready(): Promise<void>;
  /** When all is acknowledged: the sequence of the last message. Rejects with `failure`. */
  flushed(): Promise<Sequence>;
  /**
   * Why this writer is at its end: KvError `conflict` if the fence did not hold, else
   * `unavailable` or `in-doubt`.
   */
  readonly failure: Error | undefined;
  /** What is under way may still land. */
  close(): void;
}

/** What asks the server rejects with KvError `unavailable` or `in-doubt` if it does not answer. */
export interface Events {
  /**
   * Makes the stream if there is none. Before anything else, and again if it may have gone.
   * Resolves to whether what is acknowledged survives a crash of the server: if not, the last
   * messages may be lost then, and sequences be given a second time.
   */
  open(): Promise<{ readonly isDurable: boolean }>;
  writer(): EventWriter;
  /** The last message on the subject, from the stream's leader. */
  last(subject: string): Promise<StoredEvent | undefined>;
  /**
   * All messages kept with after < sequence < before, in order, in batches. There must be a message
   * at `before`: it proves that none before it is missing.
   */
  read(after: Sequence, before: Sequence): AsyncIterable<readonly StoredEvent[]>;
  state(): Promise<EventsState>;
}
