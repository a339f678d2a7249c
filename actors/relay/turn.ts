/**
 * Turn: the time during which one relay is the active one of its shard.
 *
 * It begins with a marker of its own, which ends the turn of the relay that was active before:
 * every message names the marker it comes after, and the stream refuses it once there is another.
 * Then it reads the messages that its predecessor published after its last marker, continues from
 * the place in that marker, and leaves out what is already there. While there are changes it
 * records its place in further markers. A marker waits until the stream has acknowledged all
 * messages before it, so a marker's place is never ahead of the stream.
 *
 * Any failure (a refusal, a missing answer, a lost connection) ends the turn: run() rejects with
 * KvError. Messages on their way may still land; the next turn finds them.
 *
 * Invariants
 *   1. A marker's place is never ahead of what the stream has acknowledged.
 *   2. Entries are published one after another: the one after `#place` is `#place` + 1.
 *   3. Each marker stands behind the marker before it in the stream.
 */
import type { Surroundings } from "../surroundings.js";
import { sleep } from "../../infra/clock.js";
import type { Events, EventWriter, Fence } from "../../infra/events.js";
import type { Delivery, Log, LogConsumer, LogMessage } from "../../infra/log.js";
import type { Store } from "../../infra/store.js";
import { assert } from "../../protocol/assert.js";
import { chainNext } from "../../protocol/digest.js";
import { KvError } from "../../protocol/errors.js";
import type {
  LogId,
  NodeName,
  Position,
  Revision,
  Sequence,
  ShardId,
  TimeMs,
} from "../../protocol/ids.js";
import {
  decodeEntry,
  isEntry,
  type Entry,
  type EntryRefusal,
  type LogParent,
} from "../../protocol/log/entry.js";
import { decodeOutcomeRow, type OutcomeRow } from "../../protocol/store/outcome-row.js";
import { outcomeKey } from "../../protocol/store/store-keys.js";
import { readBridge } from "./bridge.js";
import {
  changesOf,
  eventOf,
  markerEvent,
  Published,
  readMarker,
  resetOf,
  type Change,
} from "./relay-core.js";

/** A marker is written this often while there is something new, */
const MARKER_MS = 1_000;
/** or after so many events: what the next turn may have to read. */
const MARKER_EVENTS_MAX = 8_192;
/** How often it is looked whether the marker is about to fall out of the stream. */
const KEEP_CHECK_MS = 5_000;
/** The log of an unknown place: no log has this name, so positions are reset. */
const NO_LOG = "unknown" as LogId;
/** Entries whose outcome rows are read at once. */
const GROUP_ENTRIES_MAX = 64;
/** How long one wait for the applier lasts before other things are looked at. */
const APPLIED_WAIT_MS = 500;
/** The turn reads again if the log is silent for so long although the replica applied more. */
const LOST_MS = 5_000;

/**
 * What the relay may see of its replica: how far it is, and the figures at that place. The shard's
 * Applied is one. The relay changes none of it; outcomes it reads from the store's rows.
 */
export interface AppliedForRelay {
  /** The sequence of the last entry applied. */
  readonly appliedSequence: Sequence;
  readonly appliedLogTime: TimeMs;
  /** The log of that entry; undefined = none was applied. */
  readonly logId: LogId | undefined;
  /** True once nothing more will be applied. */
  readonly hasEnded: boolean;
  readonly ownership: { owned(): readonly Position[] };
  readonly table: {
    revision(position: Position): Revision;
    copyRevisions(): Float64Array;
  };
  /** Resolves when everything up to `sequence` is applied; `unavailable` after `timeoutMs`. */
  reached(sequence: Sequence, timeoutMs: number): Promise<void>;
}

/** What a relay and its turns work with. */
export interface RelayParts extends Surroundings {
  readonly shard: ShardId;
  readonly logId: LogId;
  readonly node: NodeName;
  /** The place of this node among the shard's nodes: 0 = its home. */
  readonly rank: number;
  readonly log: Log;
  readonly store: Store;
  readonly applied: AppliedForRelay;
  readonly events: Events;
}

