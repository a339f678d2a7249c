/**
 * Watch: the changes of a store, or of the keys with a prefix, in the order of the events stream.
 *
 * A watch of all keys checks what it is given: in each position revisions rise by 1, so anything
 * that is missing shows at the next event of its position. Where a prefix narrows the subjects
 * this cannot be checked, as the revisions between belong to other keys. A `reset` event says that
 * history is gone and starts the count again; it is handed over whatever the prefix is, since keys
 * with the prefix may be concerned.
 *
 * Invariants
 *   1. Where a watch begins is fixed when it is ready, so what is written after that is seen.
 *   2. Without onGap, no event follows a gap.
 */
import { KvError } from "../../protocol/errors.js";
import {
  eventOperations,
  isSubjectKey,
  type EventOperation,
  type Names,
} from "../../protocol/nats/subjects.js";
import { parseContentType } from "../../protocol/value/content.js";
import type { NatsBus } from "../nats/nats-bus.js";
import type { NatsMessage } from "../nats/nats-message.js";
import type { Caller } from "./caller.js";
import { EventGapError } from "./client-errors.js";
import { EventFeed, streamEnd, type FeedStart } from "./event-feed.js";
import type { ChangeEvent, WatchOptions } from "./options.js";
import { valueAs } from "./values.js";

/** A key that fits no subject, to ask for the subject of all such keys. */
const KEY_WITHOUT_SUBJECT = " ";

export interface WatchParts {
  readonly bus: NatsBus;
  /** As in FeedParts. */
  readonly domain: string | undefined;
  readonly caller: Caller;
  readonly names: Names;
}

/** Iterate it once, with `for await`; leaving the loop ends it. */
export class Watch<Value> implements AsyncIterable<ChangeEvent<Value>> {
  /** When the place where it begins is fixed; rejects if the events cannot be read. */
  readonly ready: Promise<void>;
  readonly #start: Promise<FeedStart>;
  readonly #stopping = new AbortController();
  readonly #events: AsyncGenerator<ChangeEvent<Value>, void, undefined>;

  constructor(
    private readonly parts: WatchParts,
    private readonly options: WatchOptions,
  ) {
    this.#start = this.#findStart();
    this.ready = this.#start.then(() => undefined);
    // The iteration throws it as well; a rejection that nobody awaits must not end the process.
    this.ready.catch(() => undefined);
    this.#events = this.#run();
  }

  [Symbol.asyncIterator](): AsyncGenerator<ChangeEvent<Value>, void, undefined> {
    return this.#events;
  }

  /** Ends the iteration, as if there were no more events. */
  stop(): void {
    this.#stopping.abort();
  }

  async #findStart(): Promise<FeedStart> {
    const { from = "now" } = this.options;
    if (from instanceof Date) return { kind: "time", time: from };
    if (from === "beginning") return { kind: "sequence", sequence: 1 };
    const { names } = this.parts;
    return { kind: "sequence", sequence: (await streamEnd(this.parts, names.eventsStream)) + 1 };
  }

  async *#run(): AsyncGenerator<ChangeEvent<Value>, void, undefined> {
    const { caller, names, bus, domain } = this.parts;
    const { prefix = "", signal } = this.options;
    const filters = filtersOf(names, prefix);
    const proof = filters.length === 1 ? new RevisionProof() : undefined;
    const ends = [this.#stopping.signal, caller.closing, ...(signal === undefined ? [] : [signal])];
    const ended = AbortSignal.any(ends);
    const start = await this.#start.catch((error: unknown) => {
      // A caller that closes the connection does not need its error.
      if (!ended.aborted) throw error;
      return undefined;
    });
    signal?.throwIfAborted();
    if (start === undefined) return;
    const feed = new EventFeed(
      {
        bus,
        domain,
        clock: caller.clock,
        stream: names.eventsStream,
        filters,
        signal: ended,
        pauseMs: (count) => caller.pauseMs(count),
      },
      start,
    );
    for await (const message of feed.messages()) {
      const event = eventOf<Value>(names, message, this.options.as);
      this.#check(proof, event);
      if (event.op === "reset" || event.key.startsWith(prefix)) yield event;
    }
    signal?.throwIfAborted();
  }

  #check(proof: RevisionProof | undefined, event: ChangeEvent<Value>): void {
    const revisionExpected = proof?.check(event);
    if (revisionExpected === undefined) return;
    const { position, revision } = event;
    const gap = { position, revisionExpected, revision };
    if (this.options.onGap === undefined) throw new EventGapError(gap);
    this.options.onGap(gap);
  }
}

