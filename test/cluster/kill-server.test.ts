/**
 * nats-server is ended by SIGKILL while clients write: it comes back, and so does everything else
 * by itself.
 */
import { expect } from "chai";
import { dataPaths } from "../../infra/main/server/data-folder.js";
import { readPid } from "../../infra/nats-server/nats-server.js";
import { equalReplicas } from "../support/equal-replicas.js";
import { Load } from "../support/load.js";
import { useSharedCluster } from "../support/shared-cluster.js";

describe("a killed nats-server", function () {
  this.timeout(120_000);
  const shared = useSharedCluster();

  it("costs no acknowledged write and stops no replica", async () => {
    const { cluster, db } = shared;
    const before = await cluster.status();
    const pidFile = dataPaths(cluster.dataFolder).natsPid;
    const serverBefore = readPid(pidFile);
    const load = new Load(cluster, "kill-server");
    await load.start();
    await load.more(500);
    await cluster.killServer();
    await load.more(500);
    await load.stop();

    expect(cluster.stderr).to.contain("nats-server runs again");
    expect(readPid(pidFile)).to.not.equal(serverBefore);
    await load.check(db);
    const after = await equalReplicas(cluster);
    // The nodes went through it: nobody started them again.
    expect(after.nodes).to.deep.equal(before.nodes);
    expect(after.warnings).to.deep.equal(before.warnings);
  });
});
