/**
 * Scenarios: what simulated runs have found, each as the few steps that it takes.
 */
import { expect } from "chai";
import { StoreError } from "../../infra/store-error.js";
import { KvError } from "../../protocol/errors.js";
import type { LogId, Origin } from "../../protocol/ids.js";
import type { Operation } from "../../protocol/operation.js";
import type { Result } from "../../protocol/reply/result.js";
import type { Request } from "../../protocol/request/request.js";
import { set } from "../support/log-writer.js";
import { ManualClock, seededChance } from "../support/manual-clock.js";
import { MemoryNetwork } from "../support/memory-bus.js";
import { MemoryEventStream } from "../support/memory-events.js";
import { MemoryStream } from "../support/memory-log.js";
import { getOf, MemoryShard, type MemoryNode } from "../support/memory-shard.js";
import { Disk } from "../support/memory-store.js";
import { EntryWriter, names, RelayReplica } from "../support/relay-shard.js";

/** More questions than anybody has who lets time pass between two. */
const ASKED_MAX = 1_000;

describe("scenarios found by simulation", () => {
  it("seed 2: a replica ends while its relay waits for it, and the node goes on", async () => {
    let isSlow = false;
    const disk = new Disk(() => (isSlow ? new Promise(() => {}) : Promise.resolve()));
    const { clock, stream, entries, replica } = await startRelay(disk);
    const { applied } = replica;
    const reached = applied.reached.bind(applied);
    let askedCount = 0;
    applied.reached = (...wanted) => {
      askedCount += 1;
      // The fault let nothing else run any more, not even a test's time limit.
      if (askedCount > ASKED_MAX) throw new Error("the relay asks without end");
      return reached(...wanted);
    };
    isSlow = true;
    stream.take(entries.barrier());
    await clock.runUntil(() => askedCount > 0);
    applied.end(new KvError("unavailable", "the store has failed"));
    await clock.advance(1_000);
    expect(replica.failures).to.deep.equal([]);
    expect(replica.relay.status().active).to.equal(false);
  });

  it("seed 40: an event is refused, and the place behind it is not written down", async () => {
    const { clock, stream, entries, events, replica } = await startRelay(new Disk());
    let refusedCount = 0;
    events.refuses = ({ subject }) => subject === "kv.event.set.a" && refusedCount++ === 0;
    // By now a marker is due: it is sent as soon as there is something new.
    await clock.advance(5_000);
    const contentType = "application/json";
    stream.take(
      entries.operations([
        [{ verb: "set", key: "a", value: Buffer.from("1"), contentType, ttl: "never" }],
      ]),
    );
    await clock.runUntil(() => refusedCount > 0);
    await clock.runUntil(() => replica.relay.status().active && events.last > 0, 20_000);
    await clock.advance(10_000);
    const told = events.messages
      .map(({ subject }) => subject)
      .filter((each) => names.isEvent(each));
    expect(told).to.deep.equal(["kv.event.set.a"]);
  });

  it("seed 19: the first of a batch is refused, and what waits for it is not done", async () => {
    const shard = new MemoryShard();
    await shard.startServing("n1");
    await shard.write(set("a", 1));
    const asWrite = (operation: Operation): Request => ({ kind: "write", operation, hops: 0 });
    const requests = [
      asWrite(set("a", "x".repeat(2_000))),
      getOf("a", "linearizable"),
      asWrite(set("a", 2)),
      asWrite(set("b", 3)),
    ];
    // Room for the small ones only.
    shard.stream.bytesMax = shard.stream.bytes + 1_000;
    const results = (await shard.batch(requests)) as readonly Result[];
    // Sent again, for its reply was lost, the first would now take effect after the third.
    const told = results.map((each) => (each.kind === "refused" ? each.error.kind : each.kind));
    expect(told).to.deep.equal(["overloaded", "unavailable", "unavailable", "written"]);
    shard.stream.bytesMax = Infinity;
    const again = (await shard.batch(requests)) as readonly Result[];
    expect(again.some(({ kind }) => kind === "refused")).to.equal(false);
    expect(await shard.get("a")).to.have.nested.property("record.revision", 3);
  });

  it("the first of a batch is refused, and what waits for it in another entry", async () => {
    const shard = new MemoryShard();
    await shard.startServing("n1");
    await shard.write(set("a", 1));
    const asWrite = (operation: Operation): Request => ({ kind: "write", operation, hops: 0 });
    const keys = ["a", "b", "c", "d"];
    const large = keys.map((key) => asWrite(set(key, "x".repeat(200_000))));
    const requests = [...large, asWrite(set("a", 2)), asWrite(set("g", 3))];
    // Room for the second entry only.
    shard.stream.bytesMax = shard.stream.bytes + 500_000;
    const results = (await shard.batch(requests)) as readonly Result[];
    const told = results.map((each) => (each.kind === "refused" ? each.error.kind : each.kind));
    expect(told.at(0)).to.equal("overloaded");
    expect(told.slice(-2)).to.deep.equal(["unavailable", "written"]);
    expect(await shard.get("a")).to.have.nested.property("record.revision", 1);
  });

  it("an entry is lost, sent again and dated anew: who had applied it before stops", async () => {
    const shard = new MemoryShard();
    const [first, second] = await shard.startServing("n1", "n2");
    await shard.write(set("a", 1));
    await shard.clock.advance(1_000);
    const { last, entries } = shard.stream;
    const lost = entries.at(-1)?.data as Uint8Array;
    for (const name of ["n1", "n2"]) shard.log(name).disconnect();
    shard.stream.truncate(last - 1);
    await shard.clock.advance(500);
    shard.stream.take(lost);
    for (const name of ["n1", "n2"]) shard.log(name).reconnect();
    await shard.clock.advance(3_000);
    // A replica that begins now dates the record otherwise, and has it expire at another time.
    for (const node of [first, second]) {
      expect(node?.replica.status().reason).to.match(/^log-diverged/);
    }
  });

  it("seed 400040: a log is trimmed while it is compared; no entry counts as removed", async () => {
    const shard = new MemoryShard();
    const [first] = await shard.startServing("n1");
    await shard.write(set("a", 1));
    const log = shard.log("n1");
    const read = log.read.bind(log);
    log.read = (sequence) => {
      shard.stream.trim(sequence + 1);
      return read(sequence);
    };
    shard.stream.take(new EntryWriter("cd".repeat(16) as Origin).open());
    log.disconnect();
    log.reconnect();
    await shard.clock.advance(3_000);
    expect(first?.replica.status().reason).to.match(/^log-trimmed/);
  });

  it("seed 201099: a log loses what it has just accepted, and takes writes again", async () => {
    const shard = new MemoryShard();
    await shard.startServing("n1");
    await shard.write(set("a", 1));
    const kept = shard.stream.last;
    shard.log("n1").pauseDeliveries();
    // One that was accepted and is not applied yet, and who waits behind it.
    const lost = shard.write(set("a", 2));
    await shard.clock.runUntil(() => shard.stream.last > kept);
    const behind = shard.write(set("b", 1));
    shard.stream.truncate(kept);
    shard.log("n1").resumeDeliveries();
    expect(await lost).to.have.nested.property("error.kind", "in-doubt");
    expect(await behind).to.have.property("kind", "written");
    expect(await shard.get("a")).to.have.nested.property("record.revision", 1);
  });

  it("seed 501792: a record is written anew while it is being read", async () => {
    const shard = new MemoryShard();
    const [node] = (await shard.startServing("n1")) as [MemoryNode];
    await shard.write(set("a", 1, { ttl: 2_000 }));
    const { store } = node;
    const getMany = store.getMany.bind(store);
    let letGo: (() => void) | undefined;
    store.getMany = async (keys) => {
      const rows = await getMany(keys);
      await new Promise<void>((resolve) => (letGo = resolve));
      return rows;
    };
    const read = shard.get("a");
    await shard.clock.runUntil(() => letGo !== undefined);
    store.getMany = getMany;
    await shard.write(set("a", 2, { ttl: "never" }));
    await shard.clock.advance(3_000);
    // Log time moves past the expiry that the record had.
    await shard.write(set("b", 1));
    letGo?.();
    expect(await read).to.have.nested.property("record.revision", 2);
  });

  it("seed 300649: a replica that ends while it asks for a log's end serves no more", async () => {
    const shard = new MemoryShard();
    const node = shard.start("n1");
    const log = shard.log("n1");
    const tail = log.tail.bind(log);
    let answer: (() => void) | undefined;
    log.tail = () => new Promise((resolve) => (answer = () => resolve(tail())));
    // By now it has applied all there is, and would serve.
    await shard.clock.runUntil(() => node.replica.status().sequenceApplied === shard.stream.last);
    const closed = node.replica.close();
    await shard.clock.advance(1_000);
    answer?.();
    await shard.clock.resolve(Promise.all([closed, node.ended]));
    expect(node.lines).to.not.include("the replica serves");
    const failed = await shard.get("a").catch((error: unknown) => error);
    expect(failed, "nobody listens").to.be.an("error");
  });

  it("a log comes back shorter and full: who had not applied what it lost stops too", async () => {
    for (const others of [0, 1]) {
      const shard = new MemoryShard();
      const [first, second] = (await shard.startServing("n1", "n2")) as [MemoryNode, MemoryNode];
      await shard.write(set("a", 1));
      await shard.clock.advance(1_000);
      await shard.stop(second);
      const kept = shard.stream.last;
      await shard.write(set("a", 2));
      const writer = new EntryWriter("cd".repeat(16) as Origin);
      shard.stream.replace(kept, [writer.open(), writer.barrier()].slice(0, others));
      shard.stream.bytesMax = shard.stream.bytes;
      const again = shard.start("n2");
      await shard.clock.runUntil(() => first.replica.phase === "stopped", 60_000);
      await shard.clock.runUntil(() => again.replica.phase === "stopped", 60_000);
      for (const { replica } of [first, again]) {
        expect(replica.status().reason).to.match(/^log-(shorter|diverged)/);
      }
    }
  });

  describe("a replica whose log has lost what it applied, before it has compared", () => {
    let shard: MemoryShard;

    beforeEach(async () => {
      shard = new MemoryShard();
      await shard.startServing("n1");
      for (let number = 0; number < 60; number += 1) await shard.write(set("a", number));
      // Its log answers nothing but where it ends.
      shard.log("n1").read = () => new Promise(() => {});
      const others = new EntryWriter("cd".repeat(16) as Origin);
      shard.stream.replace(5, [others.open(), others.barrier()]);
    });

    it("answers no read, though all that the log has now is applied here", async () => {
      const answer = await shard.get("a").catch((error: unknown) => error);
      expect(answer).to.have.nested.property("error.kind", "unavailable");
    });

    it("does not fill the log with attempts to begin anew", async () => {
      const { last } = shard.stream;
      const told: Promise<unknown>[] = [];
      for (let number = 0; number < 50; number += 1) {
        told.push(shard.write(set("b", number)).catch((error: unknown) => error));
        await shard.clock.advance(20);
      }
      expect(shard.stream.last - last).to.be.within(1, 10);
      await Promise.all(told);
    });
  });

  describe("seed 1028: who finds other entries in its log", () => {
    let shard: MemoryShard;
    let first: MemoryNode;
    let second: MemoryNode;

    /** The second has nothing of what comes now; then the log loses it, and others write on. */
    beforeEach(async () => {
      shard = new MemoryShard();
      first = shard.start("n1");
      await shard.clock.runUntil(() => first.replica.phase === "serving");
      await shard.write(set("a", 1));
      second = shard.start("n3");
      await shard.clock.runUntil(() => second.replica.phase === "serving");
      shard.log("n3").disconnect();
      const kept = shard.stream.last;
      await shard.write(set("a", 2));
      const others = new EntryWriter("cd".repeat(16) as Origin);
      const entries = [others.open(), others.barrier(), others.barrier(), others.barrier()];
      shard.stream.replace(kept, entries);
    });

    async function expectBothStopped(): Promise<void> {
      shard.log("n3").reconnect();
      await shard.clock.runUntil(() => first.replica.phase === "stopped");
      await shard.clock.advance(5_000);
      for (const { replica } of [first, second]) {
        expect(replica.status().state).to.equal("stopped");
        expect(replica.status().reason).to.match(/^log-diverged/);
      }
    }

    it("tells those who had not lost any", expectBothStopped);

    it("tells them also if the log does not answer at once", async () => {
      for (let count = 0; count < 3; count += 1) shard.log("n1").loseNextAck("vanished");
      await expectBothStopped();
    });

    it("tells them once, however often it starts again", async () => {
      await expectBothStopped();
      const { last } = shard.stream;
      for (const { store } of [first, second]) await store.close();
      for (let count = 0; count < 3; count += 1) {
        for (const name of ["n1", "n3"]) {
          const again = shard.start(name);
          await shard.clock.runUntil(() => again.replica.phase === "stopped");
          expect(again.replica.status().reason).to.match(/^log-diverged/);
          await again.store.close();
        }
      }
      expect(shard.stream.last).to.be.at.most(last + 1);
    });
  });

  it("seed 200500: a read fails beside a slow one, and it ends after both", async () => {
    const shard = new MemoryShard();
    const [node] = (await shard.startServing("n1")) as [MemoryNode];
    const { store } = node;
    const getMany = store.getMany.bind(store);
    let letGo: (() => void) | undefined;
    store.getMany = (keys) => {
      if (letGo !== undefined) return Promise.reject(new StoreError("failed", "the disk fails"));
      return new Promise((resolve) => (letGo = () => resolve(getMany(keys))));
    };
    const slow = shard.get("a", "stale").catch(() => undefined);
    await shard.clock.runUntil(() => letGo !== undefined);
    const failed = shard.get("b", "linearizable").catch(() => undefined);
    let hasEnded = false;
    void node.ended.then(() => (hasEnded = true));
    await shard.clock.advance(30_000);
    expect(node.replica.isEnded).to.equal(true);
    expect(hasEnded).to.equal(false);
    letGo?.();
    await shard.clock.advance(30_000);
    expect(hasEnded).to.equal(true);
    await Promise.all([slow, failed]);
  });
});

interface RelayScenario {
  readonly clock: ManualClock;
  readonly stream: MemoryStream;
  readonly entries: EntryWriter;
  readonly events: MemoryEventStream;
  readonly replica: RelayReplica;
}

/** One replica with a relay that has published all there is. */
async function startRelay(disk: Disk): Promise<RelayScenario> {
  const clock = new ManualClock();
  const id = "00000000000000a1";
  const stream = new MemoryStream({ clock, id });
  const entries = new EntryWriter();
  stream.take(entries.genesis(id as LogId));
  stream.take(entries.open());
  const network = new MemoryNetwork({ clock, chance: seededChance(1) });
  const events = new MemoryEventStream(clock);
  const bus = network.connect("n1");
  const log = stream.open();
  const store = disk.open();
  const parts = { node: "n1", rank: 0, clock, log, bus, store, events: events.connect() };
  const replica = new RelayReplica(parts);
  await replica.start();
  await clock.runUntil(() => replica.relay.status().sequence === stream.last);
  return { clock, stream, entries, events, replica };
}
