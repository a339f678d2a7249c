/**
 * Rest: the state that a cluster must reach when faults have ended, shard by shard.
 *
 * If a shard's log is whole, all replicas serve, have applied the whole log, and its events are
 * out. If a log was trimmed, a replica that still needed the removed entries may stop (L8). No
 * replica serves a damaged log as if nothing had happened: a replica whose store holds what the log
 * has lost has stopped for that reason (L1, L3), and once one has said so none serves the shard.
 */
import type { ReplicaReport } from "../../protocol/node/status.js";
import type { RingShard } from "../../protocol/ring/ring.js";
import type { Machine } from "./machine.js";
import type { World } from "./world.js";

/** Why the cluster is not at rest; empty = it is. */
export function unrest(world: World): string[] {
  const reportsOfShard = allReports(world);
  return world.ring.shards.flatMap((shard) => {
    const reports = reportsOfShard(shard);
    const found = reports.flatMap(({ machine, report }) => {
      const text = unrestOf(world, shard, report);
      return text === undefined ? [] : [`${shard.shard} on ${machine.name} ${text}`];
    });
    return found.length > 0 ? found : unrestOfEvents(world, shard, reports);
  });
}

export interface MachineReport {
  readonly machine: Machine;
  /** Undefined = the machine is down. */
  readonly report: ReplicaReport | undefined;
}

/** What the shard's replicas report. */
export function reportsOf(world: World, shard: RingShard): MachineReport[] {
  return allReports(world)(shard);
}

/** All that is reported now, by shard: each machine is asked once. */
export function allReports(world: World): (shard: RingShard) => MachineReport[] {
  const asked = world.machines.map((machine) => {
    return { machine, reports: machine.process?.actors.replicas() };
  });
  return ({ shard, nodes }) =>
    asked
      .filter(({ machine }) => nodes.includes(machine.node))
      .map(({ machine, reports }) => {
        return { machine, report: reports?.find((report) => report.shard === shard) };
      });
}

function unrestOf(
  world: World,
  shard: RingShard,
  report: ReplicaReport | undefined,
): string | undefined {
  if (report === undefined) return "is down";
  const { state, reason = "", sequence_applied: applied } = report;
  const stream = world.streams.get(shard.shard);
  const isTrimmed = world.trimmed.has(shard.shard);
  const damage = world.damages.get(shard.shard);
  if (state === "stopped") {
    if (isTrimmed && reason.startsWith("log-trimmed")) return undefined;
    if (damage !== undefined && /^log-(shorter|diverged)/.test(reason)) return undefined;
    return `has stopped: ${reason}`;
  }
  if (damage !== undefined && damage.holders.size > 0) {
    return `is ${state} at ${applied}, though its log lost what a store holds`;
  }
  const last = stream?.last ?? 0;
  if (state === "serving" && applied === last) return undefined;
  return `is ${state} at ${applied} of ${last} ${reason}`;
}

function unrestOfEvents(
  world: World,
  { shard }: RingShard,
  reports: readonly MachineReport[],
): string[] {
  if (world.isDamaged(shard)) return [];
  const serving = reports.filter(({ report }) => report?.state === "serving");
  const last = world.streams.get(shard)?.last ?? 0;
  const isOut = ({ report }: MachineReport): boolean =>
    report !== undefined && report.relay.active && report.relay.sequence >= last;
  if (serving.length === 0 || serving.some(isOut)) return [];
  const places = reports.map(({ report }) => report?.relay.sequence ?? 0);
  return [`${shard} has events out up to ${Math.max(...places)} of ${last}`];
}
