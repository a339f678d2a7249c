/**
 * Plans of positions and new rings: exact quotas, the fewest moves, refusals.
 */
import { expect } from "chai";
import fc from "fast-check";
import { planReplicas } from "../../../actors/ring-keeper/replica-plan.js";
import {
  planNewRing,
  planPositions,
  type ShardWish,
} from "../../../actors/ring-keeper/ring-plan.js";
import { KvError } from "../../../protocol/errors.js";
import type { LogId, NodeName, Position, ShardId } from "../../../protocol/ids.js";
import { checkRing, type RingTable } from "../../../protocol/ring/ring.js";

type Owned = ReadonlyMap<ShardId, readonly Position[]>;

const weights = fc
  .array(fc.nat(9), { minLength: 1, maxLength: 8 })
  .filter((list) => list.some(Boolean));
const count = fc.integer({ min: 1, max: 300 });

describe("plan of positions", () => {
  it("gives every position one owner, and every shard its exact quota", () => {
    fc.assert(
      fc.property(weights, weights, count, (before, after, positionCount) => {
        const current = planPositions(undefined, wishes(before), positionCount);
        for (const [list, owned] of [
          [before, current],
          [after, replanned(current, after, positionCount)],
        ] as const) {
          const all = [...owned.values()].flat().toSorted((a, b) => a - b);
          expect(all).to.deep.equal(Array.from({ length: positionCount }, (_, at) => at));
          isExact(list, owned, positionCount);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("moves no more than any division as exact must move", () => {
    fc.assert(
      fc.property(weights, weights, count, (before, after, positionCount) => {
        const current = planPositions(undefined, wishes(before), positionCount);
        const planned = replanned(current, after, positionCount);
        const least = fewestMoves(current, after, positionCount);
        expect(movesBetween(current, planned).length).to.equal(least);
      }),
      { numRuns: 500 },
    );
  });

  it("moves only from shards that shrink to shards that grow", () => {
    fc.assert(
      fc.property(weights, weights, count, (before, after, positionCount) => {
        const current = planPositions(undefined, wishes(before), positionCount);
        const planned = replanned(current, after, positionCount);
        for (const { from, to } of movesBetween(current, planned)) {
          expect(size(planned, from)).to.be.lessThan(size(current, from));
          expect(size(planned, to)).to.be.greaterThan(size(current, to));
        }
      }),
      { numRuns: 300 },
    );
  });

  it("moves nothing if nothing changes", () => {
    const current = planPositions(undefined, wishes([1, 1, 1]), 1_024);
    const grown = replanned(current, [1, 1, 1, 2], 1_024);
    expect(replanned(grown, [1, 1, 1, 2], 1_024)).to.deep.equal(grown);
  });

  it("moves a sixth from five equal shards to a sixth one, and none between the five", () => {
    const current = planPositions(undefined, wishes([1, 1, 1, 1, 1]), 1_024);
    const planned = replanned(current, [1, 1, 1, 1, 1, 1], 1_024);
    const moves = movesBetween(current, planned);
    expect(moves.length / 1_024).to.be.at.most(0.167);
    expect(moves.every(({ to }) => to === "s6")).to.equal(true);
    const busiest = Math.max(...[...planned.values()].map(({ length }) => length));
    expect(busiest / (1_024 / 6)).to.be.at.most(1.002);
  });

  it("spreads what a leaving shard had over all others", () => {
    const current = planPositions(undefined, wishes([1, 1, 1, 1]), 1_024);
    const planned = planPositions(tableOf(current, 1_024), wishes([1, 1, 1]), 1_024);
    const runs = [...planned].map(([shard, positions]) => {
      return positions.filter((position) => current.get("s4" as ShardId)?.includes(position)).length
        ? shard
        : undefined;
    });
    expect(runs).to.deep.equal(["s1", "s2", "s3"]);
    // Neighbours are torn apart: by hash, not by place.
    const gained = planned.get("s1" as ShardId)?.filter((position) => position >= 768) ?? [];
    expect((gained.at(-1) ?? 0) - (gained[0] ?? 0)).to.be.greaterThan(200);
  });

  it("drains a shard of weight 0", () => {
    const current = planPositions(undefined, wishes([1, 1]), 16);
    expect(size(replanned(current, [1, 0], 16), "s2" as ShardId)).to.equal(0);
  });

  it("refuses what cannot be", () => {
    const current = tableOf(planPositions(undefined, wishes([1]), 16), 16);
    const twice = [...wishes([1]), ...wishes([1])];
    refused("at least one shard", () => planPositions(undefined, [], 16));
    refused("at least one shard", () => planPositions(undefined, wishes([0, 0]), 16));
    refused("s1 is named twice", () => planPositions(undefined, twice, 16));
    refused("whole number from 0", () => planPositions(undefined, wishes([1.5]), 16));
    refused("whole number from 0", () => planPositions(undefined, wishes([-1]), 16));
    refused("position_count", () => planPositions(undefined, wishes([1]), 0));
    refused("cannot become 32", () => planPositions(current, wishes([1]), 32));
  });
});

describe("new ring", () => {
  it("has a shard at home on each node, and the other replicas after it, evenly", () => {
    const ring = planNewRing({ store: "kv", nodes: nodesOf([1, 1, 1, 1, 1]), replicas: 3 });
    expect(ring.shards.map(({ shard, nodes }) => [shard, ...nodes])).to.deep.equal([
      ["s1", "n1", "n2", "n3"],
      ["s2", "n2", "n3", "n4"],
      ["s3", "n3", "n4", "n5"],
      ["s4", "n4", "n5", "n1"],
      ["s5", "n5", "n1", "n2"],
    ]);
    expect(ring.shards.map(({ positions }) => positions.length)).to.deep.equal([
      205, 205, 205, 205, 204,
    ]);
    expect(ring).to.include({ store: "kv", epoch: 1, positionCount: 1_024 });
  });

  it("stands for any nodes and zones that allow it, homes first", () => {
    const node = fc.record({ weight: fc.integer({ min: 1, max: 9 }), zone: zoneName() });
    const list = fc.array(node, { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(list, fc.integer({ min: 1, max: 4 }), (given, replicas) => {
        const nodes = given.map((each, index) => ({ ...each, node: `n${index + 1}` as NodeName }));
        const zones = new Map(nodes.map(({ node: name, zone }) => [name, zone ?? `alone ${name}`]));
        fc.pre(new Set(zones.values()).size >= replicas);
        const plan = planNewRing({ store: "kv", positionCount: 64, nodes, replicas });
        checkRing({ ...plan, shards: plan.shards.map(withLog) });
        for (const [index, shard] of plan.shards.entries()) {
          expect(shard.nodes[0]).to.equal(`n${index + 1}`);
          expect(shard.nodes.length).to.equal(replicas);
          const used = new Set(shard.nodes.map((name) => zones.get(name)));
          expect(used.size, "distinct zones").to.equal(replicas);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("is one that the planner leaves as it is", () => {
    for (const replicas of [1, 2, 3]) {
      const nodes = nodesOf([1, 1, 1, 1]);
      const { shards } = planNewRing({ store: "kv", nodes, replicas });
      const wish = { shards: shards.map(({ shard }) => ({ shard })), nodes, replicas };
      const planned = planReplicas({ ...wish, current: shards });
      expect([...planned.values()]).to.deep.equal(shards.map((shard) => shard.nodes));
    }
  });

  it("refuses more replicas than nodes or zones, saying so", () => {
    const nodes = nodesOf([1, 1]);
    const zoned = nodes.map((node) => ({ ...node, zone: "a" }));
    refused("need 3 nodes", () => planNewRing({ store: "kv", nodes, replicas: 3 }));
    refused("need 2 zones, and there are 1: zone a", () => {
      return planNewRing({ store: "kv", nodes: zoned, replicas: 2 });
    });
    refused("at least 1", () => planNewRing({ store: "kv", nodes, replicas: 0 }));
    refused("at least 1", () => planNewRing({ store: "kv", nodes: nodesOf([1, 0]), replicas: 1 }));
    refused("need 1 nodes", () => planNewRing({ store: "kv", nodes: [], replicas: 1 }));
    refused("store must be", () => planNewRing({ store: "", nodes, replicas: 1 }));
    refused("n1 is named twice", () => {
      return planNewRing({ store: "kv", nodes: [...nodes, ...nodes], replicas: 1 });
    });
  });
});

function wishes(list: readonly number[]): ShardWish[] {
  return list.map((weight, index) => ({ shard: `s${index + 1}` as ShardId, weight }));
}

function nodesOf(list: readonly number[]): { node: NodeName; weight: number }[] {
  return list.map((weight, index) => ({ node: `n${index + 1}` as NodeName, weight }));
}

function zoneName(): fc.Arbitrary<string | undefined> {
  return fc.constantFrom(undefined, undefined, "a", "b", "c");
}

function withLog<T>(shard: T, index: number): T & { logId: LogId } {
  return { ...shard, logId: String(index).padStart(16, "0") as LogId };
}

function tableOf(owned: Owned, positionCount: number): Pick<RingTable, "positionCount" | "shards"> {
  const shards = [...owned].map(([shard, positions]) => ({
    shard,
    positions,
    nodes: [],
    weight: 1,
  }));
  return { positionCount, shards: shards.map(withLog) };
}

function replanned(current: Owned, list: readonly number[], positionCount: number): Owned {
  return planPositions(tableOf(current, positionCount), wishes(list), positionCount);
}

function size(owned: Owned, shard: ShardId): number {
  return owned.get(shard)?.length ?? 0;
}

/** Largest remainder: whole parts, and one more for those with the largest fractions. */
function isExact(list: readonly number[], owned: Owned, positionCount: number): void {
  const sum = list.reduce((all, weight) => all + weight, 0);
  const parts = list.map((weight, index) => {
    const extra =
      size(owned, `s${index + 1}` as ShardId) - Math.floor((weight * positionCount) / sum);
    return { extra, fraction: (weight * positionCount) % sum };
  });
  for (const { extra } of parts) expect(extra).to.be.oneOf([0, 1]);
  const fractions = (wanted: number): number[] =>
    parts.filter(({ extra }) => extra === wanted).map(({ fraction }) => fraction);
  expect(Math.min(...fractions(1))).to.be.at.least(Math.max(...fractions(0), 0));
}

/** By trying every way to hand out what the whole parts leave, among equal fractions. */
function fewestMoves(current: Owned, list: readonly number[], positionCount: number): number {
  const sum = list.reduce((all, weight) => all + weight, 0);
  const parts = list.map((weight, index) => ({
    held: size(current, `s${index + 1}` as ShardId),
    whole: Math.floor((weight * positionCount) / sum),
    fraction: (weight * positionCount) % sum,
  }));
  const left = positionCount - parts.reduce((all, { whole }) => all + whole, 0);
  const border =
    parts.map(({ fraction }) => fraction).toSorted((a, b) => b - a)[left - 1] ?? Infinity;
  let least = Infinity;
  for (let choice = 0; choice < 2 ** parts.length; choice += 1) {
    const extras = parts.map((_, index) => (choice >> index) & 1);
    const isFair = parts.every(({ fraction }, index) => {
      return fraction === border || (fraction > border ? 1 : 0) === extras[index];
    });
    if (!isFair || extras.reduce((all, each) => all + each, 0) !== left) continue;
    const gains = parts.map(({ held, whole }, index) => whole + (extras[index] as number) - held);
    least = Math.min(
      least,
      gains.reduce((all, gain) => all + Math.max(0, gain), 0),
    );
  }
  return least;
}

function movesBetween(before: Owned, after: Owned): { from: ShardId; to: ShardId }[] {
  const owners = new Map<Position, ShardId>();
  for (const [shard, positions] of before) {
    for (const position of positions) owners.set(position, shard);
  }
  const moves: { from: ShardId; to: ShardId }[] = [];
  for (const [to, positions] of after) {
    for (const position of positions) {
      const from = owners.get(position) as ShardId;
      if (from !== to) moves.push({ from, to });
    }
  }
  return moves;
}

function refused(reason: string, plan: () => unknown): void {
  expect(plan).to.throw(KvError, reason).with.property("kind", "bad-request");
}
