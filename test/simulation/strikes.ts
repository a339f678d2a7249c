/**
 * Strikes: carries out the faults that come from time to time and hit a machine, a log, or the
 * events. A strike also ends the fault that it began, unless its machine has started again.
 */
import type { Origin, Sequence } from "../../protocol/ids.js";
import { LAG_SERVING_MAX } from "../../protocol/limits.js";
import { encodeEntry, BEHAVIOUR_VERSION } from "../../protocol/log/entry.js";
import { Acceptance } from "../support/log-rules.js";
import type { MemoryStream } from "../support/memory-log.js";
import { entryOf } from "./entry-of.js";
import type { StrikeFault } from "./faults.js";
import type { Machine, NodeProcess } from "./machine.js";
import type { World } from "./world.js";

/** Clocks stay within this of the world's: further off, ids of requests are refused (L4). */
const CLOCK_OFF_MS_MAX = 4_000;
/** How many of the last entries a server's power cut takes. */
const ENTRIES_LOST_MAX = 8;

type Strike = (world: World) => boolean;

/** False = there was nothing to hit. */
export function strike(world: World, fault: StrikeFault): boolean {
  return strikes[fault](world);
}

const strikes: Readonly<Record<StrikeFault, Strike>> = {
  "process paused": (world) =>
    hitProcess(world, (process, machine) => {
      const ms = 100 + world.chance.integer(5_000);
      world.trace.note(machine.name, `is paused for ${ms} ms`);
      process.pause();
      world.clock.after(ms, () => process.resume());
    }),
  "process killed": (world) =>
    hitProcess(world, (_, machine) => {
      machine.kill();
      restartLater(world, machine);
    }),
  "process stopped": (world) =>
    hitProcess(world, (_, machine) => {
      world.stop(machine);
    }),
  "machine crashed": (world) =>
    hitProcess(world, (_, machine) => {
      machine.crash();
      world.storesChanged();
      restartLater(world, machine);
    }),
  "store lost": (world) =>
    hitProcess(world, (_, machine) => {
      machine.kill();
      machine.loseStores();
      world.storesChanged();
      restartLater(world, machine);
    }),
  "second process": (world) => world.startTwin(),
  "connection lost": (world) =>
    hitProcess(world, ({ bus }) => {
      bus.disconnect();
      world.clock.after(world.chance.integer(3_000), () => bus.reconnect());
    }),
  "client's connection lost": (world) => {
    const bus = world.chance.pick(world.clientBuses);
    bus.disconnect();
    world.clock.after(world.chance.integer(2_000), () => bus.reconnect());
    return true;
  },
  "clock jumps": (world) =>
    hitProcess(world, ({ clock }, machine) => {
      clock.offsetMs = world.chance.integer(2 * CLOCK_OFF_MS_MAX) - CLOCK_OFF_MS_MAX;
      world.trace.note(machine.name, `its clock is off by ${clock.offsetMs} ms`);
    }),
  "log's clock jumps": (world) =>
    hitLog(world, (stream) => {
      stream.clockOffsetMs = world.chance.integer(2 * CLOCK_OFF_MS_MAX) - CLOCK_OFF_MS_MAX;
    }),
  "log's connection lost": (world) =>
    hitProcess(world, ({ logs }) => {
      const log = world.chance.pick([...logs.values()]);
      log.disconnect();
      world.clock.after(world.chance.integer(3_000), () => log.reconnect());
    }),
  "consumer made anew": (world) =>
    hitProcess(world, ({ logs }) => world.chance.pick([...logs.values()]).interrupt()),
  "deliveries held up": (world) => hitProcess(world, (process) => holdUp(world, process)),
  "no entry in the log": (world) =>
    hitLog(world, (stream) => void stream.take(noEntry(world, stream))),
  "log full": (world) =>
    hitLog(world, (stream) => {
      stream.bytesMax = stream.bytes + world.chance.integer(2_000);
      world.clock.after(300 + world.chance.integer(4_000), () => {
        stream.bytesMax = world.faults.isOver ? Infinity : world.plan.logBytesMax;
      });
    }),
  "log shorter": (world) => damageLog(world, "log shorter"),
  "log other": (world) => damageLog(world, "log other"),
  "log trimmed": (world) =>
    hitLog(world, (stream) => {
      stream.trim(Math.max(stream.first, stream.last - world.chance.integer(40)));
      world.noteTrimmed(stream.shard);
    }),
  "events' connection lost": (world) =>
    hitProcess(world, ({ events }) => {
      events.disconnect(world.chance.integer(4));
      world.clock.after(world.chance.integer(2_000), () => events.reconnect());
    }),
  "events' tail lost": (world) => {
    const { events } = world;
    if (world.plan.eventsAreDurable) return false;
    world.noteEventsDamaged();
    events.truncate(Math.max(events.first - 1, events.last - world.chance.integer(20)));
    for (const { process } of world.machines) {
      process?.events.disconnect();
      process?.events.reconnect();
    }
    return true;
  },
  "events trimmed": (world) => {
    const { events } = world;
    world.noteEventsDamaged();
    events.trim(events.first + world.chance.integer(events.last - events.first + 1));
    return true;
  },
};

