/**
 * Relay shard: one shard of a few positions in memory, with replicas of applier and relay, and
 * without proposers: entries are written straight to the log. Whole shards on one clock, log,
 * events stream and bus, or single replicas on what a test has of these.
 */
import { expect } from "chai";
import { readMarker } from "../../actors/relay/relay-core.js";
import { Relay } from "../../actors/relay/relay.js";
import { Applier } from "../../actors/shard/apply/applier.js";
import { loadReplica } from "../../actors/shard/load.js";
import { Applied } from "../../actors/shard/state/applied.js";
import type { Bus } from "../../infra/bus.js";
import type { Clock } from "../../infra/clock.js";
import type { Events } from "../../infra/events.js";
import type { Log } from "../../infra/log.js";
import type { Logger } from "../../infra/logger.js";
import type { LogId, NodeName, Origin, Position, Sequence } from "../../protocol/ids.js";
import type { EntryBody, LogParent } from "../../protocol/log/entry.js";
import { Names } from "../../protocol/nats/subjects.js";
import type { StoredRecord } from "../../protocol/operation.js";
import { decodeRecord } from "../../protocol/store/record.js";
import { parseRecordKey, recordRange } from "../../protocol/store/store-keys.js";
import { EventConsumer, type Rebuilt } from "./event-consumer.js";
import { entryBytes, genesisOf, limits, operation, type Wanted } from "./log-writer.js";
import { seededChance, ManualClock } from "./manual-clock.js";
import { MemoryNetwork, type MemoryBus } from "./memory-bus.js";
import { MemoryEventStream, type MemoryEvents } from "./memory-events.js";
import { MemoryStream, type MemoryLog } from "./memory-log.js";
import { Disk, type MemoryStore, type StoreCall } from "./memory-store.js";

export const POSITIONS = 4;

export const names = new Names("kv");

const firstOrigin = "ab".repeat(16) as Origin;

/** Those of the log writer, and values as large as the border takes them. */
const bordersLimits = { ...limits, valueBytesMax: 256 * 1_024 };

/** Makes the entries of one log, in order. */
export class EntryWriter {
  #number = 0;

  constructor(private readonly origin = firstOrigin) {}

  genesis(logId: LogId, parent?: LogParent): Uint8Array {
    const positions = Array.from({ length: POSITIONS }, (_, index) => index as Position);
    const more = parent === undefined ? {} : { parent };
    const wanted = { logId, positionCount: POSITIONS, positions, limits: bordersLimits, ...more };
    return this.#encode({ kind: "genesis", genesis: genesisOf(wanted) });
  }

  open(): Uint8Array {
    return this.#encode({ kind: "open" });
  }

  barrier(): Uint8Array {
    return this.#encode({ kind: "barrier" });
  }

  operations(groups: readonly (readonly Wanted[])[]): Uint8Array {
    const inPlace = groups.map((group) => group.map((wanted) => operation(wanted, POSITIONS)));
    return this.#encode({ kind: "operations", groups: inPlace });
  }

  #encode(body: EntryBody): Uint8Array {
    this.#number += body.kind === "genesis" ? 0 : 1;
    return entryBytes(body, this.origin, this.#number);
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
    applied.batchWritten(state.decidedSequence, state.decidedLogTime);
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

export interface RelayNode {
  readonly replica: RelayReplica;
  readonly events: MemoryEvents;
  readonly bus: MemoryBus;
  readonly log: MemoryLog;
}

export class RelayShard {
  readonly clock = new ManualClock();
  readonly stream: MemoryStream;
  readonly events: MemoryEventStream;
  readonly network: MemoryNetwork;
  readonly entries = new EntryWriter();
  readonly nodes: RelayNode[] = [];
  /** What a node's disk waits for. */
  pause: (node: string, call: StoreCall) => Promise<void> = () => Promise.resolve();

  constructor(isDurable = true, id = "00000000000000a1") {
    this.stream = new MemoryStream({ clock: this.clock, id });
    this.events = new MemoryEventStream(this.clock, isDurable);
    this.network = new MemoryNetwork({ clock: this.clock, chance: seededChance(1) });
    this.stream.take(this.entries.genesis(id as LogId));
    this.stream.take(this.entries.open());
  }

  async add(count: number): Promise<RelayNode[]> {
    for (let rank = this.nodes.length; count > 0; rank += 1, count -= 1) {
      const node = `n${rank + 1}`;
      const { clock } = this;
      const parts = {
        log: this.stream.open(),
        events: this.events.connect(),
        bus: this.network.connect(node),
      };
      const store = new Disk((call) => this.pause(node, call)).open();
      const replica = new RelayReplica({ node, rank, clock, store, ...parts });
      this.nodes.push({ replica, ...parts });
      await replica.start();
    }
    return this.nodes;
  }

  write(...wanted: Wanted[]): void {
    this.stream.take(this.entries.operations(wanted.map((each) => [each])));
  }

  set(key: string, value: unknown = 1): void {
    const bytes = Buffer.from(JSON.stringify(value));
    this.write({ verb: "set", key, value: bytes, contentType: "application/json", ttl: "never" });
  }

  get active(): RelayNode | undefined {
    return this.nodes.find(({ replica }) => replica.relay.status().active);
  }

  /** Until a relay has published the whole log, and a marker says so. */
  async published(limitMs = 60_000): Promise<void> {
    const last = this.stream.last;
    await this.clock.runUntil(() => {
      const marker = this.events.lastOn(names.relayMarker(this.stream.shard));
      return marker !== undefined && (readMarker(marker)?.sequence ?? 0) >= last;
    }, limitMs);
  }

  lastMarker(): ReturnType<typeof readMarker> {
    const stored = this.events.lastOn(names.relayMarker(this.stream.shard));
    return stored && readMarker(stored);
  }

  consume(): EventConsumer {
    return new EventConsumer().takeAll(this.events.messages);
  }

  /** The events tell what the stores hold. */
  async compare(consumer = this.consume()): Promise<void> {
    const [first] = this.nodes;
    const records = await (first as RelayNode).replica.records();
    const expected = new Map<string, Rebuilt>();
    for (const [key, { revision, contentType, value, updatedAt, expiresAt }] of records) {
      const time = (at: number): string => new Date(at).toISOString();
      expected.set(key, {
        revision,
        contentType,
        value: Buffer.from(value).toString("base64"),
        updatedAt: time(updatedAt),
        expiresAt: expiresAt === 0 ? undefined : time(expiresAt),
      });
    }
    expect(consumer.records).to.deep.equal(expected);
  }

  async stop(): Promise<void> {
    const all = Promise.all(this.nodes.map(({ replica }) => replica.stop()));
    await this.clock.resolve(all);
    expect(this.nodes.flatMap(({ replica }) => replica.failures)).to.deep.equal([]);
    expect(this.network.failures).to.deep.equal([]);
  }
}
