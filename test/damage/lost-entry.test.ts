/**
 * A log from whose middle an entry is gone, as a nats-server leaves it that found a damaged block.
 * Who has applied the entry goes on; who has not must not pass over it.
 */
import { expect } from "chai";
import type { Sequence } from "../../protocol/ids.js";
import { incr } from "../support/log-writer.js";
import type { MemoryLog } from "../support/memory-log.js";
import { MemoryShard } from "../support/memory-shard.js";

describe("an entry that is gone from the middle of a log", () => {
  let shard: MemoryShard;
  beforeEach(async () => {
    shard = new MemoryShard();
    await shard.startServing("n1");
    for (let number = 0; number < 5; number += 1) await shard.write(incr("a", 1));
  });

  it("stops a replica that has not applied it, which says which one it is", async () => {
    const lost = (shard.stream.last - 2) as Sequence;
    lose(shard.log("n2"), lost);
    const node = shard.start("n2");
    await shard.clock.resolve(node.ended);
    expect(node.replica.status()).to.include({ state: "stopped", sequenceApplied: lost - 1 });
    expect(node.replica.status().reason).to.match(
      new RegExp(`^log-diverged: entry ${lost} was removed from the log`),
    );
  });

  it("stops one that it was the last for, too, when others know that it was there", async () => {
    const lost = shard.stream.last;
    lose(shard.log("n2"), lost);
    const node = shard.start("n2");
    await shard.clock.resolve(node.ended);
    expect(node.replica.status().reason).to.match(new RegExp(`^log-diverged: entry ${lost} `));
  });

  it("does not stop one that has applied it, and its answers stay right", async () => {
    lose(shard.log("n1"), shard.stream.last);
    await shard.clock.advance(1_000);
    await shard.write(incr("a", 1));
    expect(await shard.get("a")).to.have.nested.property("record.revision", 6);
  });

  it("is no matter where only its delivery was lost", async () => {
    const log = shard.log("n2");
    lose(log, (shard.stream.last - 2) as Sequence, 1);
    const node = shard.start("n2");
    await shard.clock.runUntil(() => node.replica.phase === "serving", 10_000);
    expect(node.replica.status().sequenceApplied).to.equal(shard.stream.last);
  });
});

/** From now on the log does not deliver `lost`, so many times; as long as that, it cannot be read
 * either, unless it is to be found again. */
function lose(log: MemoryLog, lost: Sequence, times = Infinity): void {
  let left = times;
  const [read, consume] = [log.read.bind(log), log.consume.bind(log)];
  log.read = (sequence) =>
    sequence === lost && times === Infinity ? Promise.resolve(undefined) : read(sequence);
  log.consume = (after) => {
    const consumer = consume(after);
    const next = consumer.next.bind(consumer);
    consumer.next = async () => {
      const delivery = await next();
      if (delivery?.kind !== "messages" || left === 0) return delivery;
      const messages = delivery.messages.filter(({ sequence }) => sequence !== lost);
      if (messages.length < delivery.messages.length) left -= 1;
      return { kind: "messages", messages };
    };
    return consumer;
  };
}
