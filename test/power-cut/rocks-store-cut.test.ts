/**
 * A RocksStore whose machine loses power, at many moments of one traced run.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { openRocksStore } from "../../infra/rocksdb/rocks-store.js";
import { seededChance } from "../support/manual-clock.js";
import { runProgram } from "../support/run-program.js";
import { diskAt, differences, readImage, untraced, writeImage } from "./cut.js";
import { Disk, losses, type Image } from "./disk.js";
import {
  batchOf,
  expectedBatches,
  LAST_KEY,
  STORE_FOLDER,
  storeKey,
  TOLD_FILE,
} from "./store-batches.js";
import { changesOf, straceCommand, traceProblem, type TracedChange } from "./trace.js";

const BATCHES = 1_000;
const CUTS = 15;
const SEED = 20_261_121;
const program = fileURLToPath(new URL("./store-program.js", import.meta.url));

describe("a RocksDB store without power", function () {
  this.timeout(120_000);
  let folder: string;
  let changes: readonly TracedChange[];
  let told: number;

  before(async function () {
    const problem = traceProblem();
    if (problem !== undefined) {
      for (const test of this.test?.parent?.tests ?? []) test.title += ` (${problem})`;
      this.skip();
    }
    folder = mkdtempSync(join(tmpdir(), "ringdex-store-cut-"));
    const data = join(folder, "data");
    const trace = join(folder, "trace");
    const [file = "", ...argumentList] = straceCommand(trace);
    const ran = await runProgram(file, [
      ...argumentList,
      process.execPath,
      program,
      data,
      `${BATCHES}`,
    ]);
    expect(ran.stderr).to.equal("");
    changes = [...changesOf(trace, data)];
    told = toldBy((await readImage(data)).files);
  });

  after(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  it("was traced whole: all calls together make the files that are there", async () => {
    const [disk, data] = [diskAfter(changes.length), join(folder, "data")];
    const base: Image = { files: new Map(), folders: new Set() };
    const traceFile = join(folder, "trace");
    // RocksDB's threads were killed in the middle of what they did.
    const most = diskAt({ root: data, base, traceFile, underWay: true }).now();
    expect(untraced(await readImage(data), disk.now(), most)).to.deep.equal([]);
    expect(told).to.equal(BATCHES);
    // Without these, what follows would try an easier case than it says.
    const removed = changes.filter(({ change }) => change.kind === "remove");
    expect(removed.some(({ change }) => change.path.endsWith(".log"))).to.equal(true);
    expect([...disk.now().files.keys()].some((path) => path.endsWith(".sst"))).to.equal(true);
  });

  for (const loss of losses) {
    it(`has each batch that was synced, and none without those before (${loss})`, async () => {
      const chance = seededChance(SEED);
      let behind = 0;
      for (let cut = 0; cut < CUTS; cut += 1) {
        const count = chance.integer(changes.length + 1);
        const disk = diskAfter(count);
        const toldBefore = toldBy(disk.now().files);
        const image = disk.after(loss, chance);
        const last = await lastBatchOf(image);
        const text = `seed ${SEED}, cut after change ${count} of ${changes.length}`;
        expect(last, text).to.be.at.least(toldBefore);
        if (differences(disk.now(), image).length > 0) behind += 1;
      }
      expect(behind, "cuts that took something along").to.be.greaterThan(0);
    });
  }

  function diskAfter(count: number): Disk {
    const disk = new Disk();
    for (const { change, at } of changes.slice(0, count)) disk.apply(change, at);
    return disk;
  }

  /** Opens what is left, and rejects unless it is the store after some batch. */
  async function lastBatchOf(image: Image): Promise<number> {
    const copy = join(folder, "copy");
    await writeImage(copy, image);
    const store = await openRocksStore(join(copy, STORE_FOLDER));
    try {
      const last = batchOf((await store.getMany([LAST_KEY]))[0]);
      const expected = expectedBatches(last);
      const keys = [...expected.keys()];
      const values = await store.getMany(keys.map((key) => Buffer.from(key)));
      expect(values.map(batchOf)).to.deep.equal([...expected.values()]);
      const next = await store.getMany([storeKey(last + 1)]);
      expect(batchOf(next[0])).to.be.at.most(last);
      return last;
    } finally {
      await store.close();
    }
  }
});

/** The last batch of which the program was told that it is durable. */
function toldBy(files: Image["files"]): number {
  const lines = (files.get(TOLD_FILE)?.toString() ?? "").split("\n");
  return Number(lines.at(-2) ?? 0);
}
