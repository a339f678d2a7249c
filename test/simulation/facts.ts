/**
 * Facts: the record of a run that its checks work on.
 */
import type { StoredEvent } from "../../infra/events.js";
import type { LogMessage } from "../../infra/log.js";
import type { Store } from "../../infra/store.js";
import type { LoggedLimits } from "../../protocol/log/entry.js";
import type { ReplicaPhase } from "../../protocol/node/replica-phase.js";
import type { RingShard, RingTable } from "../../protocol/ring/ring.js";
import type { HistoryRow } from "../history/history.js";

export interface RunFacts {
  /** Of all clients. */
  readonly rows: readonly HistoryRow[];
  readonly ring: RingTable;
  readonly limits: LoggedLimits;
  readonly shards: readonly ShardFacts[];
  /** All that was ever taken into the stream, in order; also what it lost or let go later. */
  readonly events: readonly StoredEvent[];
  /** It was damaged on purpose: consumers may need resets. */
  readonly eventsAreDamaged: boolean;
}

export interface ShardFacts {
  readonly shard: RingShard;
  /** The whole log as it stands at the end, with what was trimmed: sequence 1, 2, 3, … */
  readonly entries: readonly LogMessage[];
  readonly damage: LogDamage | undefined;
  readonly wasTrimmed: boolean;
  readonly replicas: readonly ReplicaFacts[];
}

/** The entries that a log lost on purpose, as by a server's power cut or a person's mistake. */
export interface LogDamage {
  readonly kind: "log shorter" | "log other";
  readonly atMs: number;
  /** The last entry that both pasts of the log have. */
  readonly kept: number;
  /** The first lost entry that counted: a store before it has lost nothing. Infinity = none did. */
  readonly missedFrom: number;
  /** It ended here before. */
  readonly lost: number;
}

export interface ReplicaFacts {
  readonly node: string;
  readonly phase: ReplicaPhase;
  readonly reason: string;
  readonly sequence: number;
  /** Open, and no longer written to. Undefined = it could not be opened. */
  readonly store: Store | undefined;
}
