/**
 * A store copied from a replica that goes on writing, over a way that loses and repeats answers.
 */
import { expect } from "chai";
import { SeedSource } from "../../../actors/node/seed-source.js";
import { fillStore } from "../../../actors/node/seed-target.js";
import { KvError } from "../../../protocol/errors.js";
import { SEED_IDLE_MS, SEED_SESSIONS_MAX } from "../../../protocol/limits.js";
import type { SeedReply } from "../../../protocol/node/seed.js";
import { incr, set } from "../../support/log-writer.js";
import { MemoryShard, type MemoryNode } from "../../support/memory-shard.js";
import { Disk, type MemoryStore } from "../../support/memory-store.js";
import { checkStore, dump } from "../../support/store-check.js";

/** So that a few records are many parts, and a record is more than one. */
const PART_BYTES = 300;

describe("seed", () => {
  let shard: MemoryShard;
  let node: MemoryNode;
  let source: SeedSource;
  let target: MemoryStore;

  beforeEach(async () => {
    shard = new MemoryShard();
    [node] = (await shard.startServing("n1")) as [MemoryNode];
    for (let number = 0; number < 40; number += 1) {
      await shard.write(set(`k${number}`, { number, text: "x".repeat(500) }));
    }
    await shard.write(set("due", 1, { ttl: 60_000, request: "request-1" }));
    source = new SeedSource(node.store, shard.clock, PART_BYTES);
    target = new Disk().open();
  });

  it("brings rows of every kind, so that the copy is the store", async () => {
    const seeded = await shard.clock.resolve(fillStore(target, partsOf()));
    expect(await dump(target, "adinoqx")).to.deep.equal(await dump(node.store, "adinoqx"));
    expect(seeded).to.include({ sequence: node.replica.status().sequenceApplied, keys: 41 });
    await checkStore(target);
  });

  it("is one state of the store although writes go on", async () => {
    const parts = partsOf();
    const before = await dump(node.store, "adinoqx");
    let count = 0;
    const next = async (): Promise<SeedReply> => {
      const reply = await parts();
      if (count === 0) await shard.write(incr("later", 1));
      count += 1;
      return reply;
    };
    await fillStore(target, next);
    expect(await dump(target, "adinoqx")).to.deep.equal(before);
  });

  it("gives a part again, the same, when its answer was lost", async () => {
    const first = await shard.clock.resolve(source.answer(request(0)));
    const again = await shard.clock.resolve(source.answer(request(0)));
    expect(again).to.deep.equal(first);
    const skipped = await source.answer(request(2)).catch((error: KvError) => error.kind);
    expect(skipped).to.equal("bad-request");
  });

  it("forgets a session that nobody asks for, and has room for few", async () => {
    for (let number = 0; number < SEED_SESSIONS_MAX; number += 1) {
      await shard.clock.resolve(source.answer({ ...request(0), session: `s${number}` }));
    }
    const full = await source.answer(request(0)).catch((error: KvError) => error.kind);
    expect(full).to.equal("overloaded");
    await shard.clock.advance(SEED_IDLE_MS + 1_000);
    const ended = source.answer({ ...request(1), session: "s0" });
    expect(await ended.catch((error: KvError) => error.kind)).to.equal("not-found");
    await shard.clock.resolve(source.answer(request(0)));
  });

  it("leaves no iterator open at its close, and answers no more", async () => {
    await shard.clock.resolve(source.answer(request(0)));
    await shard.clock.resolve(source.close());
    const late = await source.answer(request(0)).catch((error: KvError) => error.kind);
    expect(late).to.equal("unavailable");
    await shard.stop(node); // which asserts that none is open
  });

  function partsOf(): () => Promise<SeedReply> {
    let part = -1;
    return () => {
      part += 1;
      return source.answer(request(part));
    };
  }
});

function request(part: number): { shard: string; log_id: string; session: string; part: number } {
  return { shard: "s1", log_id: "", session: "session", part };
}
