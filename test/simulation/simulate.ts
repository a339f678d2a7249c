/**
 * Simulation: whole clusters and their clients in one process and on one manual clock, with
 * everything that may go wrong decided by a seed.
 *
 * The same seed and options give the same run, event by event: `traceHash` tells.
 */
import type { Position } from "../../protocol/ids.js";
import { RingLookup, type RingShard } from "../../protocol/ring/ring.js";
import { Stopwatch } from "../history/history.js";
import { ManualClock, seededChance } from "../support/manual-clock.js";
import type { CheckCounts } from "./check-context.js";
import { checkRun } from "./check-run.js";
import { Client } from "./client.js";
import type { RunFacts, ShardFacts } from "./facts.js";
import type { FaultName } from "./faults.js";
import type { Machine } from "./machine.js";
import { allReports, reportsOf, unrest } from "./rest.js";
import type { RuleName } from "./rules.js";
import { ServeWatch } from "./serve-watch.js";
import { strike } from "./strikes.js";
import { drawPlan, type Plan } from "./swarm.js";
import { Trace } from "./trace.js";
import { drawMix, type Mix } from "./workload.js";
import { World } from "./world.js";

export interface SimulationReport {
  readonly seed: number;
  /** Of every event of the run, in order. */
  readonly traceHash: string;
  readonly nodes: number;
  readonly operations: number;
  readonly checks: Readonly<CheckCounts>;
  readonly faultKinds: number;
  readonly entries: number;
  readonly virtualMs: number;
  readonly steps: number;
  readonly faults: Readonly<Partial<Record<FaultName, number>>>;
  readonly rules: Readonly<Partial<Record<RuleName, number>>>;
  /** Everything found wrong; empty = the run is good. */
  readonly problems: readonly string[];
  /** Only if asked for. */
  readonly trace: readonly string[];
}

export interface SimulationOptions {
  /** Settings in place of those that the seed draws. */
  readonly plan?: Partial<Plan>;
  readonly keepsTrace?: boolean;
}

/** Clients must be done by then: they ask for a while only, and each request has its time. */
const WORK_MS_MAX = 150_000;
const HEAL_MS_MAX = 120_000;
/** How long copies of entries may be on their way. */
const LATE_MS_MAX = 3_000;
/** How long other messages may be on their way. */
const AROUND_MS = 500;

