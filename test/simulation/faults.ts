/**
 * Faults: everything that can go wrong in a simulated cluster, by name.
 *
 * There are two sorts. Some happen to single calls (a message, an append, a read of the disk), each
 * with a probability. The others strike from time to time (strikes.ts carries them out). The seed
 * draws which of them a run has, and how often (swarm.ts); the report shows the counts.
 */
import type { SeededChance } from "../support/manual-clock.js";

/** Probability of each call, before the seed makes it more or less. */
const callFaults = {
  "message delayed": 0.2,
  "message overtaken": 0.1,
  "message lost": 0.03,
  "message repeated": 0.1,
  "acknowledgement lost": 0.06,
  "entry lost": 0.05,
  "entry late": 0.06,
  "entry twice": 0.06,
  "append refused": 0.08,
  "log away": 0.02,
  "log away for long": 0.05,
  "log unavailable": 0.05,
  "delivery lost": 0.1,
  "disk slow": 0.02,
  "disk fails": 0.004,
  "event refused": 0.05,
} as const;

/** Milliseconds between two of the kind, on average, before the seed makes it more or less. */
const strikeFaults = {
  "process paused": 2_000,
  "process killed": 3_000,
  "process stopped": 3_000,
  "machine crashed": 3_000,
  "store lost": 4_000,
  "second process": 4_000,
  "connection lost": 2_000,
  "client's connection lost": 2_000,
  "clock jumps": 1_500,
  "log's clock jumps": 1_500,
  "log's connection lost": 2_000,
  "consumer made anew": 800,
  "deliveries held up": 12_000,
  "no entry in the log": 1_000,
  "log full": 3_000,
  "log shorter": 6_000,
  "log other": 6_000,
  "log trimmed": 3_000,
  "events' connection lost": 2_000,
  "events' tail lost": 3_000,
  "events trimmed": 3_000,
} as const;

export type CallFault = keyof typeof callFaults;
export type StrikeFault = keyof typeof strikeFaults;
export type FaultName = CallFault | StrikeFault;

const callFaultNames = Object.keys(callFaults) as CallFault[];
const strikeFaultNames = Object.keys(strikeFaults) as StrikeFault[];
export const faultNames: readonly FaultName[] = [...callFaultNames, ...strikeFaultNames];

/** The faults of one run: which are on, whether they are over, how often each came. */
export class Faults {
  readonly counts = new Map<FaultName, number>();
  isOver = false;

  constructor(
    /** By name: how much more often than usual. */
    private readonly rates: ReadonlyMap<FaultName, number>,
    private readonly chance: SeededChance,
    private readonly note: (fault: FaultName) => void,
  ) {}

  /** Draws whether it happens to this call. Draws nothing for a fault that is not on. */
  happens(fault: CallFault): boolean {
    const rate = this.isOver ? undefined : this.rates.get(fault);
    if (rate === undefined || !this.chance.happens(callFaults[fault] * rate)) return false;
    this.count(fault);
    return true;
  }

  /** Those that strike within the next `ms`. */
  strikes(ms: number): StrikeFault[] {
    if (this.isOver) return [];
    return strikeFaultNames.filter((fault) => {
      const rate = this.rates.get(fault);
      return rate !== undefined && this.chance.happens((ms * rate) / strikeFaults[fault]);
    });
  }

  count(fault: FaultName): void {
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
    this.note(fault);
  }
}
