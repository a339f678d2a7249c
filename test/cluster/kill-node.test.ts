/**
 * A node is ended by SIGKILL while clients write: nothing acknowledged is lost or done twice.
 */
import { expect } from "chai";
import { equalReplicas } from "../support/equal-replicas.js";
import { IN_FLIGHT, Load } from "../support/load.js";
import { useSharedCluster } from "../support/shared-cluster.js";

describe("a killed node", function () {
  this.timeout(120_000);
  const shared = useSharedCluster();

  it("costs no acknowledged write, counts none twice, and comes back equal", async () => {
    const { cluster, db } = shared;
    expect(IN_FLIGHT).to.be.at.least(64);
    const pidBefore = await cluster.nodePid("n2");
    const load = new Load(cluster, "kill-node");
    await load.start();
    await load.more(500);
    await cluster.kill("n2");
    // Each shard has another replica: clients go on before the node is there again.
    await load.more(500);
    await cluster.settled();
    await load.more(200);
    await load.stop();

    expect(await cluster.nodePid("n2")).to.not.equal(pidBefore);
    expect(cluster.stderr).to.contain("n2: was ended by SIGKILL; starting it again in 1 s");
    await load.check(db);
    const { replicas } = await equalReplicas(cluster);
    expect(replicas.filter(({ node }) => node === "n2")).to.have.length(2);
  });

  it("may as well be the one that made the ring", async () => {
    const { cluster, db } = shared;
    const load = new Load(cluster, "kill-first");
    await load.start();
    await load.more(200);
    await cluster.kill("n1");
    await load.more(200);
    await load.stop();
    await load.check(db);
    await equalReplicas(cluster);
  });
});
