/**
 * Nobody can make a node or JetStream write for him what he must not write himself: nats-server
 * does not check where a request wants its reply, nor where a consumer wants to deliver.
 */
import { expect } from "chai";
import { AckPolicy, type NatsConnection } from "nats";
import { systemClock } from "../../infra/clock.js";
import { JetstreamLog } from "../../infra/jetstream/jetstream-log.js";
import { connectBus } from "../../infra/nats/nats-bus.js";
import type { LogId, Sequence, ShardId } from "../../protocol/ids.js";
import { Names } from "../../protocol/nats/subjects.js";
import { parseRing } from "../../protocol/ring/ring.js";
import { until } from "../support/until.js";
import { startSecureStore, type SecureStore } from "./secure-store.js";

const names = new Names("kv");

describe("a reply subject", function () {
  this.timeout(120_000);
  let store: SecureStore;
  let node: NatsConnection;
  let logSubject: string;
  let logStream: string;
  before(async () => {
    store = await startSecureStore();
    node = await store.nats("node");
    const [shard] = parseRing((await node.request("kv.ring", "")).json()).shards;
    logSubject = names.log(shard?.shard as ShardId, shard?.logId as LogId);
    logStream = names.logStream(shard?.shard as ShardId, shard?.logId as LogId);
    const writer = await store.client("writer");
    await writer.set("victim", "untouched");
    await writer.set("loot", { any: "bytes that a writer likes" });
  });
  after(async () => {
    await store.stop();
  });

  it("of a reader makes no node write, and the request is still answered elsewhere", async () => {
    const reader = await store.nats("reader");
    const targets = [
      logSubject,
      "$KV.kv-ring.ring",
      `$JS.API.STREAM.DELETE.${logStream}`,
      "kv.set.victim",
      "kv.ring.5.set.victim",
      "kv.event.set.victim",
      "kv.relay.s1",
      "kv.node.n1.repair",
      "$SRV.PING",
    ];
    const untouched = await stateOf(node, logStream);
    let seenCount = 0;
    for (const target of targets) {
      node.subscribe(target, {
        callback: (error, message) => {
          if (error === null && message.string().includes("bytes that")) seenCount += 1;
        },
      });
    }
    await node.flush();
    for (const target of targets) {
      for (const subject of ["kv.get.loot", "kv.find", "kv.ring", "kv.get"]) {
        reader.publish(subject, '{"key":"loot"}', { reply: target });
      }
    }
    // Answers of one node come in order, and every node has some of these.
    for (let count = 0; count < 50; count++) await reader.request("kv.get.loot", "");
    await node.flush();
    expect(seenCount).to.equal(0);
    await expectWhole();
    expect(await stateOf(node, logStream)).to.deep.equal(untouched);
  });

  it("of an event consumer stays in its own account", async () => {
    const events = await store.nats("events");
    const api = await events.jetstreamManager({ domain: "kv", checkAPI: false });
    const config = { name: "deputy", ack_policy: AckPolicy.None, filter_subject: "kv.event.>" };
    await api.consumers.add("kv-events", config);
    // Until relays have written down how far they are, they write by themselves.
    await until(() => areMarked(node));
    const untouched = await Promise.all(streams().map((stream) => stateOf(node, stream)));
    for (const target of [logSubject, "$KV.kv-ring.ring", "kv.relay.s1", "kv.set.victim"]) {
      for (const asked of [
        "STREAM.INFO.kv-events",
        "CONSUMER.INFO.kv-events.deputy",
        "CONSUMER.MSG.NEXT.kv-events.deputy",
        "CONSUMER.CREATE.kv-events.deputy2",
      ]) {
        events.publish(`$JS.kv.API.${asked}`, "", { reply: target });
      }
      events.publish("kv.ring", "", { reply: target });
    }
    // JetStream answers requests of one connection in order.
    await api.consumers.info("kv-events", "deputy");
    await api.streams.info("kv-events");
    await expectWhole();
    expect(await Promise.all(streams().map((stream) => stateOf(node, stream)))).to.deep.equal(
      untouched,
    );
  });

  it("of a consumer that delivers into a log brings nothing there", async () => {
    const events = await store.nats("events");
    const writer = await store.client("writer");
    // Bytes of a true entry: what a writer could set as a value, to have it delivered.
    const manager = await node.jetstreamManager();
    const { data } = await manager.streams.getMessage(logStream, { seq: 2 });
    await writer.set("loot.entry", data, { contentType: "application/octet-stream" });
    const before = await stateOf(node, logStream);
    const delivered = await deliverToLog(events, "push", "kv.event.set.loot.entry");
    await until(async () => (await delivered()) === 1, 10_000, "the delivery");
    await expectWhole();
    // Events have a condition that only their own stream meets.
    expect(await stateOf(node, logStream)).to.deep.equal(before);
  });

  it("of a consumer leads no shard astray, even where a message comes into a log", async () => {
    const events = await store.nats("events");
    const manager = await node.jetstreamManager();
    const { data } = await manager.streams.getMessage(logStream, { seq: 2 });
    // Only a node can: an event without a condition.
    await node.jetstream().publish("kv.event.set.raw", data);
    const before = await stateOf(node, logStream);
    await deliverToLog(events, "push-raw", "kv.event.set.raw");
    const isThere = async (): Promise<boolean> =>
      (await stateOf(node, logStream)).last > before.last;
    await until(isThere, 10_000, "the delivery into the log");
    const writer = await store.client("writer");
    await writer.setMany(Array.from({ length: 64 }, (_, n) => ({ key: `after.${n}`, value: n })));
    await expectWhole();
    const { replicas } = (await node.request("kv.status", "")).json<{
      replicas: { state: string }[];
    }>();
    expect(replicas.map(({ state }) => state)).to.deep.equal(replicas.map(() => "serving"));
  });

  it("of a consumer leaves a message its subject, and then no log reads its bytes", async () => {
    const clock = systemClock;
    const bus = await connectBus({
      url: store.url,
      credentials: {
        user: "node",
        password: store.passwordOf("node"),
        tlsCaFile: store.caFile,
      },
      name: "test",
      clock,
      onFailure: (error) => {
        throw error;
      },
    });
    try {
      const subject = logSubject;
      const [, , shard, id] = subject.split(".");
      const log = new JetstreamLog({
        bus,
        pulls: bus,
        subject,
        stream: logStream,
        shard: shard as ShardId,
        id: id as LogId,
        clock,
      });
      const { last } = await log.state();
      const foreign: number[] = [];
      const consumer = log.consume(0 as Sequence);
      for (let sequence = 0; sequence < last;) {
        const delivery = await consumer.next();
        if (delivery?.kind !== "messages") continue;
        for (const message of delivery.messages) {
          sequence = message.sequence;
          if (message.data.length === 0) foreign.push(sequence);
        }
      }
      consumer.stop();
      expect(foreign).to.have.lengthOf(1);
      expect((await log.read(foreign[0] as Sequence))?.data).to.have.lengthOf(0);
      expect((await log.read(1 as Sequence))?.data.length).to.be.greaterThan(0);
    } finally {
      await bus.close();
    }
  });

  /** The result tells how many messages were delivered. */
  async function deliverToLog(
    events: NatsConnection,
    name: string,
    filter_subject: string,
  ): Promise<() => Promise<number>> {
    const api = await events.jetstreamManager({ domain: "kv", checkAPI: false });
    const ack_policy = AckPolicy.None;
    await api.consumers.add("kv-events", {
      name,
      ack_policy,
      filter_subject,
      deliver_subject: logSubject,
    });
    return async () => (await api.consumers.info("kv-events", name)).delivered.consumer_seq;
  }

  function streams(): string[] {
    return [logStream, "KV_kv-ring", "kv-events"];
  }

  async function expectWhole(): Promise<void> {
    const manager = await node.jetstreamManager();
    const ring = await manager.streams.getMessage("KV_kv-ring", {
      last_by_subj: "$KV.kv-ring.ring",
    });
    expect(ring.json()).to.have.property("shards");
    expect((await node.request("kv.get.victim", "")).string()).to.equal('"untouched"');
  }
});

/** True if each shard's marker in the events stream tells of its whole log. */
async function areMarked(node: NatsConnection): Promise<boolean> {
  const manager = await node.jetstreamManager();
  const { shards } = parseRing((await node.request("kv.ring", "")).json());
  const marked = shards.map(async ({ shard, logId }) => {
    const { last } = await stateOf(node, names.logStream(shard, logId));
    const subject = `kv.relay.${shard}`;
    const wanted = { last_by_subj: subject };
    const marker = await manager.streams.getMessage("kv-events", wanted).catch(() => undefined);
    return (marker?.json<{ sequence: number }>().sequence ?? 0) >= last;
  });
  return (await Promise.all(marked)).every(Boolean);
}

async function stateOf(
  node: NatsConnection,
  stream: string,
): Promise<{ first: number; last: number }> {
  const manager = await node.jetstreamManager();
  const { state } = await manager.streams.info(stream);
  return { first: state.first_seq, last: state.last_seq };
}
