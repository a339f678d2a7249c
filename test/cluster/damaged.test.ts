/**
 * JetStream's folder is older than the stores, or gone: nothing is served wrongly, the data stay,
 * and what to do is said. With the right folder back, everything is there.
 */
import { expect } from "chai";
import { cpSync, existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { connect, isKvError, type Ringdex } from "../../infra/client/client.js";
import { dataPaths } from "../../infra/main/server/data-folder.js";
import { startCluster, type Cluster } from "../support/cluster.js";
import { equalReplicas } from "../support/equal-replicas.js";

const KEYS = 60;

describe("a damaged log", function () {
  this.timeout(60_000);
  let cluster: Cluster;
  let folder: string;
  let db: Ringdex<unknown>;
  const aside = (name: string): string => join(cluster.dataFolder, name);

  before(async () => {
    cluster = await startCluster({ nodes: 2 });
    folder = dataPaths(cluster.dataFolder).jetstream;
    // An answer that must not come is waited for no longer than this.
    db = await connect<unknown>({ servers: cluster.url, timeoutMs: 300, attemptTimeoutMs: 300 });
    await setAll("first");
    await cluster.down();
    cpSync(folder, aside("older"), { recursive: true });
    await cluster.up();
    await setAll("second");
    await cluster.down();
    renameSync(folder, aside("right"));
  });
  after(async () => {
    await db.close();
    await cluster.stop();
  });
  afterEach(() => cluster.down());

  it("that is shorter than the stores stops its shards, and status says what to do", async () => {
    cpSync(aside("older"), folder, { recursive: true });
    await cluster.up();
    const { replicas, warnings } = await cluster.status();
    expect(replicas).to.have.length(4);
    for (const { shard, node, state, reason } of replicas) {
      expect(state, `${shard} on ${node}`).to.equal("stopped");
      expect(reason)
        .to.match(/^log-shorter: /)
        .and.contain("keep all stores");
    }
    expect(warnings.filter((warning) => warning.includes("log-shorter"))).to.have.length(4);

    const answers = [
      db.get("damaged.0"),
      db.get("damaged.1", { read: "stale" }),
      db.set("damaged.2", "third"),
      db.find({ value: "first" }).toArray(),
      db.count({}),
    ];
    for (const answer of await Promise.allSettled(answers)) {
      const error: unknown = answer.status === "rejected" ? answer.reason : answer.value;
      expect(isKvError(error), JSON.stringify(error)).to.equal(true);
    }
  });

  it("that is gone is not replaced by an empty one: the nodes refuse to start", async () => {
    rmSync(folder, { recursive: true });
    const reason = await cluster.up().then(
      () => "it started",
      (error: Error) => error.message,
    );
    expect(reason).to.contain("nats-server has no ring, but ").and.contain("Put the folder back");
    for (const node of ["n1", "n2"]) {
      expect(existsSync(join(dataPaths(cluster.dataFolder).node(node), "stores"))).to.equal(true);
    }
  });

  it("harms nothing for good: with the right folder all data are there", async () => {
    rmSync(folder, { recursive: true, force: true });
    cpSync(aside("right"), folder, { recursive: true });
    await cluster.up();
    const found = await db.getMany(keys());
    expect([...found.values()].map(({ value }) => value)).to.deep.equal(keys().map(valueOf));
    const { replicas } = await equalReplicas(cluster);
    expect(replicas.every(({ state }) => state === "serving")).to.equal(true);
  });

  async function setAll(value: string): Promise<void> {
    await db.setMany(
      keys().map((key) => ({ key, value: { value } })),
      { timeoutMs: 10_000 },
    );
  }
});

function keys(): string[] {
  return Array.from({ length: KEYS }, (_, index) => `damaged.${index}`);
}

function valueOf(): object {
  return { value: "second" };
}
