/**
 * Reader and border: what a get waits for, and what becomes of a message that is for another shard.
 */
import { expect } from "chai";
import { Reader } from "../../../../actors/shard/read/reader.js";
import { Applied } from "../../../../actors/shard/state/applied.js";
import { Ownership } from "../../../../actors/shard/state/ownership.js";
import { PositionTable } from "../../../../actors/shard/state/position-table.js";
import { KvError } from "../../../../protocol/errors.js";
import type { Position, Revision, Sequence, TimeMs } from "../../../../protocol/ids.js";
import { HOPS_MAX, SESSION_WAIT_MS } from "../../../../protocol/limits.js";
import type { StoredRecord } from "../../../../protocol/operation.js";
import { positionOf } from "../../../../protocol/position.js";
import { parsePackedReply } from "../../../../protocol/reply/packed.js";
import type { Result } from "../../../../protocol/reply/result.js";
import { encodePackedRequest } from "../../../../protocol/request/packed.js";
import type { ReadLevel, Request } from "../../../../protocol/request/request.js";
import { encodeRecord } from "../../../../protocol/store/record.js";
import { recordKey } from "../../../../protocol/store/store-keys.js";
import { genesisBytes, POSITIONS, set } from "../../../support/log-writer.js";
import { ManualClock } from "../../../support/manual-clock.js";
import { getOf, MemoryShard, names } from "../../../support/memory-shard.js";
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
    applied.batchWritten((applied.sequence + 1) as Sequence, applied.logTime);
  }
});

describe("border", () => {
  /** A shard of the position of "a" only. */
  const mine = positionOf("a", POSITIONS);
  let shard: MemoryShard;
  let forwarded: Request[];
  beforeEach(async () => {
    shard = new MemoryShard(genesisBytes({ positions: [mine] }));
    forwarded = [];
    const forward = (request: Request): Promise<Result> => {
      forwarded.push(request);
      const error = new KvError("conflict", "of another shard");
      return Promise.resolve({ kind: "refused", error });
    };
    const node = shard.start("n1", forward);
    await shard.clock.runUntil(() => node.replica.phase === "serving");
  });

  async function send(subject: string, payload: Uint8Array): Promise<string> {
    const client = shard.network.connect("other");
    const asked = client.request(subject, payload, { timeoutMs: 5_000 });
    const { data } = await shard.clock.resolve(asked);
    return Buffer.from(data).toString();
  }

  it("answers the subject's form in JSON", async () => {
    const written = await send(names.ring(mine, "set", "a"), Buffer.from('{"n":1}'));
    expect(JSON.parse(written)).to.include({ key: "a", revision: 1, created: true });
    expect(await send(names.ring(mine, "get", "a"), Buffer.alloc(0))).to.equal('{"n":1}');
    const refusal = await send(names.ring(mine, "set", "a"), Buffer.from("hello"));
    expect(JSON.parse(refusal)).to.have.nested.property("error.name", "bad-request");
  });

  it("sends on what is in another position than its subject says", async () => {
    const reply = await send(names.ring(mine, "set", "b"), Buffer.from("1"));
    expect(JSON.parse(reply)).to.have.nested.property("error.name", "conflict");
    expect(forwarded.map(({ hops }) => hops)).to.deep.equal([1]);
    await send(names.ring(mine, "get", "b"), Buffer.alloc(0));
    expect(forwarded.map(({ kind }) => kind)).to.deep.equal(["write", "get"]);
  });

  it("sends on the packed form too, but not for ever", async () => {
    for (let hops = 0; hops <= HOPS_MAX; hops += 1) {
      const request: Request = { kind: "write", operation: set("b", 1), hops };
      const subject = names.ring(mine, "set");
      const client = shard.network.connect("other");
      const asked = client.request(subject, encodePackedRequest(request), { timeoutMs: 5_000 });
      const { data } = await shard.clock.resolve(asked);
      const told = seen(parsePackedReply(data, "b"));
      expect(told).to.equal(hops < HOPS_MAX ? "conflict" : "unavailable");
    }
    expect(forwarded).to.have.length(HOPS_MAX);
  });

  it("answers numbers that fit no log entry, and goes on", async () => {
    for (const options of [{ ifRevision: 2 ** 53 - 1 }, { request: { id: "r", index: 70_000 } }]) {
      expect(seen(await shard.write(set("a", 1, options)))).to.equal("bad-request");
    }
    expect(seen(await shard.write(set("a", 1)))).to.equal("set");
  });

  it("answers what is no request", async () => {
    const reply = await send(names.ring(mine, "set"), Buffer.from([0xc1]));
    expect(reply).to.include("bad-request");
    expect(await send(`kv.ring.${mine}.dance`, Buffer.alloc(0))).to.include("unsupported");
  });
});

function seen(result: Result): string {
  if (result.kind === "written") return result.done.verb;
  if (result.kind === "read") return Buffer.from(result.record.value).toString();
  const { kind, details } = result.error;
  return details["moved"] === true ? `${kind} moved` : kind;
}
