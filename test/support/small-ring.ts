/**
 * Ring tables small enough to write down: shards of one node each; and changes of a ring.
 */
import type { Epoch, LogId, NodeName, Position, ShardId } from "../../protocol/ids.js";
import type { RingTable } from "../../protocol/ring/ring.js";

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

/** As after a repair of one shard, by its index. */
export function repaired(ring: RingTable, index: number): RingTable {
  const epoch = (ring.epoch + 1) as Epoch;
  const shards = ring.shards.map((shard, each) => {
    if (each !== index) return shard;
    const logIdsBefore = [shard.logId, ...(shard.logIdsBefore ?? [])];
    // Never the same again, whatever it was.
    const id = (BigInt(`0x${shard.logId}`) + (BigInt(epoch) << 32n)) & 0xffff_ffff_ffff_ffffn;
    return { ...shard, logId: id.toString(16).padStart(16, "0") as LogId, logIdsBefore };
  });
  return { ...ring, epoch, shards };
}
