/**
 * Relays of one shard over an in-memory log and stream: whatever happens to them, who reads the
 * events has the records, and sees each change once.
 */
import { expect } from "chai";
import fc from "fast-check";
import { readMarker } from "../../../actors/relay/relay-core.js";
import type { LogId, Sequence } from "../../../protocol/ids.js";
import { outcomeKey } from "../../../protocol/store/store-keys.js";
import { EventConsumer, type Rebuilt } from "../../support/event-consumer.js";
import { ManualClock, seededChance } from "../../support/manual-clock.js";
import { MemoryNetwork, type MemoryBus } from "../../support/memory-bus.js";
import { MemoryEventStream, type MemoryEvents } from "../../support/memory-events.js";
import { MemoryStream, type MemoryLog } from "../../support/memory-log.js";
import { Disk, type StoreCall } from "../../support/memory-store.js";
import { EntryWriter, names, RelayReplica, type Wanted } from "../../support/relay-shard.js";

interface Node {
  readonly replica: RelayReplica;
  readonly events: MemoryEvents;
  readonly bus: MemoryBus;
  readonly log: MemoryLog;
}

class Shard {
  readonly clock = new ManualClock();
  readonly stream: MemoryStream;
  readonly events: MemoryEventStream;
  readonly network: MemoryNetwork;
  readonly entries = new EntryWriter();
  readonly nodes: Node[] = [];
  /** What a node's disk waits for. */
  pause: (node: string, call: StoreCall) => Promise<void> = () => Promise.resolve();

  constructor(isDurable = true, id = "00000000000000a1") {
    this.stream = new MemoryStream({ clock: this.clock, id });
    this.events = new MemoryEventStream(this.clock, isDurable);
    this.network = new MemoryNetwork({ clock: this.clock, chance: seededChance(1) });
    this.stream.take(this.entries.genesis(id as LogId));
    this.stream.take(this.entries.open());
  }

  async add(count: number): Promise<Node[]> {
    for (let rank = this.nodes.length; count > 0; rank += 1, count -= 1) {
      const node = `n${rank + 1}`;
      const { clock } = this;
      const parts = {
        log: this.stream.open(),
        events: this.events.connect(),
        bus: this.network.connect(node),
      };
      const store = new Disk((call) => this.pause(node, call)).open();
      const replica = new RelayReplica({ node, rank, clock, store, ...parts });
      this.nodes.push({ replica, ...parts });
      await replica.start();
    }
    return this.nodes;
  }

  write(...wanted: Wanted[]): void {
    this.stream.take(this.entries.operations(wanted.map((each) => [each])));
  }

  set(key: string, value: unknown = 1): void {
    const bytes = Buffer.from(JSON.stringify(value));
    this.write({ verb: "set", key, value: bytes, contentType: "application/json", ttl: "never" });
  }

  get active(): Node | undefined {
    return this.nodes.find(({ replica }) => replica.relay.status().active);
  }

  /** Until somebody has published all that the log holds, and written so down. */
  async published(limitMs = 60_000): Promise<void> {
    const last = this.stream.last;
    await this.clock.runUntil(() => {
      const marker = this.events.lastOn(names.relayMarker(this.stream.shard));
      return marker !== undefined && (readMarker(marker)?.sequence ?? 0) >= last;
    }, limitMs);
  }

  lastMarker(): ReturnType<typeof readMarker> {
    const stored = this.events.lastOn(names.relayMarker(this.stream.shard));
    return stored && readMarker(stored);
  }

  consume(): EventConsumer {
    return new EventConsumer().takeAll(this.events.messages);
  }

  /** The events tell what the stores hold. */
  async compare(consumer = this.consume()): Promise<void> {
    const [first] = this.nodes;
    const records = await (first as Node).replica.records();
    const expected = new Map<string, Rebuilt>();
    for (const [key, { revision, contentType, value, updatedAt, expiresAt }] of records) {
      const time = (at: number): string => new Date(at).toISOString();
      expected.set(key, {
        revision,
        contentType,
        value: Buffer.from(value).toString("base64"),
        updatedAt: time(updatedAt),
        expiresAt: expiresAt === 0 ? undefined : time(expiresAt),
      });
    }
    expect(consumer.records).to.deep.equal(expected);
  }

  async stop(): Promise<void> {
    const all = Promise.all(this.nodes.map(({ replica }) => replica.stop()));
    await this.clock.resolve(all);
    expect(this.nodes.flatMap(({ replica }) => replica.failures)).to.deep.equal([]);
    expect(this.network.failures).to.deep.equal([]);
  }
}

