/**
 * Simulation: replicas of one shard, their log and their clients in one process and on one manual
 * clock, with everything that may go wrong decided by a seed.
 *
 * A run has three parts. While clients work, processes crash (alone or with the machine, which
 * loses what was not synced), pause, lose their connection; acknowledgements, entries and
 * deliveries are lost, doubled or late; clocks differ. Then the faults end and everybody comes
 * back. Then the log is worked through by a simple model, and must explain all that was seen.
 *
 * The same seed and options give the same run, event by event: `traceHash` tells.
 */
import { createHash } from "node:crypto";
import { genesisBytes } from "../support/log-writer.js";
import { ManualClock, seededChance, type SeededChance } from "../support/manual-clock.js";
import { MemoryNetwork, type Fate } from "../support/memory-bus.js";
import { MemoryStream, type MemoryLog } from "../support/memory-log.js";
import { MemoryNode } from "../support/memory-shard.js";
import { Disk } from "../support/memory-store.js";
import { checkStore, dump } from "../support/store-check.js";
import { LogTruth } from "./checks.js";
import { Client } from "./client.js";
import { FaultyLog, ProcessClock, type LogFaults } from "./process.js";

export interface SimulationOptions {
  readonly replicas: number;
  readonly clients: number;
  /** Of each client. */
  readonly operations: number;
  /** Off: nothing goes wrong, and all writes must be acknowledged at once. */
  readonly faults: boolean;
}

export interface SimulationReport {
  readonly seed: number;
  /** Of every event of the run, in order. */
  readonly traceHash: string;
  readonly entries: number;
  readonly writes: number;
  readonly acknowledged: number;
  readonly reads: number;
  /** How often each fault happened. */
  readonly faults: Readonly<Record<string, number>>;
  /** What must not be; empty = the run is good. */
  readonly problems: readonly string[];
}

const faithful: LogFaults = {
  ackLost: 0,
  entryLost: 0,
  late: 0,
  twice: 0,
  refused: 0,
  unavailable: 0,
  deliveryDropped: 0,
};
const faulty: LogFaults = {
  ackLost: 0.05,
  entryLost: 0.03,
  late: 0.04,
  twice: 0.04,
  refused: 0.08,
  unavailable: 0.03,
  deliveryDropped: 0.05,
};

const HEAL_MS = 120_000;

export async function simulate(
  seed: number,
  options: Partial<SimulationOptions> = {},
): Promise<SimulationReport> {
  const chance = seededChance(seed);
  const replicas = 2 + chance.integer(2);
  const all = { replicas, clients: 3, operations: 12, faults: true, ...options };
  return new World(seed, chance, all).run();
}

/** One replica's machine: what stays when its process dies. */
interface Machine {
  readonly name: string;
  readonly disk: Disk;
  readonly log: MemoryLog;
  clock: ProcessClock;
  node: MemoryNode | undefined;
  pausedUntilMs: number;
}

class World {
  readonly #clock = new ManualClock();
  readonly #network: MemoryNetwork;
  readonly #stream: MemoryStream;
  readonly #machines: Machine[] = [];
  readonly #clients: Client[] = [];
  readonly #trace = createHash("sha256");
  readonly #faults: Record<string, number> = {};
  readonly #problems: string[] = [];
  readonly #digests = new Map<number, string>();
  #isHealed: boolean;

