/**
 * Planning of replicas: decides which nodes hold which shard.
 *
 * Each shard gets its replicas on distinct nodes, and on distinct zones where nodes name one (a
 * node that names none is a zone of its own). How many replicas a node holds goes by weight and is
 * exact (quotas.ts): first among the zones, none of which can hold a shard twice, then within each
 * zone. With the quotas fixed, a flow of minimum cost finds the assignment that moves the fewest
 * replicas:
 *
 *   source ── replicas ──▶ shard ── 1 ──▶ (shard, zone) ── 1, cost ──▶ node ── quota ──▶ sink
 *
 * An assignment exists for any such quotas: no zone has more than one replica for each shard, and
 * no shard needs more zones than there are.
 */
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import type { NodeName, ShardId } from "../../protocol/ids.js";
import { WEIGHT_MAX } from "../../protocol/limits.js";
import { FlowNetwork } from "./min-cost-flow.js";
import { quotasOf } from "./quotas.js";

export interface ReplicaWish {
  readonly shards: readonly {
    readonly shard: ShardId;
    /** A node that must hold it, and comes first. Undefined = none is preferred. */
    readonly home?: NodeName | undefined;
  }[];
  readonly nodes: readonly {
    readonly node: NodeName;
    /** A whole number; 0 = it is to hold nothing. */
    readonly weight: number;
    readonly zone?: string | undefined;
  }[];
  /** Copies of each shard. */
  readonly replicas: number;
  /** Where the shards are now. Replicas on nodes outside the wish are moved away. */
  readonly current?: readonly {
    readonly shard: ShardId;
    readonly nodes: readonly NodeName[];
  }[];
}

interface Zone {
  readonly name: string;
  readonly members: { readonly node: NodeName; readonly weight: number }[];
}

/**
 * The nodes of each shard: its home, then those it has already in their order, then new ones.
 * Throws KvError `bad-request` for a wish that cannot be fulfilled, with the reason.
 */
export function planReplicas(wish: ReplicaWish): Map<ShardId, NodeName[]> {
  const zones = zonesOf(wish);
  checkWish(wish, zones);
  const quotas = nodeQuotas(wish, zones);
  return assign(wish, zones, quotas);
}

function zonesOf({ nodes }: ReplicaWish): Zone[] {
  const zones = new Map<string, Zone>();
  for (const { node, weight, zone } of nodes) {
    if (weight === 0) continue;
    // The prefixes keep a node without a zone apart from a zone of the same name.
    const id = zone === undefined ? `node ${node}` : `zone ${zone}`;
    const entry = zones.get(id) ?? { name: id, members: [] };
    entry.members.push({ node, weight });
    zones.set(id, entry);
  }
  return [...zones.values()];
}

/** How many replicas each node is to hold. */
function nodeQuotas(wish: ReplicaWish, zones: readonly Zone[]): Map<NodeName, number> {
  const held = countBy(wish.current?.flatMap(({ nodes }) => nodes) ?? []);
  const homes = countBy(wish.shards.flatMap(({ home }) => (home === undefined ? [] : [home])));
  const most = wish.shards.length;
  const claimOf = (members: Zone["members"]) => ({
    weight: sumOf(members.map(({ weight }) => weight)),
    least: sumOf(members.map(({ node }) => homes.get(node) ?? 0)),
    most,
    held: sumOf(members.map(({ node }) => held.get(node) ?? 0)),
  });
  const zoneClaims = zones.map(({ members }) => claimOf(members));
  const zoneQuotas = quotasOf(wish.shards.length * wish.replicas, zoneClaims);
  const quotas = new Map<NodeName, number>();
  for (const [index, { members }] of zones.entries()) {
    const claims = members.map((member) => claimOf([member]));
    const memberQuotas = quotasOf(zoneQuotas[index] as number, claims);
    for (const [at, { node }] of members.entries()) quotas.set(node, memberQuotas[at] as number);
  }
  return quotas;
}

function assign(
  wish: ReplicaWish,
  zones: readonly Zone[],
  quotas: ReadonlyMap<NodeName, number>,
): Map<ShardId, NodeName[]> {
  const network = new FlowNetwork();
  const source = network.vertex();
  const sink = network.vertex();
  const nodeVertices = new Map<NodeName, number>();
  for (const [node, quota] of quotas) {
    const vertex = network.vertex();
    nodeVertices.set(node, vertex);
    network.arc(vertex, sink, quota);
  }
  const chosen: { shard: ShardId; node: NodeName; arc: number }[] = [];
  const costOf = costs(wish);
  for (const [index, { shard }] of wish.shards.entries()) {
    const shardVertex = network.vertex();
    network.arc(source, shardVertex, wish.replicas);
    for (const { members } of zones) {
      const zoneVertex = network.vertex();
      network.arc(shardVertex, zoneVertex, 1);
      for (const { node } of members) {
        const cost = costOf(index, node);
        const arc = network.arc(zoneVertex, nodeVertices.get(node) as number, 1, cost);
        chosen.push({ shard, node, arc });
      }
    }
  }
  const sent = network.run(source, sink);
  const wanted = wish.shards.length * wish.replicas;
  assert(sent === wanted, `${sent} of ${wanted} replicas placed; the quotas allow all`);
  const planned = new Map<ShardId, NodeName[]>();
  for (const [index, { shard }] of wish.shards.entries()) {
    const nodes = chosen
      .filter((choice) => choice.shard === shard && network.flowOf(choice.arc) === 1)
      .map(({ node }) => node);
    planned.set(shard, inOrder(wish, index, nodes));
  }
  return planned;
}

