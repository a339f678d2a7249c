/**
 * Plans of replicas: distinct nodes and zones, exact quotas, the fewest moves (against trying all
 * assignments), refusals.
 */
import { expect } from "chai";
import fc from "fast-check";
import { planReplicas, type ReplicaWish } from "../../../actors/ring-keeper/replica-plan.js";
import { KvError } from "../../../protocol/errors.js";
import type { NodeName, ShardId } from "../../../protocol/ids.js";

type Planned = ReadonlyMap<ShardId, readonly NodeName[]>;

type Nodes = ReplicaWish["nodes"];

const zone = fc.constantFrom(undefined, undefined, "a", "b", "c");

const nodeList = (max: number): fc.Arbitrary<Nodes> =>
  fc
    .array(fc.record({ weight: fc.nat(5), zone }), { minLength: 1, maxLength: max })
    .map((list) => list.map((each, index) => ({ ...each, node: `n${index + 1}` as NodeName })));

describe("plan of replicas", () => {
  it("puts each shard on distinct nodes and zones, none of them of weight 0", () => {
    fc.assert(
      fc.property(nodeList(9), nodeList(9), fc.integer({ min: 1, max: 9 }), replicaCount(), run),
      { numRuns: 1_000 },
    );
    function run(before: Nodes, after: Nodes, shardCount: number, replicas: number): void {
      fc.pre(zonesOf(before).size >= replicas && zonesOf(after).size >= replicas);
      const shards = shardsOf(shardCount);
      const planned = planReplicas({ shards, nodes: before, replicas });
      isValid(planned, before, replicas);
      const current = tableOf(planned);
      isValid(planReplicas({ shards, nodes: after, replicas, current }), after, replicas);
    }
  });

  it("gives nodes without zones replicas by weight, but no shard twice", () => {
    fc.assert(
      fc.property(
        nodeList(8),
        fc.integer({ min: 1, max: 9 }),
        replicaCount(),
        (list, shardCount, replicas) => {
          const nodes = list.map(({ node, weight }) => ({ node, weight: weight + 1 }));
          fc.pre(nodes.length >= replicas);
          const planned = planReplicas({ shards: shardsOf(shardCount), nodes, replicas });
          const counts = nodes.map(({ node }) => countOf(planned, node));
          // Those below the most have shares by weight, within one of each other.
          const free = nodes.map(({ weight }, index) => ({
            weight,
            count: counts[index] as number,
          }));
          for (const a of free) {
            expect(a.count).to.be.at.most(shardCount);
            for (const b of free) {
              if (b.count === shardCount) continue;
              expect((a.count - 1) * b.weight).to.be.at.most((b.count + 1) * a.weight);
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("moves no more replicas than any assignment with the same quotas", function () {
    this.timeout(20_000);
    fc.assert(
      fc.property(nodeList(4), nodeList(4), fc.integer({ min: 1, max: 4 }), replicaCount(), run),
      { numRuns: 300 },
    );
    function run(before: Nodes, after: Nodes, shardCount: number, replicas: number): void {
      fc.pre(zonesOf(before).size >= replicas && zonesOf(after).size >= replicas);
      const shards = shardsOf(shardCount);
      const current = planReplicas({ shards, nodes: before, replicas });
      const planned = planReplicas({ shards, nodes: after, replicas, current: tableOf(current) });
      expect(movesBetween(current, planned)).to.equal(
        fewestMoves(current, planned, after, replicas),
      );
    }
  });

  it("takes an even share from the others for a new node, and nothing between them", () => {
    const nodes = [1, 2, 3, 4, 5].map((number) => ({ node: `n${number}` as NodeName, weight: 1 }));
    const shards = shardsOf(5);
    const current = planReplicas({ shards, nodes, replicas: 3 });
    const grown = [...nodes, { node: "n6" as NodeName, weight: 1 }];
    const planned = planReplicas({ shards, nodes: grown, replicas: 3, current: tableOf(current) });
    expect(countOf(planned, "n6" as NodeName)).to.equal(2);
    expect(movesBetween(current, planned)).to.equal(2);
    const counts = nodes.map(({ node }) => countOf(planned, node));
    expect(counts.toSorted((a, b) => a - b)).to.deep.equal([2, 2, 3, 3, 3]);
  });

  it("keeps a shard at home, first in its list, however light the home is", () => {
    const nodes = [
      { node: "n1" as NodeName, weight: 100 },
      { node: "n2" as NodeName, weight: 100 },
      { node: "n3" as NodeName, weight: 1 },
    ];
    const shards = [{ shard: "s1" as ShardId, home: "n3" as NodeName }, ...shardsOf(3).slice(1)];
    const planned = planReplicas({ shards, nodes, replicas: 2 });
    expect(planned.get("s1" as ShardId)?.[0]).to.equal("n3");
    expect(countOf(planned, "n3" as NodeName)).to.equal(1);
  });

  it("keeps the order of what stays", () => {
    const nodes = [1, 2, 3].map((number) => ({ node: `n${number}` as NodeName, weight: 1 }));
    const current = [{ shard: "s1" as ShardId, nodes: ["n3", "n1"] as NodeName[] }];
    const planned = planReplicas({ shards: shardsOf(1), nodes, replicas: 2, current });
    expect(planned.get("s1" as ShardId)).to.deep.equal(["n3", "n1"]);
  });

  it("refuses an impossible wish with the reason", () => {
    const nodes = [1, 2, 3].map((number) => ({ node: `n${number}` as NodeName, weight: 1 }));
    const drained = nodes.map((node) => ({ ...node, weight: node.node === "n1" ? 0 : 1 }));
    const zoned = nodes.map((node) => ({ ...node, zone: node.node === "n1" ? "a" : "b" }));
    const home = [{ shard: "s1" as ShardId, home: "n1" as NodeName }];
    const wish = { shards: shardsOf(2), nodes, replicas: 3 };
    refused("need 4 nodes of weight 1 or more, and there are 3", { ...wish, replicas: 4 });
    refused("need 3 nodes of weight 1 or more, and there are 2", { ...wish, nodes: drained });
    refused("need 3 zones, and there are 2: zone a, zone b", { ...wish, nodes: zoned });
    refused("replicas must be", { ...wish, replicas: 1.5 });
    refused("home of s1", { shards: home, nodes: drained, replicas: 1 });
    refused("n1 is named twice", { ...wish, nodes: [...nodes, ...nodes] });
    refused("s1 is named twice", { ...wish, shards: [...shardsOf(1), ...shardsOf(1)] });
    refused("weight of node n1", { ...wish, nodes: [{ node: "n1" as NodeName, weight: -1 }] });
  });
});

function replicaCount(): fc.Arbitrary<number> {
  return fc.integer({ min: 1, max: 3 });
}

function shardsOf(count: number): { shard: ShardId }[] {
  return Array.from({ length: count }, (_, index) => ({ shard: `s${index + 1}` as ShardId }));
}

function tableOf(planned: Planned): { shard: ShardId; nodes: readonly NodeName[] }[] {
  return [...planned].map(([shard, nodes]) => ({ shard, nodes }));
}

function zonesOf(nodes: Nodes): Set<string> {
  const usable = nodes.filter(({ weight }) => weight > 0);
  return new Set(usable.map(({ node, zone: name }) => name ?? `alone ${node}`));
}

function countOf(planned: Planned, node: NodeName): number {
  return [...planned.values()].flat().filter((each) => each === node).length;
}

function isValid(planned: Planned, nodes: Nodes, replicas: number): void {
  const byName = new Map(nodes.map((node) => [node.node, node]));
  for (const names of planned.values()) {
    expect(names.length).to.equal(replicas);
    const used = names.map((name) => byName.get(name));
    expect(used.every((node) => node !== undefined && node.weight > 0)).to.equal(true);
    expect(new Set(used.map((node) => node?.zone ?? `alone ${node?.node}`)).size).to.equal(
      replicas,
    );
  }
}

function movesBetween(before: Planned, after: Planned): number {
  let moves = 0;
  for (const [shard, names] of after) {
    moves += names.filter((name) => before.get(shard)?.includes(name) !== true).length;
  }
  return moves;
}

/** By trying every assignment that has as many replicas on each node as `planned` has. */
function fewestMoves(before: Planned, planned: Planned, nodes: Nodes, replicas: number): number {
  const shards = [...planned.keys()];
  const quotas = new Map(nodes.map(({ node }) => [node, countOf(planned, node)]));
  const sets = subsets(nodes, replicas);
  let least = Infinity;
  const attempt = (index: number, moves: number): void => {
    if (moves >= least) return;
    if (index === shards.length) {
      least = moves;
      return;
    }
    for (const set of sets) {
      if (set.some((name) => quotas.get(name) === 0)) continue;
      for (const name of set) quotas.set(name, (quotas.get(name) as number) - 1);
      const kept = before.get(shards[index] as ShardId) ?? [];
      attempt(index + 1, moves + set.filter((name) => !kept.includes(name)).length);
      for (const name of set) quotas.set(name, (quotas.get(name) as number) + 1);
    }
  };
  attempt(0, 0);
  return least;
}

/** All sets of `size` nodes in distinct zones. */
function subsets(nodes: Nodes, size: number): NodeName[][] {
  const usable = nodes.filter(({ weight }) => weight > 0);
  const sets: NodeName[][] = [];
  for (let choice = 0; choice < 2 ** usable.length; choice += 1) {
    const chosen = usable.filter((_, index) => ((choice >> index) & 1) === 1);
    if (chosen.length === size && zonesOf(chosen).size === size) {
      sets.push(chosen.map(({ node }) => node));
    }
  }
  return sets;
}

function refused(reason: string, wish: ReplicaWish): void {
  expect(() => planReplicas(wish))
    .to.throw(KvError, reason)
    .with.property("kind", "bad-request");
}
