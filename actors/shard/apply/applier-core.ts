/**
 * Applier core: turns log messages and store rows into one batch and its outcomes. No I/O.
 *
 * It works in two steps, because the effect of an entry depends on rows that must be read first:
 * `plan` decodes messages and lists the rows it needs, `decide` applies the entries one by one to
 * a ChangeSet. The result is the same however entries are grouped into batches: a group ends
 * before an entry that needs rows which the applier did not read for it (records that are due).
 *
 * `decide` also changes the core's own state (origins, request fingerprints, chain). If the batch
 * then cannot be written, the replica ends and starts again from the store.
 *
 * Invariants
 *   1. The entry after `sequence` is sequence + 1, always. Rule L7.
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
  type OperationOutcome,
  type OutcomeRow,
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

/** What `decide` needs to have been read. */
export interface Plan {
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

/** What became of one log message. */
export interface EntryResult {
  readonly sequence: Sequence;
  readonly kind: "accepted" | "skipped" | "alarm";
  /** In an alarm: what the log has instead of an entry. */
  readonly reason: string;
  readonly origin: Origin | undefined;
  readonly number: number;
  readonly outcomes: readonly Outcome[];
}

export interface Decision {
  readonly writes: readonly StoreWrite[];
  readonly results: readonly EntryResult[];
  readonly sequence: Sequence;
  readonly logTime: TimeMs;
  /** Brings the shared in-memory figures up to the batch; call when it is written. */
  publish(): void;
}

export class ApplierCore {
  constructor(private readonly state: ReplicaState) {}

  /** Decodes as many of `messages` as go into one batch. They must follow `state.sequence`. */
  plan(messages: readonly LogMessage[]): Plan {
    const { table, sequence } = this.state;
    const group: Decoded[] = [];
    const recordKeys = new Map<string, Uint8Array>();
    const outcomeSequences = new Set<Sequence>();
    let operations = 0;
    let time = this.state.logTime;
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
    const dueAt = Math.max(this.state.logTime, group[0]?.message.time ?? 0) as TimeMs;
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
  decide(plan: Plan, rows: Rows): Decision {
    const { state } = this;
    const changes = new ChangeSet(state.ownership, state.table, () => state.indexing);
    for (const [key, record] of rows.records) changes.read(key, record);
    const results: EntryResult[] = [];
    const written = new Map<Sequence, readonly OperationOutcome[]>();
    const origins = new Set<Origin>();
    for (const { message, entry } of plan.group) {
      const logTime = Math.max(state.logTime, message.time) as TimeMs;
      if (results.length > 0 && changes.dueFrom <= logTime) break;
      assert(message.sequence === state.sequence + 1, `${message.sequence} follows`);
      const work = new EntryWork(state, changes, rows, written, message.sequence, logTime);
      const result = this.#apply(work, entry, message, results.length === 0 ? rows.due : undefined);
      if (result.kind === "accepted" && result.origin !== undefined) origins.add(result.origin);
      this.#finish(changes, work, message, entry);
      results.push(result);
      written.set(message.sequence, work.operations);
    }
    this.#writeOrigins(changes, origins);
    changes.writePositions();
    changes.writes.push(...this.#forgottenRows());
    changes.writes.push({ type: "put", key: appliedKey, value: this.appliedRow() });
    return {
      writes: changes.writes,
      results,
      sequence: state.sequence,
      logTime: state.logTime,
      publish: () => changes.publish(),
    };
  }

  #apply(
    work: EntryWork,
    entry: Entry | EntryRefusal,
    message: LogMessage,
    due: DueRows | undefined,
  ): EntryResult {
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
    const place = { logId: state.appliedLogId, sequence: state.sequence, chain: state.chain };
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
    state.sequence = message.sequence;
    state.logTime = work.logTime;
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
    const { origins, logTime } = this.state;
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
    const { rowTimes, logTime, relayFloor } = this.state;
    return rowTimes
      .forget(logTime, relayFloor)
      .map((sequence) => ({ type: "del", key: outcomeKey(sequence) }));
  }

  /** The store's row that says how far it is. Only once the log has begun. */
  appliedRow(): Uint8Array {
    const { sequence, logTime, chain, messageHash, genesis } = this.state;
    const row = { logId: genesis.logId, sequence, logTime, chain, messageHash, genesis };
    return encodeAppliedRow({ format: STORE_FORMAT, ...row });
  }
}

/** The rows that `plan` asked for, as the store gave them. */
export function decodeRows(
  plan: Plan,
  records: readonly (Uint8Array | undefined)[],
  outcomes: readonly (Uint8Array | undefined)[],
): { records: Map<string, StoredRecord | undefined>; outcomes: Map<Sequence, OutcomeRow> } {
  const byKey = new Map<string, StoredRecord | undefined>();
  for (const [index, key] of [...plan.recordKeys.keys()].entries()) {
    const bytes = records[index];
    byKey.set(key, bytes === undefined ? undefined : decodeRecord(bytes));
  }
  const bySequence = new Map<Sequence, OutcomeRow>();
  for (const [index, sequence] of plan.outcomeSequences.entries()) {
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
