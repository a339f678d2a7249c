/**
 * Rocks scrub: finds damage in an open store, and only damage.
 */
import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { expect } from "chai";
import { openRocksStore } from "../../../infra/rocksdb/rocks-store.js";
import { StoreError } from "../../../infra/store-error.js";
import { until } from "../../support/until.js";
import { fill, overwriteMiddle, failure, keyOf, put, makeFolder, remove } from "./filled-store.js";

describe("rocks scrub", function () {
  let folder: string;

  beforeEach(async () => {
    folder = await makeFolder();
  });

  afterEach(() => remove(folder));

  it("finds what is damaged while it is open, and then refuses everything", async () => {
    await fill(folder);
    const fast = { bytesPerSecond: 1_000_000_000, pauseMs: 5 };
    let found: StoreError | undefined;
    const store = await openRocksStore(folder, {
      scrubPace: fast,
      onDamage: (error) => (found = error),
    });
    await store.write([put(1, Buffer.from("new"))], { sync: true });
    expect((await store.getMany([keyOf(1)])).map(String)).to.deep.equal(["new"]);
    expect(found).to.equal(undefined);
    await overwriteMiddle(folder);
    await until(() => found !== undefined, 10_000, "the damage to be found");
    expect(found?.message).to.match(/^checking the store in \S+: damaged: .*\.sst is damaged: /);
    const range = { from: keyOf(0), to: keyOf(9) };
    expect(() => store.iterate(range)).to.throw(StoreError, found?.message);
    expect(await failure(store.getMany([keyOf(1)]))).to.equal(found);
    expect(await failure(store.write([put(1, Buffer.from("x"))], { sync: true }))).to.equal(found);
    await store.close();
  });

  it("looks through its files while they are written, and finds nothing", async () => {
    const fast = { bytesPerSecond: 1_000_000_000, pauseMs: 0 };
    const found: StoreError[] = [];
    const store = await openRocksStore(folder, {
      // The least that RocksDB takes: files come and go all the time.
      writeBufferBytes: 64 * 1_024,
      scrubPace: fast,
      onDamage: (error) => found.push(error),
    });
    const names = new Set<string>();
    for (let round = 0; round < 150; round += 1) {
      const values = Array.from({ length: 100 }, () => randomBytes(200));
      const rows = values.map((value, index) => put((round * 37 + index) % 1_000, value));
      await store.write(rows, { sync: false });
      for (const name of await readdir(folder)) if (name.endsWith(".sst")) names.add(name);
    }
    await store.close();
    expect(found).to.deep.equal([]);
    const left = new Set(await readdir(folder));
    expect([...names].filter((name) => !left.has(name))).to.have.length.above(5);
  });
});
