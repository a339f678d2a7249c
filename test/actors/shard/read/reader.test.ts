/**
 * Reader: what a get waits for, and what it says of records that are due or moved.
 */
import { expect } from "chai";
import { Reader } from "../../../../actors/shard/read/reader.js";
import { Applied } from "../../../../actors/shard/state/applied.js";
import { Ownership } from "../../../../actors/shard/state/ownership.js";
import { PositionTable } from "../../../../actors/shard/state/position-table.js";
import { KvError } from "../../../../protocol/errors.js";
import type { Position, Revision, Sequence, TimeMs } from "../../../../protocol/ids.js";
import { SESSION_WAIT_MS } from "../../../../protocol/limits.js";
import type { StoredRecord } from "../../../../protocol/operation.js";
import { positionOf } from "../../../../protocol/position.js";
import type { Result } from "../../../../protocol/reply/result.js";
import type { ReadLevel } from "../../../../protocol/request/request.js";
import { encodeRecord } from "../../../../protocol/store/record.js";
import { recordKey } from "../../../../protocol/store/store-keys.js";
import { POSITIONS } from "../../../support/log-writer.js";
import { ManualClock } from "../../../support/manual-clock.js";
import { getOf } from "../../../support/memory-shard.js";
import { Disk, type MemoryStore } from "../../../support/memory-store.js";

