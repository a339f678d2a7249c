/**
 * One shard of a few positions in memory: a log, an events stream, and replicas of applier and
 * relay, without proposers. Entries are written straight to the log.
 */
import { Relay } from "../../actors/relay/relay.js";
import { Applier } from "../../actors/shard/apply/applier.js";
import { loadReplica } from "../../actors/shard/load.js";
import { Applied } from "../../actors/shard/state/applied.js";
import type { Bus } from "../../infra/bus.js";
import type { Clock } from "../../infra/clock.js";
import type { Events } from "../../infra/events.js";
import type { Log } from "../../infra/log.js";
import type { Logger } from "../../infra/logger.js";
import type { LogId, NodeName, Origin, Position, Revision, Sequence } from "../../protocol/ids.js";
import {
  BEHAVIOUR_VERSION,
  encodeEntry,
  type EntryBody,
  type LogParent,
} from "../../protocol/log/entry.js";
import { Names } from "../../protocol/nats/subjects.js";
import type { Operation, StoredRecord } from "../../protocol/operation.js";
import { positionOf } from "../../protocol/position.js";
import { decodeRecord } from "../../protocol/store/record.js";
import { parseRecordKey, recordRange } from "../../protocol/store/store-keys.js";
import { seededChance } from "./manual-clock.js";
import { Disk, type MemoryStore } from "./memory-store.js";

export const POSITIONS = 4;
export const names = new Names("kv");
const firstOrigin = "ab".repeat(16) as Origin;

/** Distributed over the test's operations, the members that a test does not care about. */
export type Wanted = Operation extends infer Each
  ? Each extends Operation
    ? Omit<Each, "position" | "ifRevision" | "request" | "returnPrevious"> & {
        readonly ifRevision?: Revision;
      }
    : never
  : never;

export function operation(wanted: Wanted): Operation {
  const position = positionOf(wanted.key, POSITIONS);
  return { ifRevision: undefined, ...wanted, position, request: undefined, returnPrevious: false };
}

/** Makes the entries of one log, in order. */
export class EntryWriter {
  #number = 0;

  constructor(private readonly origin = firstOrigin) {}

  genesis(logId: LogId, parent?: LogParent): Uint8Array {
    const limits = {
      valueBytesMax: 256 * 1_024,
      depthMax: 8,
      indexEntriesMax: 256,
      pathBytesMax: 512,
      outcomesMax: 1_000,
    };
    const genesis = {
      store: "kv",
      shard: "s1",
      logId,
      positionCount: POSITIONS,
      positions: Array.from({ length: POSITIONS }, (_, index) => index as Position),
      limits,
      indexPolicy: { excluded: [] },
      behaviourVersion: BEHAVIOUR_VERSION,
      ...(parent === undefined ? {} : { parent }),
    };
    return this.#encode({ kind: "genesis", genesis });
  }

  open(): Uint8Array {
    return this.#encode({ kind: "open" });
  }

  barrier(): Uint8Array {
    return this.#encode({ kind: "barrier" });
  }

  operations(groups: readonly (readonly Wanted[])[]): Uint8Array {
    const entry = { kind: "operations", groups: groups.map((group) => group.map(operation)) };
    return this.#encode(entry as EntryBody);
  }

  #encode(body: EntryBody): Uint8Array {
    this.#number += body.kind === "genesis" ? 0 : 1;
    const basis = { basisSequence: 0 as Sequence, basisChain: 0n };
    return encodeEntry({
      version: BEHAVIOUR_VERSION,
      origin: this.origin,
      number: this.#number,
      ...basis,
      ...body,
    });
  }
}

export interface RelayReplicaParts {
  readonly node: string;
  readonly rank: number;
  readonly log: Log;
  readonly events: Events;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly store?: MemoryStore;
}

/** An applier and a relay over one store. */
export class RelayReplica {
  readonly store: MemoryStore;
  readonly failures: unknown[] = [];
  readonly lines: string[] = [];
  #relay: Relay | undefined;
  #applied: Applied | undefined;
  #applier: Applier | undefined;
  #ends: Promise<void>[] = [];

  constructor(private readonly parts: RelayReplicaParts) {
    this.store = parts.store ?? new Disk().open();
  }

  get relay(): Relay {
    if (this.#relay === undefined) throw new Error("start it first");
    return this.#relay;
  }

  /** As an acknowledgement or a probe tells: the log has this entry. */
  expect(sequence: Sequence): void {
    this.#applier?.expect(sequence);
  }

  get applied(): Applied {
    if (this.#applied === undefined) throw new Error("start it first");
    return this.#applied;
  }

  async start(): Promise<void> {
    const { log, clock, node } = this.parts;
    const chance = seededChance(node.length + this.parts.rank);
    const state = await loadReplica(this.store, log.id, POSITIONS);
    const applied = new Applied(state.ownership, state.table, this.store, clock);
    // As the replica does once it is loaded: the table is filled, and this is the place.
    applied.batchStarts();
    applied.batchWritten(state.sequence, state.logTime);
    const none = { applied: (): void => undefined, lost: (): void => undefined };
    const { logger, store } = { logger: this.#logger(), store: this.store };
    this.#applier = new Applier(log, store, state, applied, none, clock, chance, logger);
    this.#applied = applied;
    this.#keep(this.#applier.run());
    this.startRelay();
  }

  startRelay(): void {
    const { log, clock, node, rank, events, bus } = this.parts;
    this.#relay = new Relay({
      names,
      shard: log.shard,
      logId: log.id,
      node: node as NodeName,
      rank,
      log,
      store: this.store,
      applied: this.applied,
      events,
      bus,
      clock,
      chance: seededChance(rank + 1_000),
      logger: this.#logger(),
    });
    this.#keep(this.#relay.run());
  }

  stop(): Promise<unknown> {
    this.#relay?.stop();
    this.#applier?.stop();
    return Promise.all(this.#ends);
  }

  /** Its records, by key. */
  async records(): Promise<Map<string, StoredRecord>> {
    const records = new Map<string, StoredRecord>();
    for (let position = 0; position < POSITIONS; position += 1) {
      const iterator = this.store.iterate(recordRange(position as Position));
      for (let rows = await iterator.next(100); rows.length > 0; rows = await iterator.next(100)) {
        for (const { key, value } of rows) {
          const text = Buffer.from(parseRecordKey(key).key).toString();
          records.set(text, decodeRecord(value));
        }
      }
      await iterator.close();
    }
    return records;
  }

  #keep(run: Promise<void>): void {
    this.#ends.push(run.catch((error: unknown) => void this.failures.push(error)));
  }

  #logger(): Logger {
    const add = (message: string): void => void this.lines.push(message);
    return { error: add, info: add, debug: () => undefined, close: () => Promise.resolve() };
  }
}
