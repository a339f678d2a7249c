/**
 * Logs that lost what the stores still have: `ringdex repair` brings it back, with real processes.
 *
 * The loss is made by putting an older copy of JetStream's folder in the place of the present one,
 * as a power cut without `sync_interval: always` may leave it, or somebody who restores half of a
 * backup.
 */
import { expect } from "chai";
import { cpSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect as connectNats, type NatsConnection } from "nats";
import type { HeaderMap } from "../../infra/bus.js";
import { connect, isKvError, type Ringdex } from "../../infra/client/client.js";
import type { StoredEvent } from "../../infra/events.js";
import { dataPaths } from "../../infra/main/server/data-folder.js";
import { POSITION_COUNT } from "../../protocol/limits.js";
import type { RepairReply } from "../../protocol/node/repair.js";
import { positionOf } from "../../protocol/position.js";
import type { RingJson } from "../../protocol/ring/ring.js";
import { startCluster, type Cluster } from "../support/cluster.js";
import { equalReplicas } from "../support/equal-replicas.js";
import { EventConsumer } from "../support/event-consumer.js";
import { runProgram, type Ran } from "../support/run-program.js";
import { until } from "../support/until.js";

const program = fileURLToPath(new URL("../../infra/cli/ringdex.js", import.meta.url));
const KEYS = 40;

describe("ringdex repair", function () {
  this.timeout(120_000);
  let cluster: Cluster;
  let db: Ringdex<unknown>;
  let jetstream: string;
  const aside = (name: string): string => join(cluster.dataFolder, name);

  beforeEach(async () => {
    cluster = await startCluster({ nodes: 2 });
    jetstream = dataPaths(cluster.dataFolder).jetstream;
    db = await connect<unknown>({ servers: cluster.url, timeoutMs: 2_000, attemptTimeoutMs: 500 });
    await setAll("first");
    await equalReplicas(cluster);
    await cluster.down();
    cpSync(jetstream, aside("older"), { recursive: true });
    await cluster.up();
  });
  afterEach(async () => {
    await db.close();
    await cluster.stop();
  });

  it("brings back what a log has lost, with outcomes, and events go on without a gap", async () => {
    await setAll("second");
    await db.set("repair.retried", 1);
    const first = await retried();
    expect(first).to.include({ type: "io.ringdex.v1.incr_response" });
    const before = await equalReplicas(cluster);
    // Events that are not out by now would be lost with the log, and told by resets.
    const isOut = async (): Promise<boolean> => {
      const told = new EventConsumer();
      for (const event of await eventsOf()) told.take(event);
      return keys().every((key) => valueIn(told, key) === '{"value":"second"}');
    };
    await until(isOut, 30_000, "the events of all changes");
    await cluster.down();
    // The logs alone: the events and the ring are as they were.
    for (const stream of streamsOf(jetstream).filter((name) => name.startsWith("kv-log-"))) {
      rmSync(join(streamFolder(jetstream), stream), { recursive: true });
      const older = join(streamFolder(aside("older")), stream);
      cpSync(older, join(streamFolder(jetstream), stream), { recursive: true });
    }
    await cluster.up();
    const { replicas, warnings } = await cluster.status();
    expect(replicas.map(({ state }) => state)).to.deep.equal(replicas.map(() => "stopped"));
    expect(warnings.join("\n")).to.contain("log-shorter").and.contain("ringdex repair");
    const unanswered = await db.set("repair.0", "third").catch((error: unknown) => error);
    expect(isKvError(unanswered) && unanswered.kind).to.equal("unavailable");

    const planned = await ringdex("repair");
    expect(planned.code, planned.stderr).to.equal(1);
    expect(planned.out).to.contain("Nothing was done").and.contain("are lost from the log");
    expect((await cluster.status()).epoch).to.equal(before.epoch);
    const done = await ringdex("repair", "--yes");
    expect(done, done.stderr).to.include({ code: 0 });
    expect(done.out).to.contain("s1 serves").and.contain("s2 serves");

    await expectAll("second");
    expect(await retried()).to.deep.equal(first);
    await setAll("third");
    const after = await equalReplicas(cluster);
    expect(after.epoch).to.equal(before.epoch + 2);
    const consumer = new EventConsumer();
    for (const event of await eventsOf()) consumer.take(event);
    expect(consumer.resets).to.deep.equal([]);
    expect(valueIn(consumer, "repair.7")).to.equal('{"value":"third"}');
    expect((await ringdex("repair", "--yes")).out).to.contain("nothing to repair");
  });

  it("resets the positions whose events are lost too, and goes on when started again", async () => {
    await setAll("second");
    await equalReplicas(cluster);
    await cluster.down();
    renameSync(jetstream, aside("right"));
    cpSync(aside("older"), jetstream, { recursive: true });
    await cluster.up();
    expect((await ringdex("repair", "--yes")).code).to.equal(0);
    await expectAll("second");
    await setAll("third");
    const consumer = new EventConsumer();
    const events = await eventsOf();
    for (const event of events) consumer.take(event);
    const reset = new Set(consumer.resets.map(({ position }) => position));
    const changed = new Set<number>(keys().map((key) => positionOf(key, POSITION_COUNT)));
    expect(reset).to.deep.equal(changed);
    expect(valueIn(consumer, "repair.7")).to.equal('{"value":"third"}');
    await cluster.down();
    await cluster.up();
    await expectAll("third");
    await equalReplicas(cluster);
  });

  it("goes on from one node's store when the other's is given up, and fills that", async () => {
    await setAll("second");
    await equalReplicas(cluster);
    await cluster.down();
    // n2 has lost its stores, and the logs are short.
    const stores = join(dataPaths(cluster.dataFolder).node("n2"), "stores");
    rmSync(jetstream, { recursive: true });
    cpSync(aside("older"), jetstream, { recursive: true });
    rmSync(stores, { recursive: true });
    await cluster.up();
    const done = await ringdex("repair", "--yes", "--abandon", "n2", "--json");
    expect(done.code, done.stderr).to.equal(0);
    const reply = JSON.parse(done.out.split("\n")[0] ?? "") as RepairReply;
    expect(reply.replicas.find(({ node }) => node === "n2")?.fate).to.equal("abandoned");
    await expectAll("second");
    await equalReplicas(cluster);
    // What n2 had replayed of the short logs is kept.
    const kept = readdirSync(stores).filter((name) => name.includes(".aside-"));
    expect(kept).to.have.length(2);
  });

  it("makes a log anew whose stream was deleted; a store lost after that is filled", async () => {
    await setAll("second");
    await equalReplicas(cluster);
    const nats = await connectNats({ servers: cluster.url });
    const manager = await nats.jetstreamManager();
    const ring = (await nats.request("kv.ring")).json<RingJson>();
    await manager.streams.delete(`kv-log-s1-${ring.shards[0]?.log_id}`);
    await nats.close();
    await until(async () => {
      const { replicas } = await cluster.status();
      const of = replicas.filter(({ shard }) => shard === "s1");
      return of.every(({ reason }) => reason?.startsWith("log-missing") === true);
    }, 30_000);
    const done = await ringdex("repair", "--yes", "--shard", "s1");
    expect(done, done.stderr).to.include({ code: 0 });
    expect(done.out).to.contain("its log is gone");
    await expectAll("second");
    await setAll("third");

    await cluster.down();
    const stores = join(dataPaths(cluster.dataFolder).node("n2"), "stores");
    for (const name of readdirSync(stores)) {
      if (name.startsWith("s1-")) rmSync(join(stores, name), { recursive: true });
    }
    await cluster.up();
    await equalReplicas(cluster);
    await expectAll("third");
    expect(readdirSync(stores).some((name) => name.includes(".aside-"))).to.equal(true);
  });

  async function retried(): Promise<object> {
    const nats = await connectNats({ servers: cluster.url });
    try {
      const payload = JSON.stringify({ key: "repair.retried", by: 5, request_id: "retried-1" });
      return (await nats.request("kv.incr", payload, { timeout: 5_000 })).json<object>();
    } finally {
      await nats.close();
    }
  }

  function ringdex(...argumentList: string[]): Promise<Ran> {
    const env = { RINGDEX_NATS_URL: cluster.url, RINGDEX_DATA: cluster.dataFolder };
    return runProgram(process.execPath, [program, ...argumentList], { env, timeoutMs: 90_000 });
  }

  async function setAll(value: string): Promise<void> {
    await db.setMany(
      keys().map((key) => ({ key, value: { value } })),
      { timeoutMs: 10_000 },
    );
  }

  async function expectAll(value: string): Promise<void> {
    const found = await db.getMany(keys());
    expect([...found.values()].map((each) => each.value)).to.deep.equal(
      keys().map(() => ({ value })),
    );
    expect(await db.count({ value })).to.equal(KEYS);
  }

  /** Once the relays have published everything. */
  async function eventsOf(): Promise<StoredEvent[]> {
    const nats = await connectNats({ servers: cluster.url });
    try {
      return await readEvents(nats, async () => {
        const { replicas } = await cluster.status();
        const shards = new Set(replicas.map(({ shard }) => shard));
        return [...shards].every((shard) =>
          replicas.some((each) => each.shard === shard && isPublished(each)),
        );
      });
    } finally {
      await nats.close();
    }
  }
});

