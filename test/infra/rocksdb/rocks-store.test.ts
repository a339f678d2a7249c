/**
 * RocksStore: the contract of stores, and what only a disk can do: be locked, damaged or full.
 */
import { expect } from "chai";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, open, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import binding from "rocksdb/binding.js";
import { openRocksStore, storeError } from "../../../infra/rocksdb/rocks-store.js";
import { StoreError } from "../../../infra/store-error.js";
import type { StoreWrite } from "../../../infra/store.js";
import { storeContract } from "../../contract/store-contract.js";
import { until } from "../../support/until.js";

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

  // In a process of its own, because trap 9 may end it: what came too late for the look at the
  // files when it was opened. Rows that are left out would be the worst, and have not been seen.
  it("tells of damaged blocks, reading, scanning or seeking, or ends", async () => {
    await fill(folder);
    const outcome = await scanElsewhere(folder);
    const all = "damaged damaged damaged damaged";
    expect(outcome).to.be.oneOf([all, "SIGSEGV", "SIGABRT", "SIGBUS"]);
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

describe("store errors", () => {
  const cases = [
    ["IO error: No space left on deviceWhile appending to file: /x/000004.log", "full"],
    ["IO error: While lock file: /x/LOCK: Resource temporarily unavailable", "in-use"],
    ["IO error: While lock file: /x/LOCK: Permission denied", "not-writable"],
    ["EACCES: permission denied, mkdir '/x'", "not-writable"],
    ["EROFS: read-only file system, mkdir '/x'", "not-writable"],
    ["Corruption: block checksum mismatch", "damaged"],
    ["IO error: While open a file for random read: /x/000009.sst: Too many open files", "failed"],
    ["IO error: While pread offset 0 len 4096: /x/000009.sst: Input/output error", "failed"],
  ] as const;
  for (const [text, kind] of cases) {
    it(`are ${kind} for "${text}", which they repeat, and say what to do`, () => {
      const cause = new Error(text);
      const error = storeError("opening", "/x", cause);
      expect(error).to.include({ kind, cause, name: "StoreError" });
      expect(error.message)
        .to.include(text)
        .and.match(/^opening the store in \/x: .*\. [A-Z].*\.$/);
    });
  }
});

/** A user without any rights, on every Linux. */
const NOBODY = 65_534;
const FILLED_COUNT = 20_000;

/** A store whose rows stand in one data file: opening again writes out what the log holds. */
async function fill(folder: string): Promise<void> {
  const first = await openRocksStore(folder);
  const rows = Array.from({ length: FILLED_COUNT }, (_, index) => put(index, Buffer.from("value")));
  await first.write(rows, { sync: true });
  await first.close();
  const second = await openRocksStore(folder);
  await second.close();
}

/** Zeros over half of every data file, between its first and its last rows. */
async function overwriteMiddle(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith(".sst")) continue;
    const { size } = await stat(join(folder, name));
    const file = await open(join(folder, name), "r+");
    await file.write(Buffer.alloc(Math.floor(size / 4)), 0, undefined, Math.floor(size / 4));
    await file.close();
  }
}

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

/** What reads through the middle of the store say; or the signal that ended the process. */
async function scanElsewhere(folder: string): Promise<string> {
  const script = `
    const [, url, folder, middle] = process.argv;
    const { openRocksStore } = await import(url);
    const { open, readdir, stat } = await import("node:fs/promises");
    const store = await openRocksStore(folder);
    for (const name of (await readdir(folder)).filter((each) => each.endsWith(".sst"))) {
      const file = await open(folder + "/" + name, "r+");
      const quarter = Math.floor((await file.stat()).size / 4);
      await file.write(Buffer.alloc(quarter), 0, undefined, quarter);
      await file.close();
    }
    const range = { from: Buffer.from("a"), to: Buffer.from("z") };
    const kindOf = (rows) => rows.then((rows) => rows.length + " rows", (error) => error.kind);
    const kinds = [await kindOf(store.getMany([Buffer.from(middle)]))];
    const scan = store.iterate(range);
    kinds.push(await kindOf(scan.next(100_000)), await kindOf(scan.next(1)));
    const seek = store.iterate(range);
    seek.seek(Buffer.from(middle));
    kinds.push(await kindOf(seek.next(1)));
    await Promise.all([scan.close(), seek.close()]);
    await store.close();
    process.stdout.write(kinds.join(" "));`;
  return runElsewhere(script, folder, Buffer.from(keyOf(FILLED_COUNT / 2)).toString());
}

/** The script's output, with the store's module, `folder` and `more` as its arguments. */
async function runElsewhere(script: string, folder: string, more: string): Promise<string> {
  const url = new URL("../../infra/rocks-store.js", import.meta.url).href;
  const options = ["--input-type=module", "-e", script, url, folder, more];
  try {
    return (await promisify(execFile)(process.execPath, options)).stdout;
  } catch (error) {
    return (error as { signal?: string }).signal ?? String(error);
  }
}

async function failure(outcome: Promise<unknown>): Promise<StoreError> {
  const error = await outcome.then(
    () => "it did not fail",
    (reason: unknown) => reason,
  );
  if (!(error instanceof StoreError)) throw new Error(`not a StoreError: ${String(error)}`);
  return error;
}

function keyOf(index: number): Uint8Array {
  return Buffer.from(`key ${String(index).padStart(6, "0")}`);
}

function put(index: number, value: Uint8Array): StoreWrite {
  return { type: "put", key: keyOf(index), value };
}

function makeFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "ringdex-rocks-store-"));
}

async function remove(folder: string): Promise<void> {
  await rm(folder, { recursive: true });
}
