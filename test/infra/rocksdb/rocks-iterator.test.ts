/**
 * Rocks iterator: tells of damage where it meets it.
 */
import { expect } from "chai";
import { FILLED_COUNT, fill, runElsewhere, keyOf, makeFolder, remove } from "./filled-store.js";

describe("rocks iterator", function () {
  let folder: string;

  beforeEach(async () => {
    folder = await makeFolder();
  });

  afterEach(() => remove(folder));

  // In a process of its own, because trap 9 may end it: what came too late for the look at the
  // files when it was opened. Rows that are left out would be the worst, and have not been seen.
  it("tells of damaged blocks, reading, scanning or seeking, or ends", async () => {
    await fill(folder);
    const outcome = await scanElsewhere(folder);
    const all = "damaged damaged damaged damaged";
    expect(outcome).to.be.oneOf([all, "SIGSEGV", "SIGABRT", "SIGBUS"]);
  });
});

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
