/**
 * Relays of one shard over an in-memory log and stream: whatever happens to them, who reads the
 * events has the records, and sees each change once.
 */
import { expect } from "chai";
import fc from "fast-check";
import { readMarker } from "../../../actors/relay/relay-core.js";
import type { Sequence } from "../../../protocol/ids.js";
import type { Wanted } from "../../support/log-writer.js";
import { seededChance } from "../../support/manual-clock.js";
import { names, RelayShard } from "../../support/relay-shard.js";

describe("relay", () => {
  let shard: RelayShard;

  beforeEach(() => {
    shard = new RelayShard();
  });

  afterEach(() => shard.stop());

  it("publishes each change once, in order, and writes its place down", async () => {
    await shard.add(1);
    shard.set("a", { n: 1 });
    shard.write({ verb: "incr", key: "a", path: "n", by: 2, ttl: "keep" });
    shard.write({ verb: "del", key: "a" }, { verb: "del", key: "a" });
    shard.set("key with spaces");
    await shard.published();
    const subjects = shard.events.messages.map(({ subject }) => subject);
    expect(subjects.filter((subject) => names.isEvent(subject))).to.deep.equal([
      "kv.event.set.a",
      "kv.event.set.a",
      "kv.event.del.a",
      "kv.event.set._",
    ]);
    expect(subjects.at(0)).to.equal("kv.relay.s1");
    expect(subjects.at(-1)).to.equal("kv.relay.s1");
    await shard.compare();
  });

  it("publishes a last change that was lost on its way, though nothing follows", async () => {
    const [home] = await shard.add(1);
    await shard.published();
    home?.log.dropNextDelivery();
    shard.set("a");
    home?.replica.expect(shard.stream.last);
    await shard.published();
    await shard.compare();
  });

  it("writes no marker while nothing happens", async () => {
    await shard.add(2);
    await shard.published();
    const { last } = shard.events;
    await shard.clock.advance(60_000);
    expect(shard.events.last).to.equal(last);
  });

  it("keeps its marker in the stream while other shards push the oldest out", async () => {
    await shard.add(1);
    shard.set("a");
    await shard.published();
    shard.events.bytesMax = 10_000;
    const marker = shard.events.lastOn("kv.relay.s1");
    const fence = { subject: "kv.relay.s2", sequence: 0 as Sequence };
    const fill = (): void => {
      for (let count = 0; count < 40; count += 1) {
        const data = Buffer.alloc(100);
        shard.events.take({ subject: "kv.event.set.x", headers: [], data }, fence);
      }
    };
    fill();
    await shard.clock.advance(6_000);
    fill();
    expect(shard.events.first).to.be.greaterThan(marker?.sequence as number);
    const now = shard.events.lastOn("kv.relay.s1");
    expect(now && readMarker(now)?.sequence).to.equal(shard.stream.last);
  });

  it("tells the records by its events, whatever operations and faults there are", async () => {
    const seeds = fc.integer({ min: 0, max: 2 ** 31 });
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const random = new RelayShard(seed % 2 === 0);
        await playWithFaults(random, seed);
        await random.stop();
      }),
      { numRuns: 25 },
    );
  }).timeout(60_000);
});

/** Random entries, and relays that are stopped, cut off and paused meanwhile. */
async function playWithFaults(shard: RelayShard, seed: number): Promise<void> {
  const chance = seededChance(seed);
  await shard.add(3);
  for (let step = 0; step < 40; step += 1) {
    const count = 1 + chance.integer(6);
    const groups = Array.from({ length: count }, () => [randomOperation(chance)]);
    shard.stream.take(shard.entries.operations(groups));
    if (chance.happens(0.2)) {
      const { events, bus } = chance.pick(shard.nodes);
      if (chance.happens(0.5)) {
        events.disconnect(chance.integer(5));
        if (chance.happens(0.5)) bus.disconnect();
      } else events.isPaused = true;
    }
    await shard.clock.advance(chance.pick([0, 1, 100, 1_000, 5_000]));
    if (chance.happens(0.3)) {
      for (const { events, bus } of shard.nodes) {
        events.resume();
        events.reconnect();
        bus.reconnect();
      }
    }
  }
  for (const { events, bus } of shard.nodes) {
    events.resume();
    events.reconnect();
    bus.reconnect();
  }
  shard.stream.take(shard.entries.barrier());
  await shard.published();
  const consumer = shard.consume();
  expect(consumer.resets).to.deep.equal([]);
  await shard.clock.runUntil(() => {
    return shard.nodes.every(({ replica }) => replica.applied.sequence === shard.stream.last);
  });
  await shard.compare(consumer);
}

function randomOperation(chance: ReturnType<typeof seededChance>): Wanted {
  const key = chance.pick(["a", "b.c", "d e", "ü", "{t}.1", "{t}.2", "x%y", "z"]);
  const ttl = chance.pick(["never", 1_000, 3_000] as const);
  const contentType = chance.pick(["application/json", "text/plain"] as const);
  const value = Buffer.from(JSON.stringify({ n: chance.integer(100) }));
  return chance.pick<Wanted>([
    { verb: "set", key, value, contentType, ttl },
    { verb: "set", key, value, contentType: "application/json", ttl },
    { verb: "del", key },
    { verb: "patch", key, value, contentType: "application/json", ttl: "keep" },
    { verb: "incr", key, path: "n", by: 1, ttl: "keep" },
    { verb: "touch", key, ttl },
    { verb: "check", key },
  ]);
}
