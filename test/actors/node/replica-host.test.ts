/**
 * One replica of a node on a real nats-server, whose store fails, or cannot be opened.
 */
import { expect } from "chai";
import { ReplicaHost } from "../../../actors/node/replica-host.js";
import { RingKeeper } from "../../../actors/ring-keeper/ring-keeper.js";
import type { Message } from "../../../infra/bus.js";
import { systemChance, systemClock } from "../../../infra/clock.js";
import { EventStream } from "../../../infra/jetstream/event-stream.js";
import { JetstreamLog } from "../../../infra/jetstream/jetstream-log.js";
import { RingBucket } from "../../../infra/jetstream/ring-bucket.js";
import { StreamMaker } from "../../../infra/main/log-maker.js";
import { connectBus, type NatsBus } from "../../../infra/nats/nats-bus.js";
import { StoreError } from "../../../infra/store-error.js";
import type { Store } from "../../../infra/store.js";
import { KvError } from "../../../protocol/errors.js";
import type { NodeName } from "../../../protocol/ids.js";
import { Names, type SingleKeyVerb } from "../../../protocol/nats/subjects.js";
import { positionOf } from "../../../protocol/position.js";
import type { RingShard, RingTable } from "../../../protocol/ring/ring.js";
import { Disk } from "../../support/memory-store.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { NotedLogger } from "../../support/noted-logger.js";
import { until } from "../../support/until.js";

const names = new Names("kv");
const node = "n1" as NodeName;