function hitProcess(world: World, hit: (process: NodeProcess, machine: Machine) => void): boolean {
  const machine = world.chance.pick(world.machines);
  const { process } = machine;
  if (process === undefined || process.clock.state !== "running") return false;
  if (process.logs.size === 0) return false;
  world.trace.note(machine.name, "is hit");
  hit(process, machine);
  return true;
}

function hitLog(world: World, hit: (stream: MemoryStream) => void): boolean {
  const shard = world.chance.pick([...world.streams.keys()]);
  const stream = world.streams.get(shard);
  if (stream === undefined) return false;
  world.trace.note(shard, "is hit");
  hit(stream);
  return true;
}

function restartLater(world: World, machine: Machine): void {
  world.clock.after(100 + world.chance.integer(3_000), () => world.startAgain(machine));
}

/** The replica's consumer gets nothing while its log grows by more than it may lag (rule L9). */
function holdUp(world: World, process: NodeProcess): void {
  const [shard, log] = world.chance.pick([...process.logs]);
  const stream = world.streams.get(shard);
  const old = stream?.entries.find(({ sequence }) => sequence > 1);
  if (stream === undefined || old === undefined) return;
  log.pauseDeliveries();
  // Copies of an entry that is there: all pass over them (rule L2).
  const count = LAG_SERVING_MAX + 20 + world.chance.integer(40);
  for (let index = 0; index < count; index += 1) stream.take(old.data);
  world.clock.after(800 + world.chance.integer(6_000), () => log.resumeDeliveries());
}

/** Bytes that another program has written into the log (rule L5). */
function noEntry(world: World, stream: MemoryStream): Uint8Array {
  const { chance } = world;
  const some = chance.pick(stream.entries.length > 0 ? stream.entries : [undefined]);
  if (some === undefined || chance.happens(0.5)) return chance.bytes(chance.integer(100));
  const bytes = some.data.slice(0, 1 + chance.integer(some.data.length));
  const at = chance.integer(bytes.length);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.integer(8));
  return bytes;
}

/** Once a log: the server comes back without the last entries, or with others in their place. */
function damageLog(world: World, kind: "log shorter" | "log other"): boolean {
  const undamaged = [...world.streams.values()].filter(({ shard }) => !world.isDamaged(shard));
  const stream = undamaged.length === 0 ? undefined : world.chance.pick(undamaged);
  // The first entry is known to be on disk before the ring names the log.
  const room = stream === undefined ? 0 : stream.last - Math.max(stream.first, 1);
  if (stream === undefined || room < 1) return false;
  const lost = stream.last;
  const kept = lost - 1 - world.chance.integer(Math.min(ENTRIES_LOST_MAX, room));
  const missedFrom = firstThatCounts(stream, kept);
  const atMs = world.clock.elapsedMs();
  world.noteDamage(stream.shard, { kind, atMs, kept, lost, missedFrom });
  if (kind === "log shorter") stream.truncate(kept);
  else stream.replace(kept, othersEntries(world, lost - kept + world.chance.integer(5)));
  return true;
}

/** Of the entries behind `kept`. Infinity = none of them counts. */
function firstThatCounts({ history }: MemoryStream, kept: number): number {
  const acceptance = new Acceptance();
  for (const { sequence, data } of history) {
    const entry = entryOf(data);
    if (entry !== undefined && acceptance.accepts(entry) && sequence > kept) return sequence;
  }
  return Infinity;
}

/** Entries that an unknown proposer may have written meanwhile. */
function othersEntries({ chance }: World, count: number): Uint8Array[] {
  const origin = Buffer.from(chance.bytes(16)).toString("hex") as Origin;
  return Array.from({ length: count }, (_, index) =>
    encodeEntry({
      kind: index === 0 ? "open" : "barrier",
      version: BEHAVIOUR_VERSION,
      origin,
      number: index + 1,
      basisSequence: 0 as Sequence,
      basisChain: 0n,
    }),
  );
}
