/**
 * Applier core: turns log messages and store rows into one batch and its outcomes. No I/O.
 *
 * It works in two steps, because the effect of an entry depends on rows that must be read first:
 * `needsOf` decodes messages and lists the rows it needs, `decide` applies the entries one by one
 * to a ChangeSet. The result is the same however entries are grouped into batches: a group ends
 * before an entry that needs rows which the applier did not read for it (records that are due).
 *
 * `decide` also changes the core's own state (origins, request fingerprints, chain). If the batch
 * then cannot be written, the replica ends and starts again from the store.
 *
 * Invariants
 *   1. The entry after `decidedSequence` is decidedSequence + 1, always. Rule L7.
 *   2. Log time never goes back. Rule L6.
 *   3. Two replicas that decided the same entries hold the same records, index rows and outcomes.
 */
import type { LogMessage } from "../../../infra/log.js";
import type { StoreWrite } from "../../../infra/store.js";
import { assert } from "../../../protocol/assert.js";
import { chainNext } from "../../../protocol/digest.js";
import type { Origin, Position, Sequence, TimeMs } from "../../../protocol/ids.js";
import { ENTRY_OPERATIONS_MAX } from "../../../protocol/limits.js";
import {
  decodeEntry,
  isEntry,
  type Entry,
  type EntryRefusal,
} from "../../../protocol/log/entry.js";
import type { Outcome, StoredRecord } from "../../../protocol/operation.js";
import { positionOf } from "../../../protocol/position.js";
import {
  encodeAppliedRow,
  messageHashOf,
  STORE_FORMAT,
} from "../../../protocol/store/applied-row.js";
import { encodeOriginRow } from "../../../protocol/store/origin-row.js";
import {
  decodeOutcomeRow,
  encodeOutcomeRow,
  type OutcomeRow,
  type StoredOutcome,
} from "../../../protocol/store/outcome-row.js";
import { decodeRecord } from "../../../protocol/store/record.js";
import {
  appliedKey,
  originKey,
  outcomeKey,
  recordKey,
} from "../../../protocol/store/store-keys.js";
import { fitOf, unfitReason } from "../state/log-fit.js";
import { fingerprint } from "../state/outcomes.js";
import type { ReplicaState } from "../state/replica-state.js";
import { REPAIR, ReplicaStopped } from "../state/stopped.js";
import { ChangeSet } from "./change-set.js";
import { EntryWork, type DueRows } from "./entry-work.js";

/** Entries that share a batch at most, when the replica is behind. */
export const GROUP_ENTRIES_MAX = 64;

export interface Decoded {
  readonly message: LogMessage;
  readonly entry: Entry | EntryRefusal;
}

/** The entries of one batch, and the rows that `decide` needs to have been read for them. */
export interface ReadNeeds {
  readonly group: readonly Decoded[];
  readonly recordKeys: ReadonlyMap<string, Uint8Array>;
  readonly outcomeSequences: readonly Sequence[];
  /** Positions whose expiry rows must be read; then the group is one entry. Ascending. */
  readonly duePositions: readonly Position[];
  readonly dueAt: TimeMs;
}

export interface Rows {
  /** In the order of `recordKeys`; then the records of the due rows by key. */
  readonly records: ReadonlyMap<string, StoredRecord | undefined>;
  readonly outcomes: ReadonlyMap<Sequence, OutcomeRow>;
  readonly due: DueRows | undefined;
}

/** The result of one log message, with an outcome for each operation of it. */
export interface EntryOutcome {
  readonly sequence: Sequence;
  readonly kind: "accepted" | "skipped" | "alarm";
  /** In an alarm: what the log has instead of an entry. */
  readonly reason: string;
  readonly origin: Origin | undefined;
  readonly number: number;
  readonly outcomes: readonly Outcome[];
}

/** Entries decided together; they are applied once `writes` is written. */
export interface DecidedBatch {
  readonly writes: readonly StoreWrite[];
  readonly entries: readonly EntryOutcome[];
  readonly sequence: Sequence;
  readonly logTime: TimeMs;
  /** Brings the shared in-memory figures up to the batch; call when it is written. */
  publish(): void;
}