function isPublished(replica: {
  readonly relay: { readonly active: boolean; readonly sequence: number };
  readonly sequence_applied: number;
}): boolean {
  return replica.relay.active && replica.relay.sequence >= replica.sequence_applied;
}

async function readEvents(
  nats: NatsConnection,
  areAll: () => Promise<boolean>,
): Promise<StoredEvent[]> {
  const manager = await nats.jetstreamManager();
  while (!(await areAll())) await new Promise((resolve) => setTimeout(resolve, 50));
  const { state } = await manager.streams.info("kv-events");
  const events: StoredEvent[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
    const { subject, header, data } = await manager.streams.getMessage("kv-events", { seq });
    const headers: HeaderMap = new Map(
      header.keys().map((name) => [name.toLowerCase(), header.values(name)]),
    );
    events.push({ sequence: seq as StoredEvent["sequence"], subject, headers, data });
  }
  return events;
}

function valueIn(consumer: EventConsumer, key: string): string | undefined {
  const value = consumer.records.get(key)?.value;
  return value === undefined ? undefined : Buffer.from(value, "base64").toString();
}

function streamFolder(jetstream: string): string {
  return join(jetstream, "jetstream", "$G", "streams");
}

function streamsOf(jetstream: string): string[] {
  return readdirSync(streamFolder(jetstream));
}

function keys(): string[] {
  return Array.from({ length: KEYS }, (_, index) => `repair.${index}`);
}
