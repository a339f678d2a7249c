/**
 * A store copied from a replica that goes on writing, over a way that loses and repeats answers.
 */
import { expect } from "chai";
import fc from "fast-check";
import { SeedSource } from "../../../actors/node/seed-source.js";
import { fillStore } from "../../../actors/node/seed-target.js";
import type { Store, StoreIterator, StoreWrite } from "../../../infra/store.js";
import { DamagedError } from "../../../protocol/damaged.js";
import { KvError } from "../../../protocol/errors.js";
import { SEED_IDLE_MS, SEED_SESSIONS_MAX } from "../../../protocol/limits.js";
import {
  decodeSeedReply,
  encodeSeedReply,
  encodeSeedRow,
  parseSeedRequest,
  SeedRows,
  type SeedReply,
} from "../../../protocol/node/seed.js";
import { incr, set } from "../../support/log-writer.js";
import { MemoryShard, type MemoryNode } from "../../support/memory-shard.js";
import { Disk, type MemoryStore } from "../../support/memory-store.js";
import { appliedRow, checkStore, dump, rowsOf } from "../../support/store-check.js";

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

  it("that is cut off leaves a store that has applied nothing", async () => {
    const parts = partsOf();
    const broken = new KvError("unavailable", "the way is broken");
    let count = 0;
    const next = (): Promise<SeedReply> => {
      count += 1;
      return count > 60 ? Promise.reject(broken) : parts();
    };
    const result = await fillStore(target, next).catch((error: unknown) => error);
    expect(result).to.equal(broken);
    expect(await appliedRow(target)).to.equal(undefined);
    expect(await rowsOf(target, "d")).to.have.length.above(10);
  });

  for (const kind of ["d", "i", "x", "n"]) {
    it(`refuses a store in which a row of kind ${kind} is missing`, async () => {
      const [row] = await rowsOf(node.store, kind);
      const missing = without(node.store, row!.key);
      source = new SeedSource(missing, shard.clock, PART_BYTES);
      const result = await fillStore(target, partsOf()).catch((error: unknown) => error);
      expect(String(result)).to.match(/position \d+ of a store that was copied/);
      expect(await appliedRow(target)).to.equal(undefined);
    });
  }

  it("refuses a store with a record that is not the one of its digest", async () => {
    const [one, two] = await rowsOf(node.store, "d");
    const write: StoreWrite = { type: "put", key: one!.key, value: two!.value };
    await node.store.write([write], { sync: false });
    const result = await fillStore(target, partsOf()).catch((error: unknown) => error);
    expect(String(result)).to.contain("its digest is another one");
  });

  it("refuses a store that does not say what it has applied", async () => {
    source = new SeedSource(without(node.store, Buffer.from("a")), shard.clock);
    const result = await fillStore(target, partsOf()).catch((error: unknown) => error);
    expect(String(result)).to.contain("does not say what it has applied");
  });

  function partsOf(): () => Promise<SeedReply> {
    let part = -1;
    return () => {
      part += 1;
      return source.answer(request(part));
    };
  }
});

describe("seed's bytes", () => {
  it("are rows again, wherever they are cut", () => {
    const bytes = fc.uint8Array({ maxLength: 40 });
    const row = fc.record({ key: fc.uint8Array({ minLength: 1, maxLength: 9 }), value: bytes });
    const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 });
    fc.assert(
      fc.property(fc.array(row), cuts, (rows, sizes) => {
        const all = Buffer.concat(rows.map(encodeSeedRow));
        const reader = new SeedRows();
        const read = [];
        for (let at = 0, index = 0; at < all.length; index += 1) {
          const size = sizes[index % sizes.length]!;
          read.push(...reader.take(all.subarray(at, at + size)));
          at += size;
        }
        reader.end();
        const hex = (each: Uint8Array): string => Buffer.from(each).toString("hex");
        expect(read.map(({ key, value }) => [hex(key), hex(value)])).to.deep.equal(
          rows.map(({ key, value }) => [hex(key), hex(value)]),
        );
      }),
    );
  });

  it("tell a part, whether it is the last, and an error", () => {
    const part = { isLast: true, bytes: Buffer.from("rows") };
    expect(decodeSeedReply(encodeSeedReply(part))).to.deep.equal(part);
    expect(decodeSeedReply(encodeSeedReply({ ...part, isLast: false })).isLast).to.equal(false);
    const refusal = encodeSeedReply(new KvError("overloaded", "busy", { limit: "seed_sessions" }));
    expect(() => decodeSeedReply(refusal)).to.throw(KvError, "busy");
  });

  it("are refused as no reply: without a flag, with an error that is none", () => {
    const wrong = ["", "\x03", "\x02", "\x02{", "\x02null", '\x02{"name":{"toString":1}}'];
    for (const text of wrong) {
      const decode = (): unknown => decodeSeedReply(Buffer.from(text));
      expect(decode, JSON.stringify(text)).to.throw(KvError).with.property("kind", "internal");
    }
  });

  it("end with a whole row", () => {
    const rows = new SeedRows();
    rows.take(encodeSeedRow({ key: Buffer.of(1), value: Buffer.of(2) }).subarray(0, 9));
    expect(() => rows.end()).to.throw(DamagedError, "9 bytes of a row");
  });

  it("are asked for in one form only", () => {
    const whole = { shard: "s1", log_id: "a", session: "b", part: 3 };
    expect(parseSeedRequest(Buffer.from(JSON.stringify(whole)))).to.deep.equal(whole);
    for (const wrong of ["", "null", "[]", "{}", JSON.stringify({ ...whole, part: -1 })]) {
      expect(() => parseSeedRequest(Buffer.from(wrong)), wrong).to.throw(KvError);
    }
  });
});

function request(part: number): { shard: string; log_id: string; session: string; part: number } {
  return { shard: "s1", log_id: "", session: "session", part };
}

/** The store without one row. */
function without(store: Store, key: Uint8Array): Store {
  const iterate = (range: Parameters<Store["iterate"]>[0]): StoreIterator => {
    const iterator = store.iterate(range);
    return {
      next: async (rowsMax) => {
        const rows = await iterator.next(rowsMax);
        return rows.filter((row) => Buffer.compare(row.key, key) !== 0);
      },
      seek: (to) => iterator.seek(to),
      close: () => iterator.close(),
    };
  };
  return { ...store, iterate };
}
