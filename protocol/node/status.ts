/**
 * Status: what `kv.status`, `kv.info` and a node's own report say. JSON, snake_case.
 */
import type { ReplicaPhase } from "./replica-phase.js";

export interface ReplicaReport {
  readonly shard: string;
  readonly node: string;
  readonly state: ReplicaPhase;
  /** Why it is stopped or not serving; left out where there is nothing to say. */
  readonly reason?: string;
  readonly positions: number;
  readonly sequence_applied: number;
  readonly sequence_last: number;
  readonly lag: number;
  readonly keys: number;
  /** Of keys and values. */
  readonly bytes: number;
  readonly queue: number;
  readonly log_bytes: number;
  readonly log_bytes_max: number;
  readonly relay: { readonly active: boolean; readonly sequence: number };
  /** Two replicas of a shard have equal digests at equal sequence. */
  readonly digest: { readonly sequence: number; readonly records: string; readonly index: string };
}

export interface Durability {
  /** nats-server's: `always`, a duration, or `unknown` where we did not write its configuration. */
  readonly sync_interval: string;
  /** Copies of each log in the NATS cluster. */
  readonly log_replicas: number;
}

/** Reply of kv.node.<node>.status. */
export interface NodeReport {
  readonly node: string;
  readonly pid: number;
  readonly version: string;
  readonly epoch: number;
  readonly durability: Durability;
  readonly replicas: readonly ReplicaReport[];
  readonly warnings: readonly string[];
}

/** Reply of kv.status. */
export interface StatusReport {
  /** responseType("status") */
  readonly type: string;
  readonly store: string;
  readonly epoch: number;
  readonly durability: Durability;
  readonly nodes: readonly {
    readonly node: string;
    /** Null while the node does not answer. */
    readonly pid: number | null;
    readonly state: "up" | "down";
    readonly version: string | null;
  }[];
  readonly replicas: readonly ReplicaReport[];
  readonly warnings: readonly string[];
}
