/**
 * Ring tables small enough to write down: shards of one node each.
 */
import type { Epoch, LogId, NodeName, Position, ShardId } from "../../protocol/ids.js";
import type { RingTable } from "../../protocol/ring.js";

/** `smallRing([0, 1], [2, 3])`: s1 on n1 has the positions 0 and 1, s2 on n2 has 2 and 3. */
export function smallRing(...positions: readonly (readonly number[])[]): RingTable {
  return {
    store: "kv",
    epoch: 1 as Epoch,
    positionCount: positions.flat().length,
    shards: positions.map((owned, index) => ({
      shard: `s${index + 1}` as ShardId,
      logId: String(index + 1).padStart(16, "0") as LogId,
      nodes: [`n${index + 1}` as NodeName],
      weight: 1,
      positions: owned as Position[],
    })),
    nodes: positions.map((_, index) => {
      return { node: `n${index + 1}` as NodeName, weight: 1, zone: undefined };
    }),
  };
}