export class ApplierCore {
  constructor(private readonly state: ReplicaState) {}

  /** Decodes as many of `messages` as go into one batch. They must follow the last decided. */
  needsOf(messages: readonly LogMessage[]): ReadNeeds {
    const { table, decidedSequence: sequence } = this.state;
    const group: Decoded[] = [];
    const recordKeys = new Map<string, Uint8Array>();
    const outcomeSequences = new Set<Sequence>();
    let operations = 0;
    let time = this.state.decidedLogTime;
    for (const message of messages) {
      assert(message.sequence === sequence + group.length + 1, "messages follow one another");
      time = Math.max(time, message.time) as TimeMs;
      const isDue = table.hasDue(time);
      if (group.length > 0 && (isDue || group.length >= GROUP_ENTRIES_MAX)) break;
      const entry = decodeEntry(message.data);
      if (isEntry(entry) && entry.kind === "operations") {
        operations += entry.groups.length;
        if (group.length > 0 && operations > ENTRY_OPERATIONS_MAX) break;
        this.#addNeeds(entry, recordKeys, outcomeSequences);
      }
      group.push({ message, entry });
      if (isDue) break;
    }
    const dueAt = Math.max(this.state.decidedLogTime, group[0]?.message.time ?? 0) as TimeMs;
    const duePositions = table.duePositions(dueAt);
    return { group, recordKeys, outcomeSequences: [...outcomeSequences], duePositions, dueAt };
  }

