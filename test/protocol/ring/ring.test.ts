/**
 * The ring table: JSON both ways, what is refused, ranges of positions, and the lookup.
 */
import { expect } from "chai";
import fc from "fast-check";
import { planNewRing } from "../../../actors/ring-keeper/ring-plan.js";
import { KvError } from "../../../protocol/errors.js";
import type { LogId, NodeName, Position } from "../../../protocol/ids.js";
import {
  encodeRing,
  fromRanges,
  goesOnFrom,
  parseRing,
  RingLookup,
  toRanges,
  type RingJson,
  type RingTable,
} from "../../../protocol/ring/ring.js";
import { repaired } from "../../support/small-ring.js";

type Loose = Record<string, unknown>;
type LooseRing = Loose & { shards: [Loose, Loose, Loose]; nodes: [Loose, Loose, Loose] };

describe("ring table", () => {
  it("survives JSON", () => {
    const ring = newRing();
    const json = JSON.parse(JSON.stringify(encodeRing(ring))) as RingJson;
    expect(parseRing(json)).to.deep.equal(ring);
    expect(json.shards[0]?.positions).to.deep.equal(["0-4"]);
    expect(json.nodes[0]).to.deep.equal({ node: "n1", weight: 1, zone: "a" });
    expect(json.nodes[2]).to.deep.equal({ node: "n3", weight: 1 });
  });

  it("is taken with members that a later version may add", () => {
    const json = { ...encodeRing(newRing()), type: "io.ringdex.v1.ring_response" };
    expect(parseRing(json).epoch).to.equal(1);
  });

  it("is refused unless every position has exactly one owner", () => {
    refused("position 4 belongs to no shard", ({ shards }) => (shards[0]["positions"] = ["0-3"]));
    refused(
      "position 5 belongs to both s1 and s2",
      ({ shards }) => (shards[0]["positions"] = ["0-5"]),
    );
    refused("positions must be", ({ shards }) => (shards[0]["positions"] = ["0-16"]));
    refused("positions must be", ({ shards }) => (shards[0]["positions"] = ["0-4", "4"]));
  });

  it("is not looked up in if a position has no owner, or two", () => {
    const [first, ...others] = newRing().shards;
    const withFirst = (positions: number[]): RingTable => {
      return {
        ...newRing(),
        shards: [{ ...first!, positions: positions as Position[] }, ...others],
      };
    };
    expect(new RingLookup(withFirst([0, 1, 2, 3, 4])).shardOf(4 as Position).shard).to.equal("s1");
    for (const positions of [
      [0, 1, 2, 3],
      [0, 1, 2, 3, 4, 5],
      [0, 1, 2, 3, 16],
    ]) {
      expect(() => new RingLookup(withFirst(positions)), positions.join()).to.throw("invariant 1");
    }
  });

  it("is refused unless replicas are on distinct nodes that it names", () => {
    refused("node of s1 n1 occurs twice", ({ shards }) => (shards[0]["nodes"] = ["n1", "n1"]));
    refused("n9, which is not a node", ({ shards }) => (shards[0]["nodes"] = ["n1", "n9"]));
    refused("s1 is on no node", ({ shards }) => (shards[0]["nodes"] = []));
  });

  it("is refused if a name occurs twice or cannot be one", () => {
    refused("shard s1 occurs twice", ({ shards }) => (shards[1]["shard"] = "s1"));
    refused("log_id", ({ shards }) => (shards[1]["log_id"] = shards[0]["log_id"]));
    refused("node n1 occurs twice", ({ nodes }) => (nodes[1]["node"] = "n1"));
    refused("not s1, s2", ({ shards }) => (shards[0]["shard"] = "x"));
    refused("hexadecimal", ({ shards }) => (shards[0]["log_id"] = "ABC"));
    refused("store must be", (ring) => (ring["store"] = "a.b"));
    refused("node must be", ({ nodes }) => (nodes[1]["node"] = "a b"));
  });

  it("is refused if a member is missing or of another kind", () => {
    for (const member of ["store", "epoch", "position_count", "shards", "nodes"]) {
      refused("the ring table is broken", (ring) => delete ring[member]);
      refused("the ring table is broken", (ring) => (ring[member] = { a: 1 }));
    }
    refused("weight", ({ shards }) => (shards[0]["weight"] = 0.5));
    refused("epoch", (ring) => (ring["epoch"] = 0));
    for (const json of [undefined, null, 7, "{}", []]) {
      expect(() => parseRing(json)).to.throw(KvError, "the ring table is broken");
    }
  });

  it("goes on from one whose logs its own logs go on from, and from no other", () => {
    const [first, other] = [newRing(), repaired(newRing(), 2)];
    const second = repaired(first, 0);
    const third = repaired(repaired(second, 0), 1);
    expect(goesOnFrom(second, first)).to.equal(true);
    expect(goesOnFrom(third, first)).to.equal(true);
    expect(goesOnFrom(third, second)).to.equal(true);
    expect(goesOnFrom(first, first)).to.equal(false);
    expect(goesOnFrom(first, second)).to.equal(false);
    expect(goesOnFrom({ ...first, epoch: second.epoch }, first)).to.equal(false);
    // Both have been repaired since: nobody knows which one is right.
    expect(goesOnFrom(third, other)).to.equal(false);
    expect(goesOnFrom(other, second)).to.equal(false);
    for (const change of [{ store: "other" }, { nodes: first.nodes.slice(1) }, { shards: [] }]) {
      expect(goesOnFrom({ ...second, ...change }, first)).to.equal(false);
      expect(goesOnFrom(second, { ...first, ...change })).to.equal(false);
    }
    const moved = second.shards.map((shard) => ({ ...shard, nodes: shard.nodes.toReversed() }));
    expect(goesOnFrom({ ...second, shards: moved }, first)).to.equal(false);
  });

  it("finds the shard of every position", () => {
    const ring = newRing();
    const lookup = new RingLookup(ring);
    for (const shard of ring.shards) {
      for (const position of shard.positions) expect(lookup.shardOf(position)).to.equal(shard);
    }
    expect(() => lookup.shardOf(16 as Position)).to.throw("position 16 of 16");
  });
});

