/**
 * Store finding: reports what a replica's store holds, for a repair of its shard's log (rule L3).
 * No I/O: all of it is in memory once the store was read, also after the replica has stopped.
 */
import { PositionDigest } from "../../protocol/digest.js";
import type { Sequence } from "../../protocol/ids.js";
import { chainHex } from "../../protocol/log/entry.js";
import type { StoreFinding } from "../../protocol/node/repair.js";
import { toRanges } from "../../protocol/ring/ring.js";
import type { ReplicaState } from "./state/replica-state.js";

/** Null = nothing was applied here. `chainsAt`: sequences whose chain is wanted. */
export function findingOf(state: ReplicaState, chainsAt: readonly number[]): StoreFinding | null {
  const { appliedLogId, ownership, table } = state;
  if (appliedLogId === undefined) return null;
  const { limits, indexPolicy, behaviourVersion, parent } = state.genesis;
  const owned = ownership.owned();
  const digest = new PositionDigest();
  for (const position of owned) digest.combine(table.digest(position));
  const chains: Record<string, string> = {};
  for (const sequence of chainsAt) {
    const chain = state.chains.get(sequence as Sequence);
    if (chain !== undefined) chains[String(sequence)] = chainHex(chain);
  }
  return {
    log_id: appliedLogId,
    sequence: state.decidedSequence,
    chain: chainHex(state.chain),
    chains,
    parent: parent ?? null,
    positions: toRanges(owned),
    limits,
    index_excluded: indexPolicy.excluded,
    behaviour_version: behaviourVersion,
    records: digest.recordsHex,
    index: digest.indexHex,
    keys: table.totals().keys,
  };
}
