/**
 * Applier: applies a shard's log to a replica's store, entry by entry, in order.
 *
 * Mailbox     the log, through a consumer that the applier replaces when necessary
 * State       ReplicaState; `Applied`, which the other loops look at
 * Decides in  applier-core.ts (no I/O); this file reads the rows, writes the batch, publishes
 * Lifecycle   run until stopped. Ends with ReplicaStopped where it would be wrong to continue
 * On a bug    InvariantError or a failed write leaves run(); the replica is started again
 *
 * The applier does not trust the consumer to be complete (rule L7): it takes only the entry after
 * the last one applied, replaces the consumer at a gap, and fetches an entry that is known to exist
 * but does not come. With a new consumer, or after a lost connection, it compares the log with the
 * applied entries before it takes anything (rule L1).
 */
import { type Chance, type Clock, type Timer, sleep } from "../../../infra/clock.js";
import type {
  Appended,
  Delivery,
  Log,
  LogConsumer,
  LogMessage,
  LogState,
} from "../../../infra/log.js";
import type { Logger } from "../../../infra/logger.js";
import type { Store } from "../../../infra/store.js";
import { KvError } from "../../../protocol/errors.js";
import type { LogId, Origin, Sequence } from "../../../protocol/ids.js";
import {
  BEHAVIOUR_VERSION,
  decodeEntry,
  encodeEntry,
  isEntry,
} from "../../../protocol/log/entry.js";
import { messageHashOf } from "../../../protocol/store/applied-row.js";
import { appliedKey, outcomeKey } from "../../../protocol/store/store-keys.js";
import type { Applied } from "../state/applied.js";
import { fitOf, unfitReason } from "../state/log-fit.js";
import type { ReplicaState } from "../state/replica-state.js";
import { REPAIR, ReplicaStopped } from "../state/stopped.js";
import {
  ApplierCore,
  decodeRows,
  type EntryOutcome,
  type ReadNeeds,
  type Rows,
} from "./applier-core.js";
import { readDue } from "./expiry.js";

/** How long an entry known to exist may take to be delivered before it is fetched. Rule L7. */
const LATE_MS = 200;
/** How long it may be neither delivered nor found before the log is made to prove its end. */
const LOST_MS = 2_000;
/** How often the store is made durable. Rule L8. */
const SYNC_MS = 1_000;
const COMPARE_AGAIN_MS = 250;
/** The number of entries that every replica skips: an origin's own begin with 1. */
const NUMBER_UNOPENED = 0;
/** How long the applier tries to append the entry that shows others the log's loss. */
const TELL_MS_MAX = 60_000;

/** Gets the entries that the applier meets in the log. */
export interface LogListener {
  /** Each entry, in order, when its batch is written. */
  applied(entry: EntryOutcome): void;
  /** The log lost the entries from `first` to `last`, before this replica applied them. */
  lost(first: Sequence, last: Sequence): void;
}

export class Applier {
  readonly #core: ApplierCore;
  #consumer: LogConsumer | undefined;
  #pending: Promise<Delivery | undefined> | undefined;
  #expected = 0 as Sequence;
  /** The entry that it waits for but cannot find, and since when. */
  #absent: { readonly sequence: Sequence; readonly sinceMs: number } | undefined;
  #lateTimer: Timer | undefined;
  #syncTimer: Timer | undefined;
  #isLate = false;
  #compareDue = false;
  #wake: (() => void) | undefined;
  #stopped = false;
  #syncedAtMs: number;
  /** Everything up to here survives a crash of the machine. Entries found at the start may have
   * been written without `sync`. */
  durable = 0 as Sequence;
  appliedAtMs: number;
  /** It has compared the log's past with the entries applied here: it serves nothing before. */
  hasCompared = false;

  constructor(
    private readonly log: Log,
    private readonly store: Store,
    private readonly state: ReplicaState,
    private readonly applied: Applied,
    private readonly listener: LogListener,
    private readonly clock: Clock,
    private readonly chance: Chance,
    private readonly logger: Logger,
  ) {
    this.#core = new ApplierCore(state);
    this.#syncedAtMs = clock.elapsedMs();
    this.appliedAtMs = clock.elapsedMs();
  }