/** Whether each position's revisions rise by 1. Cost: a number a position. */
export class RevisionProof {
  readonly #lasts = new Map<number, number>();
  /** Positions whose last event was a reset: its own revision may come again, as an event. */
  readonly #wereReset = new Set<number>();

  /** Undefined, or the revision that was due instead; the event's is taken as the last. */
  check(event: {
    readonly op: EventOperation;
    readonly position: number;
    readonly revision: number;
  }): number | undefined {
    const { op, position, revision } = event;
    const last = this.#lasts.get(position);
    const wasReset = this.#wereReset.delete(position);
    this.#lasts.set(position, revision);
    if (op === "reset") {
      this.#wereReset.add(position);
      return undefined;
    }
    const isDue = last === undefined || revision === last + 1 || (wasReset && revision === last);
    return isDue ? undefined : last + 1;
  }
}

/**
 * What of the stream can hold keys with the prefix. One filter = all events. Otherwise the prefix's
 * complete tokens, the keys that fit no subject, and all resets; no two of them overlap, which the
 * server would refuse.
 */
export function filtersOf(names: Names, prefix: string): readonly string[] {
  const dot = prefix.lastIndexOf(".");
  if (prefix === "" || (dot < 0 && isSubjectKey(prefix))) return [names.eventWildcard];
  const tokens = dot < 0 ? "" : prefix.slice(0, dot);
  const filters = [`${names.event("reset", KEY_WITHOUT_SUBJECT).slice(0, -1)}>`];
  for (const operation of eventOperations) {
    if (operation === "reset") continue;
    filters.push(names.event(operation, KEY_WITHOUT_SUBJECT));
    if (isSubjectKey(tokens)) filters.push(`${names.event(operation, tokens)}.>`);
  }
  return filters;
}

/** The bytes of each event's value as they were stored: what was read may have lost digits. */
const storedBytes = new WeakMap<object, Uint8Array>();

/** Of an event that a watch has handed over; undefined unless it is a set. */
export function storedBytesOf(event: ChangeEvent<unknown>): Uint8Array | undefined {
  return storedBytes.get(event);
}

function eventOf<Value>(
  names: Names,
  message: NatsMessage,
  as: WatchOptions["as"],
): ChangeEvent<Value> {
  const op = message.subject.slice(names.eventWildcard.length - 1).split(".", 1)[0];
  const operation = eventOperations.find((known) => known === op);
  if (operation === undefined) throw unfit(message, "names no operation");
  const updatedAt = new Date(headerOf(message, "Kv-Updated-At") ?? NaN);
  const base = {
    key: decodeURIComponent(headerOf(message, "Kv-Key") ?? ""),
    revision: numberOf(message, "Kv-Revision"),
    position: numberOf(message, "Kv-Position"),
    updatedAt,
  };
  if (operation !== "set") return { op: operation, ...base };
  const contentType = parseContentType(headerOf(message, "Content-Type"));
  const expires = headerOf(message, "Kv-Expires-At");
  const value = valueAs(new Uint8Array(message.data), contentType, as) as Value;
  const expiresAt = expires === undefined ? {} : { expiresAt: new Date(expires) };
  const event = { op: "set" as const, ...base, value, contentType, ...expiresAt };
  storedBytes.set(event, new Uint8Array(message.data));
  return event;
}

function numberOf(message: NatsMessage, name: string): number {
  const value = Number(headerOf(message, name) ?? NaN);
  if (Number.isSafeInteger(value)) return value;
  throw unfit(message, `has no whole number in its header ${name}`);
}

function headerOf(message: NatsMessage, name: string): string | undefined {
  const value = message.headers?.get(name.toLowerCase())?.[0];
  return value === "" ? undefined : value;
}

function unfit(message: NatsMessage, why: string): KvError {
  return new KvError("internal", `the event on ${message.subject} ${why}`);
}
