/**
 * RocksStore: the contract of stores, and what only a disk can do: be locked, damaged or full.
 */
import { randomBytes } from "node:crypto";
import { chmod, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import binding from "rocksdb/binding.js";
import { openRocksStore } from "../../../infra/rocksdb/rocks-store.js";
import { storeContract } from "../../contract/store-contract.js";
import {
  fill,
  overwriteMiddle,
  runElsewhere,
  failure,
  keyOf,
  put,
  makeFolder,
  remove,
} from "./filled-store.js";

describe("rocks store", function () {
  this.timeout(20_000);
  storeContract(async () => {
    const folder = await makeFolder();
    return { open: () => openRocksStore(folder), remove: () => remove(folder) };
  });
});

describe("rocks store on its disk", function () {
  this.timeout(20_000);

  let folder: string;

  beforeEach(async () => {
    folder = await makeFolder();
  });

  afterEach(() => remove(folder));

  it("makes the folders on the way to it", async () => {
    const store = await openRocksStore(join(folder, "replicas", "s1"));
    await store.close();
    expect(await readdir(join(folder, "replicas", "s1"))).to.include("CURRENT");
  });

  it("is in use while it is open, for this process and for others, and free after", async () => {
    const store = await openRocksStore(folder);
    const here = await failure(openRocksStore(folder));
    expect(here.kind).to.equal("in-use");
    expect(here.message).to.include(folder);
    expect(await openElsewhere(folder)).to.equal("in-use");
    await store.close();
    expect(await openElsewhere(folder)).to.equal("opened");
  });

  it("keeps what was written without sync when the process is killed", async () => {
    expect(await openElsewhere(folder, "write-and-die")).to.equal("SIGKILL");
    const store = await openRocksStore(folder);
    const values = await store.getMany([Buffer.from("k")]);
    await store.close();
    expect(values.map(String)).to.deep.equal(["v"]);
  });

  it("is damaged if CURRENT is missing, and leaves the data files alone", async () => {
    await fill(folder);
    const before = (await readdir(folder)).filter((name) => name.endsWith(".sst"));
    await rm(join(folder, "CURRENT"));
    expect((await failure(openRocksStore(folder))).kind).to.equal("damaged");
    expect(await readdir(folder)).to.include.members(before);
    expect(before).not.to.deep.equal([]);
  });

  it("is damaged if CURRENT says nonsense or names a missing manifest", async () => {
    await fill(folder);
    for (const text of ["nonsense", "MANIFEST-000999\n"]) {
      await writeFile(join(folder, "CURRENT"), text);
      const error = await failure(openRocksStore(folder));
      expect(error.kind).to.equal("damaged");
      expect(error.cause).to.be.instanceOf(Error);
      expect(error.message).to.match(/Move the folder away/);
    }
  });

  it("is damaged if a block is, or a data file is missing, and names the file", async () => {
    await fill(folder);
    const [name = ""] = (await readdir(folder)).filter((each) => each.endsWith(".sst"));
    await overwriteMiddle(folder);
    const error = await failure(openRocksStore(folder));
    expect(error.kind).to.equal("damaged");
    expect(error.message).to.contain(`${name} is damaged: its block of`);
    await rm(join(folder, name));
    expect((await failure(openRocksStore(folder))).message).to.contain(`${name} is missing`);
  });

  it("refuses what it cannot write when its folder vanishes, and begins empty after", async () => {
    const store = await openRocksStore(folder, { writeBufferBytes: 64 * 1_024 });
    await store.write([put(0, Buffer.from("kept"))], { sync: true });
    await rm(folder, { recursive: true });
    // What is open goes on; it ends where a new file has to be made.
    let taken = 0;
    const error = await failure(
      (async () => {
        for (; ; taken += 1)
          await store.write([put(taken + 1, randomBytes(10_000))], { sync: true });
      })(),
    );
    expect(error.kind).to.equal("failed");
    expect(error.message).to.include(folder).and.include("No such file");
    const [first, last, refused] = await store.getMany([0, taken, taken + 1].map(keyOf));
    expect(String(first)).to.equal("kept");
    expect(last).to.have.length(10_000);
    expect(refused).to.equal(undefined);
    await store.close();
    const again = await openRocksStore(folder);
    expect(await again.getMany([keyOf(0)])).to.deep.equal([undefined]);
    await again.close();
  });

  it("does not open where it may not write, and says so", async () => {
    await fill(folder);
    await chmod(folder, 0o555);
    // Root may everywhere, so the test is somebody else for a moment.
    const isRoot = process.getuid?.() === 0;
    if (isRoot) process.seteuid?.(NOBODY);
    try {
      const error = await failure(openRocksStore(folder));
      expect(error.kind).to.equal("not-writable");
      expect(error.message).to.include(folder);
      expect((await failure(openRocksStore(join(folder, "new")))).kind).to.equal("not-writable");
    } finally {
      if (isRoot) process.seteuid?.(0);
      await chmod(folder, 0o755);
    }
  });

  it("does not open below a file", async () => {
    await writeFile(join(folder, "file"), "");
    const error = await failure(openRocksStore(join(folder, "file", "store")));
    expect(error.kind).to.equal("failed");
    expect(error.message).to.include("ENOTDIR");
  });

  it("keeps its memory while a million empty values are written", async function () {
    this.timeout(60_000);
    const store = await openRocksStore(folder, { writeBufferBytes: 1_024 * 1_024 });
    const batch = Array.from({ length: 5_000 }, (_, index) => put(index, new Uint8Array(0)));
    const rounds = async (count: number): Promise<void> => {
      for (let round = 0; round < count; round += 1) await store.write(batch, { sync: false });
    };
    await rounds(100);
    const before = process.memoryUsage().rss;
    await rounds(200);
    // The leak that this watches for is 32 bytes a value: 32 MB.
    expect(process.memoryUsage().rss - before).to.be.below(20_000_000);
    await store.close();
  });
});

describe("rocks store after a failed batch", () => {
  let folder: string;
  const batchDo = binding.batch_do;
  beforeEach(async () => {
    folder = await makeFolder();
  });
  afterEach(async () => {
    binding.batch_do = batchDo;
    await remove(folder);
  });

  it("refuses every further batch, still reads, and takes batches when opened again", async () => {
    const store = await openRocksStore(folder);
    await store.write([put(1, Buffer.from("first"))], { sync: false });
    const full = new Error("IO error: No space left on deviceWhile appending to file: 000004.log");
    binding.batch_do = (_db, _operations, _options, done) => void setImmediate(done, full);
    const write = (): Promise<void> => store.write([put(2, Buffer.from("x"))], { sync: true });
    expect(await failure(write())).to.include({ kind: "full", cause: full });
    binding.batch_do = batchDo;
    expect((await failure(write())).kind).to.equal("full");
    const values = await store.getMany([keyOf(1), keyOf(2)]);
    expect(values.map(String)).to.deep.equal(["first", "undefined"]);
    await store.close();
    const again = await openRocksStore(folder);
    await again.write([put(2, Buffer.from("second"))], { sync: true });
    expect((await again.getMany([keyOf(1), keyOf(2)])).map(String)).to.deep.equal([
      "first",
      "second",
    ]);
    await again.close();
  });
});

/** A user without any rights, on every Linux. */
const NOBODY = 65_534;

/** "opened", the kind of StoreError, or the signal, of a process that opens the same folder. */
async function openElsewhere(
  folder: string,
  then: "close" | "write-and-die" = "close",
): Promise<string> {
  const script = `
    const [, url, folder, then] = process.argv;
    const { openRocksStore } = await import(url);
    try {
      const store = await openRocksStore(folder);
      const put = { type: "put", key: Buffer.from("k"), value: Buffer.from("v") };
      if (then !== "close") {
        await store.write([put], { sync: false });
        process.kill(process.pid, "SIGKILL");
      }
      await store.close();
      process.stdout.write("opened");
    } catch (error) {
      process.stdout.write(error.kind);
    }`;
  return runElsewhere(script, folder, then);
}
