/**
 * Serve watch: looks during the run for replicas that serve although they must not.
 *
 * At the end of a run nothing shows that a replica served wrong data for a moment. Two things are
 * true at any time, whatever the faults:
 *
 *   1. Rule L9: a replica that lags by more than LAG_SERVING_MAX stops serving within a second or
 *      two, also if it cannot learn by how much it lags.
 *   2. Rules L1 and L3: a process that starts with a store that holds what the log has lost never
 *      serves, because it compares the two first. (One that already serves may continue shortly.)
 */
import type { ShardId } from "../../protocol/ids.js";
import { LAG_SERVING_MAX } from "../../protocol/limits.js";
import type { ReplicaReport } from "../../protocol/node/status.js";
import type { LogDamage } from "./facts.js";
import type { Machine, NodeProcess } from "./machine.js";

/** Several looks of a replica (replica.ts), and its time to tell that the log says nothing. */
const LAGS_MS_MAX = 3_000;

export class ServeWatch {
  /** By process and shard: since when it has lagged and served at every look. */
  readonly #lagsSince = new WeakMap<NodeProcess, Map<ShardId, number>>();

  /** One look at a replica; what is wrong with it, told once. `last` is the log's true end. */
  problemOf(
    { name, process }: Machine,
    shard: ShardId,
    report: ReplicaReport | undefined,
    last: number,
    nowMs: number,
  ): string | undefined {
    if (process === undefined) return undefined;
    const since = this.#lagsSince.get(process) ?? new Map<ShardId, number>();
    this.#lagsSince.set(process, since);
    const { state, sequence_applied: applied = 0 } = report ?? {};
    const lags = state === "serving" && last - applied > LAG_SERVING_MAX;
    // A process that is paused can do nothing.
    if (!lags || process.clock.state !== "running") {
      since.delete(shard);
      return undefined;
    }
    const sinceMs = since.get(shard) ?? nowMs;
    since.set(shard, sinceMs);
    if (nowMs - sinceMs < LAGS_MS_MAX) return undefined;
    since.set(shard, Infinity);
    const ms = Math.round(nowMs - sinceMs);
    return `${shard} on ${name} has served for ${ms} ms while it lags: ${applied} of ${last}`;
  }
}

/** A replica says that it serves from now on: what speaks against it. `holds`: its store has what
 * the log has lost. */
export function problemOfServing(
  { name, process }: Machine,
  shard: ShardId,
  damage: LogDamage | undefined,
  holds: boolean,
): string | undefined {
  if (process === undefined || damage === undefined || !holds) return undefined;
  if (process.startedAtMs < damage.atMs) return undefined;
  return `${shard} on ${name} starts to serve, though the log has lost what its store holds`;
}
