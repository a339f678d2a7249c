/**
 * Planning of the ring: decides which shard owns which positions.
 *
 * Quotas are exact (quotas.ts), and owners keep their positions as far as their quota allows. So
 * the fewest possible positions move: a shard gives those above its quota, and only to shards
 * below theirs. Hashing only chooses *which* positions move, so that a shard that gives to two
 * others does not give all neighbouring positions to one of them, and the same change requested
 * twice gives the same plan. A table computed by consistent hashing would move as much at best,
 * and leave shares that differ by a seventh (128 tokens a shard) or more.
 *
 * replica-plan.ts plans which nodes hold a shard.
 *
 * Source: weighted rendezvous hashing by Schindelhauer and Schomaker, 2005.
 */
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import type { Epoch, NodeName, Position, ShardId } from "../../protocol/ids.js";
import { POSITION_COUNT, POSITION_COUNT_MAX } from "../../protocol/limits.js";
import { checkStoreName } from "../../protocol/nats/subjects.js";
import type { RingNode, RingShard, RingTable } from "../../protocol/ring/ring.js";
import { quotasOf } from "./quotas.js";
import { checkDistinct, checkWeight, planReplicas } from "./replica-plan.js";

export interface ShardWish {
  readonly shard: ShardId;
  /** A whole number; 0 = it is to give all its positions away. */
  readonly weight: number;
}

export interface NodeWish {
  readonly node: NodeName;
  readonly weight: number;
  readonly zone?: string | undefined;
}

export interface NewRingWish {
  readonly store: string;
  readonly positionCount?: number;
  readonly nodes: readonly NodeWish[];
  /** Copies of each shard. */
  readonly replicas: number;
}

/** A ring table whose logs are not created yet. */
export interface NewRing extends Omit<RingTable, "shards"> {
  readonly shards: readonly Omit<RingShard, "logId">[];
}

/**
 * The positions of each shard of the wish, ascending. Shards of the current table that the wish
 * leaves out lose theirs. Throws KvError `bad-request` for a wish that cannot be fulfilled.
 * Cost: O(n log n) for n = positions × shards that gain.
 */
export function planPositions(
  current: Pick<RingTable, "positionCount" | "shards"> | undefined,
  shards: readonly ShardWish[],
  positionCount: number = current?.positionCount ?? POSITION_COUNT,
): Map<ShardId, Position[]> {
  checkShards(current, shards, positionCount);
  const held = new Map(current?.shards.map(({ shard, positions }) => [shard, positions]));
  const quotas = quotasOf(
    positionCount,
    shards.map(({ shard, weight }) => {
      return { weight, least: 0, most: positionCount, held: held.get(shard)?.length ?? 0 };
    }),
  );
  if (current === undefined) return contiguous(shards, quotas);

  const planned = new Map(shards.map(({ shard }) => [shard, [...(held.get(shard) ?? [])]]));
  const givers: Giver[] = [];
  const takers: Taker[] = [];
  for (const [index, { shard, weight }] of shards.entries()) {
    const positions = held.get(shard) ?? [];
    const surplus = positions.length - (quotas[index] as number);
    if (surplus > 0) givers.push({ shard, positions, surplus });
    if (surplus < 0) takers.push({ shard, weight, lacks: -surplus });
  }
  for (const { shard, positions } of current.shards) {
    if (!planned.has(shard)) givers.push({ shard, positions, surplus: positions.length });
  }
  for (const { position, from, to } of chooseMoves(givers, takers)) {
    const source = planned.get(from);
    source?.splice(source.indexOf(position), 1);
    planned.get(to)?.push(position);
  }
  for (const positions of planned.values()) positions.sort((a, b) => a - b);
  return planned;
}

/** When nothing is there that could move, neighbours stay together: the table reads better. */
function contiguous(
  shards: readonly ShardWish[],
  quotas: readonly number[],
): Map<ShardId, Position[]> {
  let next = 0;
  const planned = new Map<ShardId, Position[]>();
  for (const [index, { shard }] of shards.entries()) {
    const quota = quotas[index] as number;
    const first = next;
    const positions = Array.from({ length: quota }, (_, at) => (first + at) as Position);
    planned.set(shard, positions);
    next += quota;
  }
  return planned;
}

interface Giver {
  readonly shard: ShardId;
  readonly positions: readonly Position[];
  surplus: number;
}

interface Taker {
  readonly shard: ShardId;
  readonly weight: number;
  lacks: number;
}

interface Move {
  readonly position: Position;
  readonly from: ShardId;
  readonly to: ShardId;
}

