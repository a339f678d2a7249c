/**
 * A short campaign of hostile messages, with and without the subject mapping. `make hostile` runs
 * the long one; a failure here prints what it needs to say the same again.
 */
import { expect } from "chai";
import { connect } from "nats";
import type { NodeName } from "../../protocol/ids.js";
import { startCluster, type Cluster } from "../support/cluster.js";
import { equalReplicas } from "../support/equal-replicas.js";
import { storesMoved } from "./aftermath.js";
import { Campaign } from "./campaign.js";
import { kinds } from "./messages.js";
import { targetOf, type Target } from "./target.js";

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
      const campaign = new Campaign(cluster, { seed: SEED, count: MESSAGES });
      const { counts, newerAlarms } = await campaign.run();
      for (const kind of kinds) {
        expect(counts.get(kind)?.get("sent"), kind).to.be.greaterThan(0);
      }
      const packed = counts.get("position, packed");
      expect(packed?.get("done"), "valid ones are done").to.be.greaterThan(0);
      expect(packed?.get("bad-request"), "others are refused").to.be.greaterThan(0);
      expect(counts.get("repair")?.get("done"), "plans for nothing").to.be.greaterThan(0);
      expect(newerAlarms, "entries above their log's version").to.be.greaterThan(0);
    });

    it("repairs and refills nothing where nothing is wrong, whatever the order", async () => {
      const nats = await connect({ servers: cluster.url });
      try {
        const target = await targetOf(cluster.store, nats);
        for (const order of ordersFor(target)) {
          const body = (await nats.request(order.subject, order.data, { timeout: 20_000 })).json();
          expect(body, order.data).to.satisfy(order.isRight);
        }
        expect(await targetOf(cluster.store, nats)).to.have.deep.property("shards", target.shards);
      } finally {
        await nats.close();
      }
      expect(storesMoved(cluster)).to.deep.equal([]);
      await equalReplicas(cluster);
    });
  });
}

interface Order {
  readonly subject: string;
  readonly data: string;
  readonly isRight: (body: Reply) => boolean;
}

interface Reply {
  readonly kind?: string;
  readonly done?: boolean;
  readonly error?: { readonly name: string };
}

/** Each node is told to fill each shard anew, and to repair it by each plan there could be. */
function* ordersFor({ names, nodes, shards }: Target): Generator<Order> {
  for (const node of nodes as NodeName[]) {
    for (const { shard, nodes: holders, repairToken: token } of shards) {
      const refused = ({ error }: Reply): boolean =>
        error?.name === (holders.includes(node) ? "conflict" : "not-found");
      const refill = names.node(node, "refill");
      yield { subject: refill, data: JSON.stringify({ shard }), isRight: refused };
      const subject = names.node(node, "repair");
      for (const kind of ["nothing", "log", "refill"]) {
        for (const abandon of [[], holders.slice(0, 1), holders.slice(1)]) {
          const data = JSON.stringify({ shard, abandon, token: token.replace("nothing", kind) });
          yield { subject, data, isRight: (body) => body.kind === "nothing" && !body.done };
        }
      }
      const data = JSON.stringify({ shard, abandon: holders, token });
      yield { subject, data, isRight: ({ error }) => error?.name === "conflict" };
    }
  }
}
