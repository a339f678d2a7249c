/**
 * Applier: what it does about entries that do not come, or come out of turn, and about its store.
 */
import { expect } from "chai";
import type { Result } from "../../../../protocol/reply/result.js";
import { entryBytes, incr, set, zeroOrigin } from "../../../support/log-writer.js";
import { MemoryShard, type MemoryNode } from "../../../support/memory-shard.js";
import { checkStore, dump } from "../../../support/store-check.js";

describe("applier", () => {
  let shard: MemoryShard;

  beforeEach(() => {
    shard = new MemoryShard();
  });

  describe("one", () => {
    it("writes an entry once although its acknowledgement was lost", async () => {
      await shard.startServing("n1");
      await shard.write(set("warm", 1));
      for (const fate of ["landed", "vanished"] as const) {
        shard.log("n1").loseNextAck(fate);
        const result = await shard.write(incr("a", 1));
        expect(result.kind === "written" && result.done.verb).to.equal("incr");
      }
      expect(seen(await shard.get("a"))).to.equal("2");
    });

    it("fetches a last message that was not delivered", async () => {
      await shard.startServing("n1");
      await shard.write(set("a", 1));
      const { last } = shard.stream;
      shard.log("n1").dropNextDelivery();
      const before = shard.clock.elapsedMs();
      expect(seen(await shard.write(set("a", 2)))).to.equal("set");
      expect(shard.clock.elapsedMs() - before).to.be.within(200, 1_000);
      // No later entry has shown the gap.
      expect(shard.stream.last).to.equal(last + 1);
    });

    it("takes nothing that does not follow what it has applied", async () => {
      const log = shard.log("n1");
      const consume = log.consume.bind(log);
      let gapCount = 0;
      log.consume = (after) => {
        const consumer = consume(after);
        const next = consumer.next.bind(consumer);
        consumer.next = async () => {
          const delivery = await next();
          if (delivery?.kind !== "messages" || shard.stream.last < 6) return delivery;
          gapCount += 1;
          return gapCount > 1 ? delivery : { ...delivery, messages: delivery.messages.slice(1) };
        };
        return consumer;
      };
      const [node] = (await shard.startServing("n1")) as [MemoryNode];
      await shard.write(set("a", 1));
      await shard.write(set("a", 1));
      log.pauseDeliveries();
      for (let number = 0; number < 5; number += 1) {
        shard.stream.take(entryBytes({ kind: "barrier" }, zeroOrigin, number));
      }
      log.resumeDeliveries();
      await shard.clock.runUntil(() => gapCount > 1);
      await expectEqual(node);
      expect(node.failure).to.equal(undefined);
    });

    it("is overloaded by a full log, writes nothing, and goes on when there is room", async () => {
      await shard.startServing("n1");
      await shard.write(set("a", 1));
      const { last, bytes } = shard.stream;
      shard.stream.bytesMax = bytes;
      expect(seen(await shard.write(set("a", 2)))).to.equal("overloaded");
      expect(shard.stream.last).to.equal(last);
      expect(seen(await shard.get("a"))).to.equal("1");
      shard.stream.bytesMax = Infinity;
      expect(seen(await shard.write(set("a", 3)))).to.equal("set");
    });

    it("comes to life again after a first entry of unknown fate on a full log", async () => {
      await shard.startServing("n1");
      // The `open` is lost, and its repetition refused: only a fence can tell.
      shard.log("n1").loseNextAck("vanished");
      const { bytes } = shard.stream;
      shard.stream.bytesMax = bytes;
      const refused = await shard.write(set("a", 1));
      expect(seen(refused)).to.be.oneOf(["overloaded", "unavailable"]);
      shard.stream.bytesMax = Infinity;
      await shard.clock.advance(15_000);
      expect(seen(await shard.write(set("a", 2)))).to.equal("set");
    });

    it("holds what it had after a crash of the machine that lost unsynced batches", async () => {
      const [node] = (await shard.startServing("n1")) as [MemoryNode];
      for (let number = 0; number < 10; number += 1) await shard.write(incr("a", 1));
      shard.disk("n1").crash({ loseUnsynced: true, batchesKept: 3 });
      await node.bus.close();
      await shard.startServing("n1");
      expect(seen(await shard.get("a"))).to.equal("10");
    });

    it("syncs its store about each second", async () => {
      await shard.startServing("n1");
      await shard.write(set("a", 1));
      await shard.clock.advance(3_000);
      expect(shard.disk("n1").unsyncedCount).to.equal(0);
    });

    it("ends with run() rejected when the store fails, whoever waits for it", async () => {
      const [node] = (await shard.startServing("n1")) as [MemoryNode];
      await shard.write(set("warm", 1));
      const failing = new Error("disk");
      node.store.write = () => Promise.reject(failing);
      const asked = shard.write(set("a", 1));
      expect(seen(await asked)).to.equal("in-doubt");
      await shard.clock.resolve(node.ended);
      expect(node.failure).to.equal(failing);
    });

    it("answers what is not understood", async () => {
      await shard.startServing("n1");
      const client = shard.network.connect("other");
      const asked = client.request("kv.shard.s1.dance", Buffer.of(0x80), { timeoutMs: 1_000 });
      const { data } = await shard.clock.resolve(asked);
      expect(Buffer.from(data).toString("latin1")).to.include("unsupported");
    });
  });

  async function expectEqual(...nodes: MemoryNode[]): Promise<void> {
    const at = (): number[] => nodes.map(({ replica }) => replica.status().sequenceApplied);
    await shard.clock.runUntil(() => at().every((each) => each === shard.stream.last));
    const [first, ...others] = nodes;
    const digest = first?.replica.status().digest;
    for (const { replica, store } of others) {
      expect(replica.status().digest).to.deep.equal(digest);
      await checkStore(store);
      const stored = await dump(store, "adinox");
      expect(stored).to.deep.equal(await dump(first!.store, "adinox"));
    }
  }
});

/** The verb of what was written, the value of what was read, the error's name. */
function seen(result: Result): string {
  if (result.kind === "written") return result.done.verb;
  if (result.kind === "refused") return result.error.kind;
  return Buffer.from(result.record.value).toString();
}
