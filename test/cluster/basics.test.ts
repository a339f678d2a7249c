/**
 * Every verb on one key, and find, through our client and by plain NATS, on three nodes with two
 * replicas of each shard. What one writes the other reads.
 */
import { expect } from "chai";
import { headers, type Msg } from "nats";
import { isConflict, isNotFound } from "../../infra/client/client.js";
import { POSITION_COUNT } from "../../protocol/limits.js";
import { positionOf } from "../../protocol/position.js";
import { fromRanges, parseRing } from "../../protocol/ring/ring.js";
import { equalReplicas } from "../support/equal-replicas.js";
import { useSharedCluster } from "../support/shared-cluster.js";

const delhi = { name: "Delhi", country: "IN", population: 32_900_000 };

describe("cluster", function () {
  this.timeout(60_000);
  const shared = useSharedCluster();

  async function ask(
    subject: string,
    payload = "",
    fields: Readonly<Record<string, string>> = {},
  ): Promise<Msg> {
    const head = headers();
    for (const [name, value] of Object.entries(fields)) head.set(name, value);
    return shared.nats.request(`kv.${subject}`, payload, { headers: head, timeout: 10_000 });
  }

  it("serves every verb through the client", async () => {
    const { db } = shared;
    const set = await db.set("basics.delhi", delhi);
    expect(set).to.deep.include({ key: "basics.delhi", created: true });
    expect(set.position).to.equal(positionOf("basics.delhi", POSITION_COUNT));
    expect((await db.get("basics.delhi"))?.value).to.deep.equal(delhi);
    const patched = await db.patch("basics.delhi", { population: 33_800_000, mayor: "x" });
    expect(patched).to.deep.include({ created: false, revision: set.revision + 1 });
    const raised = await db.incr("basics.delhi", { path: "population", by: 5 });
    expect(raised).to.deep.include({ value: 33_800_005, revision: set.revision + 2 });
    const touched = await db.touch("basics.delhi", "1h");
    expect(touched.expiresAt?.getTime()).to.be.greaterThan(Date.now() + 3_500_000);
    const entry = await db.get("basics.delhi");
    expect(entry?.value).to.deep.equal({ ...delhi, population: 33_800_005, mayor: "x" });
    expect(entry?.revision).to.equal(set.revision + 3);
    expect(await db.del("basics.delhi")).to.deep.include({ existed: true });
    expect(await db.get("basics.delhi")).to.equal(undefined);
    expect(await db.del("basics.delhi")).to.deep.include({ existed: false, revision: null });
    const missing = await db.touch("basics.delhi", "1h").catch((error: unknown) => error);
    expect(isNotFound(missing)).to.equal(true);
  });

  it("serves every verb to any NATS program", async () => {
    const set = await ask("set.basics.pune", JSON.stringify({ ...delhi, name: "Pune" }));
    const { revision } = set.json<{ revision: number }>();
    expect(set.json()).to.deep.include({ key: "basics.pune", created: true });
    const got = await ask("get.basics.pune");
    expect(got.string()).to.equal(JSON.stringify({ ...delhi, name: "Pune" }));
    expect(got.headers?.get("Kv-Revision")).to.equal(String(revision));
    expect(got.headers?.get("Content-Type")).to.equal("application/json");
    const patched = await ask("patch.basics.pune", '{"population":7}');
    expect(patched.json()).to.deep.include({ created: false, revision: revision + 1 });
    const raised = await ask("incr.basics.pune", '{"path":"population","by":-1}');
    expect(raised.json()).to.deep.include({ value: 6, revision: revision + 2 });
    const touched = await ask("touch.basics.pune", "", { "Kv-TTL": "1h" });
    expect(touched.json()).to.have.property("expires_at");
    const late = await ask("set.basics.pune", "{}", { "Kv-If-Revision": String(revision) });
    expect(late.headers?.get("Nats-Service-Error-Code")).to.equal("409");
    expect(late.json<{ error: object }>().error).to.deep.include({
      name: "conflict",
      revision: revision + 3,
      written: "no",
    });
    expect((await ask("del.basics.pune")).json()).to.deep.include({ existed: true });
    const gone = await ask("get.basics.pune");
    expect(gone.headers?.get("Nats-Service-Error-Code")).to.equal("404");
  });

  it("shows one what the other wrote, whatever the key looks like", async () => {
    const { db } = shared;
    const keys = [
      "basics.plain",
      "basics with space",
      "basics.{tag}.a.b.c.d.e.f.g",
      "basics.é→",
      "*",
    ];
    for (const [index, key] of keys.entries()) {
      await ask("set", JSON.stringify({ key, value: { basics: index } }));
      expect((await db.get(key))?.value).to.deep.equal({ basics: index });
      await db.set(key, { basics: index + 10 });
      const reply = await ask("get", JSON.stringify({ key }));
      expect(reply.json()).to.deep.equal({ basics: index + 10 });
    }
    expect(await db.count({ basics: { $gte: 10 } })).to.equal(keys.length);
    for (const key of keys) await db.del(key);
    expect(await db.count({ basics: { $exists: true } })).to.equal(0);
  });

  it("finds by attributes what a look at every value finds", async () => {
    const { db } = shared;
    const values = Array.from({ length: 400 }, (_, index) => ({
      key: `basics.row.${index}`,
      value: { basicsRow: true, size: index % 37, tags: [`t${index % 5}`, `u${index % 3}`] },
    }));
    await db.setMany(values);
    const where = { basicsRow: true, size: { $gt: 9, $lte: 20 }, tags: "t2" };
    const wanted = values
      .filter(({ value: { size, tags } }) => size > 9 && size <= 20 && tags.includes("t2"))
      .map(({ key }) => key);
    expect(wanted.length).to.be.greaterThan(10);
    const found = await db.find(where, { pageSize: 7 }).toArray();
    expect(found.map(({ key }) => key).toSorted()).to.deep.equal(wanted.toSorted());
    expect(found).to.have.length(wanted.length);
    expect(await db.count(where)).to.equal(wanted.length);
    const reply = await ask("find", JSON.stringify({ where, limit: 1000, certificate: true }));
    const body = reply.json<{
      items: { key: string }[];
      complete: boolean;
      certificate: { positions: string[] }[];
    }>();
    expect(body.complete).to.equal(true);
    expect(body.items.map(({ key }) => key).toSorted()).to.deep.equal(wanted.toSorted());
    const covered = body.certificate.flatMap(({ positions }) =>
      fromRanges(positions, POSITION_COUNT),
    );
    expect(new Set(covered).size).to.equal(POSITION_COUNT);
    expect(covered).to.have.length(POSITION_COUNT);
  });

  it("lets one of many win a race for a key that must be absent", async () => {
    const { db } = shared;
    const racers = Array.from({ length: 32 }, (_, index) =>
      db.set("basics.race", index, { ifAbsent: true }).then(
        () => index,
        (error: unknown) => {
          if (!isConflict(error)) throw error;
          return undefined;
        },
      ),
    );
    const winners = (await Promise.all(racers)).filter((winner) => winner !== undefined);
    expect(winners).to.have.length(1);
    expect((await db.get("basics.race"))?.value).to.equal(winners[0]);
  });

  it("tells in status and ring the same shards, nodes and positions", async () => {
    const { cluster } = shared;
    const ring = parseRing((await ask("ring")).json());
    const status = await equalReplicas(cluster);
    expect(ring.shards).to.have.length(3);
    expect(status.epoch).to.equal(ring.epoch);
    expect(status.nodes.map(({ node }) => node)).to.deep.equal(ring.nodes.map(({ node }) => node));
    const placed = ring.shards.flatMap(({ shard, nodes, positions }) =>
      nodes.map((node) => ({ shard, node, positions: positions.length })),
    );
    const told = status.replicas.map(({ shard, node, positions }) => ({ shard, node, positions }));
    expect(told).to.have.deep.members(placed);
    expect(placed).to.have.length(6);
    expect(ring.shards.flatMap(({ positions }) => positions)).to.have.length(POSITION_COUNT);
    expect(status.durability.sync_interval).to.equal("always");
    expect(status.warnings).to.deep.equal([]);
  });
});