describe("reader", () => {
  let clock: ManualClock;
  let store: MemoryStore;
  let applied: Applied;
  let barriers: { resolve: () => void; reject: (error: unknown) => void }[];
  let moves: (() => void)[];
  let reader: Reader;
  let running: Promise<void>;
  const position = positionOf("a", POSITIONS);

  beforeEach(() => {
    clock = new ManualClock();
    store = new Disk().open();
    applied = new Applied(new Ownership(POSITIONS), new PositionTable(POSITIONS), store, clock);
    for (let each = 0; each < POSITIONS; each += 1) {
      applied.ownership.set(each as Position, "owned", 1);
    }
    barriers = [];
    moves = [];
    const barrier = (): Promise<void> =>
      new Promise((resolve, reject) => barriers.push({ resolve, reject }));
    const moveTime = (): Promise<void> => new Promise((resolve) => moves.push(resolve));
    reader = new Reader(applied, store, barrier, moveTime, clock);
    running = reader.run();
  });

  function get(level: ReadLevel, minRevision?: number): { told: string[] } {
    const told: string[] = [];
    const settle = (result: Result): void => void told.push(seen(result));
    reader.offer({ request: getOf("a", level, minRevision), settle });
    return { told };
  }

  it("asks for the log's end once for a batch, and after it was taken", async () => {
    await put({ value: "1" });
    const gets = [get("linearizable"), get("linearizable")];
    await clock.advance(1);
    expect(barriers).to.have.length(1);
    // What arrives while the end is asked for needs an end of its own.
    const later = get("linearizable");
    await clock.advance(1);
    await put({ value: "2" });
    barriers[0]?.resolve();
    await clock.advance(1);
    expect(gets.map(({ told }) => told)).to.deep.equal([["2"], ["2"]]);
    expect(later.told).to.deep.equal([]);
    expect(barriers).to.have.length(2);
    barriers[1]?.resolve();
    await clock.advance(1);
    expect(later.told).to.deep.equal(["2"]);
    expect(reader.isIdle).to.equal(true);
  });

  it("answers stale gets at once, also while the log does not answer", async () => {
    await put({ value: "1" });
    const waiting = get("linearizable");
    const stale = get("stale");
    await clock.advance(1);
    const later = get("stale");
    await clock.advance(1);
    expect([waiting.told, stale.told, later.told]).to.deep.equal([[], ["1"], ["1"]]);
    barriers[0]?.reject(new KvError("unavailable", "no log"));
    await clock.advance(1);
    expect(waiting.told).to.deep.equal(["unavailable"]);
  });

  it("lets a session wait for its revision, and hold up nobody", async () => {
    await put({ value: "1", revision: 1 });
    const early = get("session", 2);
    const without = get("session");
    const met = get("session", 1);
    await clock.advance(1);
    expect([early.told, without.told, met.told]).to.deep.equal([[], ["1"], ["1"]]);
    await put({ value: "2", revision: 2 });
    await clock.advance(1);
    expect(early.told).to.deep.equal(["2"]);
    const never = get("session", 3);
    await clock.advance(SESSION_WAIT_MS + 1);
    expect(never.told).to.deep.equal(["unavailable"]);
  });

  it("lets the log decide about a record that is due by its own clock", async () => {
    await put({ value: "1", expiresAt: clock.now() - 1 });
    const [kept, gone] = [get("linearizable"), get("stale")];
    await clock.advance(1);
    // By log time it is there.
    expect(gone.told).to.deep.equal(["1"]);
    barriers[0]?.resolve();
    await clock.advance(1);
    expect(kept.told).to.deep.equal([]);
    expect(moves).to.have.length(1);
    applied.batchStarts();
    applied.batchWritten(9 as Sequence, clock.now());
    moves[0]?.();
    await clock.advance(1);
    expect(kept.told).to.deep.equal(["not-found"]);
  });

  it("answers what a log with another clock says of it, once", async () => {
    await put({ value: "1", expiresAt: clock.now() - 1 });
    const kept = get("linearizable");
    await clock.advance(1);
    barriers[0]?.resolve();
    await clock.advance(1);
    moves[0]?.();
    await clock.advance(1);
    expect(kept.told).to.deep.equal(["1"]);
  });

  it("does not say `not found` of a position that left while it read", async () => {
    const asked = get("stale");
    const read = store.getMany.bind(store);
    store.getMany = async (keys) => {
      const rows = await read(keys);
      applied.ownership.set(position, "sealed", 2);
      applied.ownership.set(position, "owned", 3);
      return rows;
    };
    await clock.advance(1);
    expect(asked.told).to.deep.equal(["unavailable moved"]);
  });

  it("settles what waits when it is closed", async () => {
    const asked = get("linearizable");
    await clock.advance(1);
    const waiting = get("linearizable");
    reader.close();
    expect(waiting.told).to.deep.equal(["unavailable"]);
    barriers[0]?.resolve();
    await clock.resolve(running);
    expect(asked.told).to.deep.equal(["not-found"]);
    expect(() => get("stale")).to.throw(KvError);
  });

  it("ends with a failed read, in whichever way the get had come", async () => {
    store.getMany = () => Promise.reject(new Error("disk"));
    get("session", 5);
    await clock.advance(1);
    applied.batchStarts();
    applied.table.setRevision(position, 5 as Revision);
    applied.batchWritten(1 as Sequence, 0 as TimeMs);
    const failure = await clock.resolve(running.catch((error: Error) => error.message));
    expect(failure).to.equal("disk");
  });

  interface Wanted {
    readonly value: string;
    readonly revision?: number;
    readonly expiresAt?: number;
  }

  async function put({ value, revision = 1, expiresAt = 0 }: Wanted): Promise<void> {
    const record: StoredRecord = {
      revision: revision as Revision,
      updatedAt: 0 as TimeMs,
      expiresAt: expiresAt as TimeMs,
      contentType: "text/plain",
      value: Buffer.from(value),
    };
    const key = recordKey(position, Buffer.from("a"));
    applied.batchStarts();
    await store.write([{ type: "put", key, value: encodeRecord(record) }], { sync: false });
    applied.table.setRevision(position, record.revision);
    applied.batchWritten((applied.appliedSequence + 1) as Sequence, applied.appliedLogTime);
  }
});

function seen(result: Result): string {
  if (result.kind === "written") return result.done.verb;
  if (result.kind === "read") return Buffer.from(result.record.value).toString();
  const { kind, details } = result.error;
  return details["moved"] === true ? `${kind} moved` : kind;
}