  constructor(
    private readonly seed: number,
    private readonly chance: SeededChance,
    private readonly options: SimulationOptions,
  ) {
    const clock = this.#clock;
    this.#isHealed = !options.faults;
    this.#stream = new MemoryStream({ clock });
    this.#stream.tailIsExact = chance.happens(0.5);
    this.#stream.delayMs = () => chance.integer(this.#isHealed ? 3 : 30);
    this.#stream.take(genesisBytes());
    this.#network = new MemoryNetwork({
      clock,
      chance,
      fate: ({ from, to }) => this.#fateOf(from, to),
      onFailure: (error) => void this.#problems.push(`a handler threw ${String(error)}`),
    });
  }

  async run(): Promise<SimulationReport> {
    const { replicas, clients, operations, faults } = this.options;
    for (let number = 1; number <= replicas; number += 1) this.#addMachine(`n${number}`);
    const working: Promise<void>[] = [];
    for (let number = 1; number <= clients; number += 1) {
      working.push(this.#addClient(`c${number}`).run(operations));
    }
    let areWorking = true;
    const done = Promise.all(working).then(() => void (areWorking = false));
    while (areWorking) {
      await this.#clock.advance(100 + this.chance.integer(400));
      if (faults && areWorking) this.#nextFault();
      this.#look();
    }
    await done;
    await this.#heal();
    await this.#check();
    return this.#report();
  }

  #addClient(name: string): Client {
    const client = new Client({
      name,
      clock: this.#clock,
      chance: seededChance(this.chance.integer(2 ** 31)),
      bus: this.#network.connect(name),
      sequenceLast: () => this.#stream.last,
      trace: (text) => this.#note(text),
    });
    this.#clients.push(client);
    return client;
  }

  #addMachine(name: string): void {
    const pause = (): Promise<void> =>
      machine.clock.wait(this.chance.happens(0.1) ? this.chance.integer(20) : 0);
    const disk = new Disk(pause);
    const clock = new ProcessClock(this.#clock, 0);
    const log = this.#stream.open();
    const machine: Machine = { name, disk, log, clock, node: undefined, pausedUntilMs: 0 };
    this.#machines.push(machine);
    this.#start(machine);
  }

  #start(machine: Machine): void {
    const { chance } = this;
    const { name, disk } = machine;
    machine.clock = new ProcessClock(this.#clock, chance.integer(2_000) - 1_000);
    const log = new FaultyLog(
      machine.log,
      this.#stream,
      this.#clock,
      chance,
      () => (this.#isHealed ? faithful : faulty),
      (fault) => this.#count(fault),
    );
    const own = seededChance(chance.integer(2 ** 31));
    const network = this.#network;
    const node = new MemoryNode({ name, clock: machine.clock, chance: own, network, log, disk });
    machine.node = node;
    void node.ended.then(() => {
      if (machine.node !== node) return;
      const { reason, state } = node.replica.status();
      const failure = node.failure instanceof Error ? node.failure.stack : "";
      this.#problems.push(`${name} ended, ${state} ${reason} ${failure}`);
    });
  }

  #fateOf(from: string, to: string): Fate {
    const paused = this.#machines.find(({ name }) => name === to)?.pausedUntilMs ?? 0;
    const restMs = Math.max(0, paused - this.#clock.elapsedMs());
    if (this.#isHealed) return { delayMs: restMs };
    const { chance } = this;
    const drop = chance.happens(0.03);
    if (drop) this.#count(`message lost ${from[0] ?? ""} to ${to[0] ?? ""}`);
    // Never twice: NATS delivers at most once, and what has no request id must not be done twice.
    return { drop, delayMs: restMs + (chance.happens(0.2) ? chance.integer(50) : 0) };
  }

  #nextFault(): void {
    const { chance } = this;
    const machine = chance.pick(this.#machines);
    if (machine.node === undefined || !chance.happens(0.5)) return;
    switch (chance.integer(5)) {
      case 0:
        return this.#crash(machine);
      case 1:
        return this.#pause(machine);
      case 2:
        return this.#cut(machine);
      case 3:
        this.#count("consumer interrupted");
        return machine.log.interrupt();
      case 4:
        this.#count("log's clock jumps");
        this.#stream.clockOffsetMs = chance.integer(4_000) - 2_000;
    }
  }

  #crash(machine: Machine): void {
    const { chance } = this;
    const loseUnsynced = chance.happens(0.5);
    this.#count(loseUnsynced ? "machine crashed" : "process crashed");
    this.#note(`${machine.name} crashes`);
    const { node } = machine;
    machine.node = undefined;
    machine.clock.kill();
    machine.log.resumeDeliveries();
    machine.pausedUntilMs = 0;
    void node?.bus.close();
    const batchesKept = chance.integer(machine.disk.unsyncedCount + 1);
    machine.disk.crash({ loseUnsynced, batchesKept });
    this.#clock.after(100 + chance.integer(4_000), () => {
      if (machine.node === undefined) this.#start(machine);
    });
  }

  #pause(machine: Machine): void {
    const ms = 100 + this.chance.integer(5_000);
    this.#count("process paused");
    this.#note(`${machine.name} pauses for ${ms} ms`);
    const { clock } = machine;
    clock.pause();
    machine.log.pauseDeliveries();
    machine.pausedUntilMs = this.#clock.elapsedMs() + ms;
    this.#clock.after(ms, () => {
      if (machine.clock === clock) this.#resume(machine);
    });
  }

  #resume(machine: Machine): void {
    machine.log.resumeDeliveries();
    machine.clock.resume();
    machine.pausedUntilMs = 0;
  }

  #cut(machine: Machine): void {
    this.#count("log's connection lost");
    machine.log.disconnect();
    this.#clock.after(this.chance.integer(3_000), () => machine.log.reconnect());
  }

  /** Replicas at one sequence have one digest. */
  #look(): void {
    for (const { name, node } of this.#machines) {
      if (node === undefined) continue;
      const { sequence, records, index } = node.replica.status().digest;
      const digest = `${records} ${index}`;
      const known = this.#digests.get(sequence) ?? digest;
      this.#digests.set(sequence, known);
      if (known === digest) continue;
      this.#problems.push(`${name} at ${sequence} has digest ${digest}, another had ${known}`);
    }
  }

  async #heal(): Promise<void> {
    this.#isHealed = true;
    this.#note("the faults end");
    for (const machine of this.#machines) {
      this.#resume(machine);
      machine.log.reconnect();
      if (machine.node === undefined) this.#start(machine);
    }
    // Copies that are late land before anything is compared.
    await this.#clock.advance(10_000);
    const areEqual = (): boolean =>
      this.#machines.every(({ node }) => {
        const status = node?.replica.status();
        return status?.state === "serving" && status.sequenceApplied === this.#stream.last;
      });
    const endMs = this.#clock.elapsedMs() + HEAL_MS;
    while (!areEqual() && this.#clock.elapsedMs() < endMs && this.#problems.length === 0) {
      await this.#clock.advance(50);
    }
    if (areEqual()) return;
    const states = this.#machines.map(({ name, node }) => {
      const status = node?.replica.status();
      return `${name} ${status?.state ?? "down"} at ${status?.sequenceApplied ?? 0}`;
    });
    this.#problems.push(`not healed: ${states.join(", ")}; the log ends at ${this.#stream.last}`);
  }

  async #check(): Promise<void> {
    this.#look();
    const truth = new LogTruth(this.#stream);
    const writes = this.#clients.flatMap((client) => client.writes);
    const reads = this.#clients.flatMap((client) => client.reads);
    this.#problems.push(...truth.problemsOfWrites(writes), ...truth.problemsOfReads(reads, writes));
    if (this.#problems.length > 0) return;
    let first: string[] | undefined;
    for (const { name, node } of this.#machines) {
      if (node === undefined) continue;
      try {
        const records = await this.#clock.resolve(checkStore(node.store));
        this.#problems.push(...truth.problemsOfRecords(name, records));
      } catch (error) {
        this.#problems.push(`${name}: ${String(error)}`);
      }
      const rows = await this.#clock.resolve(dump(node.store, "adinoqx"));
      first ??= rows;
      if (rows.join("\n") !== first.join("\n")) this.#problems.push(`${name} has other rows`);
    }
  }

  #report(): SimulationReport {
    for (const { data } of this.#stream.entries) this.#trace.update(data);
    for (const problem of this.#problems) this.#trace.update(problem);
    const writes = this.#clients.flatMap((client) => client.writes);
    return {
      seed: this.seed,
      traceHash: this.#trace.digest("hex"),
      entries: this.#stream.last,
      writes: writes.length,
      acknowledged: writes.filter(({ result }) => result?.kind === "written").length,
      reads: this.#clients.reduce((count, { reads }) => count + reads.length, 0),
      faults: this.#faults,
      problems: this.#problems,
    };
  }

  #count(fault: string): void {
    this.#faults[fault] = (this.#faults[fault] ?? 0) + 1;
    this.#note(fault);
  }

  #note(text: string): void {
    this.#trace.update(`${this.#clock.elapsedMs()} ${text}\n`);
  }
}