export class Turn {
  readonly #writer: EventWriter;
  readonly #published = new Published();
  /** Everything in the log up to here has been handed to the writer. */
  #place = 0 as Sequence;
  /** Place of the last marker. */
  #placeMarked = 0 as Sequence;
  /** Entries after this are newer than anything found in the stream. */
  #foundUntil = 0 as Sequence;
  /** Where in the stream the events after the last marker's place may begin. */
  #since = 0 as Sequence;
  #fence: Fence;
  /** The log's chain at #place; undefined = not known. */
  #chain: bigint | undefined;
  #consumer: LogConsumer | undefined;
  #pending: Promise<Delivery | undefined> | undefined;
  #eventCount = 0;
  #markerDue = false;
  #markedAtMs = 0;
  #keptAtMs: number;
  /** When the log's consumer was made, or last brought something. */
  #heardAtMs = 0;
  #wake: (() => void) | undefined;
  #stopped = false;

  constructor(
    private readonly parts: RelayParts,
    private readonly relay: string,
    /** Told of each marker's place. */
    private readonly onMarker: (sequence: Sequence) => void,
  ) {
    const { names, shard, events, clock } = parts;
    this.#fence = { subject: names.relayMarker(shard), sequence: 0 as Sequence };
    this.#keptAtMs = clock.elapsedMs();
    this.#writer = events.writer();
  }

  get sequence(): Sequence {
    return this.#place;
  }

  stop(): void {
    this.#stopped = true;
    this.#wake?.();
  }

  /** Resolves after stop(), with a marker at the place. Rejects with KvError if the turn ends. */
  async run(): Promise<void> {
    try {
      await this.#begin();
      while (!this.#stopped) {
        const delivery = await this.#next();
        if (delivery?.kind === "messages") await this.#publishAll(delivery.messages);
        else if (delivery === undefined) await this.#seekLost();
        await this.#markIfDue();
      }
      if (this.#place > this.#placeMarked) await this.#mark();
    } finally {
      this.#consumer?.stop();
      this.#writer.close();
    }
  }

  async #begin(): Promise<void> {
    const { events, log, logId, node } = this.parts;
    const { subject } = this.#fence;
    const last = await events.last(subject);
    const marker = last && readMarker(last);
    const since = marker?.since ?? last?.sequence ?? (0 as Sequence);
    const place = marker?.sequence ?? (0 as Sequence);
    // Nothing was ever published: then the place is the beginning of the first of all logs.
    const parent = marker?.logId === logId ? undefined : await this.#parent();
    // A last message that is not one of our markers leaves the place unknown, and so its log.
    const isForeign = last !== undefined && marker === undefined;
    const placeLog: LogId = isForeign ? NO_LOG : (marker?.logId ?? parent?.logId ?? logId);
    // It repeats its predecessor's place: until the turn has read what stands after it, that is
    // all that is known.
    const own = { sequence: place, since, logId: placeLog, node, relay: this.relay };
    this.#fence = { subject, sequence: last?.sequence ?? (0 as Sequence) };
    this.#writer.publish(markerEvent(subject, own), this.#fence);
    this.#fence = { subject, sequence: await this.#writer.flushed() };
    this.#since = since;
    this.#markedAtMs = this.parts.clock.elapsedMs();
    for await (const batch of events.read(since, this.#fence.sequence)) {
      for (const stored of batch) this.#published.add(this.parts.names, stored);
    }
    this.#foundUntil = (await log.state()).last;
    this.#markerDue = this.#published.isEmpty;
    this.#place = place;
    this.#placeMarked = place;
    if (placeLog === logId) return this.#consumeFrom(place);
    if (parent?.logId === placeLog && place <= parent.sequence) {
      return this.#bridgeTo(parent.sequence);
    }
    await this.#resetAll(`the last place is of log ${placeLog}`, true);
  }

  /** The log that this one continues, by its first entry; undefined = none, or trimmed away. */
  async #parent(): Promise<LogParent | undefined> {
    const { log } = this.parts;
    const first = await log.read((await log.state()).first);
    const entry = first && decodeEntry(first.data);
    const isGenesis = entry !== undefined && isEntry(entry) && entry.kind === "genesis";
    return isGenesis ? entry.genesis.parent : undefined;
  }

