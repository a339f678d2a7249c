/**
 * Machine: the parts that survive the death of a node's process, and the process that runs on them.
 *
 * The process runs what a real node runs (actors/node/node-actors.ts), on twins in memory. A killed
 * process never runs again; messages that it has sent still arrive.
 */
import { NodeActors } from "../../actors/node/node-actors.js";
import type { LogFields, Logger } from "../../infra/logger.js";
import { StoreError } from "../../infra/store-error.js";
import type { Store } from "../../infra/store.js";
import type { LogId, NodeName, ShardId } from "../../protocol/ids.js";
import type { Names } from "../../protocol/nats/subjects.js";
import type { RingShard, RingTable } from "../../protocol/ring/ring.js";
import { decodeAppliedRow } from "../../protocol/store/applied-row.js";
import { appliedKey } from "../../protocol/store/store-keys.js";
import { seededChance, type ManualClock, type SeededChance } from "../support/manual-clock.js";
import type { MemoryBus, MemoryNetwork } from "../support/memory-bus.js";
import type { MemoryEvents, MemoryEventStream } from "../support/memory-events.js";
import type { MemoryLog, MemoryStream } from "../support/memory-log.js";
import { Disk, type MemoryStore, type StoreCall } from "../support/memory-store.js";
import type { Faults } from "./faults.js";
import { FaultyLog } from "./faulty-log.js";
import { ProcessClock } from "./process-clock.js";
import type { Trace } from "./trace.js";

export type LogLevel = "error" | "info" | "debug";

/** What all machines of a run have in common. */
export interface Surroundings {
  readonly names: Names;
  readonly ring: RingTable;
  readonly clock: ManualClock;
  readonly chance: SeededChance;
  readonly network: MemoryNetwork;
  readonly streams: ReadonlyMap<ShardId, MemoryStream>;
  readonly events: MemoryEventStream;
  readonly faults: Faults;
  readonly trace: Trace;
  readonly clockOffsetMsMax: number;
  readonly onFull: () => void;
  /** The lines of a process's logger. */
  readonly onLine: (machine: Machine, level: LogLevel, text: string, fields: LogFields) => void;
}

export class Machine {
  /** Undefined while it is down. */
  process: NodeProcess | undefined;
  readonly #disks = new Map<LogId, Disk>();

  constructor(
    /** Its own, also where two have the node's name. */
    readonly name: string,
    readonly node: NodeName,
    readonly around: Surroundings,
  ) {}

  start(): void {
    this.process = new NodeProcess(this);
    this.around.trace.note(this.name, "starts");
  }

  /** Its process is dead; its disks have all that was written. */
  kill(): void {
    this.around.trace.note(this.name, "is killed");
    this.process?.kill();
    this.process = undefined;
    for (const disk of this.#disks.values()) disk.crash({ loseUnsynced: false });
  }

  /** The machine loses power: of what was not synced only a beginning is there. */
  crash(): void {
    this.around.trace.note(this.name, "loses power");
    this.process?.kill();
    this.process = undefined;
    for (const disk of this.#disks.values()) {
      const batchesKept = this.around.chance.integer(disk.unsyncedCount + 1);
      disk.crash({ loseUnsynced: true, batchesKept });
    }
  }

  /** The process ends in order: what was taken is answered. Resolves when it has ended. */
  async stop(): Promise<void> {
    const { process } = this;
    await process?.stop();
    if (this.process === process) this.process = undefined;
  }

  /** Only while it is down. */
  loseStores(): void {
    this.#disks.clear();
  }

  /** How far its store of the shard has applied the log; 0 = there is none. */
  sequenceApplied({ logId }: RingShard): number {
    const row = this.#disks.get(logId)?.peek(appliedKey);
    return row === undefined ? 0 : decodeAppliedRow(row).sequence;
  }

  disk(shard: RingShard): Disk {
    const known = this.#disks.get(shard.logId);
    if (known !== undefined) return known;
    const disk = new Disk((call) => this.#pause(call));
    this.#disks.set(shard.logId, disk);
    return disk;
  }

  async #pause(call: StoreCall): Promise<void> {
    const { faults, chance } = this.around;
    const clock = this.process?.clock;
    // Paused with all faults over, it is only being looked at.
    if (clock === undefined || (faults.isOver && clock.state === "paused")) return;
    if (faults.happens("disk slow")) await clock.wait(10 + chance.integer(1_500));
    else if (chance.happens(0.2)) await clock.wait(chance.integer(4));
    if (faults.happens("disk fails")) throw new StoreError("failed", `${call}: as the seed has it`);
  }
}

/** One start of a node's process. */
export class NodeProcess {
  readonly clock: ProcessClock;
  readonly bus: MemoryBus;
  readonly events: MemoryEvents;
  readonly actors: NodeActors;
  readonly logs = new Map<ShardId, MemoryLog>();
  readonly stores = new Map<ShardId, MemoryStore>();
  readonly startedAtMs: number;
  readonly #around: Surroundings;

