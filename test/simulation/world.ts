/**
 * World: a whole cluster and its clients in one process, on one clock, from one seed.
 *
 * A run has three parts. First the clients work, while the faults that the seed has drawn happen.
 * Then the faults end, all processes come back, and the cluster must come to rest: all replicas
 * serve what their logs hold, all events are out, and requests get answers again (rest.ts). Last,
 * simulate.ts checks what the run has recorded.
 */
import type { LogFields } from "../../infra/logger.js";
import type { NodeName, ShardId } from "../../protocol/ids.js";
import { Names } from "../../protocol/nats/subjects.js";
import type { RingShard, RingTable } from "../../protocol/ring/ring.js";
import { ManualClock, seededChance, type SeededChance } from "../support/manual-clock.js";
import { MemoryNetwork, type Fate, type MemoryBus, type Passage } from "../support/memory-bus.js";
import { MemoryEventStream } from "../support/memory-events.js";
import type { MemoryStream } from "../support/memory-log.js";
import type { LogDamage } from "./facts.js";
import { Faults } from "./faults.js";
import { Machine, type LogLevel, type Surroundings } from "./machine.js";
import { newRing } from "./new-ring.js";
import { isRepeatable } from "./repeatable.js";
import { RuleCounts } from "./rules.js";
import { problemOfServing } from "./serve-watch.js";
import type { Plan } from "./swarm.js";
import type { Trace } from "./trace.js";

/** More steps than any run needs that comes to an end. */
const STEPS_MAX = 2_000_000;

/** Before a shard's log was damaged: how far each machine's store had applied it. */
export interface ShardDamage extends LogDamage {
  /** Machines whose store holds what the log has lost. */
  readonly holders: Set<Machine>;
}

export class World {
  readonly names = new Names("kv");
  readonly network: MemoryNetwork;
  readonly events: MemoryEventStream;
  readonly machines: Machine[] = [];
  readonly clientBuses: MemoryBus[] = [];
  readonly faults: Faults;
  readonly rules = new RuleCounts();
  readonly problems: string[] = [];
  readonly damages = new Map<ShardId, ShardDamage>();
  readonly trimmed = new Set<ShardId>();
  eventsAreDamaged = false;
  ring!: RingTable;
  streams: ReadonlyMap<ShardId, MemoryStream> = new Map();
  #around!: Surroundings;
  #twins = 0;

  constructor(
    readonly plan: Plan,
    readonly chance: SeededChance,
    readonly clock: ManualClock,
    readonly trace: Trace,
  ) {
    clock.stepsMax = STEPS_MAX;
    this.faults = new Faults(plan.faults, chance, (fault) => trace.note("fault", fault));
    this.events = new MemoryEventStream(clock, plan.eventsAreDurable);
    this.events.refuses = () => this.faults.happens("event refused");
    this.network = new MemoryNetwork({
      clock,
      chance,
      fate: (passage) => this.#fateOf(passage),
      onFailure: (error) => this.problem(`a handler threw ${shown(error)}`),
    });
  }

  /** Makes ring and logs, and starts a process on each machine. */
  async begin(): Promise<void> {
    const { clock, chance, plan } = this;
    const quiet = { error: () => undefined, info: () => undefined, debug: () => undefined };
    const logger = { ...quiet, close: () => Promise.resolve() };
    const { ring, streams } = await newRing(clock, chance, plan, logger);
    this.ring = ring;
    this.streams = streams;
    for (const stream of streams.values()) {
      stream.tailIsExact = plan.tailIsExact;
      stream.delayMs = () => chance.integer(this.faults.isOver ? 3 : plan.logDelayMsMax + 1);
    }
    const { names, network, events, faults, trace } = this;
    const common = { names, ring, clock, chance, network, streams, events, faults, trace };
    this.#around = {
      ...common,
      clockOffsetMsMax: plan.clockOffsetMsMax,
      onFull: () => this.rules.add("L8 a write meets a full log"),
      onLine: (machine, level, text, fields) => this.#onLine(machine, level, text, fields),
    };
    for (const { node } of ring.nodes) {
      const machine = new Machine(node, node, this.#around);
      this.machines.push(machine);
      machine.start();
    }
  }

  /** A client's connection. */
  connect(name: string): MemoryBus {
    const bus = this.network.connect(name);
    this.clientBuses.push(bus);
    return bus;
  }

  ownChance(): SeededChance {
    return seededChance(this.chance.integer(2 ** 31));
  }

