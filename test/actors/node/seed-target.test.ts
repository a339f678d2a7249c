/**
 * Seed target: what is refused of a store that another node gives.
 */
import { expect } from "chai";
import { SeedSource } from "../../../actors/node/seed-source.js";
import { fillStore } from "../../../actors/node/seed-target.js";
import type { Store, StoreIterator, StoreWrite } from "../../../infra/store.js";
import { KvError } from "../../../protocol/errors.js";
import type { SeedReply } from "../../../protocol/node/seed.js";
import { set } from "../../support/log-writer.js";
import { MemoryShard, type MemoryNode } from "../../support/memory-shard.js";
import { Disk, type MemoryStore } from "../../support/memory-store.js";
import { appliedRow, rowsOf } from "../../support/store-check.js";

/** So that a few records are many parts, and a record is more than one. */
const PART_BYTES = 300;

describe("seed target", () => {
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
      expect(String(result)).to.match(/position \d+ of the copied store/);
      expect(await appliedRow(target)).to.equal(undefined);
    });
  }

  it("refuses a store with a record that is not the one of its digest", async () => {
    const [one, two] = await rowsOf(node.store, "d");
    const write: StoreWrite = { type: "put", key: one!.key, value: two!.value };
    await node.store.write([write], { sync: false });
    const result = await fillStore(target, partsOf()).catch((error: unknown) => error);
    expect(String(result)).to.contain("its digest differs");
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
