/**
 * Everything is stopped and started again, in order and by SIGKILL, under clients that stay.
 */
import { expect } from "chai";
import { dataPaths } from "../../infra/main/server/data-folder.js";
import { commandLine, readPid, signalTo } from "../../infra/nats-server/nats-server.js";
import { equalReplicas } from "../support/equal-replicas.js";
import { Load } from "../support/load.js";
import { useSharedCluster } from "../support/shared-cluster.js";
import { until } from "../support/until.js";

describe("a restart of everything", function () {
  this.timeout(120_000);
  const shared = useSharedCluster();

  it("in order keeps all data, and revisions go on", async () => {
    const { cluster, db } = shared;
    const first = await db.set("restart.one", { kind: "restart", size: 1 });
    await db.set("restart.two", { kind: "restart", size: 2 }, { ttl: "1h" });
    const before = await equalReplicas(cluster);
    await cluster.down();
    await cluster.up();

    const one = await db.get("restart.one");
    expect(one).to.deep.include({ value: { kind: "restart", size: 1 }, revision: first.revision });
    expect((await db.get("restart.two"))?.expiresAt).to.be.instanceOf(Date);
    expect(await db.count({ kind: "restart" })).to.equal(2);
    const again = await db.set("restart.one", { kind: "restart", size: 3 });
    expect(again.revision).to.equal(first.revision + 1);
    const after = await equalReplicas(cluster);
    expect(after.epoch).to.equal(before.epoch);
  });

  it("by SIGKILL of every process loses no acknowledged write", async () => {
    const { cluster, db } = shared;
    const load = new Load(cluster, "restart-all");
    await load.start();
    await load.more(500);
    const { nodes } = await cluster.status();
    const server = readPid(dataPaths(cluster.dataFolder).natsPid);
    const pids = [server ?? 0, ...nodes.map(({ pid }) => pid ?? 0)];
    expect(pids.every((pid) => pid > 0)).to.equal(true);
    signalTo(cluster.pid, "SIGKILL");
    for (const pid of pids) signalTo(pid, "SIGKILL");
    for (const pid of pids) {
      await until(async () => (await commandLine(pid)) === "", 10_000, `the end of ${pid}`);
    }
    await cluster.down();
    await cluster.up();
    await load.more(500);
    await load.stop();

    await load.check(db);
    const after = await equalReplicas(cluster);
    expect(after.replicas.every(({ state }) => state === "serving")).to.equal(true);
  });
});