  /** A second process with a node's name, on a machine of its own. False if there is one. */
  startTwin(): boolean {
    const node = this.chance.pick(this.ring.nodes).node;
    if (this.machines.length > this.ring.nodes.length) return false;
    this.#twins += 1;
    const machine = new Machine(`${node}-${this.#twins}` as NodeName, node, this.#around);
    this.machines.push(machine);
    machine.start();
    this.clock.after(3_000 + this.chance.integer(6_000), () => this.endTwin(machine));
    return true;
  }

  endTwin(machine: Machine): void {
    const index = this.machines.indexOf(machine);
    if (index < 0 || !this.isTwin(machine)) return;
    this.trace.note(machine.name, "is gone");
    machine.kill();
    this.machines.splice(index, 1);
    for (const { holders } of this.damages.values()) holders.delete(machine);
  }

  isTwin(machine: Machine): boolean {
    return machine.name !== machine.node;
  }

  startAgain(machine: Machine): void {
    if (machine.process === undefined && this.machines.includes(machine)) machine.start();
  }

  /** In order; it starts again after a while. */
  stop(machine: Machine): void {
    const { process } = machine;
    void machine.stop().then(() => {
      this.trace.note(machine.name, "has stopped");
      // By the world's clock: the process's has ended.
      this.clock.after(100 + this.chance.integer(1_000), () => {
        if (machine.process === undefined || machine.process === process) this.startAgain(machine);
      });
    });
  }

  isDamaged(shard: ShardId): boolean {
    return this.damages.has(shard);
  }

  /** Just before the log is damaged. */
  noteDamage(shard: ShardId, damage: LogDamage): void {
    const holders = new Set(this.machines);
    this.damages.set(shard, { ...damage, holders });
    this.storesChanged();
    this.trace.note(shard, `${damage.kind}: kept to ${damage.kept} of ${damage.lost}`);
  }

  /** Stores have lost something: who still holds what a damaged log has lost? */
  storesChanged(): void {
    for (const [shard, { holders, missedFrom }] of this.damages) {
      for (const machine of holders) {
        if (machine.sequenceApplied(this.shard(shard)) < missedFrom) holders.delete(machine);
      }
    }
  }

  shard(id: ShardId): RingShard {
    const shard = this.ring.shards.find((each) => each.shard === id);
    if (shard === undefined) throw new Error(`${id} is not in the ring`);
    return shard;
  }

  /** The last sequence of each shard's log. */
  logEnds(): Record<string, number> {
    return Object.fromEntries([...this.streams].map(([shard, { last }]) => [shard, last]));
  }

  noteTrimmed(shard: ShardId): void {
    this.trimmed.add(shard);
    this.trace.note(shard, `begins at ${this.streams.get(shard)?.first ?? 0}`);
  }

  noteEventsDamaged(): void {
    this.eventsAreDamaged = true;
  }

  problem(text: string): void {
    this.problems.push(text);
    this.trace.note("problem", text);
  }

  #fateOf({ from, to, message }: Passage): Fate {
    const { faults, chance } = this;
    if (faults.isOver) return {};
    if (faults.happens("message lost")) {
      this.trace.note(from, `${message.subject} to ${to} is lost`);
      return { drop: true };
    }
    let delayMs = 0;
    if (faults.happens("message delayed")) delayMs = chance.integer(50);
    if (faults.happens("message overtaken")) delayMs += 50 + chance.integer(500);
    const { names, ring } = this;
    const mayRepeat = this.plan.faults.has("message repeated");
    if (!mayRepeat || !isRepeatable(names, ring.positionCount, message)) return { delayMs };
    return { delayMs, copies: faults.happens("message repeated") ? 2 : 1 };
  }

  #onServing(machine: Machine, shard: ShardId): void {
    const damage = this.damages.get(shard);
    const holds = damage?.holders.has(machine) === true;
    const problem = problemOfServing(machine, shard, damage, holds);
    if (problem !== undefined) this.problem(problem);
  }

  #onLine(machine: Machine, level: LogLevel, text: string, fields: LogFields): void {
    const told = (): string => `${text} ${lineShown(fields)}`;
    if (level === "debug") this.trace.detail(machine.name, told);
    else this.trace.note(machine.name, told());
    const { startedAtMs } = machine.process ?? {};
    const replica = `${String(fields["shard"])} on ${machine.name} since ${startedAtMs}`;
    this.rules.onLine(replica, text, fields);
    if (text === "the replica serves") this.#onServing(machine, fields["shard"] as ShardId);
    if (level !== "error") return;
    const error = fields["error"];
    const isWanted =
      text === "the replica stops" ||
      text.startsWith("skipped a log message") ||
      (text.startsWith("the log lost entries") && this.damages.has(fields["shard"] as ShardId)) ||
      (error instanceof Error && error.message.endsWith("as the seed has it"));
    if (!isWanted) this.problem(`${machine.name}: ${told()} ${stackOf(error)}`);
  }
}

function lineShown(fields: LogFields): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value instanceof Error ? value.message : String(value)}`)
    .join(" ");
}

function shown(error: unknown): string {
  return error instanceof Error ? `${error.message} ${stackOf(error)}` : String(error);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? "").split("\n").slice(1, 8).join(" ") : "";
}