/**
 * The cost of a shard on a node. A replica that stays is worth more than all distances together, a
 * home more than all replicas that stay. Among new places the nodes that follow the shard's own
 * place in the list are cheapest: so many nodes hold the replicas of one node's shards, and share
 * its load if it fails.
 */
function costs(wish: ReplicaWish): (shardIndex: number, node: NodeName) => number {
  const nodeCount = wish.nodes.length;
  const slots = wish.shards.length * wish.replicas;
  const stays = slots * nodeCount + 1;
  const atHome = slots * (stays + nodeCount) + 1;
  const places = new Map(wish.nodes.map(({ node }, index) => [node, index]));
  const current = new Map(wish.current?.map(({ shard, nodes }) => [shard, new Set(nodes)]));
  return (shardIndex, node) => {
    const { shard, home } = wish.shards[shardIndex] as ReplicaWish["shards"][number];
    const start = home === undefined ? shardIndex % nodeCount : (places.get(home) ?? 0);
    const distance = ((places.get(node) ?? 0) - start + nodeCount) % nodeCount;
    const kept = current.get(shard)?.has(node) === true ? stays : 0;
    return distance - kept - (home === node ? atHome : 0);
  };
}

function inOrder(wish: ReplicaWish, shardIndex: number, nodes: readonly NodeName[]): NodeName[] {
  const { shard, home } = wish.shards[shardIndex] as ReplicaWish["shards"][number];
  const before = wish.current?.find((each) => each.shard === shard)?.nodes ?? [];
  const costOf = costs({ ...wish, current: [] });
  const rank = (node: NodeName): number => {
    if (node === home) return -1;
    const place = before.indexOf(node);
    return place >= 0 ? place : before.length + wish.nodes.length + costOf(shardIndex, node);
  };
  const ordered = nodes.toSorted((a, b) => rank(a) - rank(b));
  assert(home === undefined || ordered[0] === home, `${shard} is at home on ${home}`);
  return ordered;
}

function checkWish(wish: ReplicaWish, zones: readonly Zone[]): void {
  const { shards, nodes, replicas } = wish;
  checkDistinct(
    "shard",
    shards.map(({ shard }) => shard),
  );
  checkDistinct(
    "node",
    nodes.map(({ node }) => node),
  );
  for (const { node, weight } of nodes) checkWeight(`node ${node}`, weight);
  if (!Number.isInteger(replicas) || replicas < 1) {
    const description = `replicas must be a whole number of at least 1, not ${replicas}`;
    throw new KvError("bad-request", description, { field: "replicas" });
  }
  const usable = sumOf(zones.map(({ members }) => members.length));
  if (usable < replicas) {
    const reason = `need ${replicas} nodes of weight 1 or more, and there are ${usable}`;
    throw new KvError("bad-request", `${replicas} replicas on distinct nodes ${reason}`, {
      field: "replicas",
      limit: usable,
    });
  }
  if (zones.length < replicas) {
    const names = zones.map(({ name }) => name).join(", ");
    const reason = `need ${replicas} zones, and there are ${zones.length}: ${names}`;
    throw new KvError("bad-request", `${replicas} replicas in distinct zones ${reason}`, {
      field: "replicas",
      limit: zones.length,
    });
  }
  const known = new Set(zones.flatMap(({ members }) => members.map(({ node }) => node)));
  for (const { shard, home } of shards) {
    if (home === undefined || known.has(home)) continue;
    const description = `home of ${shard} must be a node of weight 1 or more, not ${home}`;
    throw new KvError("bad-request", description, { field: "home", shard });
  }
}

/** Throws KvError `bad-request` if a name occurs twice. */
export function checkDistinct(field: string, names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return;
  throw new KvError("bad-request", `${field} ${twice} is named twice`, { field });
}

/** Throws KvError `bad-request` unless it is a whole number 0 … WEIGHT_MAX. */
export function checkWeight(whose: string, weight: number): void {
  if (Number.isInteger(weight) && weight >= 0 && weight <= WEIGHT_MAX) return;
  const form = `a whole number from 0 to ${WEIGHT_MAX} (3 and 2 rather than 1.5 and 1)`;
  throw new KvError("bad-request", `weight of ${whose} must be ${form}, not ${weight}`, {
    field: "weight",
    limit: WEIGHT_MAX,
  });
}

function countBy(names: readonly NodeName[]): Map<NodeName, number> {
  const counts = new Map<NodeName, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0);
}
