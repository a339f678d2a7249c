/**
 * Floods: the load of several processes, and their reports as one.
 *
 * Processes of their own, because whoever sends that much and reads the answers in the process that
 * looks at the clock measures mostly itself. Several, so that one connection's share can be
 * compared with another's.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { FloodOrder, FloodReport } from "./flood.js";

const program = fileURLToPath(new URL("flood-program.js", import.meta.url));

export interface FloodsOptions {
  readonly servers: string;
  readonly store: string;
  /** Key that all increments go to. */
  readonly counter: string;
  readonly processes: number;
}

export class Floods {
  /** Since the start. */
  counted = 0;
  doubtful = 0;

  private constructor(private readonly children: readonly ChildProcess[]) {}

  static async start({ servers, store, counter, processes }: FloodsOptions): Promise<Floods> {
    const children: ChildProcess[] = [];
    for (let index = 0; index < processes; index += 1) {
      children.push(fork(program, [servers, store, counter]));
    }
    await Promise.all(children.map(nextMessage));
    return new Floods(children);
  }

  /** All of them in one go. */
  async atOnce(count: number): Promise<FloodReport> {
    return this.#run({ kind: "at-once", count: Math.ceil(count / this.children.length) });
  }

  /** `perSecond` of them each second. */
  async steadily(perSecond: number, ms: number): Promise<FloodReport> {
    return this.#run({ kind: "steadily", perSecond: perSecond / this.children.length, ms });
  }

  /** A closed loop: `inFlight` of them under way for `ms`. Returns how many were done a second. */
  async sustained(inFlight: number, ms: number): Promise<number> {
    const each = Math.ceil(inFlight / this.children.length);
    const report = await this.#run({ kind: "closed-loop", inFlight: each, ms });
    return (takenCount(report) * 1_000) / report.ms;
  }

  async close(): Promise<void> {
    const ends = this.children.map((child) => once(child, "exit"));
    for (const child of this.children) child.disconnect();
    await Promise.all(ends);
  }

  async #run(order: FloodOrder): Promise<FloodReport> {
    const reports = this.children.map(nextMessage);
    for (const child of this.children) child.send(order);
    const report = ((await Promise.all(reports)) as FloodReport[]).reduce(together);
    this.counted += report.counted;
    this.doubtful += report.doubtful;
    return report;
  }
}

/** Requests that were done, not refused. */
function takenCount({ waits }: FloodReport): number {
  return Object.values(waits).reduce((sum, count) => sum + count, 0);
}

/** The wait, in ms, that `share` of those that were taken did not exceed; NaN if none was. */
export function percentileMs(report: FloodReport, share: number): number {
  // Whole numbers as names come in ascending order.
  let left = Math.ceil(takenCount(report) * share);
  for (const [ms, count] of Object.entries(report.waits)) {
    left -= count;
    if (left <= 0) return Number(ms);
  }
  return NaN;
}

async function nextMessage(child: ChildProcess): Promise<unknown> {
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`a process that floods has ended with ${code}`);
  });
  const [message] = (await Promise.race([once(child, "message"), ended])) as unknown[];
  return message;
}

function together(one: FloodReport, other: FloodReport): FloodReport {
  return {
    sent: one.sent + other.sent,
    answers: sums(one.answers, other.answers),
    unanswered: one.unanswered + other.unanswered,
    strays: one.strays + other.strays,
    waits: sums(one.waits, other.waits),
    ms: Math.max(one.ms, other.ms),
    counted: one.counted + other.counted,
    doubtful: one.doubtful + other.doubtful,
    pulseMs: Math.max(one.pulseMs, other.pulseMs),
  };
}

type Counts = Readonly<Record<string, number>>;

function sums(one: Counts, other: Counts): Counts {
  const all: Record<string, number> = { ...one };
  for (const [name, count] of Object.entries(other)) all[name] = (all[name] ?? 0) + count;
  return all;
}
