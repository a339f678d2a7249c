/**
 * Relays over a real nats-server that flushes each message of a log: fencing, taking over, and
 * what a crash leaves of a stream that is written asynchronously.
 */
import { expect } from "chai";
import { readMarker } from "../../../actors/relay/relay-core.js";
import { systemChance, systemClock } from "../../../infra/clock.js";
import type { StoredEvent } from "../../../infra/events.js";
import { EventStream } from "../../../infra/jetstream/event-stream.js";
import { createLogStream, JetstreamLog } from "../../../infra/jetstream/jetstream-log.js";
import { connectBus, type NatsBus } from "../../../infra/nats/nats-bus.js";
import type { LogId, Sequence, ShardId } from "../../../protocol/ids.js";
import { EventConsumer } from "../../support/event-consumer.js";
import type { Wanted } from "../../support/log-writer.js";
import { MemoryNetwork } from "../../support/memory-bus.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { EntryWriter, names, RelayReplica } from "../../support/relay-shard.js";
import { until } from "../../support/until.js";

const shard = "s1" as ShardId;

const id = "00000000000000b2" as LogId;

const clock = systemClock;

describe("relay over JetStream", function () {
  this.timeout(60_000);
  let server: TestServer;
  const entries = new EntryWriter();
  const buses: NatsBus[] = [];
  const replicas: RelayReplica[] = [];
  const failures: unknown[] = [];
  let events: EventStream;
  let log: JetstreamLog;

  const connect = async (): Promise<NatsBus> => {
    const onFailure = (error: unknown): void => void failures.push(error);
    const bus = await connectBus({ url: server.url, name: "test", clock, onFailure });
    buses.push(bus);
    return bus;
  };
  const openEvents = (bus: NatsBus): EventStream =>
    new EventStream({ names, bus, clock, bytesMax: 64 * 1_024 ** 2, replicas: 1 });
  const openLog = (bus: NatsBus, pulls: NatsBus): JetstreamLog => {
    const stream = names.logStream(shard, id);
    const subject = names.log(shard, id);
    return new JetstreamLog({ shard, id, stream, subject, bus, pulls, clock, heartbeatMs: 200 });
  };
  const append = async (data: Uint8Array): Promise<void> => {
    const appended = await log.append(data, 5_000);
    expect(appended.kind).to.equal("accepted");
  };
  const set = (key: string, value: unknown): Wanted => {
    const bytes = Buffer.from(JSON.stringify(value));
    return { verb: "set", key, value: bytes, contentType: "application/json", ttl: "never" };
  };
  const start = async (rank: number, deaf = false): Promise<RelayReplica> => {
    const [bus, pulls] = await Promise.all([connect(), connect()]);
    const heard = deaf ? new MemoryNetwork({ clock, chance: systemChance }).connect("deaf") : bus;
    const parts = { log: openLog(bus, pulls), events: openEvents(bus), bus: heard, clock };
    const replica = new RelayReplica({ node: `n${rank + 1}`, rank, ...parts });
    replicas.push(replica);
    await replica.start();
    return replica;
  };
  const published = async (): Promise<void> => {
    const { last } = await log.state();
    await until(
      async () => {
        const marker = await events.last(names.relayMarker(shard)).catch(() => undefined);
        return marker !== undefined && (readMarker(marker)?.sequence ?? 0) >= last;
      },
      20_000,
      `a marker at ${last}`,
    );
  };
  const all = async (): Promise<StoredEvent[]> => {
    const { last } = await events.state();
    const found: StoredEvent[] = [];
    for await (const batch of events.read(0 as Sequence, last)) found.push(...batch);
    return found;
  };

  before(async () => {
    server = await startTestServer({ syncAlways: true });
    const [bus, pulls] = await Promise.all([connect(), connect()]);
    events = openEvents(bus);
    log = openLog(bus, pulls);
    const stream = { stream: names.logStream(shard, id), subject: names.log(shard, id) };
    await createLogStream(bus, { ...stream, bytesMax: 256 * 1_024 ** 2, replicas: 1 });
    await append(entries.genesis(id));
    await append(entries.open());
  });
  after(async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    await Promise.all(buses.map((bus) => bus.close()));
    await server.stop();
    expect(replicas.flatMap((replica) => replica.failures)).to.deep.equal([]);
    expect(failures).to.deep.equal([]);
  });

  it("tells each change once, from relay to relay and past the server's death", async () => {
    const home = await start(0);
    await start(1);
    await append(entries.operations([[set("a", 1)], [set("b c", 2)]]));
    await published();
    expect(home.relay.status()).to.deep.equal({ active: true, sequence: 3 });
    home.relay.stop();
    await append(entries.operations([[{ verb: "del", key: "a" }], [set("d", 4)]]));
    await published();
    expect(new EventConsumer().takeAll(await all()).eventCount).to.equal(4);
    await server.kill();
    await server.restart();
    await until(async () => (await log.state().catch(() => undefined)) !== undefined);
    await append(entries.operations([[set("e", 5)]]));
    await published();
    const consumer = new EventConsumer().takeAll(await all());
    expect([...consumer.records.keys()]).to.deep.equal(["b c", "d", "e"]);
    expect(consumer.eventCount).to.equal(5);
    expect(consumer.resets).to.deep.equal([]);
  });

  it("lets two that are active at once publish nothing twice", async () => {
    const lost = (): number =>
      replicas.filter(({ lines }) => lines.includes("the relay is on standby")).length;
    const before = lost();
    // They hear no other, so that each takes over from whoever is active.
    const deaf = await Promise.all([start(0, true), start(0, true)]);
    await until(() => deaf.every(({ relay }) => relay.status().active));
    for (let round = 0; round < 20; round += 1) {
      await append(entries.operations([[set("f", round)], [set("g", round)]]));
    }
    await published();
    const consumer = new EventConsumer().takeAll(await all());
    expect(consumer.records.get("f")?.value).to.equal(Buffer.from("19").toString("base64"));
    expect(lost()).to.be.greaterThan(before);
  });
});
