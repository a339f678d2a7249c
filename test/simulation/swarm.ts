/**
 * Swarm: draws the shape of one seed's run: its own few kinds of fault, the size of the cluster and
 * its limits. A run with everything at once would hide what two faults do together.
 */
import type { LoggedLimits } from "../../protocol/log/entry.js";
import type { SeededChance } from "../support/manual-clock.js";
import { faultNames, type FaultName } from "./faults.js";

export interface Plan {
  readonly nodes: number;
  /** Of each shard, on distinct nodes. */
  readonly replicas: number;
  readonly positions: number;
  readonly clients: number;
  /** Of each client. */
  readonly operations: number;
  /** Between two requests of a client, on average. */
  readonly thinkMs: number;
  /** By name: how much more often than usual. What is not there does not happen. */
  readonly faults: ReadonlyMap<FaultName, number>;
  readonly limits: LoggedLimits;
  readonly logBytesMax: number;
  /** A single server: the log's end can be asked for. Else only an own entry proves it. */
  readonly tailIsExact: boolean;
  /** Of a message to the log, and of its answer: at most. */
  readonly logDelayMsMax: number;
  /** What the events stream acknowledges survives its server's crash. */
  readonly eventsAreDurable: boolean;
  /** Faults end then, also if clients still have something to do. */
  readonly faultsMsMax: number;
  /** How far processes' clocks are off at their start, at most. */
  readonly clockOffsetMsMax: number;
}

/** Requests of all clients of a run together, about; those of several operations count once. */
const OPERATIONS = 108;
const FAULTS_MS = 8_000;
/** With a log that is away for longer than requests wait. */
const FAULTS_LONG_MS = 15_000;

export function drawPlan(chance: SeededChance): Plan {
  const nodes = chance.pick([2, 2, 2, 3, 3, 3, 3, 3, 4, 5]);
  const clients = chance.pick([2, 3, 4, 6]);
  const faults = drawFaults(chance);
  return {
    nodes,
    replicas: Math.min(nodes, chance.pick([1, 2, 2, 2, 3, 3])),
    positions: chance.pick([8, 8, 12, 16]),
    clients,
    operations: Math.ceil((OPERATIONS * (0.7 + 0.6 * chance.fraction())) / clients),
    thinkMs: chance.pick([30, 80, 150]),
    faults,
    limits: {
      valueBytesMax: chance.pick([512, 4_096, 4_096]),
      depthMax: chance.pick([3, 8]),
      indexEntriesMax: chance.pick([6, 256, 256]),
      pathBytesMax: chance.pick([24, 512]),
      outcomesMax: chance.pick([40, 1_000, 1_000, 1_000, 1_000, 1_000]),
    },
    logBytesMax: chance.pick([40_000, Infinity, Infinity, Infinity]),
    tailIsExact: chance.happens(0.7),
    logDelayMsMax: chance.pick([2, 5, 30]),
    eventsAreDurable: chance.happens(0.5),
    faultsMsMax: faults.has("log away for long") ? FAULTS_LONG_MS : FAULTS_MS,
    clockOffsetMsMax: chance.pick([0, 500, 2_000]),
  };
}

/**
 * Faults that show most together: a fence needs both (L2), a trimmed log needs a replica that still
 * reads it (L8), a log that lost entries a process that starts with them in its store (L1, L3).
 */
const companions: ReadonlyMap<FaultName, FaultName> = new Map([
  ["acknowledgement lost", "append refused"],
  ["entry lost", "append refused"],
  ["entry late", "append refused"],
  ["log trimmed", "store lost"],
  ["log shorter", "process killed"],
  ["log other", "process killed"],
]);

/** What one cannot do without: it takes a whole run, and hits few of its requests. */
const drawn: readonly FaultName[] = [...faultNames, "log away for long"];

/** Two or three kinds mostly; a few runs have none, a few have many. */
function drawFaults(chance: SeededChance): Map<FaultName, number> {
  const count = chance.pick([0, 1, 2, 2, 2, 2, 3, 3, 3, 5]);
  const faults = new Map<FaultName, number>();
  while (faults.size < count) {
    const fault = chance.pick(drawn);
    faults.set(fault, chance.pick([0.5, 1, 1, 2, 4]));
    const companion = companions.get(fault);
    if (companion !== undefined && chance.happens(0.5)) faults.set(companion, 2);
  }
  return faults;
}
