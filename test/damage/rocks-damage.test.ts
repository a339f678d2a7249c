/**
 * Every file of a RocksStore, damaged in every way, one at a time: the store does not open and says
 * which file it is, or it stands at a moment that it has been at. Never at another.
 *
 * `make damage` does the same to whole clusters.
 */
import { expect } from "chai";
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkFiles, type Cut } from "../../infra/rocksdb/rocks-check.js";
import { openRocksStore } from "../../infra/rocksdb/rocks-store.js";
import { StoreError } from "../../infra/store-error.js";
import { damages, flipAt, removal, type Damage } from "./damages.js";
import { BATCHES, BATCHES_IN_FILES, makeKnownStore, momentOf } from "./known-store.js";

/** Between bits flipped in one file, one open each. Prime, to meet all parts of a row. */
const FLIP_STEP = 7_019;
/** A data file's end has some bytes that mean nothing. */
const FOOTER_BYTES = 53;

describe("a store's files", function () {
  this.timeout(60_000);
  let root: string;
  let whole: string;
  let names: readonly string[];

  before(async () => {
    root = mkdtempSync(join(tmpdir(), "ringdex-damage-"));
    whole = join(root, "whole");
    await makeKnownStore(whole, join(root, "scratch"));
    names = readdirSync(whole);
  });
  after(() => rmSync(root, { recursive: true }));

  it("are of every kind, and when whole hold everything that was written", async () => {
    const kinds = ["CURRENT", "IDENTITY", "LOCK"];
    expect(names).to.include.members(kinds);
    const count = (pattern: RegExp): number => names.filter((name) => pattern.test(name)).length;
    expect(count(/^MANIFEST-/)).to.equal(1);
    expect(count(/^OPTIONS-/)).to.be.at.least(1);
    expect(count(/\.sst$/)).to.be.at.least(3);
    expect(count(/\.log$/)).to.equal(2);
    expect(await outcomeOf("LOCK", undefined)).to.deep.equal({ moment: BATCHES - 1, cuts: [] });
  });

  it("damaged in any way, are refused by name or leave an earlier moment", async () => {
    for (const name of names) {
      for (const damage of damages) check(name, damage, await outcomeOf(name, damage));
    }
  });

  it("with one bit flipped, are refused or leave the store at an earlier moment", async () => {
    const told = names.filter((name) => /\.(sst|log)$|^MANIFEST/.test(name));
    for (const name of told) {
      const { size } = statSync(join(whole, name));
      for (let offset = 100; offset < size - FOOTER_BYTES; offset += FLIP_STEP) {
        const outcome = await outcomeOf(name, flipAt(offset));
        check(name, flipAt(offset), outcome);
        expect(isNoticed(outcome), `a bit at ${offset} of ${name} is noticed`).to.equal(true);
      }
    }
  });

  it("that were cut keep what was cut off, and say why", async () => {
    const [first = "", second = ""] = logs();
    const { moment, cuts } = await outcomeOf(first, flipAt(20_000));
    expect(moment).to.be.within(BATCHES_IN_FILES, BATCHES - 1);
    expect(cuts.map(({ file }) => file)).to.deep.equal([first, second]);
    expect(cuts[0]?.reason).to.contain("not what was written");
    expect(cuts[0]?.bytesKept).to.be.within(1, 20_000);
    expect(cuts[1]).to.include({ bytesKept: 0, bytesCut: statSync(join(whole, second)).size });
    expect(readdirSync(join(root, "copy"))).to.include.members([`${first}.cut`, `${second}.cut`]);
  });

  it("do not go on behind a write-ahead log that is missing", async () => {
    const [first = ""] = logs();
    const { moment } = await outcomeOf(first, removal);
    expect(moment).to.equal(BATCHES_IN_FILES - 1);
  });

  it("are left alone where a process that was killed only began to write", async () => {
    const copy = makeCopy();
    const last = logs().at(-1) ?? "";
    damages.find(({ name }) => name === "a byte shorter")?.apply(join(copy, last));
    expect(await checkFiles(copy)).to.deep.equal([]);
  });

  interface Outcome {
    /** Undefined: the store was not opened. */
    readonly moment: number | undefined;
    readonly refusal?: StoreError;
    readonly cuts: readonly Cut[];
  }

  async function outcomeOf(name: string, damage: Damage | undefined): Promise<Outcome> {
    const copy = makeCopy();
    damage?.apply(join(copy, name));
    const cuts: Cut[] = [];
    try {
      const store = await openRocksStore(copy, { onCut: (cut) => cuts.push(cut) });
      try {
        return { moment: await momentOf(store), cuts };
      } finally {
        await store.close();
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return { moment: undefined, refusal: error, cuts };
    }
  }

  function check(name: string, damage: Damage, { moment, refusal }: Outcome): void {
    const what = `${name}, ${damage.name}`;
    if (refusal === undefined) {
      expect(moment, what).to.be.at.least(-1);
      return;
    }
    expect(refusal.kind, what).to.equal("damaged");
    expect(refusal.message, what)
      .to.contain(join(root, "copy"))
      .and.contain("Move the folder away");
    // A damaged MANIFEST may name other files than are there, and then these are missing.
    const named = name.startsWith("MANIFEST") ? / \S+(\.sst| CURRENT names,) is / : name;
    expect(refusal.message, what).to.match(new RegExp(named));
  }

  function isNoticed({ moment, refusal, cuts }: Outcome): boolean {
    return refusal !== undefined || (cuts.length > 0 && moment !== BATCHES - 1);
  }

  function logs(): string[] {
    return names.filter((name) => name.endsWith(".log")).toSorted();
  }

  function makeCopy(): string {
    const copy = join(root, "copy");
    rmSync(copy, { recursive: true, force: true });
    cpSync(whole, copy, { recursive: true });
    return copy;
  }
});