  #addNeeds(
    entry: Entry & { kind: "operations" },
    recordKeys: Map<string, Uint8Array>,
    outcomeSequences: Set<Sequence>,
  ): void {
    for (const group of entry.groups) {
      for (const { key, position, request } of group) {
        // An operation whose key is not in its position will be refused, and must not decide where
        // the key's record is read.
        if (positionOf(key, this.state.ownership.positionCount) !== position) continue;
        if (!recordKeys.has(key)) recordKeys.set(key, recordKey(position, Buffer.from(key)));
        if (request === undefined) continue;
        const places = this.state.outcomes.lookup(fingerprint(position, request));
        for (const { sequence } of places) outcomeSequences.add(sequence);
      }
    }
  }

  /** Throws ReplicaStopped when it would be wrong to continue. */
  decide(needs: ReadNeeds, rows: Rows): DecidedBatch {
    const { state } = this;
    const changes = new ChangeSet(state.ownership, state.table, () => state.indexing);
    for (const [key, record] of rows.records) changes.read(key, record);
    const entries: EntryOutcome[] = [];
    const written = new Map<Sequence, readonly StoredOutcome[]>();
    const origins = new Set<Origin>();
    for (const { message, entry } of needs.group) {
      const logTime = Math.max(state.decidedLogTime, message.time) as TimeMs;
      if (entries.length > 0 && changes.dueFrom <= logTime) break;
      assert(
        message.sequence === state.decidedSequence + 1,
        `invariant 1: ${message.sequence} follows ${state.decidedSequence}`,
      );
      const work = new EntryWork(state, changes, rows, written, message.sequence, logTime);
      const outcome = this.#apply(
        work,
        entry,
        message,
        entries.length === 0 ? rows.due : undefined,
      );
      if (outcome.kind === "accepted" && outcome.origin !== undefined) origins.add(outcome.origin);
      this.#finish(changes, work, message, entry);
      entries.push(outcome);
      written.set(message.sequence, work.operations);
    }
    this.#writeOrigins(changes, origins);
    changes.writePositions();
    changes.writes.push(...this.#forgottenRows());
    changes.writes.push({ type: "put", key: appliedKey, value: this.appliedRow() });
    return {
      writes: changes.writes,
      entries,
      sequence: state.decidedSequence,
      logTime: state.decidedLogTime,
      publish: () => changes.publish(),
    };
  }

  #apply(
    work: EntryWork,
    entry: Entry | EntryRefusal,
    message: LogMessage,
    due: DueRows | undefined,
  ): EntryOutcome {
    const { sequence } = message;
    if (!isEntry(entry)) {
      const nothing = { origin: undefined, number: 0, outcomes: [] };
      if (entry.kind === "newer") {
        // The log says up to which version it is written. A message that claims more is not an
        // entry, also for programs that know that version; up to it, this program is too old.
        if (!this.#isAboveLog(entry)) throw newerEntry(sequence, entry.version);
        return { sequence, kind: "alarm", reason: aboveLog(entry.version), ...nothing };
      }
      if (!this.state.hasBegun) throw noGenesis(this.state.logId, entry.reason);
      return { sequence, kind: "alarm", reason: entry.reason, ...nothing };
    }
    const { origin, number } = entry;
    if (!this.state.hasBegun) {
      this.#begin(work, entry);
      return { sequence, kind: "accepted", reason: "", origin, number, outcomes: [] };
    }
    if (this.#isAboveLog(entry)) {
      const nothing = { origin: undefined, number: 0, outcomes: [] };
      return { sequence, kind: "alarm", reason: aboveLog(entry.version), ...nothing };
    }
    this.#compareBasis(entry, sequence);
    if (!this.state.origins.accept(entry.kind, origin, number, work.logTime)) {
      return { sequence, kind: "skipped", reason: "", origin, number, outcomes: [] };
    }
    if (due !== undefined) work.expire(due);
    const groups = entry.kind === "operations" ? entry.groups : [];
    const outcomes = groups.flatMap((group) => work.applyGroup(group));
    const count = work.operations.length;
    assert(count === outcomes.length, `${count} rows, ${outcomes.length} outcomes of ${sequence}`);
    return { sequence, kind: "accepted", reason: "", origin, number, outcomes };
  }

  /**
   * The first entry of a log has the log's name, its predecessor, and the shard's positions. If the
   * log continues another one, the rest stays as that one has left it.
   */
  #begin(work: EntryWork, entry: Entry): void {
    const { state } = this;
    if (entry.kind !== "genesis") throw noGenesis(state.logId, `the first entry is ${entry.kind}`);
    if (entry.genesis.logId !== state.logId) {
      throw noGenesis(state.logId, `its genesis names log ${entry.genesis.logId}`);
    }
    const { positionCount } = state.ownership;
    if (entry.genesis.positionCount !== positionCount) {
      const text = `its genesis has ${entry.genesis.positionCount} positions, not ${positionCount}`;
      throw noGenesis(state.logId, text);
    }
    const place = {
      logId: state.appliedLogId,
      sequence: state.decidedSequence,
      chain: state.chain,
    };
    const fit = fitOf(place, entry.genesis);
    if (fit !== "continues") {
      throw noGenesis(state.logId, unfitReason(fit, place, entry.genesis));
    }
    state.begin(entry.genesis);
    for (const position of entry.genesis.positions) {
      if (!state.ownership.owns(position)) work.own(position);
    }
  }

  /** Rule L1: its proposer had the same past as this replica, or one of the two lost writes. */
  #compareBasis(entry: Entry, sequence: Sequence): void {
    const { basisSequence, basisChain } = entry;
    if (basisSequence >= sequence) {
      throw diverged(sequence, `its proposer had already applied ${basisSequence}`);
    }
    const own = this.state.chains.get(basisSequence);
    if (own !== undefined && own !== basisChain) {
      throw diverged(sequence, `its proposer had applied another log up to ${basisSequence}`);
    }
  }

  #isAboveLog({ version }: { readonly version: number }): boolean {
    return this.state.hasBegun && version > this.state.genesis.behaviourVersion;
  }

  #finish(
    changes: ChangeSet,
    work: EntryWork,
    message: LogMessage,
    entry: Entry | EntryRefusal,
  ): void {
    const { state } = this;
    assert(
      work.logTime >= state.decidedLogTime,
      `invariant 2: log time ${work.logTime} at ${message.sequence}, after ${state.decidedLogTime}`,
    );
    state.decidedSequence = message.sequence;
    state.decidedLogTime = work.logTime;
    // An entry above the log's version counts as no entry, or programs that know that version and
    // programs that do not would have different chains.
    const counts = isEntry(entry) && !this.#isAboveLog(entry);
    if (counts) state.chain = chainNext(state.chain, entry.origin, entry.number);
    state.chains.add(message.sequence, state.chain);
    state.messageHash = messageHashOf(message.data, message.time);
    state.outcomes.advance(work.logTime);
    state.rowTimes.add(message.sequence, work.logTime);
    const row = {
      logTime: work.logTime,
      chain: state.chain,
      expired: work.expired,
      operations: work.operations,
    };
    const value = encodeOutcomeRow(row);
    changes.writes.push({ type: "put", key: outcomeKey(message.sequence), value });
  }

  #writeOrigins(changes: ChangeSet, changed: ReadonlySet<Origin>): void {
    const { origins, decidedLogTime: logTime } = this.state;
    for (const origin of changed) {
      const known = origins.get(origin, logTime);
      if (known === undefined) continue;
      const value = encodeOriginRow(known);
      changes.writes.push({ type: "put", key: originKey(origin), value });
    }
    for (const origin of origins.forget(logTime)) {
      changes.writes.push({ type: "del", key: originKey(origin) });
    }
  }

  #forgottenRows(): StoreWrite[] {
    const { rowTimes, decidedLogTime: logTime, relayFloor } = this.state;
    return rowTimes
      .forget(logTime, relayFloor)
      .map((sequence) => ({ type: "del", key: outcomeKey(sequence) }));
  }

  /** The store's row that says how far it is. Only once the log has begun. */
  appliedRow(): Uint8Array {
    assert(this.state.hasBegun, "a log that has not begun has no row");
    const {
      decidedSequence: sequence,
      decidedLogTime: logTime,
      chain,
      messageHash,
      genesis,
    } = this.state;
    const row = { logId: genesis.logId, sequence, logTime, chain, messageHash, genesis };
    return encodeAppliedRow({ format: STORE_FORMAT, ...row });
  }
}

