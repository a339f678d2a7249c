/**
 * Replicas of one shard over an in-memory bus, log and disk: what clients see, and what becomes of
 * a replica when its log is not what it was.
 */
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import type { ShardId } from "../../../protocol/ids.js";
import { LAG_SERVING_MAX, MAILBOX_BYTES_MAX } from "../../../protocol/limits.js";
import type { Operation } from "../../../protocol/operation.js";
import { parsePackedBatchReply } from "../../../protocol/reply/packed.js";
import type { BatchResult, Result } from "../../../protocol/reply/result.js";
import { encodePackedBatch } from "../../../protocol/request/packed.js";
import type { Request } from "../../../protocol/request/request.js";
import {
  del,
  entryBytes,
  genesisBytes,
  incr,
  patch,
  set,
  zeroOrigin,
} from "../../support/log-writer.js";
import { getOf, MemoryShard, names, type MemoryNode } from "../../support/memory-shard.js";
import { checkStore, dump } from "../../support/store-check.js";

describe("replica", () => {
  let shard: MemoryShard;

  beforeEach(() => {
    shard = new MemoryShard();
  });

  describe("two of one shard", () => {
    let one: MemoryNode;
    let two: MemoryNode;
    beforeEach(async () => {
      [one, two] = (await shard.startServing("n1", "n2")) as [MemoryNode, MemoryNode];
    });

    it("answer writes and reads, whichever gets them", async () => {
      for (let number = 1; number <= 20; number += 1) {
        const key = `k${number % 5}`;
        const written = await shard.write(set(key, { number }));
        expect(written.kind).to.equal("written");
        expect(seen(await shard.get(key))).to.equal(JSON.stringify({ number }));
      }
      expect(seen(await shard.write(patch("k1", { more: true })))).to.equal("patch");
      expect(seen(await shard.get("k1"))).to.equal('{"number":16,"more":true}');
      expect(seen(await shard.write(del("k1")))).to.equal("del");
      expect(seen(await shard.get("k1"))).to.equal("not-found");
      await expectEqual(one, two);
      expect(one.replica.status().keys).to.equal(4);
    });

    it("work on batches of so many bytes at once, and on more when some are answered", async () => {
      await shard.stop(two);
      // Of the two operations one is refused at once; the message is kept for the other.
      const requests = [getOf("a", "linearizable"), write(set("b", "x".repeat(900_000)))];
      const payload = encodePackedBatch({
        requests,
        atomic: false,
        level: "linearizable",
        hops: 0,
      });
      const client = shard.network.connect("large");
      const ask = async (): Promise<BatchResult> => {
        const subject = names.shard("s1" as ShardId, "batch");
        const { data } = await client.request(subject, payload, { timeoutMs: 20_000 });
        return parsePackedBatchReply(data, ["a", "b"]);
      };
      const fitting = Math.floor(MAILBOX_BYTES_MAX / payload.length);
      shard.stream.delayMs = () => 100;
      const asked = Array.from({ length: fitting + 2 }, ask);
      const results = await shard.clock.resolve(Promise.all(asked));
      const answered = results.filter((result) => !(result instanceof KvError));
      expect(answered.map(seenAll)).to.deep.equal(
        Array.from({ length: fitting }, () => ["not-found", "too-large"]),
      );
      for (const result of results.slice(fitting)) {
        expect(result).to.have.property("kind", "overloaded");
        expect(result).to.have.deep.property("details", {
          limit: "mailbox_bytes",
          max: MAILBOX_BYTES_MAX,
          received: payload.length,
        });
      }
      const lines = [one, two].flatMap((node) => node.lines);
      expect(lines).to.include("refusing requests: mailbox_bytes reached");
      expect(seenAll(await shard.clock.resolve(ask()))).to.deep.equal(["not-found", "too-large"]);
    });

    it("answer a batch in order, reads of its own writes among it", async () => {
      const requests = [
        write(set("a", 1)),
        getOf("a", "linearizable"),
        write(incr("a", 1)),
        write(set("b", 1, { ifRevision: 9 })),
        getOf("a", "linearizable"),
      ];
      expect(seenAll(await shard.batch(requests))).to.deep.equal([
        "set",
        "1",
        "incr",
        "conflict",
        "2",
      ]);
    });

    it("refuse what has waited for too long on its way, and do nothing of it", async () => {
      shard.isLate = true;
      expect(seen(await shard.write(set("a", 1)))).to.equal("overloaded");
      expect(seen(await shard.get("a"))).to.equal("overloaded");
      expect(seenAll(await shard.batch([write(set("a", 1))]))).to.deep.equal(["overloaded"]);
      const lines = [one, two].flatMap((node) => node.lines);
      expect(lines).to.include("refusing requests: queue_ms reached");
      shard.isLate = false;
      expect(seen(await shard.get("a"))).to.equal("not-found");
    });

    it("answer an atomic batch as a whole", async () => {
      const good = [write(set("{t}1", 1)), write(set("{t}2", 2))];
      expect(seenAll(await shard.batch(good, true))).to.deep.equal(["set", "set"]);
      const bad = [write(set("{t}1", 5)), write(set("{t}2", 5, { ifRevision: 0 }))];
      expect(seenAll(await shard.batch(bad, true))).to.deep.equal(["conflict"]);
      expect(seen(await shard.get("{t}1"))).to.equal("1");
    });

    it("name the operation that an atomic batch was refused for, be it the only one", async () => {
      const refused = write(set("{t}1", 5, { ifRevision: 9 }));
      const alone = await shard.batch([refused], true);
      expect(alone).to.be.instanceOf(KvError).and.to.have.nested.property("details.index", 0);
      const second = await shard.batch([write(set("{t}2", 2)), refused], true);
      expect(second).to.be.instanceOf(KvError).and.to.have.nested.property("details.index", 1);
    });

    it("let a record go when it is due, though nobody writes", async () => {
      await shard.write(set("a", 1, { ttl: 1_000 }));
      const atOnce = shard.stream.last;
      await shard.clock.advance(5_000);
      expect(await records(one)).to.deep.equal([]);
      expect(await records(two)).to.deep.equal([]);
      // An open and a barrier of each at most: a quiet log stays quiet.
      expect(shard.stream.last - atOnce).to.be.at.most(4);
      await expectEqual(one, two);
    });

    it("do not read a record that is due, before its going was applied", async () => {
      await shard.write(set("a", 1, { ttl: 1_000 }));
      shard.clock.jump(2_000);
      expect(seen(await shard.get("a"))).to.equal("not-found");
    });

    it("do nothing while idle but ask how far the log goes", async () => {
      await shard.write(set("k", 1));
      await shard.clock.advance(5_000);
      const before = shard.clock.steps;
      await shard.clock.advance(60_000);
      // Twice a second each: a timer and an answer.
      expect(shard.clock.steps - before).to.be.at.most(2 * 2 * 2 * 60 + 20);
    });

    it("serve session reads once they have what the session saw", async () => {
      const written = await shard.write(set("a", 1));
      const revision = written.kind === "written" ? written.done.revision : 0;
      expect(seen(await shard.get("a", "session", revision))).to.equal("1");
      expect(seen(await shard.get("a", "session", revision + 1))).to.equal("unavailable");
      expect(seen(await shard.get("a", "stale"))).to.equal("1");
    });

    it("do a repeated request once, whichever gets it", async () => {
      for (let again = 0; again < 6; again += 1) {
        const result = await shard.write(incr("a", 1, undefined, { request: "same" }));
        expect(result.kind === "written" && result.done.number).to.equal(1);
      }
    });

    it("take the work over when one ends, and the state back when it returns", async () => {
      await shard.write(set("a", 1));
      await shard.stop(one);
      expect(seen(await shard.write(set("a", 2)))).to.equal("set");
      const [again] = (await shard.startServing("n1")) as [MemoryNode];
      expect(seen(await shard.write(set("b", 2)))).to.equal("set");
      await expectEqual(again, two);
    });

    it("stop serving while they lag, and serve again", async () => {
      // Its consumer is paused; probes and reads of the log go on.
      const log = shard.log("n1");
      log.pauseDeliveries();
      for (let number = 0; number <= LAG_SERVING_MAX + 10; number += 1) {
        shard.stream.take(entryBytes({ kind: "barrier" }, zeroOrigin, number));
      }
      await shard.clock.runUntil(() => one.replica.phase === "catching-up", 10_000);
      expect(one.lines).to.include("the replica stops serving");
      for (let number = 0; number < 20; number += 1) {
        expect(seen(await shard.write(set("a", number)))).to.equal("set");
      }
      log.resumeDeliveries();
      await shard.clock.runUntil(() => one.replica.phase === "serving", 10_000);
      await expectEqual(one, two);
    });

    it("stop serving when they cannot know how far they lag, and serve again", async () => {
      const log = shard.log("n1");
      log.disconnect();
      await shard.clock.runUntil(() => one.replica.phase === "catching-up", 10_000);
      expect(one.replica.status().reason).to.include("could not read the log's end");
      for (let number = 0; number < 20; number += 1) {
        expect(seen(await shard.write(set("a", number)))).to.equal("set");
      }
      log.reconnect();
      await shard.clock.runUntil(() => one.replica.phase === "serving", 10_000);
      await expectEqual(one, two);
    });
  });

  describe("a log that is not what it was", () => {
    /** Two, at the same sequence, and then the log changes. */
    async function started(): Promise<[MemoryNode, MemoryNode]> {
      const nodes = await shard.startServing("n1", "n2");
      for (let number = 0; number < 5; number += 1) await shard.write(incr("a", 1));
      await shard.clock.advance(300);
      return nodes as [MemoryNode, MemoryNode];
    }

    it("shorter than the store: the shard stops", async () => {
      const [one, two] = await started();
      const held = one.replica.status().sequenceApplied;
      shard.stream.truncate(held - 2);
      await shard.clock.runUntil(() => isStopped(one) && isStopped(two), 10_000);
      const reasons = [one, two].map(({ replica }) => replica.status().reason.split(":")[0]);
      expect(reasons).to.include("log-shorter");
      expect(reasons.every((each) => each === "log-shorter" || each === "log-diverged")).to.equal(
        true,
      );
      // What the log lost is still there.
      expect(await records(one)).to.deep.equal(["a=5"]);
    });

    it("shorter than one store: a replica without the lost writes stops too", async () => {
      const [one] = (await shard.startServing("n1")) as [MemoryNode];
      await shard.write(set("a", 1));
      const [two] = (await shard.startServing("n2")) as [MemoryNode];
      shard.log("n2").pauseDeliveries();
      await shard.write(set("a", 2));
      await shard.clock.runUntil(() => one.replica.status().sequenceApplied === shard.stream.last);
      shard.stream.truncate(shard.stream.last - 1);
      shard.log("n2").resumeDeliveries();
      await shard.clock.runUntil(() => isStopped(one) && isStopped(two), 10_000);
    });

    it("other writes in the place of lost ones: log-diverged", async () => {
      const [one, two] = await started();
      const held = one.replica.status().sequenceApplied;
      const other = [1, 2, 3, 4].map((n) => entryBytes({ kind: "barrier" }, zeroOrigin, n));
      shard.stream.replace(held - 2, other);
      await shard.clock.runUntil(() => isStopped(one) && isStopped(two), 10_000);
      expect(one.replica.status().reason).to.match(/^log-diverged/);
    });

    it("is noticed at a restart too, and nothing is served", async () => {
      const [one, two] = await started();
      await shard.stop(one);
      await shard.stop(two);
      const other = [1, 2, 3, 4].map((n) => entryBytes({ kind: "barrier" }, zeroOrigin, n));
      shard.stream.replace(shard.stream.last - 3, other);
      const node = shard.start("n1");
      await shard.clock.resolve(node.ended);
      expect(node.replica.status()).to.have.property("state", "stopped");
      expect(node.replica.status().reason).to.match(/^log-diverged/);
      const asked = shard.get("a").catch((error: { kind: string }) => error.kind);
      expect(await asked).to.equal("unavailable");
    });

    it("another log altogether: log-unknown", async () => {
      const other = new MemoryShard(genesisBytes({ logId: "00000000000000ff" as never }));
      const node = other.start("n1");
      await other.clock.resolve(node.ended);
      expect(node.replica.status().reason).to.match(/^log-unknown/);
    });

    it("trimmed beyond what was applied: log-trimmed", async () => {
      const [one, two] = await started();
      await shard.stop(one);
      for (let number = 0; number < 5; number += 1) await shard.write(incr("a", 1));
      shard.stream.trim(shard.stream.last);
      const node = shard.start("n1");
      await shard.clock.resolve(node.ended);
      expect(node.replica.status().reason).to.match(/^log-trimmed/);
      expect(two.replica.phase).to.equal("serving");
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

function isStopped({ replica }: MemoryNode): boolean {
  return replica.phase === "stopped";
}

async function records({ store }: MemoryNode): Promise<string[]> {
  const found = await checkStore(store);
  return [...found].map(([key, { value }]) => `${key}=${Buffer.from(value).toString()}`);
}

function write(operation: Operation): Request {
  return { kind: "write", operation, hops: 0 };
}

/** The verb of what was written, the value of what was read, the error's name. */
function seen(result: Result): string {
  if (result.kind === "written") return result.done.verb;
  if (result.kind === "refused") return result.error.kind;
  return Buffer.from(result.record.value).toString();
}

function seenAll(result: BatchResult): string[] {
  return "kind" in result ? [result.kind] : result.map(seen);
}