  /**
   * From the place, which is in the log before, to where this log continues. The entries between
   * may be lost (rule L3), so there are no values to publish; but the outcome rows show which
   * revisions there were. Those already in the stream need nothing. The relay resets a position if
   * a change was not published, or if a published one is no longer part of the shard's past.
   */
  async #bridgeTo(end: Sequence): Promise<void> {
    const { applied, logId, clock } = this.parts;
    while (applied.logId !== logId && !this.#stopped) {
      this.#checkWriter();
      await sleep(clock, APPLIED_WAIT_MS);
    }
    if (this.#stopped) return;
    const { appliedSequence: sequence, appliedLogTime: logTime, ownership } = applied;
    const revisionsNow = applied.table.copyRevisions();
    const bridge = await readBridge(this.parts.store, this.#place, end, sequence);
    if (bridge === undefined) return this.#resetAll(`outcomes since ${this.#place} are gone`, true);
    for (const position of ownership.owned()) {
      const changes = bridge.get(position);
      const atEnd = (changes?.revision ?? revisionsNow[position] ?? 0) as Revision;
      const isPublished = (changes?.revisions ?? []).every(
        (revision) => this.#published.judge(position, revision) === "there",
      );
      if (isPublished && this.#published.last(position) <= atEnd) continue;
      if (this.#writer.isFull) await this.#writer.ready();
      this.#send(resetOf(position, atEnd, logTime));
      this.#published.reset(position, atEnd);
    }
    this.#markerDue = true;
    await this.#consumeFrom(end);
    if (this.#place >= this.#foundUntil) this.#published.clear();
  }

  async #consumeFrom(place: Sequence): Promise<void> {
    this.#consumer?.stop();
    this.#place = place;
    const [row] = place === 0 ? [] : await this.parts.store.getMany([outcomeKey(place)]);
    this.#chain = place === 0 ? 0n : row && decodeOutcomeRow(row).chain;
    this.#consumer = this.parts.log.consume(place);
    this.#heardAtMs = this.parts.clock.elapsedMs();
    this.#pending = undefined;
  }

  /** The next messages of the log; undefined = look at other work that is due. */
  async #next(): Promise<Delivery | undefined> {
    this.#checkWriter();
    assert(this.#consumer !== undefined, "a turn that has begun has a consumer");
    this.#pending ??= this.#consumer.next();
    let wake = (): void => undefined;
    const woken = new Promise<"woken">((resolve) => {
      wake = () => resolve("woken");
    });
    this.#wake = wake;
    if (this.#stopped) wake();
    const timer = this.parts.clock.after(MARKER_MS, wake);
    const first = await Promise.race([this.#pending, woken]);
    timer.cancel();
    this.#checkWriter();
    if (first === "woken") return undefined;
    this.#heardAtMs = this.parts.clock.elapsedMs();
    this.#pending = undefined;
    if (first === undefined) throw new KvError("unavailable", "the log's consumer has ended");
    return first;
  }

  /**
   * Rule L7: the loss of a last message shows only when the next one comes. The log has the entries
   * that this replica has applied, so the turn reads them from there again.
   */
  async #seekLost(): Promise<void> {
    const { applied, logId, clock } = this.parts;
    const isBehind = applied.logId === logId && applied.appliedSequence > this.#place;
    if (!isBehind || this.#stopped || clock.elapsedMs() - this.#heardAtMs < LOST_MS) return;
    await this.#consumeFrom(this.#place);
  }

  #checkWriter(): void {
    if (this.#writer.failure !== undefined) throw this.#writer.failure;
  }

  async #publishAll(messages: readonly LogMessage[]): Promise<void> {
    let rest = messages.filter(({ sequence }) => sequence > this.#place);
    while (rest.length > 0 && !this.#stopped) {
      if (rest[0]?.sequence !== this.#place + 1) return this.#bridge();
      await this.#waitForApplied((this.#place + 1) as Sequence);
      const { appliedSequence: applied } = this.parts.applied;
      const end = rest.findIndex(
        ({ sequence }, index) =>
          index >= GROUP_ENTRIES_MAX || sequence > applied || sequence !== this.#place + 1 + index,
      );
      const group = end < 0 ? rest : rest.slice(0, end);
      if (!(await this.#publishGroup(group))) return;
      rest = rest.slice(group.length);
      await this.#markIfDue();
    }
  }

  async #waitForApplied(sequence: Sequence): Promise<void> {
    const { applied } = this.parts;
    while (applied.appliedSequence < sequence && !this.#stopped) {
      this.#checkWriter();
      try {
        await applied.reached(sequence, APPLIED_WAIT_MS);
      } catch (error) {
        // A replica that has ended refuses at once: to ask it again would let nothing else run.
        if (!(error instanceof KvError) || applied.hasEnded) throw error;
        await this.#markIfDue();
      }
    }
  }

  /** False if the place has changed, so that the messages at hand do not follow it. */
  async #publishGroup(group: readonly LogMessage[]): Promise<boolean> {
    const keys = group.map(({ sequence }) => outcomeKey(sequence));
    const rows = await this.parts.store.getMany(keys);
    for (const [index, { sequence, data }] of group.entries()) {
      const bytes = rows[index];
      if (bytes === undefined) {
        await this.#resetAll(`the outcomes of entry ${sequence} are gone`);
        return false;
      }
      assert(sequence === this.#place + 1, `invariant 2: ${sequence} follows ${this.#place}`);
      const row = decodeOutcomeRow(bytes);
      const entry = decodeEntry(data);
      this.#compare(sequence, entry, row);
      for (const change of isEntry(entry) ? changesOf(entry, row) : []) {
        // Awaited only when it must be: what is published in one turn of the event loop leaves in
        // one write to the socket.
        if (this.#writer.isFull) await this.#writer.ready();
        this.#publish(change);
      }
      this.#place = sequence;
      this.#chain = row.chain;
      if (this.#eventCount >= MARKER_EVENTS_MAX) await this.#mark();
    }
    if (this.#place >= this.#foundUntil) this.#published.clear();
    return true;
  }

  /** Rule L1: the log may have lost entries and have others in their place. */
  #compare(sequence: Sequence, entry: Entry | EntryRefusal, row: OutcomeRow): void {
    if (this.#chain === undefined) return;
    const chain = isEntry(entry) ? chainNext(this.#chain, entry.origin, entry.number) : this.#chain;
    if (chain === row.chain) return;
    const text = `entry ${sequence} of the log is not the one that this replica applied`;
    throw new KvError("unavailable", text);
  }

  #publish(change: Change): void {
    const { position, revision } = change;
    const verdict = this.#published.judge(position, revision);
    if (verdict === "there") return;
    if (verdict === "new") return this.#send(change);
    // Revisions were lost on the way while later ones landed.
    const { applied, shard, logger } = this.parts;
    const { appliedSequence: sequence } = applied;
    const known = Math.max(applied.table.revision(position), this.#published.last(position));
    logger.info("reset a position: it misses events", { shard, position, revision });
    this.#send(resetOf(position, known as typeof revision, applied.appliedLogTime));
    this.#published.reset(position, known);
    this.#foundUntil = Math.max(this.#foundUntil, sequence) as Sequence;
  }

  #send(change: Change): void {
    this.#checkWriter();
    this.#writer.publish(eventOf(this.parts.names, change), this.#fence);
    this.#eventCount += 1;
  }

  /** The consumer skipped an entry: its delivery was lost, or the log no longer has it. */
  async #bridge(): Promise<void> {
    const { log, applied } = this.parts;
    const sequence = (this.#place + 1) as Sequence;
    if ((await log.read(sequence)) !== undefined) return this.#consumeFrom(this.#place);
    if (sequence <= applied.appliedSequence) {
      return this.#resetAll(`entry ${sequence} is gone from the log`);
    }
    throw new KvError("unavailable", `entry ${sequence} is missing in the log`);
  }

  /**
   * History is gone: resets make consumers read again, and the relay continues from now. A replica
   * may be behind the stream; but events of another log may not be part of this one.
   */
  async #resetAll(reason: string, isOtherLog = false): Promise<void> {
    const { applied, shard, logger } = this.parts;
    await this.#waitForApplied(1 as Sequence);
    if (this.#stopped) return;
    const { appliedSequence: sequence, appliedLogTime: logTime, ownership, table } = applied;
    const resets = ownership
      .owned()
      .map((position) => ({ position, revision: table.revision(position) }))
      .filter(
        ({ position, revision }) =>
          !this.#published.has(position, revision) ||
          (isOtherLog && this.#published.last(position) !== revision),
      );
    logger.info("resetting positions: events are lost", {
      shard,
      reason,
      sequence,
      positions: resets.length,
    });
    for (const { position, revision } of resets) {
      const last = isOtherLog ? 0 : this.#published.last(position);
      const known = Math.max(revision, last) as typeof revision;
      if (this.#writer.isFull) await this.#writer.ready();
      this.#send(resetOf(position, known, logTime));
      this.#published.reset(position, known);
    }
    this.#foundUntil = Math.max(this.#foundUntil, sequence) as Sequence;
    this.#markerDue = true;
    await this.#consumeFrom(sequence);
    if (this.#place >= this.#foundUntil) this.#published.clear();
  }

  async #markIfDue(): Promise<void> {
    const nowMs = this.parts.clock.elapsedMs();
    const isNew = this.#place > this.#placeMarked && nowMs - this.#markedAtMs >= MARKER_MS;
    if (nowMs - this.#keptAtMs >= KEEP_CHECK_MS) {
      this.#keptAtMs = nowMs;
      if (await this.#markerIsOld()) this.#markerDue = true;
    }
    if (this.#markerDue || isNew || this.#eventCount >= MARKER_EVENTS_MAX) await this.#mark();
  }

  /** Other shards' events push a quiet shard's marker out of the stream, and its place with it. */
  async #markerIsOld(): Promise<boolean> {
    const { first, last, bytes, bytesMax } = await this.parts.events.state();
    const isOlderHalf = this.#fence.sequence - first < (last - first) / 2;
    return isOlderHalf && bytes > bytesMax / 2;
  }

  /** Writes the place down. Everything before is acknowledged, everything after waits. */
  async #mark(): Promise<void> {
    const { logId, node } = this.parts;
    const sequence = this.#place;
    // Messages found in the stream count as not yet passed until the place is beyond all of them.
    const since = this.#published.isEmpty ? undefined : this.#since;
    const { subject } = this.#fence;
    // One of them may be refused while the marker behind it lands: it would be lost for good.
    await this.#writer.flushed();
    assert(this.#place === sequence, `invariant 1: ${sequence} is marked, but at ${this.#place}`);
    const marker = { sequence, since, logId, node, relay: this.relay };
    this.#writer.publish(markerEvent(subject, marker), this.#fence);
    const markedAt = await this.#writer.flushed();
    const before = this.#fence.sequence;
    assert(markedAt > before, `invariant 3: a marker at ${markedAt} follows one at ${before}`);
    this.#fence = { subject, sequence: markedAt };
    this.#placeMarked = sequence;
    this.#eventCount = 0;
    this.#markerDue = false;
    this.#markedAtMs = this.parts.clock.elapsedMs();
    this.onMarker(sequence);
  }
}
