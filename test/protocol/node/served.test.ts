/**
 * Shards that nobody serves, by the reports and the ring.
 */
import { expect } from "chai";
import { unservedShards } from "../../../protocol/node/served.js";
import type { ReplicaReport } from "../../../protocol/node/status.js";

describe("unserved shards", () => {
  const shards = [
    { shard: "s1", positions: [0, 1] },
    { shard: "s2", positions: [2] },
    { shard: "s3", positions: [] },
  ];
  const unserved = (...list: [shard: string, state: string][]): string[] =>
    unservedShards(
      { replicas: list.map(([shard, state]) => ({ shard, state }) as ReplicaReport) },
      { shards },
    );

  it("are those that own positions and have no serving replica", () => {
    expect(unserved(["s1", "serving"], ["s1", "stopped"], ["s2", "serving"])).to.deep.equal([]);
    expect(unserved(["s1", "catching-up"], ["s2", "serving"])).to.deep.equal(["s1"]);
    expect(unserved()).to.deep.equal(["s1", "s2"]);
  });
});