  async run(): Promise<void> {
    this.#syncLater();
    try {
      while (!this.#stopped) {
        const delivery = await this.#next();
        if (delivery === undefined) continue;
        if (delivery.kind === "resumed") {
          await this.#compareLog();
          // A stopped applier has not finished comparing.
          this.hasCompared = !this.#stopped;
        } else await this.#applyAll(delivery.messages);
      }
    } finally {
      this.stop();
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#lateTimer?.cancel();
    this.#syncTimer?.cancel();
    this.#consumer?.stop();
    this.#wakeUp();
  }

  /** An entry is known to stand at `sequence`. */
  expect(sequence: Sequence): void {
    if (sequence <= this.#expected) return;
    this.#expected = sequence;
    if (sequence > this.state.decidedSequence) this.#watchForLate();
  }

  /** The log does not fit the entries applied here. It serves nothing until it has compared. */
  compareAgain(): void {
    this.hasCompared = false;
    this.#compareDue = true;
    this.#wakeUp();
  }

  #watchForLate(): void {
    if (this.#lateTimer !== undefined) return;
    const before = this.state.decidedSequence;
    this.#lateTimer = this.clock.after(LATE_MS, () => {
      this.#lateTimer = undefined;
      if (this.#stopped || this.#expected <= this.state.decidedSequence) return;
      this.#isLate = this.state.decidedSequence === before;
      if (this.#isLate) this.#wakeUp();
      else this.#watchForLate();
    });
  }

  /** The next delivery of the consumer, or a fetched entry; undefined = look again. */
  async #next(): Promise<Delivery | undefined> {
    this.#consumer ??= this.log.consume(this.state.decidedSequence);
    this.#pending ??= this.#consumer.next();
    const woken = new Promise<"woken">((resolve) => {
      this.#wake = () => resolve("woken");
    });
    const pending = this.#pending;
    // Events during the writing of a batch have woken no waiter.
    const isDue = this.#isLate || this.#compareDue;
    const first = isDue ? "woken" : await Promise.race([pending, woken]);
    if (first !== "woken") {
      this.#pending = undefined;
      if (first === undefined) this.#consumer = undefined;
      return first;
    }
    if (this.#compareDue) {
      this.#compareDue = false;
      return { kind: "resumed" };
    }
    if (this.#isLate) return this.#fetch();
    if (this.#syncIsDue()) await this.#sync();
    return undefined;
  }

  async #fetch(): Promise<Delivery | undefined> {
    this.#isLate = false;
    if (this.#expected <= this.state.decidedSequence) return undefined;
    // The connection may have been away without the consumer having said so yet.
    await this.#compareLog();
    const message = await this.#readNext();
    if (this.#stopped) return undefined;
    if (message === undefined) {
      await this.#lookForEnd();
      this.#watchForLate();
      return undefined;
    }
    this.#absent = undefined;
    this.logger.debug("fetched an entry that was late", {
      shard: this.log.shard,
      sequence: message.sequence,
    });
    if (this.#expected > message.sequence) this.#watchForLate();
    return { kind: "messages", messages: [message] };
  }

  /**
   * The log accepted an entry, but the applier cannot find it. A log that ends before the entry has
   * lost it; no store needs to be ahead of the log for that, so rule L3 stops no replica. Then
   * nothing must wait for the entry any longer.
   */
  async #lookForEnd(): Promise<void> {
    const sequence = (this.state.decidedSequence + 1) as Sequence;
    const nowMs = this.clock.elapsedMs();
    if (this.#absent?.sequence !== sequence) this.#absent = { sequence, sinceMs: nowMs };
    if (nowMs - this.#absent.sinceMs < LOST_MS) return;
    // Do not ask the log again at once, whatever the result.
    this.#absent = undefined;
    const last = this.#expected;
    const first = await this.#provenEnd();
    if (first === undefined || first > last) return;
    this.#expected = (first - 1) as Sequence;
    this.logger.error(
      "the log lost entries that it had accepted, before this replica applied them",
      {
        shard: this.log.shard,
        first,
        last,
      },
    );
    this.listener.lost(first, last);
  }

  async #applyAll(delivered: readonly LogMessage[]): Promise<void> {
    let messages = delivered.filter(({ sequence }) => sequence > this.state.decidedSequence);
    while (messages.length > 0 && !this.#stopped) {
      if (messages[0]?.sequence !== this.state.decidedSequence + 1) return this.#overGap();
      const end = messages.findIndex(
        ({ sequence }, index) => sequence !== this.state.decidedSequence + 1 + index,
      );
      const needs = this.#core.needsOf(end < 0 ? messages : messages.slice(0, end));
      const count = await this.#applyGroup(needs);
      messages = messages.slice(count);
    }
  }

  /** A delivered entry does not follow the last one applied: the consumer left an entry out, or
   * the log no longer has it. */
  async #overGap(): Promise<void> {
    await this.#readNext();
    this.#consumer?.stop();
    this.#consumer = undefined;
    this.#pending = undefined;
  }

  async #applyGroup(needs: ReadNeeds): Promise<number> {
    const batch = this.#core.decide(needs, await readRows(this.store, needs));
    await this.#write(batch.writes, this.#syncIsDue(), () => {
      batch.publish();
      this.applied.logId = this.state.appliedLogId;
      this.applied.batchWritten(batch.sequence, batch.logTime);
    });
    this.appliedAtMs = this.clock.elapsedMs();
    for (const entry of batch.entries) {
      if (entry.kind === "alarm") this.#alarm(entry);
      this.listener.applied(entry);
    }
    return batch.entries.length;
  }

  /** Makes earlier batches durable by writing a row: RocksDB does not sync an empty batch. */
  #sync(): Promise<void> {
    return this.#write([{ type: "put", key: appliedKey, value: this.#core.appliedRow() }], true);
  }

