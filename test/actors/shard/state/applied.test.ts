/**
 * What the loops of a replica share: waits, views, positions and mailboxes.
 */
import { expect } from "chai";
import fc from "fast-check";
import { stretchesOf } from "../../../../actors/shard/batch.js";
import { Applied, type View } from "../../../../actors/shard/state/applied.js";
import { Mailbox } from "../../../../actors/shard/state/mailbox.js";
import { Ownership } from "../../../../actors/shard/state/ownership.js";
import { PositionTable } from "../../../../actors/shard/state/position-table.js";
import type { StoreWrite } from "../../../../infra/store.js";
import { KvError } from "../../../../protocol/errors.js";
import type { Position, Revision, Sequence, TimeMs } from "../../../../protocol/ids.js";
import { MAILBOX_REQUESTS_MAX, VIEW_MS_MAX, VIEWS_MAX } from "../../../../protocol/limits.js";
import type { RefusedRequest, Request } from "../../../../protocol/request/request.js";
import { set } from "../../../support/log-writer.js";
import { ManualClock } from "../../../support/manual-clock.js";
import { getOf } from "../../../support/memory-shard.js";
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
    const note = (): void => void seen.push(applied.sequence);
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
    applied.batchWritten((applied.sequence + 1) as Sequence, 0 as TimeMs);
  }
});

describe("position table", () => {
  it("knows when something may be due, as the least of all positions", () => {
    const action = fc.tuple(fc.nat(3), fc.nat(50), fc.boolean(), fc.boolean());
    fc.assert(
      fc.property(fc.array(action, { maxLength: 30 }), fc.nat(50), (actions, now) => {
        const table = new PositionTable(4);
        const dueFrom = [Infinity, Infinity, Infinity, Infinity];
        for (const [position, time, isAdded, isNothing] of actions) {
          const next = isNothing ? Infinity : time;
          if (isAdded) table.expiryAdded(position as Position, time as TimeMs);
          else table.setDueFrom(position as Position, next as TimeMs);
          dueFrom[position] = isAdded ? Math.min(dueFrom[position] as number, time) : next;
          expect(table.dueFromAll).to.equal(Math.min(...dueFrom));
        }
        const due = [0, 1, 2, 3].filter((position) => (dueFrom[position] as number) <= now);
        expect(table.duePositions(now as TimeMs)).to.deep.equal(due);
        expect(table.hasDue(now as TimeMs)).to.equal(due.length > 0);
      }),
    );
  });

  it("adds up its positions", () => {
    const table = new PositionTable(4);
    table.setCounts(1 as Position, 2, 30);
    table.setCounts(3 as Position, 1, 5);
    expect(table.totals()).to.deep.equal({ keys: 3, bytes: 35 });
  });
});

describe("ownership", () => {
  it("owns what it was told, and knows when it was interrupted", () => {
    const ownership = new Ownership(4);
    expect(ownership.state(first)).to.equal("absent");
    ownership.set(2 as Position, "owned", 1);
    ownership.set(first, "owned", 1);
    expect(ownership.owned()).to.deep.equal([0, 2]);
    expect(ownership.ownedCount).to.equal(2);
    const generation = ownership.generation(first);
    expect(ownership.stillOwns(first, generation)).to.equal(true);
    ownership.set(first, "sealed", 2);
    expect(ownership.owns(first)).to.equal(false);
    expect(ownership.ownedCount).to.equal(1);
    ownership.set(first, "owned", 3);
    expect(ownership.stillOwns(first, generation)).to.equal(false);
    ownership.set(first, "owned", 3);
    expect(ownership.ownedCount).to.equal(2);
  });
});

describe("mailbox", () => {
  it("hands over all that has arrived, in order, and the rest back when closed", async () => {
    const clock = new ManualClock();
    const mailbox = new Mailbox<number>(clock);
    const taken: (readonly number[])[] = [];
    const gates: (() => void)[] = [];
    const reading = (async () => {
      for await (const batch of mailbox.batches()) {
        taken.push(batch);
        await new Promise<void>((resolve) => gates.push(resolve));
      }
    })();
    mailbox.offer(1);
    mailbox.offer(2);
    await clock.runUntil(() => taken.length === 1);
    for (const item of [3, 4]) mailbox.offer(item);
    gates.shift()?.();
    await clock.runUntil(() => taken.length === 2);
    mailbox.offer(5);
    expect(mailbox.close()).to.deep.equal([5]);
    gates.shift()?.();
    await clock.resolve(reading);
    expect(taken).to.deep.equal([
      [1, 2],
      [3, 4],
    ]);
    expect(() => mailbox.offer(6)).to.throw(KvError, "ending");
  });

  it("is overloaded beyond its limit", () => {
    const mailbox = new Mailbox<number>(new ManualClock());
    for (let item = 0; item < MAILBOX_REQUESTS_MAX; item += 1) mailbox.offer(item);
    expect(() => mailbox.offer(0)).to.throw(KvError, "wait here already");
  });
});

describe("stretches of a batch", () => {
  const write = (key: string): Request => ({ kind: "write", operation: set(key, 1), hops: 0 });
  const get = (key: string): Request => getOf(key, "linearizable");
  const refused: RefusedRequest = { kind: "refused", error: new KvError("bad-request", "no") };

  it("are cut only where a key is both read and written", () => {
    const sizes = (...requests: (Request | RefusedRequest)[]): number[] =>
      stretchesOf(requests).map(({ length }) => length);
    expect(sizes()).to.deep.equal([]);
    expect(sizes(write("a"), write("a"), get("b"), get("b"), refused)).to.deep.equal([5]);
    expect(sizes(write("a"), get("a"), get("a"), write("a"))).to.deep.equal([1, 2, 1]);
    expect(sizes(get("a"), write("b"), get("b"), get("a"))).to.deep.equal([2, 2]);
  });

  it("hold all requests in their order", () => {
    const anyRequest = fc
      .tuple(fc.boolean(), fc.constantFrom("a", "b", "c"))
      .map(([isGet, key]) => (isGet ? get(key) : write(key)));
    fc.assert(
      fc.property(fc.array(anyRequest), (requests) => {
        expect(stretchesOf(requests).flat()).to.deep.equal(requests);
      }),
    );
  });
});

async function kindOf(waited: Promise<unknown>): Promise<string> {
  try {
    await waited;
    return "reached";
  } catch (error) {
    return (error as KvError).kind;
  }
}
