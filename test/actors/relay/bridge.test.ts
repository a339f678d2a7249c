/**
 * A relay whose shard goes on in another log (rule L3): what its consumers see of the change.
 */
import { expect } from "chai";
import { readBridge, type BridgeChanges } from "../../../actors/relay/bridge.js";
import { eventOf, readMarker, resetOf, type Change } from "../../../actors/relay/relay-core.js";
import type { LogId, Origin, Position, Revision, Sequence, TimeMs } from "../../../protocol/ids.js";
import { chainHex } from "../../../protocol/log/entry.js";
import { positionOf } from "../../../protocol/position.js";
import { encodeOutcomeRow } from "../../../protocol/store/outcome-row.js";
import { outcomeKey } from "../../../protocol/store/store-keys.js";
import { EventConsumer } from "../../support/event-consumer.js";
import { ManualClock, seededChance } from "../../support/manual-clock.js";
import { MemoryNetwork } from "../../support/memory-bus.js";
import { MemoryEventStream } from "../../support/memory-events.js";
import { MemoryStream, type MemoryLog } from "../../support/memory-log.js";
import { Disk } from "../../support/memory-store.js";
import { EntryWriter, names, POSITIONS, RelayReplica } from "../../support/relay-shard.js";
import { appliedRow } from "../../support/store-check.js";

