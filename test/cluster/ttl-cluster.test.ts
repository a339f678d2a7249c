/**
 * Records that expire do so on all replicas alike, and are gone for get, find, count and
 * conditions at once.
 */
import { expect } from "chai";
import { equalReplicas } from "../support/equal-replicas.js";
import { useSharedCluster } from "../support/shared-cluster.js";
import { until } from "../support/until.js";

const KEYS = 40;
const LIMIT_MS = 15_000;

describe("time to live in a cluster", function () {
  this.timeout(60_000);
  const shared = useSharedCluster();

  it("ends records for every read on every replica, and leaves the others", async () => {
    const { db, cluster } = shared;
    const before = new Map((await equalReplicas(cluster)).replicas.map(keysOf));
    const short = Array.from({ length: KEYS }, (_, index) => ({
      key: `ttl.short.${index}`,
      value: { ttl: "short", index },
      ttl: 2,
    }));
    const long = { key: "ttl.long", value: { ttl: "long" }, ttl: "1h" };
    const touched = { key: "ttl.touched", value: { ttl: "touched" }, ttl: 2 };
    const setAt = performance.now();
    await db.setMany([...short, long, touched, { key: "ttl.never", value: { ttl: "never" } }]);
    expect(await db.count({ ttl: "short" })).to.equal(KEYS);
    const { expiresAt } = await db.touch("ttl.touched", "1h");
    expect(expiresAt?.getTime()).to.be.greaterThan(Date.now() + 3_500_000);

    await until(async () => (await db.count({ ttl: "short" })) === 0, LIMIT_MS, "the expiry");
    expect(performance.now() - setAt).to.be.greaterThan(1_500);
    // Linearizable reads of several keys, and stale ones that either replica may answer: it is
    // allowed to be behind, so both are waited for.
    expect((await db.getMany(short.map(({ key }) => key))).size).to.equal(0);
    await equalReplicas(cluster);
    for (let round = 0; round < 10; round += 1) {
      expect(await db.find({ ttl: "short" }, { read: "stale" }).toArray()).to.deep.equal([]);
      expect(await db.get("ttl.short.0", { read: "stale" })).to.equal(undefined);
    }
    const left = await db.find({ ttl: { $exists: true } }).toArray();
    const keysLeft = left.map(({ key }) => key);
    expect(keysLeft).to.have.members(["ttl.long", "ttl.never", "ttl.touched"]);
    expect((await db.set("ttl.short.0", 1, { ifAbsent: true })).created).to.equal(true);
    await db.del("ttl.short.0");

    // Not only hidden: deleted, and by the log, so that both replicas are equal without it.
    for (const { key } of [long, touched, { key: "ttl.never" }]) await db.del(key);
    const isClean = async (): Promise<boolean> => {
      const { replicas } = await cluster.status();
      return replicas.map(keysOf).every(([name, keys]) => before.get(name) === keys);
    };
    await until(isClean, LIMIT_MS, "the deletion of what is due");
    await equalReplicas(cluster);
  });

  it("never shows a record after its time to a linearizable read", async () => {
    const { db } = shared;
    await db.set("ttl.edge", { ttl: "edge" }, { ttl: 1 });
    const entry = await db.get("ttl.edge");
    const dueAt = entry?.expiresAt?.getTime() ?? 0;
    await until(() => Date.now() > dueAt, LIMIT_MS, "its time");
    expect(await db.get("ttl.edge")).to.equal(undefined);
    expect(await db.count({ ttl: "edge" })).to.equal(0);
  });

  it("goes on by a patch, and ends by a set without one", async () => {
    const { db } = shared;
    await db.set("ttl.kept", { ttl: "kept" }, { ttl: "1h" });
    await db.patch("ttl.kept", { more: 1 });
    expect((await db.get("ttl.kept"))?.expiresAt).to.be.instanceOf(Date);
    await db.set("ttl.kept", { ttl: "kept" });
    expect((await db.get("ttl.kept"))?.expiresAt).to.equal(undefined);
    await db.del("ttl.kept");
  });
});

function keysOf(replica: { shard: string; node: string; keys: number }): [string, number] {
  return [`${replica.shard}@${replica.node}`, replica.keys];
}
