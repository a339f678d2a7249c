/**
 * Applied: what the other loops of a replica may wait for, and the views that they read.
 */
import { expect } from "chai";
import { Applied, type View } from "../../../../actors/shard/state/applied.js";
import { Ownership } from "../../../../actors/shard/state/ownership.js";
import { PositionTable } from "../../../../actors/shard/state/position-table.js";
import type { StoreWrite } from "../../../../infra/store.js";
import { KvError } from "../../../../protocol/errors.js";
import type { Position, Revision, Sequence, TimeMs } from "../../../../protocol/ids.js";
import { VIEW_MS_MAX, VIEWS_MAX } from "../../../../protocol/limits.js";
import { ManualClock } from "../../../support/manual-clock.js";
import { Disk, type MemoryStore } from "../../../support/memory-store.js";

const first = 0 as Position;

const everything = { from: Buffer.from([0]), to: Buffer.from([255]) };

describe("applied", () => {
  let clock: ManualClock;
  let store: MemoryStore;
  let applied: Applied;
  beforeEach(() => {
    clock = new ManualClock();
    store = new Disk().open();
    applied = new Applied(new Ownership(4), new PositionTable(4), store, clock);
  });

  const batch = (sequence: number, logTime = 0): void => {
    applied.batchStarts();
    applied.batchWritten(sequence as Sequence, logTime as TimeMs);
  };

  it("lets wait for a sequence, in any order", async () => {
    const reached: number[] = [];
    for (const sequence of [3, 1, 2]) {
      void applied.reached(sequence as Sequence, 100).then(() => reached.push(sequence));
    }
    await clock.advance(1);
    expect(reached).to.deep.equal([]);
    batch(2);
    await clock.advance(1);
    expect(reached).to.deep.equal([1, 2]);
    await applied.reached(2 as Sequence, 0);
    batch(7);
    await clock.advance(1);
    expect(reached).to.deep.equal([1, 2, 3]);
  });

  it("lets nobody wait for longer than asked", async () => {
    const waits = [
      kindOf(applied.reached(1 as Sequence, 100)),
      kindOf(applied.reachedRevision(first, 1 as Revision, 100)),
    ];
    await clock.advance(100);
    expect(await Promise.all(waits)).to.deep.equal(["unavailable", "unavailable"]);
    batch(1);
    expect(await kindOf(applied.reached(1 as Sequence, 0))).to.equal("reached");
  });

  it("lets wait for a position's revision", async () => {
    let isReached = false;
    void applied.reachedRevision(first, 2 as Revision, 100).then(() => void (isReached = true));
    applied.table.setRevision(first, 1 as Revision);
    batch(1);
    await clock.advance(1);
    expect(isReached).to.equal(false);
    applied.batchStarts();
    applied.table.setRevision(first, 2 as Revision);
    applied.batchWritten(2 as Sequence, 0 as TimeMs);
    await clock.advance(1);
    expect(isReached).to.equal(true);
  });

  it("refuses to go back, and to have two batches in flight", () => {
    batch(5, 50);
    applied.batchStarts();
    expect(() => applied.batchStarts()).to.throw("one batch in flight");
    expect(() => applied.batchWritten(4 as Sequence, 50 as TimeMs)).to.throw("does not go back");
    expect(() => applied.batchWritten(5 as Sequence, 49 as TimeMs)).to.throw("does not go back");
  });

  it("opens between batches only, with the state of the one just written", async () => {
    const seen: number[] = [];
    const note = (): void => void seen.push(applied.appliedSequence);
    await applied.betweenBatches(note);
    expect(seen).to.deep.equal([0]);
    applied.batchStarts();
    const opening = applied.betweenBatches(note);
    await clock.advance(1);
    expect(seen).to.deep.equal([0]);
    applied.batchWritten(1 as Sequence, 0 as TimeMs);
    await opening;
    expect(seen).to.deep.equal([0, 1]);
  });

  it("gives views that later batches do not touch", async () => {
    applied.ownership.set(first, "owned", 1);
    await write("k");
    const view = await applied.openView([everything, everything]);
    applied.ownership.set(1 as Position, "owned", 1);
    await write("l");
    for (const iterator of view.iterators) expect(await iterator.next(10)).to.have.length(1);
    expect(view.sequence).to.equal(1);
    expect(view.positions).to.deep.equal([0]);
    expect(view.revisionCounter(first)).to.equal(1);
    await view.close();
    expect(applied.viewCount).to.equal(0);
    await view.close();
    expect(applied.viewCount).to.equal(0);
    await store.close();
  });

  it("bounds how many views are open, and for how long", async () => {
    const views: View[] = [];
    for (let number = 0; number < VIEWS_MAX; number += 1) {
      views.push(await applied.openView([everything]));
    }
    expect(await kindOf(applied.openView([]))).to.equal("overloaded");
    await views[0]?.close();
    expect(await kindOf(applied.openView([]))).to.equal("reached");
    await clock.advance(VIEW_MS_MAX);
    expect(applied.viewCount).to.equal(0);
    await store.close();
  });

  it("tells whoever waits that it has ended, with a batch that is never written too", async () => {
    applied.batchStarts();
    const waits = [
      kindOf(applied.openView([everything])),
      kindOf(applied.reached(9 as Sequence, 10_000)),
      kindOf(applied.reachedRevision(first, 9 as Revision, 10_000)),
    ];
    applied.end(new KvError("unavailable", "it ended"));
    expect(await Promise.all(waits)).to.deep.equal(Array(3).fill("unavailable"));
    expect(await kindOf(applied.openView([everything]))).to.equal("unavailable");
    expect(await kindOf(applied.reached(9 as Sequence, 10_000))).to.equal("unavailable");
  });

  async function write(key: string): Promise<void> {
    const rows: StoreWrite[] = [{ type: "put", key: Buffer.from(key), value: Buffer.of(1) }];
    applied.batchStarts();
    await store.write(rows, { sync: false });
    const revision = (applied.table.revision(first) + 1) as Revision;
    applied.table.setRevision(first, revision);
    applied.batchWritten((applied.appliedSequence + 1) as Sequence, 0 as TimeMs);
  }
});

async function kindOf(waited: Promise<unknown>): Promise<string> {
  try {
    await waited;
    return "reached";
  } catch (error) {
    return (error as KvError).kind;
  }
}