describe("replica host", function () {
  this.timeout(60_000);
  let server: TestServer;
  let bus: NatsBus;
  let ring: RingTable;
  let logger: NotedLogger;
  let host: ReplicaHost;
  let running: Promise<void>;
  let disk: Disk;
  let openCount: number;
  let openFails: Error | undefined;
  let readFails: Error | undefined;
  let findDamage: (error: Error) => void;

  before(async () => {
    server = await startTestServer();
    const onFailure = (error: unknown): void => {
      throw error;
    };
    bus = await connectBus({ url: server.url, name: "test", clock: systemClock, onFailure });
    logger = new NotedLogger();
    const common = { clock: systemClock, replicas: 1, onFailure };
    const bucket = await RingBucket.open({ bus, bucket: names.ringBucket, ...common });
    const maker = new StreamMaker(names, bus, 1, logger);
    const keeper = new RingKeeper(bucket, maker, systemClock, systemChance, logger);
    const wish = { store: "kv", positionCount: 4, nodes: [node], replicas: 1 };
    const limits = { logBytesMax: 16 * 1_024 * 1_024, indexPolicy: { excluded: [] } };
    ring = await keeper.readOrCreate({ ...wish, ...limits }, true);
  });
  after(async () => {
    await bus.close();
    await server.stop();
  });

  beforeEach(() => {
    disk = new Disk();
    openCount = 0;
    openFails = readFails = undefined;
    logger = new NotedLogger();
    const events = new EventStream({
      names,
      bus,
      clock: systemClock,
      bytesMax: 16 * 1_024 * 1_024,
      replicas: 1,
      warn: () => undefined,
    });
    host = new ReplicaHost({
      names,
      node,
      version: "0.0.0",
      shard: ring.shards[0]!,
      epoch: ring.epoch,
      positionCount: ring.positionCount,
      bus,
      events,
      clock: systemClock,
      chance: systemChance,
      logger,
      openStore,
      openLog: () => openLog(ring.shards[0]!),
      forward: () => Promise.reject(new KvError("unavailable", "nowhere to go")),
    });
  });
  afterEach(async () => {
    readFails = undefined;
    await host.close();
    await running;
  });

  async function openStore(onDamage: (error: Error) => void): Promise<Store> {
    openCount += 1;
    findDamage = onDamage;
    await Promise.resolve();
    if (openFails !== undefined) throw openFails;
    const store = disk.open();
    const getMany: Store["getMany"] = (keys) =>
      readFails === undefined ? store.getMany(keys) : Promise.reject(readFails);
    return {
      getMany,
      write: (batch, options) => store.write(batch, options),
      iterate: (range) => store.iterate(range),
      bytes: () => store.bytes(),
      close: () => store.close(),
    };
  }

  function openLog({ shard, logId: id }: RingShard): JetstreamLog {
    const [stream, subject] = [names.logStream(shard, id), names.log(shard, id)];
    return new JetstreamLog({ shard, id, stream, subject, bus, pulls: bus, clock: systemClock });
  }

  it("starts the replica again after its store has failed, and it serves what it had", async () => {
    running = host.run();
    await until(() => host.isSettled, 10_000, "serving");
    await ask("set", "a", "1");
    readFails = new StoreError("failed", "the disk is gone");
    bus.publish(subjectOf("get", "a"), new Uint8Array(), { reply: "nobody.listens" });
    await until(() => !host.isSettled, 10_000, "the failure");
    await until(() => host.report().reason !== undefined, 10_000, "its reason");
    expect(host.report()).to.include({ state: "loading", reason: "the disk is gone" });
    expect(logger.messages("error")).to.deep.equal(["a replica failed; starting it again"]);
    readFails = undefined;
    await until(() => host.isSettled, 20_000, "serving again");
    const reply = await ask("get", "a");
    expect(Buffer.from(reply.data).toString()).to.equal("1");
    expect(openCount).to.equal(2);
    expect(host.report()).to.include({ state: "serving", keys: 1 });
    expect(host.report()).to.not.have.property("reason");
  });

  it("starts a replica again whose store has found damage, though nobody reads it", async () => {
    running = host.run();
    await until(() => host.isSettled, 10_000, "serving");
    findDamage(new StoreError("damaged", "a block is damaged"));
    await until(() => host.report().reason !== undefined, 10_000, "its reason");
    expect(host.report()).to.include({ state: "loading", reason: "a block is damaged" });
    expect(logger.messages("error")).to.deep.equal(["a replica failed; starting it again"]);
    await until(() => host.isSettled, 20_000, "serving again");
    expect(openCount).to.equal(2);
  });

  it("tells why its store cannot be opened, and tries again", async () => {
    openFails = new StoreError("damaged", "a file is missing");
    running = host.run();
    await until(() => host.report().reason !== undefined, 10_000, "its reason");
    expect(host.report()).to.include({ state: "loading", reason: "a file is missing" });
    openFails = undefined;
    await until(() => host.isSettled, 20_000, "serving");
    expect(openCount).to.equal(2);
  });

  it("ends although it is told so while its store is being opened", async () => {
    running = host.run();
    await host.close();
    await running;
    expect(host.isSettled).to.equal(false);
  });

  it("is a service of NATS while it runs, with the figures of its verbs", async () => {
    running = host.run();
    await until(() => host.isSettled, 10_000, "serving");
    await ask("set", "a", "1");
    await ask("get", "none");
    const stats = await service("STATS");
    expect(stats.metadata).to.deep.equal({ node: "n1", store: "kv", shard: "s1" });
    const figures = new Map(stats.endpoints.map((endpoint) => [endpoint.name, endpoint]));
    expect(figures.get("set")).to.include({ num_requests: 1, num_errors: 0 });
    expect(figures.get("get")).to.include({ num_requests: 1, num_errors: 1 });
    expect(figures.get("get")?.last_error).to.match(/^404:/);
    expect(figures.get("find")).to.include({ num_requests: 0, subject: "kv.shard.s1.find" });
    await host.close();
    await running;
    const error = await service("PING").catch((reason: unknown) => reason);
    expect(error).to.include({ kind: "unavailable" });
  });

  function ask(verb: SingleKeyVerb, key: string, value = ""): Promise<Message> {
    return bus.request(subjectOf(verb, key), Buffer.from(value), { timeoutMs: 2_000 });
  }

  /** As the mapping for a ring of so few positions would have it. */
  function subjectOf(verb: SingleKeyVerb, key: string): string {
    return names.ring(positionOf(key, ring.positionCount), verb, key);
  }

  async function service(kind: string): Promise<Stats> {
    const subject = `$SRV.${kind}.ringdex-replica`;
    const reply = await bus.request(subject, new Uint8Array(), { timeoutMs: 2_000 });
    return JSON.parse(Buffer.from(reply.data).toString()) as Stats;
  }
});

interface Stats {
  readonly metadata: Readonly<Record<string, string>>;
  readonly endpoints: { readonly name: string; readonly last_error: string }[];
}
