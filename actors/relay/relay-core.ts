/**
 * Relay core: an entry's changes as messages, the marker, and the messages already in the stream.
 *
 * An entry has the requested operations, its outcome row their results. Together they give the
 * changes: records that expired, and operations that took a revision. In a position revisions rise
 * by one from change to change, and the messages keep that order.
 *
 * A relay that takes over finds messages that its predecessor published after its last marker. Each
 * position's span of revisions shows which. A span with a hole, or one that begins too late, means
 * that the stream refused a message and accepted later ones. Publishing that message now would put
 * revisions out of order, so the relay resets the position: consumers read it again.
 *
 * Invariants
 *   1. Within a position, changes come in the order of their revisions.
 *   2. A change is published at most once, as long as the stream keeps what it acknowledged.
 */
import type { HeaderMap } from "../../infra/bus.js";
import type { OutgoingEvent, StoredEvent } from "../../infra/events.js";
import { assert } from "../../protocol/assert.js";
import type { LogId, NodeName, Position, Revision, Sequence, TimeMs } from "../../protocol/ids.js";
import type { Entry } from "../../protocol/log/entry.js";
import type { EventOperation, Names } from "../../protocol/nats/subjects.js";
import type { ContentType, Operation } from "../../protocol/operation.js";
import type { OutcomeRow, StoredOutcome } from "../../protocol/store/outcome-row.js";

export interface Change {
  readonly op: EventOperation;
  readonly key: string;
  readonly position: Position;
  readonly revision: Revision;
  readonly updatedAt: TimeMs;
  /** 0 = never. */
  readonly expiresAt: TimeMs;
  /** Only in the event of a set. */
  readonly content: { readonly type: ContentType; readonly value: Uint8Array } | undefined;
}

const nothing = new Uint8Array();
const NO_TIME = 0 as TimeMs;

/** The entry's changes, in order. `row` is the outcome row of the same entry. */
export function changesOf(entry: Entry, row: OutcomeRow): Change[] {
  const changes: Change[] = [];
  for (const { position, revision, key } of row.expired) {
    changes.push(removal("expire", key, position, revision, row.logTime));
  }
  // An entry that was skipped has no outcomes, whatever it holds.
  if (entry.kind === "operations" && row.operations.length > 0) {
    let index = 0;
    for (const group of entry.groups) {
      for (const operation of group) {
        const outcome = row.operations[index];
        assert(outcome !== undefined, `operation ${index} of ${row.operations.length} has a row`);
        if (outcome.changed) changes.push(changeOf(operation, outcome, row.logTime));
        index += 1;
      }
    }
    assert(index === row.operations.length, `${index} operations, ${row.operations.length} rows`);
  }
  // A record may also have come due when an operation looked at it, between two others.
  if (row.expired.length > 0) {
    changes.sort((a, b) => a.position - b.position || a.revision - b.revision);
  }
  return changes;
}

function changeOf(operation: Operation, outcome: StoredOutcome, updatedAt: TimeMs): Change {
  const { key, verb } = operation;
  const { position } = outcome;
  assert(outcome.outcome.ok, `a refused ${verb} takes no revision`);
  const { revision, expiresAt } = outcome.outcome.done;
  assert(revision > 0, `a change takes a revision, not ${revision}`);
  if (verb === "del") return removal("del", key, position, revision, updatedAt);
  const { result } = outcome;
  const content =
    operation.verb === "set"
      ? { type: operation.contentType, value: operation.value }
      : result && { type: result.contentType, value: result.value };
  assert(content !== undefined, `the row of a ${verb} has what it left`);
  return { op: "set", key, position, revision, updatedAt, expiresAt, content };
}

function removal(
  op: "del" | "expire",
  key: string,
  position: Position,
  revision: Revision,
  updatedAt: TimeMs,
): Change {
  return { op, key, position, revision, updatedAt, expiresAt: NO_TIME, content: undefined };
}

/** The position's history up to `revision` is gone; the next change is `revision` + 1. */
export function resetOf(position: Position, revision: Revision, updatedAt: TimeMs): Change {
  const none = { expiresAt: NO_TIME, content: undefined };
  return { op: "reset", key: "", position, revision, updatedAt, ...none };
}