describe("ranges of positions", () => {
  it("are runs of neighbours", () => {
    expect(toRanges([0, 1, 2, 7, 9, 10] as Position[])).to.deep.equal(["0-2", "7", "9-10"]);
    expect(toRanges([2, 0, 1] as Position[])).to.deep.equal(["0-2"]);
    expect(toRanges([])).to.deep.equal([]);
    expect(() => toRanges([1, 2, 1] as Position[])).to.throw("occurs once");
    expect(fromRanges([], 16)).to.deep.equal([]);
  });

  it("name the positions they were made from", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(99)), (numbers) => {
        const positions = numbers.toSorted((a, b) => a - b) as Position[];
        const ranges = toRanges(numbers as Position[]);
        expect(fromRanges(ranges, 100)).to.deep.equal(positions);
        const borders = ranges.flatMap((range) => range.split("-").map(Number));
        const joined = borders.some((border) => borders.includes(border + 1) && !pair(border));
        expect(joined, "neighbours are in one range").to.equal(false);
        function pair(border: number): boolean {
          return ranges.includes(`${border}-${border + 1}`);
        }
      }),
    );
  });

  it("are refused if they overlap, go back, leave the ring or are no ranges", () => {
    for (const ranges of [
      ["0-3", "3"],
      ["5", "1"],
      ["3-1"],
      ["16"],
      ["0-16"],
      ["01"],
      ["-1"],
      ["1-"],
      ["a"],
      [""],
      ["1 "],
    ]) {
      expect(() => fromRanges(ranges, 16), ranges.join()).to.throw(KvError, "positions must be");
    }
  });
});

function newRing(): RingTable {
  const nodes = ["n1", "n2", "n3"].map((node, index) => {
    return { node: node as NodeName, weight: 1, zone: ["a", "b"][index] };
  });
  const plan = planNewRing({ store: "kv", positionCount: 16, nodes, replicas: 2 });
  const shards = plan.shards.map((shard, index) => ({
    ...shard,
    logId: String(index).padStart(16, "0") as LogId,
    positions: fromRanges([["0-4", "5-10", "11-15"][index] as string], 16),
  }));
  return { ...plan, shards };
}

function refused(reason: string, change: (ring: LooseRing) => unknown): void {
  const json = structuredClone(encodeRing(newRing())) as unknown as LooseRing;
  change(json);
  expect(() => parseRing(json))
    .to.throw(KvError, reason)
    .with.property("kind", "internal");
}
