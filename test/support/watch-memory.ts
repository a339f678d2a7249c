/**
 * Watch memory: measures the memory of a cluster's processes all the time, because the figure at
 * the end does not show the peak.
 */
import { readFileSync } from "node:fs";
import type { Cluster } from "./cluster.js";

const LOOK_MS = 250;

export interface Grown {
  readonly name: string;
  /** Resident bytes, at most. */
  readonly peak: number;
  /** More than at the first look, at most. */
  readonly growth: number;
}

export interface MemoryWatch {
  /** Looks once more, and ends it. */
  stop(): readonly Grown[];
}

export const SERVER_NAME = "nats-server";

/** Of all nodes, and of nats-server. Equal ones = nothing has ended meanwhile. */
export async function processesOf(cluster: Cluster): Promise<ReadonlyMap<string, number>> {
  const { nodes } = await cluster.status();
  const pids = new Map(nodes.map(({ node, pid }) => [node, Number(pid)]));
  return pids.set(SERVER_NAME, cluster.serverPid);
}

/** Looks for the first time at once. */
export function watchMemory(pids: ReadonlyMap<string, number>): MemoryWatch {
  const first = new Map([...pids].map(([name, pid]) => [name, residentBytes(pid)]));
  const peaks = new Map(first);
  const look = (): void => {
    for (const [name, pid] of pids) {
      peaks.set(name, Math.max(peaks.get(name) ?? 0, residentBytes(pid)));
    }
  };
  const timer = setInterval(look, LOOK_MS);
  return {
    stop() {
      clearInterval(timer);
      look();
      return [...peaks].map(([name, peak]) => {
        return { name, peak, growth: peak - (first.get(name) ?? 0) };
      });
    },
  };
}

/** 0 where the system does not tell, and of a process that has ended. */
function residentBytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}
