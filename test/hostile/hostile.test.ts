/**
 * A short campaign of hostile messages, with and without the subject mapping. `make hostile` runs
 * the long one; a failure here prints what it needs to say the same again.
 */
import { expect } from "chai";
import { startCluster, type Cluster } from "../support/cluster.js";
import { Campaign } from "./campaign.js";
import { kinds } from "./messages.js";

const MESSAGES = 1_000;
const SEED = 20_261_121;

for (const mapping of [true, false]) {
  describe(`a cluster ${mapping ? "with" : "without"} the subject mapping`, function () {
    this.timeout(300_000);
    let cluster: Cluster;
    before(async () => {
      cluster = await startCluster({ mapping, nodes: 2, env: { RINGDEX_LOG_LEVEL: "info" } });
    });
    after(() => cluster.stop());

    it("answers hostile messages with errors of the list, and goes on", async () => {
      const { counts } = await new Campaign(cluster, { seed: SEED, count: MESSAGES }).run();
      for (const kind of kinds) {
        expect(counts.get(kind)?.get("sent"), kind).to.be.greaterThan(0);
      }
      const packed = counts.get("position, packed");
      expect(packed?.get("done"), "valid ones are done").to.be.greaterThan(0);
      expect(packed?.get("bad-request"), "others are refused").to.be.greaterThan(0);
    });
  });
}