  /** One batch; `publish` runs in the turn in which it is known to be written. */
  async #write(
    batch: Parameters<Store["write"]>[0],
    sync: boolean,
    publish = (): void =>
      this.applied.batchWritten(this.applied.appliedSequence, this.applied.appliedLogTime),
  ): Promise<void> {
    this.applied.batchStarts();
    await this.store.write(batch, { sync });
    publish();
    if (!sync) return this.#syncLater();
    this.#syncedAtMs = this.clock.elapsedMs();
    this.durable = this.applied.appliedSequence;
  }

  #syncIsDue(): boolean {
    return (
      this.durable < this.state.decidedSequence &&
      this.clock.elapsedMs() - this.#syncedAtMs >= SYNC_MS
    );
  }

  /** Only while something is not durable: an idle replica sets no timer. */
  #syncLater(): void {
    if (this.#stopped || this.durable >= this.state.decidedSequence) return;
    this.#syncTimer ??= this.clock.after(SYNC_MS, () => {
      this.#syncTimer = undefined;
      if (this.#syncIsDue()) this.#wakeUp();
      // Whatever is being done just now may end without a batch: then it is looked at again.
      this.#syncLater();
    });
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Rule L1: did this replica apply the log's past? Throws ReplicaStopped if not. */
  async #compareLog(): Promise<void> {
    const { decidedSequence: sequence, messageHash } = this.state;
    while (!this.#stopped) {
      const state = await this.#again(() => this.log.state());
      if (state === undefined) return;
      if (!this.state.hasBegun) return this.#compareGenesis(state);
      // At `applied` = first - 1 there is a genesis to compare with only where it is still to be
      // applied. Here it has been, so what stands there was trimmed away and cannot be compared.
      if (state.first > sequence) throw trimmed(sequence, state.first);
      const message = await this.#readLog(sequence);
      if (this.#stopped) return;
      if (message !== undefined) {
        if (messageHashOf(message.data, message.time) === messageHash) return;
        if (provesLoss(message)) throw shorter(sequence, message.sequence);
        // Telling the others may take a while; until then the replica serves nothing.
        this.hasCompared = false;
        await this.#tellOthers(state.last);
        throw diverged(sequence);
      }
      if (state.last >= sequence) return this.#missing(sequence);
      // The log seems to end before the last entry applied. An answer may be old; a write is not.
      // A write of an earlier start is enough: the log must not grow with each start.
      const last = state.last === 0 ? undefined : await this.#readLog(state.last);
      if (last !== undefined && provesLoss(last)) throw shorter(sequence, last.sequence);
      const end = await this.#provenEnd();
      if (end !== undefined && end <= sequence) throw shorter(sequence, end);
      await sleep(this.clock, COMPARE_AGAIN_MS);
    }
  }

  /** The same where the next entry must be the log's first: it names the log before it. */
  async #compareGenesis({ first, last }: LogState): Promise<void> {
    const { appliedLogId, decidedSequence: sequence, chain, logId } = this.state;
    const isNew = sequence === 0 && first === 1;
    if (last < first) {
      // No ring names a log before its first entry is acknowledged; but a test may.
      if (isNew) return;
      throw new ReplicaStopped("log-shorter", `log ${logId} lost its first entry${REPAIR}`);
    }
    const message = await this.#readLog(first);
    if (message === undefined) return;
    const entry = decodeEntry(message.data);
    if (!isEntry(entry) || entry.kind !== "genesis") {
      if (isNew) return;
      throw sequence === 0 ? trimmed(sequence, first) : unknown(appliedLogId, logId);
    }
    const place = { logId: appliedLogId, sequence, chain };
    const fit = fitOf(place, entry.genesis);
    if (fit === "continues" && first === sequence + 1) return;
    if (fit === "empty") throw trimmed(sequence, first);
    if (fit === "continues" || fit === "other-log") throw unknown(appliedLogId, logId);
    throw new ReplicaStopped("log-continued", unfitReason(fit, place, entry.genesis));
  }

  /**
   * Replicas that had not applied the lost entries would continue without them: the basis of a new
   * entry shows them the loss (rule L3). The applier writes none if one of an earlier start is in
   * the log's end: the log must not grow with each start. Nor does it try for ever: a log that
   * takes no entry cannot show anything.
   */
  async #tellOthers(last: Sequence): Promise<void> {
    const { decidedSequence: sequence, chain } = this.state;
    for (let at: number = last; at > sequence && !this.#stopped; at -= 1) {
      const message = await this.#readLog(at as Sequence);
      const entry = message && decodeEntry(message.data);
      // All that have stopped have left theirs one after another.
      if (entry === undefined || !isEntry(entry) || entry.number !== NUMBER_UNOPENED) break;
      if (entry.basisSequence === sequence && entry.basisChain === chain) return;
    }
    const endMs = this.clock.elapsedMs() + TELL_MS_MAX;
    while (!this.#stopped && this.clock.elapsedMs() < endMs) {
      if ((await this.#appendMark()).kind === "accepted") return;
      await sleep(this.clock, COMPARE_AGAIN_MS);
    }
  }

  /** The log's true end: the sequence that an entry got now, or would get in a log that is full. */
  async #provenEnd(): Promise<Sequence | undefined> {
    const result = await this.#appendMark();
    if (result.kind === "accepted") return result.sequence;
    if (result.kind === "full" && this.log.tailIsExact) {
      const tail = await this.#again(() => this.log.tail());
      return tail === undefined ? undefined : ((tail + 1) as Sequence);
    }
    await sleep(this.clock, COMPARE_AGAIN_MS);
    return undefined;
  }

  /** Appends an entry that changes nothing; to a full log in room that is made for it. */
  async #appendMark(): Promise<Appended> {
    const bytes = encodeEntry({
      kind: "barrier",
      version: BEHAVIOUR_VERSION,
      // An origin that never opened: every replica passes over the entry. But first each compares
      // the basis; if the log did lose writes, it stops those that had not seen them too (rule L3).
      origin: Buffer.from(this.chance.bytes(16)).toString("hex") as Origin,
      number: NUMBER_UNOPENED,
      basisSequence: this.state.decidedSequence,
      basisChain: this.state.chain,
    });
    const result = await this.log.append(bytes, LATE_MS * 5);
    if (result.kind !== "full") return result;
    try {
      await this.log.makeRoom();
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      const fields = { shard: this.log.shard, error: error.message };
      this.logger.info(
        "log is full: no room for the barrier that shows other replicas the loss",
        fields,
      );
      return result;
    }
    return this.log.append(bytes, LATE_MS * 5);
  }

  /**
   * The entry after the last one applied; undefined = the log may not have it. Throws
   * ReplicaStopped if the log continues without it, as after damage to the server's disk: the
   * replica would wait for ever.
   */
  async #readNext(): Promise<LogMessage | undefined> {
    const next = (this.state.decidedSequence + 1) as Sequence;
    const message = await this.#readLog(next);
    if (message !== undefined || this.#stopped) return message;
    // Any other fault of the log explains more.
    await this.#compareLog();
    const state = await this.#again(() => this.log.state());
    if (state === undefined || state.last < next) return undefined;
    const again = await this.#readLog(next);
    if (again === undefined) await this.#missing(next);
    return again;
  }

  /** Throws ReplicaStopped: an entry is missing, though the log continues behind it. */
  async #missing(sequence: Sequence): Promise<void> {
    // The log may have been trimmed since the applier read its first sequence.
    const state = await this.#again(() => this.log.state());
    if (state === undefined) return;
    if (state.first > sequence) throw trimmed(this.state.decidedSequence, state.first);
    throw missing(sequence);
  }

  #readLog(sequence: Sequence): Promise<LogMessage | undefined> {
    return this.#again(() => this.log.read(sequence));
  }

  /** Repeats what the log's unavailability made fail; undefined once the applier is stopped. */
  async #again<Result>(ask: () => Promise<Result>): Promise<Result | undefined> {
    while (!this.#stopped) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        this.logger.debug("the log did not answer; asking again", { error: error.message });
        await sleep(this.clock, COMPARE_AGAIN_MS);
      }
    }
    return undefined;
  }

  #alarm({ sequence, reason }: EntryOutcome): void {
    this.logger.error("skipped a log message that is not a valid entry", {
      shard: this.log.shard,
      sequence,
      reason,
    });
  }
}