  constructor(private readonly machine: Machine) {
    const { node, around } = machine;
    this.startedAtMs = around.clock.elapsedMs();
    const { names, ring, network, chance, clockOffsetMsMax } = around;
    this.#around = around;
    const offsetMs = chance.integer(2 * clockOffsetMsMax + 1) - clockOffsetMsMax;
    this.clock = new ProcessClock(around.clock, offsetMs);
    this.bus = network.connect(machine.name, this.clock);
    this.events = around.events.connect(this.clock);
    this.actors = new NodeActors({
      names,
      node,
      version: "0.0.0",
      ring,
      bus: this.bus,
      events: this.events,
      clock: this.clock,
      chance: seededChance(chance.integer(2 ** 31)),
      logger: this.#logger(),
      openStore: (shard) => this.#openStore(shard),
      openLog: (shard) => this.#openLog(shard),
      report: () => ({
        pid: 1,
        durability: { sync_interval: "always", log_replicas: 1 },
        warnings: [],
      }),
    });
    this.actors.start();
  }

  kill(): void {
    this.clock.kill();
    this.bus.kill();
    this.#closeLogs();
  }

  async stop(): Promise<void> {
    await this.actors.close();
    await this.bus.close();
    this.kill();
  }

  pause(): void {
    this.clock.pause();
  }

  resume(): void {
    this.clock.resume();
  }

  #closeLogs(): void {
    for (const [shard, log] of this.logs) this.#stream(shard).close(log);
  }

  #stream(shard: ShardId): MemoryStream {
    const stream = this.#around.streams.get(shard);
    if (stream === undefined) throw new Error(`${shard} has no stream`);
    return stream;
  }

  async #openStore(shard: RingShard): Promise<Store> {
    const store = this.machine.disk(shard).open();
    this.stores.set(shard.shard, store);
    return Promise.resolve(store);
  }

  #openLog({ shard }: RingShard): FaultyLog {
    const { clock: world, chance, faults, trace } = this.#around;
    const stream = this.#stream(shard);
    const before = this.logs.get(shard);
    if (before !== undefined) stream.close(before);
    const inner = stream.open(this.clock);
    this.logs.set(shard, inner);
    const who = `${this.machine.name}/${shard}`;
    return new FaultyLog({
      inner,
      stream,
      world,
      host: this.clock,
      chance,
      faults,
      onFull: this.#around.onFull,
      trace: (text) => trace.detail(who, text),
    });
  }

  #logger(): Logger {
    const tell = (level: LogLevel) => (text: string, fields?: LogFields) => {
      this.#around.onLine(this.machine, level, text, fields ?? {});
    };
    return {
      error: tell("error"),
      info: tell("info"),
      debug: tell("debug"),
      close: () => Promise.resolve(),
    };
  }
}
