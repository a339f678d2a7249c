/**
 * Faults: carries the planned faults out on a running cluster, and ends those that last.
 */
import { sleep, systemClock } from "../../infra/clock.js";
import { dataPaths } from "../../infra/main/server/data-folder.js";
import { commandLine, readPid, signalTo } from "../../infra/nats-server/nats-server.js";
import type { Cluster } from "../support/cluster.js";
import type { TcpProxy } from "../support/tcp-proxy.js";
import { until } from "../support/until.js";
import type { Fault, Round } from "./fault-plan.js";

/** Names of the load's connections begin so. */
export const CLIENT_NAME = "chaos client";
const END_LIMIT_MS = 30_000;
const PID_LIMIT_MS = 30_000;

export interface FaultTarget {
  readonly cluster: Cluster;
  readonly proxy: TcpProxy;
}

/** Resolves when the round's faults are over; what they broke may still be coming back. */
export async function carryOut(target: FaultTarget, round: Round): Promise<void> {
  // Asked before anything is broken: afterwards nobody may be there to answer.
  const pids = await processIds(target.cluster, round);
  await Promise.all(round.map((fault) => strike(target, fault, pids)));
}

async function strike(
  { proxy }: FaultTarget,
  { kind, node = "", direction, lastsMs }: Fault,
  pids: ReadonlyMap<string, number>,
): Promise<void> {
  const isNode = (name: string): boolean => name.startsWith(`ringdex ${node} `);
  const isClient = (name: string): boolean => name.startsWith(CLIENT_NAME);
  switch (kind) {
    case "kill node":
      return end(pids.get(node), "SIGKILL");
    case "restart node":
      return end(pids.get(node), "SIGTERM");
    case "pause node":
      return pause(pids.get(node), lastsMs);
    case "kill nats-server":
      return end(pids.get(SERVER), "SIGKILL");
    case "pause nats-server":
      return pause(pids.get(SERVER), lastsMs);
    case "cut node":
      return cut(proxy, isNode);
    case "cut clients":
      return cut(proxy, isClient);
    case "hold node":
      return held(proxy.hold(isNode, direction), lastsMs);
    case "hold clients":
      return held(proxy.hold(isClient, direction), lastsMs);
  }
}

/** In the place of a node's name. */
const SERVER = "nats-server";

async function processIds(cluster: Cluster, round: Round): Promise<Map<string, number>> {
  const pids = new Map<string, number>();
  const server = readPid(dataPaths(cluster.dataFolder).natsPid);
  if (server !== undefined) pids.set(SERVER, server);
  for (const { node } of round) {
    if (node !== undefined) pids.set(node, await pidOf(cluster, node));
  }
  return pids;
}

/** Under load an answer may be late. */
async function pidOf(cluster: Cluster, node: string): Promise<number> {
  let pid: number | undefined;
  const isKnown = async (): Promise<boolean> => {
    pid = await cluster.nodePid(node).catch(() => undefined);
    return pid !== undefined;
  };
  await until(isKnown, PID_LIMIT_MS, `the process id of ${node}`);
  return pid as number;
}

async function end(pid: number | undefined, signal: NodeJS.Signals): Promise<void> {
  const { known, line } = await checked(pid);
  signalTo(known, signal);
  const isGone = async (): Promise<boolean> => (await commandLine(known)) !== line;
  await until(isGone, END_LIMIT_MS, `the end of process ${known}`);
}

async function pause(pid: number | undefined, lastsMs: number): Promise<void> {
  const { known, line } = await checked(pid);
  paused.add(known);
  signalTo(known, "SIGSTOP");
  try {
    await sleep(systemClock, lastsMs);
  } finally {
    paused.delete(known);
    if ((await commandLine(known)) === line) signalTo(known, "SIGCONT");
  }
}

/** A stopped process does not notice that its parent is gone: none is left behind so. */
const paused = new Set<number>();
process.once("exit", () => {
  for (const pid of paused) signalTo(pid, "SIGCONT");
});

async function checked(pid: number | undefined): Promise<{ known: number; line: string }> {
  const line = pid === undefined ? "" : await commandLine(pid);
  if (pid === undefined || line === "") throw new Error("a process to be struck is not there");
  return { known: pid, line };
}

async function held(letGo: () => void, lastsMs: number): Promise<void> {
  try {
    await sleep(systemClock, lastsMs);
  } finally {
    letGo();
  }
}

async function cut(proxy: TcpProxy, isMeant: (name: string) => boolean): Promise<void> {
  if (proxy.cut(isMeant) === 0) throw new Error("there is no connection to be cut");
  await Promise.resolve();
}