describe("relay", () => {
  let shard: Shard;
  beforeEach(() => {
    shard = new Shard();
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

  it("is active at one replica only, the home first", async () => {
    const [home, other] = await shard.add(2);
    await shard.clock.advance(10_000);
    expect(home?.replica.relay.status().active).to.equal(true);
    expect(other?.replica.relay.status().active).to.equal(false);
    expect(other?.replica.lines).to.deep.equal([]);
  });

  it("writes no marker while nothing happens", async () => {
    await shard.add(2);
    await shard.published();
    const { last } = shard.events;
    await shard.clock.advance(60_000);
    expect(shard.events.last).to.equal(last);
  });

  it("goes on at another replica at once when it is stopped", async () => {
    const [home, other] = await shard.add(2);
    shard.set("a");
    await shard.published();
    shard.set("b");
    await shard.clock.resolve((home as Node).replica.stop());
    shard.set("c");
    await shard.published(2_500);
    expect(other?.replica.relay.status()).to.include({ active: true });
    await shard.clock.runUntil(() => other?.replica.applied.sequence === shard.stream.last);
    shard.nodes.reverse();
    await shard.compare();
  });

  it("goes on at another replica when it falls silent; what it sends late is refused", async () => {
    const [home, other] = await shard.add(2);
    shard.set("a");
    await shard.published();
    const { events, bus } = home as Node;
    events.isPaused = true;
    bus.disconnect();
    shard.set("b", "from the old one");
    await shard.clock.advance(1_000);
    await shard.published();
    expect(other?.replica.relay.status().active).to.equal(true);
    const { last } = shard.events;
    events.resume();
    bus.reconnect();
    await shard.clock.advance(10_000);
    expect(shard.events.last).to.equal(last);
    expect(home?.replica.relay.status().active).to.equal(false);
    shard.set("c");
    await shard.published();
    await shard.compare();
  });

  it("leaves out what its predecessor published after its last marker", async () => {
    const [home] = await shard.add(2);
    await shard.published();
    for (const key of ["a", "b", "c", "d", "e", "f"]) shard.set(key);
    await shard.clock.runUntil(() => shard.consume().eventCount >= 3);
    home?.events.disconnect(2);
    home?.bus.disconnect();
    await shard.published();
    expect(shard.consume().eventCount).to.equal(6);
    await shard.compare();
  });

  it("leaves that out when a relay between them wrote no more than its first marker", async () => {
    const [home, second] = await shard.add(3);
    await shard.published();
    for (const key of ["a", "b", "c", "d", "e", "f"]) shard.set(key);
    await shard.clock.runUntil(() => shard.consume().eventCount >= 3);
    cut(home);
    await shard.clock.runUntil(() => shard.lastMarker()?.node === "n2");
    cut(second);
    await shard.published();
    expect(shard.lastMarker()?.node).to.equal("n3");
    expect(shard.consume().eventCount).to.equal(6);
  });

  it("leaves that out when a relay between them came to its end on the way", async () => {
    let isHeld = false;
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    shard.pause = async (node, call) => {
      if (!isHeld || node !== "n2" || call !== "write") return;
      if ((shard.nodes[1]?.replica.applied.sequence ?? 0) >= 5) await held;
    };
    const [home, second] = await shard.add(3);
    await shard.published();
    isHeld = true;
    for (const key of ["a", "b", "c"]) shard.set(key);
    await shard.clock.runUntil(() => second?.replica.applied.sequence === 5);
    for (const key of ["d", "e", "f"]) shard.set(key);
    await shard.clock.runUntil(() => shard.consume().eventCount === 6);
    expect(shard.lastMarker()?.sequence).to.equal(2);
    cut(home);
    await shard.clock.runUntil(() => shard.lastMarker()?.sequence === 5);
    expect(shard.lastMarker()?.node).to.equal("n2");
    cut(second);
    await shard.published();
    expect(shard.lastMarker()?.node).to.equal("n3");
    expect(shard.consume().eventCount).to.equal(6);
    release();
  });

  it("resets a position of which a message was lost while later ones landed", async () => {
    await shard.add(2);
    await shard.published();
    let refused = 0;
    shard.events.refuses = ({ subject }) => subject === "kv.event.set.a" && refused++ === 0;
    const keys = ["a", "a", "b", "a", "c"];
    shard.write(
      ...keys.map(
        (key) =>
          ({
            verb: "set",
            key,
            value: Buffer.from("1"),
            contentType: "application/json",
            ttl: "never",
          }) as const,
      ),
    );
    await shard.published();
    expect(refused).to.be.greaterThan(0);
    const perPosition = new Map<string, number>();
    for (const { headers, subject } of shard.events.messages) {
      if (!names.isEvent(subject)) continue;
      const position = headers?.get("kv-position")?.[0] ?? "";
      const revision = Number(headers?.get("kv-revision")?.[0]);
      if (subject === "kv.event.reset._") perPosition.set(position, revision);
    }
    expect(perPosition.size).to.equal(1);
    const before = shard.events.messages.length;
    shard.set("a", 2);
    shard.set("b", 2);
    await shard.published();
    const events = shard.events.messages.slice(before).filter(({ subject }) => {
      return names.isEvent(subject);
    });
    expect(events.map(({ subject }) => subject)).to.deep.equal([
      "kv.event.set.a",
      "kv.event.set.b",
    ]);
    const revision = Number(events[0]?.headers?.get("kv-revision")?.[0]);
    expect(revision).to.equal([...perPosition.values()][0]! + 1);
  });

  it("publishes again what a crash of the server took, and nothing else", async () => {
    const [home] = await shard.add(1);
    shard.set("a");
    await shard.published();
    const { last } = shard.events;
    shard.set("b");
    await shard.published();
    shard.set("c");
    await shard.published();
    shard.events.truncate(last + 1);
    home?.events.disconnect();
    home?.events.reconnect();
    shard.set("d");
    await shard.published();
    expect(shard.consume().eventCount).to.equal(4);
    await shard.compare();
  });

  it("resets all positions where the outcomes of its place are gone", async () => {
    const [home] = await shard.add(1);
    shard.set("a");
    await shard.published();
    const { replica } = home as Node;
    replica.relay.stop();
    await shard.clock.advance(3_000);
    shard.set("b");
    shard.set("c");
    await shard.clock.runUntil(() => replica.applied.sequence === shard.stream.last);
    const key = outcomeKey((shard.stream.last - 1) as Sequence);
    await replica.store.write([{ type: "del", key }], { sync: false });
    replica.startRelay();
    await shard.published();
    const consumer = shard.consume();
    expect(consumer.resets).to.have.length(4);
    for (const { position, revision } of consumer.resets) {
      expect(revision).to.equal(replica.applied.table.revision(position as never));
    }
    const before = shard.events.messages.length;
    shard.set("d");
    await shard.published();
    const events = shard.events.messages.slice(before).map(({ subject }) => subject);
    expect(events).to.deep.equal(["kv.event.set.d", "kv.relay.s1"]);
    consumer.takeAll(shard.events.messages.slice(before));
  });

  it("resets all positions where the last marker is not one of ours", async () => {
    const [home] = await shard.add(1);
    shard.set("a");
    await shard.published();
    const { replica } = home as Node;
    replica.relay.stop();
    await shard.clock.advance(3_000);
    const subject = names.relayMarker(shard.stream.shard);
    const fence = { subject, sequence: shard.events.lastOn(subject)?.sequence as Sequence };
    shard.events.take({ subject, headers: [], data: Buffer.from("not JSON") }, fence);
    const before = shard.events.messages.length;
    replica.startRelay();
    await shard.published();
    const events = shard.events.messages.slice(before).map((event) => event.subject);
    // What had been published already does not come again.
    expect(events.filter((each) => each.startsWith("kv.event.set."))).to.deep.equal([]);
    expect(events.filter((each) => each === "kv.event.reset._")).to.have.length(4);
  });

  it("resets all positions when the log is trimmed before its place", async () => {
    const [home] = await shard.add(1);
    shard.set("a");
    await shard.published();
    home?.replica.relay.stop();
    await shard.clock.advance(3_000);
    shard.set("b");
    shard.set("c");
    await shard.clock.runUntil(() => home?.replica.applied.sequence === shard.stream.last);
    shard.stream.trim(shard.stream.last);
    home?.replica.startRelay();
    await shard.published();
    expect(shard.consume().resets).to.have.length(4);
  });

  it("publishes nothing of a log that is not the one that was applied", async () => {
    const [home] = await shard.add(1);
    shard.set("a");
    await shard.published();
    const { replica } = home as Node;
    replica.relay.stop();
    await shard.clock.advance(3_000);
    shard.set("b");
    await shard.clock.runUntil(() => replica.applied.sequence === shard.stream.last);
    await shard.clock.resolve(replica.stop());
    const before = shard.consume().eventCount;
    const others = new EntryWriter();
    for (let count = 0; count < 9; count += 1) others.barrier();
    const value = { value: Buffer.from("2"), contentType: "application/json" } as const;
    const other = others.operations([[{ verb: "set", key: "c", ...value, ttl: "never" }]]);
    shard.stream.replace(shard.stream.last - 1, [other]);
    replica.startRelay();
    await shard.clock.runUntil(() => replica.lines.includes("the relay stands by"));
    await shard.clock.advance(5_000);
    expect(shard.consume().eventCount).to.equal(before);
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

  it("counts a place as durable at once, or five minutes after it was seen", async () => {
    await shard.add(2);
    shard.set("a");
    await shard.published();
    await shard.clock.advance(11_000);
    const place = shard.stream.last;
    for (const { replica } of shard.nodes) expect(replica.relay.durablePlace()).to.equal(place);
    await shard.stop();
    shard = new Shard(false);
    await shard.add(2);
    shard.set("a");
    await shard.published();
    await shard.clock.advance(280_000);
    for (const { replica } of shard.nodes) expect(replica.relay.durablePlace()).to.equal(0);
    await shard.clock.advance(50_000);
    for (const { replica } of shard.nodes) expect(replica.relay.durablePlace()).to.equal(3);
  });

  it("tells the records by its events, whatever operations and faults there are", async () => {
    const seeds = fc.integer({ min: 0, max: 2 ** 31 });
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const random = new Shard(seed % 2 === 0);
        await playWithFaults(random, seed);
        await random.stop();
      }),
      { numRuns: 25 },
    );
  }).timeout(60_000);
});

function cut(node: Node | undefined): void {
  node?.events.disconnect();
  node?.bus.disconnect();
}

/** Random entries, and relays that are stopped, cut off and paused meanwhile. */
async function playWithFaults(shard: Shard, seed: number): Promise<void> {
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
