/**
 * Which folder a shard's store is in, and what becomes of one that does not fit its log.
 */
import { expect } from "chai";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { refuseOtherRing } from "../../../infra/main/node-identity.js";
import { StoreFolders, storeFolder } from "../../../infra/main/store-folders.js";
import type { Store } from "../../../infra/store.js";
import type { LogId } from "../../../protocol/ids.js";
import type { RingShard } from "../../../protocol/ring/ring.js";
import { smallRing } from "../../support/small-ring.js";

const [LOG, BEFORE, OTHER] = ["a1", "a0", "ff"].map((end) => `00000000000000${end}` as LogId);
const ring = smallRing([0, 1], [2, 3]);
const [first, second] = ring.shards as [RingShard, RingShard];
const shard: RingShard = { ...first, logId: LOG!, logIdsBefore: [BEFORE!] };

describe("store folders", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-folders-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("have the log's name at first, and keep one of a log before", async () => {
    expect(await inUse()).to.equal(`s1-${LOG}`);
    make(`s1-${BEFORE}`);
    expect(await inUse()).to.equal(`s1-${BEFORE}`);
    make(`s1-${LOG}`);
    expect(await inUse()).to.equal(`s1-${LOG}`);
  });

  it("do not hide a store that the ring knows nothing of behind an empty one", async () => {
    make(`s1-${OTHER}`);
    expect(await inUse()).to.equal(`s1-${OTHER}`);
    make(`s1-${BEFORE}`);
    expect(await inUse()).to.equal(`s1-${BEFORE}`);
  });

  it("do not hide a store behind a folder in which there is nothing", async () => {
    make(`s1-${OTHER}`);
    mkdirSync(join(folder, "stores", `s1-${LOG}`));
    expect(await inUse()).to.equal(`s1-${OTHER}`);
  });

  it("are not those of other shards, nor drafts, nor what was set aside", async () => {
    make(`s2-${OTHER}`);
    make(`s1-${OTHER}.draft`);
    make(`s1-${OTHER}.aside-${LOG}`);
    expect(await inUse()).to.equal(`s1-${LOG}`);
  });

  it("take a draft in the place of a store, which is kept with all that it has", async () => {
    make(`s1-${BEFORE}`, "old");
    const shelf = new StoreFolders(folder, shard, opened);
    await shelf.openDraft();
    const kept = await shelf.useDraft();
    expect(kept.map((each) => basename(each))).to.deep.equal([`s1-${BEFORE}.aside-${LOG}`]);
    expect(readFileSync(join(kept[0]!, "data"), "utf8")).to.equal("old");
    expect(await inUse()).to.equal(`s1-${LOG}`);
    // And once more: nothing that is kept is overwritten.
    make(`s1-${BEFORE}`, "older");
    await shelf.openDraft();
    await shelf.useDraft();
    expect(readdirSync(join(folder, "stores"))).to.deep.equal(
      [
        `s1-${BEFORE}.aside-${LOG}`,
        `s1-${BEFORE}.aside-${LOG}-2`,
        `s1-${LOG}`,
        `s1-${LOG}.aside-${LOG}`,
      ].toSorted(),
    );
  });

  it("make a draft anew that was left half filled", async () => {
    make(`s1-${LOG}.draft`, "half");
    await new StoreFolders(folder, shard, opened).openDraft();
    expect(readdirSync(join(folder, "stores", `s1-${LOG}.draft`))).to.deep.equal(["opened"]);
  });

  it("of a log before belong to the ring, and kept ones do not count", async () => {
    make(`s1-${BEFORE}`);
    await refuseOtherRing(folder, { ...ring, shards: [shard, second] });
    const refused = await refuseOtherRing(folder, ring).catch(String);
    expect(refused).to.contain("another ring");
    rmSync(join(folder, "stores"), { recursive: true });
    make(`s1-${BEFORE}.aside-${LOG}`);
    await refuseOtherRing(folder, ring);
  });

  async function inUse(): Promise<string> {
    return basename(await storeFolder(folder, shard));
  }

  function make(name: string, text = ""): void {
    mkdirSync(join(folder, "stores", name), { recursive: true });
    writeFileSync(join(folder, "stores", name, "data"), text);
  }

  function opened(path: string): Promise<Store> {
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "opened"), "");
    return Promise.resolve({} as Store);
  }
});