/** More than one read brings. */
const MANY = 600;
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
      await clock.runUntil(() => other.applied.appliedSequence === old.last);
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
      await forgetLastOutcome();
    });
    await published(next);
    write(next, "k1", "after");
    await published(next);
    const consumer = consumed();
    const told = consumer.records.get("k1");
    expect(Buffer.from(told?.value ?? "", "base64").toString()).to.equal('"after"');
    expect(consumer.resets).to.have.length(POSITIONS);
  });

  for (const isReset of [false, true]) {
    const what = isReset ? "a reset, and what came after it" : "changes";
    it(`takes back ${what}, of another past, where it is not known what changed`, async () => {
      write(old, "k2", "unmarked");
      await clock.runUntil(() => consumed().eventCount === 13);
      const last = events.messages.findLast(({ subject }) => names.isEvent(subject))!.sequence;
      const position = positionOf("k1", POSITIONS);
      const revision = replica.applied.table.revision(position);
      const next = await goOn(async () => {
        events.truncate(last);
        if (isReset) tell(resetOf(position, revision, 0 as TimeMs));
        for (const after of [1, 2]) tell(changeOf("k1", position, revision + after));
        await forgetLastOutcome();
      });
      await published(next);
      write(next, "k1", "after");
      await published(next);
      const consumer = consumed();
      expect(consumer.resets.slice(isReset ? 1 : 0)).to.deep.include({ position, revision });
      const found = consumer.records.get("k1");
      expect(found?.revision).to.equal(revision + 1);
      expect(Buffer.from(found?.value ?? "", "base64").toString()).to.equal('"after"');
    });
  }

  it("waits for its store to go on in that log, which one that is behind never does", async () => {
    const behind = await started("n2", old);
    await clock.runUntil(() => behind.applied.appliedSequence === old.last);
    await clock.resolve(behind.stop());
    await behind.store.close();
    const before = events.last;
    write(old, "k1", "lost");
    await published(old);
    const next = await nextLog(() => events.truncate(before));
    const log = next.open();
    log.pauseDeliveries();
    const waiting = await started("n2", next, log);
    await clock.runUntil(() => waiting.relay.status().active);
    await clock.advance(10_000);
    expect(lastMarker()).to.include({ logId: OLD });
    log.resumeDeliveries();
    await clock.runUntil(() => waiting.failures.length > 0);
    await clock.resolve(waiting.stop());
    replica = await started("n1", next);
    await published(next);
    write(next, "k1", "after");
    await published(next);
    const consumer = consumed();
    const position = positionOf("k1", POSITIONS);
    expect(consumer.resets.map((reset) => reset.position)).to.deep.equal([position]);
    expect(consumer.records.get("k1")?.revision).to.equal(replica.applied.table.revision(position));
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
  async function goOn(between?: () => unknown): Promise<MemoryStream> {
    const next = await nextLog(between);
    replica = await started("n1", next);
    return next;
  }

  async function nextLog(between: () => unknown = () => undefined): Promise<MemoryStream> {
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
    return next;
  }

  async function started(
    node: "n1" | "n2",
    stream: MemoryStream,
    log: MemoryLog = stream.open(),
  ): Promise<RelayReplica> {
    const made = new RelayReplica({
      node,
      rank: node === "n1" ? 0 : 1,
      clock,
      log,
      events: events.connect(),
      bus: network.connect(node),
      store: disk[node].open(),
    });
    await made.start();
    return made;
  }

  /** As a relay does whose store has a past that is given up. */
  function tell(change: Change): void {
    const subject = names.relayMarker(old.shard);
    const sequence = events.lastOn(subject)!.sequence;
    events.take(eventOf(names, change), { subject, sequence });
  }

  function write(log: MemoryStream, key: string, value: unknown): void {
    const bytes = Buffer.from(JSON.stringify(value));
    const ttl = "never";
    const contentType = "application/json";
    log.take(entries.operations([[{ verb: "set", key, value: bytes, contentType, ttl }]]));
  }

  /** The store knows no more what the log's last entry changed. */
  async function forgetLastOutcome(): Promise<void> {
    const store = disk.n1.open();
    await store.write([{ type: "del", key: outcomeKey(old.last) }], { sync: true });
    await store.close();
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

describe("what a store's outcome rows tell of the entries after a place", () => {
  const [first, second] = [0 as Position, 1 as Position];

  it("is each position's changes up to the end, and where it then stood", async () => {
    // Odd entries change the first position, even ones the second.
    const changes = await bridgeOver([11, 12, 13, 14], { place: 10, end: 12, applied: 14 });
    expect(changes).to.deep.equal(
      new Map([
        [first, { revision: 11, revisions: [11] }],
        [second, { revision: 12, revisions: [12] }],
      ]),
    );
  });

  it("is where a position stood that changed only after the end", async () => {
    const changes = await bridgeOver([11, 12], { place: 10, end: 10, applied: 12 });
    expect(changes?.get(first)).to.deep.equal({ revision: 10, revisions: [] });
  });

  const all = Array.from({ length: MANY }, (_, index) => 11 + index);
  const places = { place: 10, end: 20, applied: 10 + MANY };
  const holes: readonly (readonly [name: string, hole: number])[] = [
    ["first", 11],
    ["last", 10 + MANY],
    ["one between", 300],
  ];
  it("is known where no row is missing, however many there are", async () => {
    expect(await bridgeOver(all, places)).to.have.property("size", 2);
  });
  for (const [name, hole] of holes) {
    it(`is not known where the ${name} is missing`, async () => {
      const rest = all.filter((sequence) => sequence !== hole);
      expect(await bridgeOver(rest, places)).to.equal(undefined);
    });
  }

  it("is not known where all are missing, and nothing where there are none to be", async () => {
    expect(await bridgeOver([], places)).to.equal(undefined);
    expect(await bridgeOver([], { place: 10, end: 10, applied: 10 })).to.deep.equal(new Map());
  });
});

async function bridgeOver(
  sequences: readonly number[],
  { place, end, applied }: { place: number; end: number; applied: number },
): Promise<ReadonlyMap<Position, BridgeChanges> | undefined> {
  const store = new Disk().open();
  const rows = sequences.map((sequence) => {
    const position = (1 - (sequence % 2)) as Position;
    const expired = [{ position, revision: sequence as Revision, key: "k" }];
    const row = { logTime: 0 as TimeMs, chain: 0n, expired, operations: [] };
    const key = outcomeKey(sequence as Sequence);
    return { type: "put", key, value: encodeOutcomeRow(row) } as const;
  });
  await store.write(rows, { sync: false });
  const changes = await readBridge(store, place as Sequence, end as Sequence, applied as Sequence);
  await store.close();
  return changes;
}

function changeOf(key: string, position: Position, revision: number): Change {
  const content = { type: "application/json", value: Buffer.from('"given up"') } as const;
  const times = { updatedAt: 0 as TimeMs, expiresAt: 0 as TimeMs };
  return { op: "set", key, position, revision: revision as Revision, ...times, content };
}
