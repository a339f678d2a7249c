/**
 * A relay whose shard goes on in another log (rule L3): what its consumers see of the change.
 */
import { expect } from "chai";
import { readMarker } from "../../../actors/relay/relay-core.js";
import { chainHex } from "../../../protocol/entry.js";
import type { LogId, Origin } from "../../../protocol/ids.js";
import { positionOf } from "../../../protocol/position.js";
import { outcomeKey } from "../../../protocol/store-keys.js";
import { EventConsumer } from "../../support/event-consumer.js";
import { ManualClock, seededChance } from "../../support/manual-clock.js";
import { MemoryEventStream } from "../../support/memory-events.js";
import { MemoryNetwork } from "../../support/memory-bus.js";
import { MemoryStream } from "../../support/memory-log.js";
import { Disk } from "../../support/memory-store.js";
import { EntryWriter, names, POSITIONS, RelayReplica } from "../../support/relay-shard.js";
import { appliedRow } from "../../support/store-check.js";

const OLD = "00000000000000a1" as LogId;
const NEW = "00000000000000b2" as LogId;

describe("relay of a shard that goes on in another log", () => {
  let clock: ManualClock;
  let events: MemoryEventStream;
  let network: MemoryNetwork;
  let old: MemoryStream;
  let entries: EntryWriter;
  let replica: RelayReplica;
  const disk = { n1: new Disk(), n2: new Disk() };

  beforeEach(async () => {
    clock = new ManualClock();
    events = new MemoryEventStream(clock);
    network = new MemoryNetwork({ clock, chance: seededChance(1) });
    old = new MemoryStream({ clock, id: OLD });
    entries = new EntryWriter();
    disk.n1 = new Disk();
    disk.n2 = new Disk();
    old.take(entries.genesis(OLD));
    old.take(entries.open());
    replica = await started("n1", old);
    for (let number = 0; number < 12; number += 1) write(old, `k${number}`, number);
    await published(old);
  });
  afterEach(async () => {
    await clock.resolve(replica.stop());
    expect(replica.failures).to.deep.equal([]);
  });

  it("goes on with the next change where all before are published", async () => {
    const next = await goOn();
    write(next, "k1", "after");
    await published(next);
    const consumer = consumed();
    expect(consumer.resets).to.deep.equal([]);
    expect(consumer.eventCount).to.equal(13);
    expect(lastMarker()).to.include({ logId: NEW, sequence: next.last });
  });

  it("takes what stands after the last marker for published", async () => {
    write(old, "k1", "unmarked");
    write(old, "k2", "unmarked");
    await clock.runUntil(() => consumed().eventCount === 14);
    // It ends without a word, before it has marked.
    const last = events.messages.findLast(({ subject }) => names.isEvent(subject))!.sequence;
    const next = await goOn(() => events.truncate(last));
    write(next, "k1", "after");
    await published(next);
    const consumer = consumed();
    expect(consumer.resets).to.deep.equal([]);
    expect(consumer.eventCount).to.equal(15);
  });

  it("resets just the positions whose changes were not published", async () => {
    const before = events.last;
    write(old, "k1", "lost");
    await published(old);
    const next = await goOn(() => events.truncate(before));
    write(next, "k1", "after");
    write(next, "k2", "after");
    await published(next);
    const consumer = consumed();
    expect(consumer.resets.map(({ position }) => position)).to.deep.equal([
      positionOf("k1", POSITIONS),
    ]);
    expect(consumer.eventCount).to.equal(15);
  });

  for (const isMarked of [false, true]) {
    const where = isMarked ? "before the last marker" : "after it";
    it(`takes back what is no part of the shard any more, published ${where}`, async () => {
      // Another replica's store had it, and is given up.
      const other = await started("n2", old);
      await clock.runUntil(() => other.applied.sequence === old.last);
      await clock.resolve(replica.stop());
      for (let number = 0; number < 3; number += 1) write(old, "k1", `given up ${number}`);
      await clock.runUntil(() => consumed().eventCount === 15);
      const last = events.messages.findLast(({ subject }) => names.isEvent(subject))!.sequence;
      await clock.resolve(other.stop());
      const position = positionOf("k1", POSITIONS);
      const revision = replica.applied.table.revision(position);
      const next = await goOn(() => (isMarked ? undefined : events.truncate(last)));
      await published(next);
      write(next, "k1", "after");
      write(next, "k2", "after");
      await published(next);
      const consumer = consumed();
      expect(consumer.resets).to.deep.include({ position, revision });
      expect(consumer.resets).to.have.length(isMarked ? POSITIONS : 1);
      const found = consumer.records.get("k1");
      expect(found?.revision).to.equal(revision + 1);
      expect(Buffer.from(found?.value ?? "", "base64").toString()).to.equal('"after"');
    });
  }

  it("resets everything where it is not known any more what changed", async () => {
    write(old, "k1", "unmarked");
    await clock.runUntil(() => consumed().eventCount === 13);
    const last = events.messages.findLast(({ subject }) => names.isEvent(subject))!.sequence;
    const next = await goOn(async () => {
      events.truncate(last);
      const store = disk.n1.open();
      await store.write([{ type: "del", key: outcomeKey(old.last) }], { sync: true });
      await store.close();
    });
    await published(next);
    write(next, "k1", "after");
    await published(next);
    const consumer = consumed();
    const told = consumer.records.get("k1");
    expect(Buffer.from(told?.value ?? "", "base64").toString()).to.equal('"after"');
    expect(consumer.resets).to.have.length(POSITIONS);
  });

  it("begins with the shard where nothing was ever published", async () => {
    const next = await goOn(() => events.truncate(0));
    write(next, "k1", "after");
    await published(next);
    const changed = new Set(
      Array.from({ length: 12 }, (_, number) => positionOf(`k${number}`, POSITIONS)),
    );
    expect(new Set(consumed().resets.map(({ position }) => position as never))).to.deep.equal(
      changed,
    );
  });

  /** The replica ends; a log goes on after what its store holds; it starts on that. */
  async function goOn(between: () => unknown = () => undefined): Promise<MemoryStream> {
    await clock.resolve(replica.stop());
    await replica.store.close();
    await between();
    const store = disk.n1.open();
    const row = (await appliedRow(store))!;
    await store.close();
    const { sequence, chain } = row;
    const next = new MemoryStream({ clock, id: NEW, first: sequence + 1 });
    entries = new EntryWriter("cd".repeat(16) as Origin);
    next.take(entries.genesis(NEW, { logId: OLD, sequence, chain: chainHex(chain) }));
    next.take(entries.open());
    replica = await started("n1", next);
    return next;
  }

  async function started(node: "n1" | "n2", log: MemoryStream): Promise<RelayReplica> {
    const made = new RelayReplica({
      node,
      rank: node === "n1" ? 0 : 1,
      clock,
      log: log.open(),
      events: events.connect(),
      bus: network.connect(node),
      store: disk[node].open(),
    });
    await made.start();
    return made;
  }

  function write(log: MemoryStream, key: string, value: unknown): void {
    const bytes = Buffer.from(JSON.stringify(value));
    const ttl = "never";
    const contentType = "application/json";
    log.take(entries.operations([[{ verb: "set", key, value: bytes, contentType, ttl }]]));
  }

  async function published(log: MemoryStream): Promise<void> {
    await clock.runUntil(() => {
      const marker = lastMarker();
      return marker?.logId === log.id && marker.sequence >= log.last;
    }, 60_000);
  }

  function lastMarker(): ReturnType<typeof readMarker> {
    const stored = events.lastOn(names.relayMarker(old.shard));
    return stored && readMarker(stored);
  }

  function consumed(): EventConsumer {
    return new EventConsumer().takeAll(events.messages);
  }
});
