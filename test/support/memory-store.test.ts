/**
 * MemoryStore: the contract of stores, crashes, and the pauses that a simulation plays with.
 */
import { expect } from "chai";
import type { Store, StoreWrite } from "../../infra/store.js";
import { storeContract } from "../contract/store-contract.js";
import { Disk } from "./memory-store.js";

describe("memory store", () => {
  storeContract(async () => {
    const disk = new Disk();
    return { open: async () => disk.open(), remove: async () => {} };
  });
});

describe("memory store whose calls end later", () => {
  storeContract(async () => {
    const disk = new Disk(() => new Promise((resolve) => void setImmediate(resolve)));
    return { open: async () => disk.open(), remove: async () => {} };
  });
});

describe("disk in memory", () => {
  let disk: Disk;
  let store: Store;
  beforeEach(async () => {
    disk = new Disk();
    store = disk.open();
    await store.write([put("a", "synced"), put("b", "synced")], { sync: true });
    await store.write([put("a", "first"), put("c", "first")], { sync: false });
    await store.write([put("d", "second"), { type: "del", key: key("b") }], { sync: false });
  });

  it("keeps everything when the process dies", async () => {
    disk.crash({ loseUnsynced: false });
    expect(await values(disk.open())).to.deep.equal(["first", undefined, "first", "second"]);
  });

  it("shows two iterators opened around a batch in flight two states, as RocksDB may", async () => {
    const writing = store.write([put("a", "third")], { sync: false });
    const range = { from: key("a"), to: key("b") };
    const iterators = [store.iterate(range), store.iterate(range)];
    await writing;
    const seen = await Promise.all(iterators.map((iterator) => iterator.next(1)));
    const texts = seen.map(([row]) => Buffer.from(row?.value ?? []).toString());
    expect(texts).to.deep.equal(["first", "third"]);
    await Promise.all(iterators.map((iterator) => iterator.close()));
  });

  it("keeps what was synced when the machine dies, and of the rest a beginning", async () => {
    expect(disk.unsyncedCount).to.equal(2);
    disk.crash({ loseUnsynced: true, batchesKept: 1 });
    expect(await values(disk.open())).to.deep.equal(["first", "synced", "first", undefined]);
    disk.crash({ loseUnsynced: true });
    expect(await values(disk.open())).to.deep.equal(["synced", "synced", undefined, undefined]);
    disk.crash({ loseUnsynced: true });
    expect(await values(disk.open())).to.deep.equal(["synced", "synced", undefined, undefined]);
  });

  it("goes on from what survived, and shows iterators of before nothing of it", async () => {
    disk.crash({ loseUnsynced: true });
    const again = disk.open();
    await again.write([put("a", "again")], { sync: true });
    disk.crash({ loseUnsynced: true });
    expect(await values(disk.open())).to.deep.equal(["again", "synced", undefined, undefined]);
  });

  it("leaves calls of a store that died without an answer and without effect", async () => {
    const release: (() => void)[] = [];
    const slow = new Disk(() => new Promise((resolve) => void release.push(resolve)));
    let isAnswered = false;
    const answered = (): void => void (isAnswered = true);
    slow
      .open()
      .write([put("a", "1")], { sync: true })
      .then(answered, answered);
    slow.crash({ loseUnsynced: false });
    for (const resolve of release) resolve();
    await new Promise((resolve) => void setImmediate(resolve));
    expect(isAnswered).to.equal(false);
    const reading = values(slow.open());
    while (release.length < 3) {
      release.at(-1)?.();
      await new Promise((resolve) => void setImmediate(resolve));
    }
    release.at(-1)?.();
    expect(await reading).to.deep.equal([undefined, undefined, undefined, undefined]);
  });

  it("fails a call before it takes effect if the pause before it rejects", async () => {
    let fails = false;
    const faulty = new Disk(async () => {
      if (fails) throw new Error("the disk is full");
    });
    const faultyStore = faulty.open();
    fails = true;
    const message = await faultyStore.write([put("a", "1")], { sync: true }).catch(String);
    fails = false;
    expect(message).to.include("the disk is full");
    expect((await values(faultyStore))[0]).to.equal(undefined);
  });
});

async function values(store: Store): Promise<(string | undefined)[]> {
  const found = await store.getMany(["a", "b", "c", "d"].map(key));
  return found.map((value) => (value === undefined ? undefined : Buffer.from(value).toString()));
}

function put(name: string, value: string): StoreWrite {
  return { type: "put", key: key(name), value: Buffer.from(value) };
}

function key(name: string): Uint8Array {
  return Buffer.from(name);
}