/** Reads the rows that `needs` names. */
export async function readRows(store: Store, needs: ReadNeeds): Promise<Rows> {
  const due =
    needs.duePositions.length === 0
      ? undefined
      : await readDue(store, needs.duePositions, needs.dueAt);
  const keys = [...needs.recordKeys.values(), ...needs.outcomeSequences.map(outcomeKey)];
  const rows = keys.length === 0 ? [] : await store.getMany(keys);
  const count = needs.recordKeys.size;
  const decoded = decodeRows(needs, rows.slice(0, count), rows.slice(count));
  for (const [key, record] of due?.records ?? []) decoded.records.set(key, record);
  return { ...decoded, due };
}

function trimmed(sequence: Sequence, first: Sequence): ReplicaStopped {
  return new ReplicaStopped(
    "log-trimmed",
    `the log begins at ${first}, but this replica has applied only up to ${sequence}: the log ` +
      `no longer has the entries between${REPAIR}`,
  );
}

function missing(sequence: Sequence): ReplicaStopped {
  const text = `entry ${sequence} was removed from the log, and not by Ringdex${REPAIR}`;
  return new ReplicaStopped("log-diverged", text);
}

function diverged(sequence: Sequence): ReplicaStopped {
  return new ReplicaStopped(
    "log-diverged",
    `entry ${sequence} of the log is not the one that this replica applied: the log lost ` +
      `writes and took others in their place. Keep all stores of this shard${REPAIR}`,
  );
}

function unknown(appliedLogId: LogId | undefined, logId: LogId): ReplicaStopped {
  return new ReplicaStopped(
    "log-unknown",
    `the store belongs to log ${appliedLogId}, but the ring names log ${logId}, which does not ` +
      `continue it: was the NATS server's data replaced? The store is kept as it is${REPAIR}`,
  );
}

/**
 * The proposer had already applied this sequence, so the log was once longer: entries from here on
 * were lost.
 */
function provesLoss({ sequence, data }: LogMessage): boolean {
  const entry = decodeEntry(data);
  return isEntry(entry) && entry.basisSequence >= sequence;
}

function shorter(sequence: Sequence, end: Sequence): ReplicaStopped {
  return new ReplicaStopped(
    "log-shorter",
    `this replica has applied the log up to ${sequence}, but its next entry is ${end}: the log ` +
      "lost acknowledged writes that this store still holds. The replica serves nothing until " +
      `the shard is repaired; keep all stores of it${REPAIR}`,
  );
}