export async function simulate(
  seed: number,
  options: SimulationOptions = {},
): Promise<SimulationReport> {
  const chance = seededChance(seed);
  const plan = { ...drawPlan(chance), ...options.plan };
  const clock = new ManualClock();
  const trace = new Trace(clock, options.keepsTrace === true);
  const world = new World(plan, chance, clock, trace);
  const run = new Run(world);
  try {
    await run.run();
  } catch (error) {
    world.problem(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  return run.report(seed);
}

class Run {
  readonly #clients: Client[] = [];
  /** By shard and sequence: the replica that was seen there first. */
  readonly #digests = new Map<string, { readonly digest: string; readonly machine: Machine }>();
  #digestsCompared = 0;
  readonly #serveWatch = new ServeWatch();
  readonly #stopwatch: Stopwatch;
  #checks: Readonly<CheckCounts> = {};

  constructor(private readonly world: World) {
    this.#stopwatch = new Stopwatch(() => world.clock.elapsedMs());
  }

  async run(): Promise<void> {
    const { world } = this;
    const { clock, plan } = world;
    await world.begin();
    const mix = drawMix(world.chance);
    const working: Promise<void>[] = [];
    for (let number = 1; number <= plan.clients; number += 1) {
      working.push(this.#client(`c${number}`, mix).run(plan.operations));
    }
    let areWorking = true;
    const ended = (): void => void (areWorking = false);
    Promise.all(working)
      .catch((error: unknown) => world.problem(`a client failed: ${String(error)}`))
      .finally(ended);
    const beganMs = clock.elapsedMs();
    await this.#trouble(() => areWorking && clock.elapsedMs() - beganMs < plan.faultsMsMax);
    this.#heal();
    while (areWorking && clock.elapsedMs() - beganMs < WORK_MS_MAX) await clock.advance(200);
    if (areWorking) return world.problem(`hangs: clients are at work after ${WORK_MS_MAX} ms`);
    await this.#comeToRest();
    if (world.problems.length > 0) return;
    await this.#readAll(this.#client("last", mix));
    await this.#comeToRest();
    await this.#check();
  }

  async #trouble(goesOn: () => boolean): Promise<void> {
    const { world } = this;
    const { clock, chance, faults } = world;
    while (goesOn()) {
      const ms = 100 + chance.integer(200);
      await clock.advance(ms);
      for (const fault of faults.strikes(ms)) if (strike(world, fault)) faults.count(fault);
      this.#look();
    }
  }

  #client(name: string, mix: Mix): Client {
    const { world } = this;
    const { names, clock, plan, ring } = world;
    const client = new Client({
      name,
      mix,
      clock,
      names,
      chance: world.ownChance(),
      bus: world.connect(name),
      positionCount: ring.positionCount,
      thinkMs: plan.thinkMs,
      networkRepeats: plan.faults.has("message repeated"),
      stopwatch: this.#stopwatch,
      logEnds: () => world.logEnds(),
      trace: (text) => world.trace.detail(name, text),
    });
    this.#clients.push(client);
    return client;
  }

  /** Progress: with all faults ended, whatever is asked of a shard that is served is answered. */
  async #readAll(client: Client): Promise<void> {
    const { world } = this;
    const lookup = new RingLookup(world.ring);
    const isServed = (position: number): boolean => {
      const shard = lookup.shardOf(position as Position);
      return reportsOf(world, shard).some(({ report }) => report?.state === "serving");
    };
    await world.clock.resolve(client.readAll(isServed), WORK_MS_MAX);
  }

  /** Nothing goes wrong from now on, and everybody comes back. */
  #heal(): void {
    const { world } = this;
    world.faults.isOver = true;
    world.trace.note("world", "the faults end");
    for (const twin of world.machines.filter((each) => world.isTwin(each))) world.endTwin(twin);
    for (const stream of world.streams.values()) stream.bytesMax = Infinity;
    for (const bus of world.clientBuses) bus.reconnect();
    for (const machine of world.machines) {
      const { process } = machine;
      process?.resume();
      process?.bus.reconnect();
      process?.events.reconnect();
      for (const log of process?.logs.values() ?? []) {
        if (!log.isConnected) log.reconnect();
        if (log.isPaused) log.resumeDeliveries();
      }
      world.startAgain(machine);
    }
  }

  async #comeToRest(): Promise<void> {
    const { world } = this;
    const { clock } = world;
    // Copies that are late land before anything is compared.
    const { faults } = world.plan;
    const mayBeLate = faults.has("entry late") || faults.has("entry twice");
    await clock.advance(mayBeLate ? LATE_MS_MAX : AROUND_MS);
    const endMs = clock.elapsedMs() + HEAL_MS_MAX;
    let found = unrest(world);
    for (; found.length > 0 && clock.elapsedMs() < endMs; found = unrest(world)) {
      await clock.advance(250);
    }
    for (const text of found) world.problem(`not at rest: ${text}`);
    this.#look();
  }

  /** Replicas at one sequence have one digest, and none serves that must not. */
  #look(): void {
    const { world } = this;
    const reportsOfShard = allReports(world);
    for (const shard of world.ring.shards) {
      const keptMax = world.damages.get(shard.shard)?.kept ?? Infinity;
      const last = world.streams.get(shard.shard)?.last ?? 0;
      const nowMs = world.clock.elapsedMs();
      for (const { machine, report } of reportsOfShard(shard)) {
        const lag = this.#serveWatch.problemOf(machine, shard.shard, report, last, nowMs);
        if (lag !== undefined) world.problem(lag);
        const { sequence, records, index } = report?.digest ?? { sequence: 0 };
        if (sequence === 0 || sequence > keptMax) continue;
        const digest = `${records} ${index}`;
        const place = `${shard.shard} at ${sequence}`;
        const known = this.#digests.get(place);
        if (known === undefined) this.#digests.set(place, { digest, machine });
        else if (known.machine !== machine) this.#digestsCompared += 1;
        if ((known?.digest ?? digest) === digest) continue;
        const other = known?.digest;
        world.problem(`${place} has digest ${digest} on ${machine.name}, another had ${other}`);
      }
    }
  }

  async #check(): Promise<void> {
    const { world } = this;
    for (const client of this.#clients) {
      for (const text of client.problems) world.problem(`${text}`);
    }
    // Nothing runs during the checks: otherwise records would come due, and their rows go one by
    // one.
    for (const { process } of world.machines) process?.pause();
    const { problems, counts } = await world.clock.resolve(checkRun(this.#facts()));
    for (const text of problems) world.problem(text);
    this.#checks = { ...counts, "digests compared": this.#digestsCompared };
  }

  #facts(): RunFacts {
    const { world } = this;
    const { ring, plan, events, eventsAreDamaged } = world;
    return {
      rows: this.#clients.flatMap((client) => client.rows),
      ring,
      limits: plan.limits,
      shards: ring.shards.map((shard) => this.#shardFacts(shard)),
      events: events.history,
      eventsAreDamaged,
    };
  }

  #shardFacts(shard: RingShard): ShardFacts {
    const { world } = this;
    const id = shard.shard;
    return {
      shard,
      entries: world.streams.get(id)?.history ?? [],
      damage: world.damages.get(id),
      wasTrimmed: world.trimmed.has(id),
      replicas: reportsOf(world, shard).map(({ machine, report }) => ({
        node: machine.name,
        phase: report?.state ?? "loading",
        reason: report?.reason ?? "",
        sequence: report?.sequence_applied ?? 0,
        store: report?.state === "serving" ? machine.process?.stores.get(id) : undefined,
      })),
    };
  }

  report(seed: number): SimulationReport {
    const { world } = this;
    const { plan, trace, clock } = world;
    const rows = this.#clients.flatMap((client) => client.rows);
    let entries = 0;
    for (const { last, history } of world.streams.values()) {
      entries += last;
      world.rules.onLog(history);
    }
    world.rules.onEvents(world.events.history);
    return {
      seed,
      traceHash: trace.hash,
      nodes: plan.nodes,
      operations: rows.reduce((count, row) => count + Math.max(1, row.steps.length), 0),
      checks: this.#checks,
      faultKinds: plan.faults.size,
      entries,
      virtualMs: clock.elapsedMs(),
      steps: clock.steps,
      faults: Object.fromEntries(world.faults.counts),
      rules: Object.fromEntries(world.rules.counts),
      problems: world.problems,
      trace: trace.lines,
    };
  }
}
