/**
 * A store on a disk that gets full, or read-only. Needs root: elsewhere these are skipped, and
 * rocks-store.test.ts has what can be told without.
 */
import { expect } from "chai";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { takeLock, dataPaths, Refusal } from "../../infra/main/server/data-folder.js";
import { openRocksStore } from "../../infra/rocksdb/rocks-store.js";
import { StoreError } from "../../infra/store-error.js";
import { knownBatch, momentOf } from "./known-store.js";
import { mountSmallDisk, type SmallDisk } from "./small-disk.js";

describe("a store's disk", function () {
  this.timeout(30_000);
  let folder: string;
  let disk: SmallDisk | undefined;
  beforeEach(function () {
    folder = mkdtempSync(join(tmpdir(), "ringdex-small-disk-"));
    disk = mountSmallDisk(folder, 2);
    if (disk === undefined) this.skip();
  });
  afterEach(() => {
    disk?.unmount();
    rmSync(folder, { recursive: true });
  });

  it("that is full refuses batches, and loses none that it took once there is room", async () => {
    const store = await openRocksStore(join(folder, "store"));
    let taken = -1;
    const error = await (async () => {
      for (;;) {
        await store.write(knownBatch(taken + 1), { sync: taken % 50 === 0 });
        taken += 1;
      }
    })().catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError).and.include({ kind: "full" });
    expect((error as Error).message)
      .to.contain(folder)
      .and.contain("Make room");
    expect(taken).to.be.above(100);
    expect(await momentOf(store)).to.equal(taken);
    await store.close();

    disk?.grow(20);
    const again = await openRocksStore(join(folder, "store"));
    expect(await momentOf(again)).to.equal(taken);
    await again.write(knownBatch(taken + 1), { sync: true });
    expect(await momentOf(again)).to.equal(taken + 1);
    await again.close();
  });

  it("that is full does not open, says so, and does once there is room", async () => {
    const store = await openRocksStore(join(folder, "store"));
    const error = await (async () => {
      for (let number = 0; ; number += 1) await store.write(knownBatch(number), { sync: false });
    })().catch((reason: unknown) => reason);
    expect(error).to.include({ kind: "full" });
    const moment = await momentOf(store);
    await store.close();
    for (let times = 0; times < 3; times += 1) {
      const opened = await openRocksStore(join(folder, "store")).catch((reason: unknown) => reason);
      if (opened instanceof StoreError) expect(opened.kind).to.equal("full");
      else await (opened as Awaited<ReturnType<typeof openRocksStore>>).close();
    }
    disk?.grow(20);
    const again = await openRocksStore(join(folder, "store"));
    expect(await momentOf(again)).to.equal(moment);
    await again.close();
  });

  it("that is read-only does not open, and says so", async () => {
    const store = await openRocksStore(join(folder, "store"));
    await store.write(knownBatch(0), { sync: true });
    await store.close();
    disk?.makeReadOnly();
    const error = await openRocksStore(join(folder, "store")).catch((reason: unknown) => reason);
    expect(error).to.include({ kind: "not-writable" });
    expect((error as Error).message).to.contain(folder);
  });

  it("that is read-only is refused as a data folder, by name", async () => {
    disk?.makeReadOnly();
    const refusal = await takeLock(dataPaths(join(folder, "data"))).catch(
      (reason: unknown) => reason,
    );
    expect(refusal).to.be.instanceOf(Refusal);
    expect((refusal as Error).message).to.contain(`${folder}/data (EROFS)`);
  });
});