/** The rows that `needs` names, as the store gave them. */
export function decodeRows(
  needs: ReadNeeds,
  records: readonly (Uint8Array | undefined)[],
  outcomes: readonly (Uint8Array | undefined)[],
): { records: Map<string, StoredRecord | undefined>; outcomes: Map<Sequence, OutcomeRow> } {
  const wanted = [needs.recordKeys.size, needs.outcomeSequences.length].join(" and ");
  const given = [records.length, outcomes.length].join(" and ");
  assert(given === wanted, `${wanted} records and outcomes were asked for, ${given} came`);
  const byKey = new Map<string, StoredRecord | undefined>();
  for (const [index, key] of [...needs.recordKeys.keys()].entries()) {
    const bytes = records[index];
    byKey.set(key, bytes === undefined ? undefined : decodeRecord(bytes));
  }
  const bySequence = new Map<Sequence, OutcomeRow>();
  for (const [index, sequence] of needs.outcomeSequences.entries()) {
    const bytes = outcomes[index];
    if (bytes !== undefined) bySequence.set(sequence, decodeOutcomeRow(bytes));
  }
  return { records: byKey, outcomes: bySequence };
}

function noGenesis(logId: string, reason: string): ReplicaStopped {
  const text = `the log is not ${logId}: ${reason}. Did another program make the stream?`;
  return new ReplicaStopped("log-unknown", text);
}

function aboveLog(version: number): string {
  return `version ${version} is above the log's`;
}

function newerEntry(sequence: Sequence, version: number): ReplicaStopped {
  const text = `entry ${sequence} has version ${version}: upgrade this node`;
  return new ReplicaStopped("upgrade-needed", text);
}

function diverged(sequence: Sequence, reason: string): ReplicaStopped {
  return new ReplicaStopped(
    "log-diverged",
    `entry ${sequence} does not fit this replica: ${reason}. The log or a store has lost ` +
      "writes. Keep all stores of this shard" +
      REPAIR,
  );
}