export function eventOf(names: Names, change: Change): OutgoingEvent {
  const { op, key, position, revision, updatedAt, expiresAt, content } = change;
  const headers: [string, string][] = [];
  if (op !== "reset") headers.push(["Kv-Key", encodeURIComponent(key)]);
  headers.push(
    ["Kv-Position", String(position)],
    ["Kv-Revision", String(revision)],
    ["Kv-Updated-At", new Date(updatedAt).toISOString()],
  );
  if (expiresAt !== 0) headers.push(["Kv-Expires-At", new Date(expiresAt).toISOString()]);
  if (content !== undefined) headers.push(["Content-Type", content.type]);
  return { subject: names.event(op, key), headers, data: content?.value ?? nothing };
}

/** The contents of a marker. */
export interface Marker {
  /** All changes of the log up to here have been published. */
  readonly sequence: Sequence;
  /** Events after this sequence of the stream, if any, may be of later changes. */
  readonly since: Sequence;
  readonly logId: LogId;
  readonly node: NodeName;
  /** Random, of the relay that wrote it. */
  readonly relay: string;
}

/** `since` undefined: the marker itself, whose sequence is not known before it is written. */
export function markerEvent(
  subject: string,
  { sequence, since, logId, node, relay }: Omit<Marker, "since"> & { since: Sequence | undefined },
): OutgoingEvent {
  const body = { sequence, since: since ?? null, log_id: logId, node, relay };
  return { subject, headers: [], data: Buffer.from(JSON.stringify(body)) };
}

/** Undefined = that message is not one of our markers. */
export function readMarker(stored: StoredEvent): Marker | undefined {
  let body: unknown;
  try {
    body = JSON.parse(Buffer.from(stored.data).toString());
  } catch {
    return undefined;
  }
  if (typeof body !== "object" || body === null) return undefined;
  const { sequence, since, log_id: logId, node, relay } = body as Record<string, unknown>;
  const whole = Number.isSafeInteger(sequence) && typeof logId === "string";
  if (!whole || !(since === null || Number.isSafeInteger(since))) return undefined;
  return {
    sequence: sequence as Sequence,
    since: (since ?? stored.sequence) as Sequence,
    logId: logId as LogId,
    node: String(node) as NodeName,
    relay: String(relay),
  };
}

interface Span {
  readonly first: number;
  last: number;
  isWhole: boolean;
}

/** The messages in the stream after a place, by position. */
export class Published {
  readonly #spans = new Map<Position, Span>();

  get isEmpty(): boolean {
    return this.#spans.size === 0;
  }

  /** An event found in the stream, in the stream's order. Others than events change nothing. */
  add(names: Names, { subject, headers }: Pick<StoredEvent, "subject" | "headers">): void {
    if (!names.isEvent(subject)) return;
    const position = numberIn(headers, "kv-position");
    const revision = numberIn(headers, "kv-revision");
    if (position === undefined || revision === undefined) return;
    if (subject === names.event("reset", "")) this.reset(position as Position, revision);
    else this.#addRevision(position as Position, revision);
  }

  /** A reset stands for all revisions up to it. */
  reset(position: Position, revision: number): void {
    this.#spans.set(position, { first: 0, last: revision, isWhole: true });
  }

  /** Last revision known of the position; 0 = none. */
  last(position: Position): Revision {
    return (this.#spans.get(position)?.last ?? 0) as Revision;
  }

  /** True if nothing of the position up to `revision` is missing. */
  has(position: Position, revision: Revision): boolean {
    const span = this.#spans.get(position);
    return span !== undefined && span.isWhole && span.first === 0 && span.last >= revision;
  }

  clear(): void {
    this.#spans.clear();
  }

  #addRevision(position: Position, revision: number): void {
    const span = this.#spans.get(position);
    if (span === undefined) {
      this.#spans.set(position, { first: revision, last: revision, isWhole: true });
      return;
    }
    if (revision !== span.last + 1) span.isWhole = false;
    span.last = Math.max(span.last, revision);
  }

  /** Whether the relay must publish the change, finds it there, or must reset the position. */
  judge(position: Position, revision: Revision): "new" | "there" | "hole" {
    const span = this.#spans.get(position);
    if (span === undefined) return "new";
    if (!span.isWhole || revision < span.first) return "hole";
    if (revision <= span.last) return "there";
    this.#spans.delete(position);
    return "new";
  }
}

function numberIn(headers: HeaderMap | undefined, name: string): number | undefined {
  const text = headers?.get(name)?.[0];
  const value = text === undefined ? Number.NaN : Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}
