/**
 * A node's copy of the ring, and a bucket that has lost what the copy has.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { decodeRing } from "../../../actors/ring-keeper/ring-keeper.js";
import { keepRing, keptRing, putBack } from "../../../infra/main/ring-copy.js";
import { encodeRing, type RingTable } from "../../../protocol/ring.js";
import { ManualClock } from "../../support/manual-clock.js";
import { MemoryRing } from "../../support/memory-ring.js";
import { NotedLogger } from "../../support/noted-logger.js";
import { repaired, smallRing } from "../../support/small-ring.js";

const first = smallRing([0, 1], [2, 3]);
const second = repaired(first, 0);
const third = repaired(second, 1);

describe("a node's copy of the ring", () => {
  let folder: string;
  let logger: NotedLogger;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-ring-copy-"));
    logger = new NotedLogger();
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is the last one that was kept", async () => {
    expect(await keptRing(folder, logger)).to.equal(undefined);
    for (const ring of [first, first, third, second]) {
      await keepRing(folder, ring, logger);
      expect(await keptRing(folder, logger)).to.deep.equal(ring);
    }
    expect(logger.lines).to.deep.equal([]);
  });

  for (const text of ["", "{", "null", '{"store":"kv"}']) {
    it(`is none, and this is said, when it is ${JSON.stringify(text)}`, async () => {
      writeFileSync(join(folder, "ring.json"), text);
      expect(await keptRing(folder, logger)).to.equal(undefined);
      expect(logger.messages("error")).to.deep.equal([
        "the node's copy of the ring is damaged, not used",
      ]);
      await keepRing(folder, second, logger);
      expect(await keptRing(folder, logger)).to.deep.equal(second);
    });
  }

  it("that cannot be written keeps nobody from serving, and this is said", async () => {
    await keepRing(join(folder, "none"), first, logger);
    expect(logger.messages("error")).to.deep.equal([
      "the node's copy of the ring could not be written",
    ]);
  });
});

describe("a ring's bucket that has lost changes", () => {
  let cell: MemoryRing;
  let clock: ManualClock;
  let logger: NotedLogger;
  const stored = (): RingTable => decodeRing(cell.value ?? new Uint8Array());
  const back = (kept: RingTable): Promise<void> => putBack(cell, kept, clock, logger);
  beforeEach(() => {
    cell = new MemoryRing();
    clock = new ManualClock();
    logger = new NotedLogger();
    cell.put(bytesOf(first));
  });

  it("gets them back", async () => {
    await back(third);
    expect(stored()).to.deep.equal(third);
    expect(logger.messages("info")).to.have.lengthOf(1);
    expect(logger.lines[0]?.fields).to.deep.equal({ epoch: third.epoch });
    await back(third);
    expect(cell.revision).to.equal(2);
  });

  it("gets them back from the one who has most of them, whoever comes first", async () => {
    await back(second);
    await back(third);
    await back(second);
    expect(stored()).to.deep.equal(third);
    expect(cell.revision).to.equal(3);
  });

  it("is left alone if it is empty, newer, or was changed in another way since", async () => {
    const empty = new MemoryRing();
    await putBack(empty, third, clock, logger);
    expect(empty.value).to.equal(undefined);
    for (const ring of [third, repaired(first, 1), smallRing([0], [1, 2, 3])]) {
      cell.put(bytesOf(ring));
      const { revision } = cell;
      await back(second);
      expect(cell.revision).to.equal(revision);
    }
    expect(logger.lines).to.deep.equal([]);
  });

  it("is looked at again when somebody was first", async () => {
    const read = cell.read.bind(cell);
    let raced = false;
    cell.read = async () => {
      const found = await read();
      if (!raced) cell.put(bytesOf(repaired(first, 1)));
      raced = true;
      return found;
    };
    await back(second);
    expect(stored()).to.deep.equal(repaired(first, 1));
  });

  it("is asked until it answers; an answer that was lost is no second change", async () => {
    cell.isAway = true;
    const done = back(second);
    await clock.advance(2_000);
    cell.isAway = false;
    cell.loseNextAnswer();
    await clock.advance(2_000);
    await done;
    expect(stored()).to.deep.equal(second);
    expect(cell.revision).to.equal(2);
  });
});

function bytesOf(ring: RingTable): Uint8Array {
  return Buffer.from(JSON.stringify(encodeRing(ring)));
}