/**
 * The best score goes first. All quotas are met at the end: while a taker lacks something, a
 * giver has a surplus, and its positions have a pair with that taker further down the list.
 */
function chooseMoves(givers: readonly Giver[], takers: readonly Taker[]): Move[] {
  const pairs: { position: Position; giver: Giver; taker: Taker; score: number }[] = [];
  for (const giver of givers) {
    for (const position of giver.positions) {
      for (const taker of takers) {
        pairs.push({ position, giver, taker, score: scoreOf(position, taker) });
      }
    }
  }
  pairs.sort((a, b) => b.score - a.score || a.position - b.position);
  const moves: Move[] = [];
  const moved = new Set<Position>();
  for (const { position, giver, taker } of pairs) {
    if (giver.surplus === 0 || taker.lacks === 0 || moved.has(position)) continue;
    moved.add(position);
    moves.push({ position, from: giver.shard, to: taker.shard });
    giver.surplus -= 1;
    taker.lacks -= 1;
  }
  const left = [...givers.map(({ surplus }) => surplus), ...takers.map(({ lacks }) => lacks)];
  assert(
    left.every((count) => count === 0),
    `quotas add up to the positions, yet ${left.join()} are left`,
  );
  return moves;
}

/** Weighted rendezvous: −weight / ln(u), with u drawn from (0, 1) by position and shard. */
function scoreOf(position: Position, { shard, weight }: Taker): number {
  let hash = 0x811c9dc5;
  for (const text of [shard, ":", String(position)]) {
    for (let index = 0; index < text.length; index += 1) {
      hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
    }
  }
  // FNV alone leaves neighbours close together; this is the last step of MurmurHash3.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return -weight / Math.log(((hash >>> 0) + 0.5) / 2 ** 32);
}

/**
 * The ring of a new store: as many shards as nodes, s1 at home on the first node, s2 on the
 * second and so on, each with the weight of its home. A node holds its own shard and an even
 * share of the others' further replicas. Throws KvError `bad-request` for a wish that cannot be
 * fulfilled.
 */
export function planNewRing(wish: NewRingWish): NewRing {
  const { store, positionCount = POSITION_COUNT, replicas } = wish;
  checkStoreName(store);
  for (const { node, weight } of wish.nodes) {
    checkWeight(`node ${node}`, weight);
    if (weight > 0) continue;
    const description = `weight of node ${node} must be at least 1, as it is home to a shard`;
    throw new KvError("bad-request", description, { field: "weight", node });
  }
  const shards = wish.nodes.map(({ node, weight }, index) => {
    return { shard: `s${index + 1}` as ShardId, home: node, weight };
  });
  // Evenly, whatever the weights: by its home a heavy node has more already.
  const even = wish.nodes.map(({ node, zone }) => ({ node, zone, weight: 1 }));
  const nodesOf = planReplicas({ shards, nodes: even, replicas });
  const positionsOf = planPositions(undefined, shards, positionCount);
  return {
    store,
    epoch: 1 as Epoch,
    positionCount,
    shards: shards.map(({ shard, weight }) => {
      const nodes = nodesOf.get(shard) ?? [];
      return { shard, nodes, weight, positions: positionsOf.get(shard) ?? [] };
    }),
    nodes: wish.nodes.map(({ node, weight, zone }): RingNode => ({ node, weight, zone })),
  };
}

function checkShards(
  current: Pick<RingTable, "positionCount"> | undefined,
  shards: readonly ShardWish[],
  positionCount: number,
): void {
  const whole = Number.isInteger(positionCount);
  if (!whole || positionCount < 1 || positionCount > POSITION_COUNT_MAX) {
    const form = `a whole number from 1 to ${POSITION_COUNT_MAX}`;
    const description = `position_count must be ${form}, not ${positionCount}`;
    throw new KvError("bad-request", description, { field: "position_count" });
  }
  if (current !== undefined && current.positionCount !== positionCount) {
    const was = `${current.positionCount} when the store was created, and cannot become`;
    const description = `position_count was ${was} ${positionCount}`;
    throw new KvError("bad-request", description, { field: "position_count" });
  }
  checkDistinct(
    "shard",
    shards.map(({ shard }) => shard),
  );
  for (const { shard, weight } of shards) checkWeight(`shard ${shard}`, weight);
  if (!shards.some(({ weight }) => weight > 0)) {
    const description = "at least one shard must have a weight above 0, to own the positions";
    throw new KvError("bad-request", description, { field: "weight" });
  }
}
