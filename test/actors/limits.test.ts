/**
 * Limits that no size of one message meets, each with its neighbours: what a shard, a coordinator
 * or a relay takes in time or number is done at the limit, and is answered beyond it.
 *
 * test/hostile/limits.test.ts sees to it that every limit is met somewhere, and names these cases.
 */
import { expect } from "chai";
import { AGAIN_MAX_MS } from "../../actors/coordinator/attempts.js";
import { Router } from "../../actors/coordinator/router.js";
import { UnderWay } from "../../actors/coordinator/under-way.js";
import { SeedSource } from "../../actors/node/seed-source.js";
import { Pulse, tooLate } from "../../actors/pulse.js";
import { ProposerCore } from "../../actors/shard/propose/proposer-core.js";
import { Reader } from "../../actors/shard/read/reader.js";
import type { View } from "../../actors/shard/state/applied.js";
import { Mailbox } from "../../actors/shard/state/mailbox.js";
import { sleep } from "../../infra/clock.js";
import type { StoreIterator } from "../../infra/store.js";
import { KvError, type ErrorDetails } from "../../protocol/errors.js";
import type {
  LogId,
  Origin,
  Position,
  Revision,
  Sequence,
  ShardId,
  TimeMs,
} from "../../protocol/ids.js";
import * as limits from "../../protocol/limits.js";
import { decodeEntry } from "../../protocol/log/entry.js";
import { Names } from "../../protocol/nats/subjects.js";
import type { Operation, StoredRecord } from "../../protocol/operation.js";
import { positionOf } from "../../protocol/position.js";
import { parseFilter } from "../../protocol/query/filter.js";
import {
  decodeCountReply,
  decodePageReply,
  encodeQuery,
  queryErrorOf,
  type PageReply,
} from "../../protocol/query/messages.js";
import { batchReply } from "../../protocol/reply/batch.js";
import type { Result } from "../../protocol/reply/result.js";
import { refusal, refusalNow } from "../support/failure.js";
import { FakeShard } from "../support/fake-shard.js";
import { entryBytes, LogWriter, set, zeroOrigin } from "../support/log-writer.js";
import { ManualClock, seededChance } from "../support/manual-clock.js";
import { MemoryNetwork } from "../support/memory-bus.js";
import { MemoryEventStream } from "../support/memory-events.js";
import { MemoryStream } from "../support/memory-log.js";
import { getOf, MemoryShard } from "../support/memory-shard.js";
import { Disk } from "../support/memory-store.js";
import { QueryReplica } from "../support/query-replica.js";
import { EntryWriter, RelayReplica } from "../support/relay-shard.js";
import { ShardApplier } from "../support/shard-applier.js";
import { checkStore } from "../support/store-check.js";

const POSITIONS = 8;
const all = [0, 1, 2, 3, 4, 5, 6, 7];

describe("limits of a query", () => {
  let replica: QueryReplica;
  beforeEach(() => {
    replica = new QueryReplica(POSITIONS, all);
  });

  it("SCAN_ROWS_MAX: so many rows are looked at, one more only if the query says so", async () => {
    const { SCAN_ROWS_MAX: most } = limits;
    await replica.put("a", 1);
    const other = all.find((position) => position !== positionOf("a", POSITIONS)) as Position;
    const looked = async (rows: number, scan: boolean): Promise<KvError | number> => {
      const restore = repeatRows(replica, rows);
      // Rows of positions that nobody asks for are looked at too, and cost no record each.
      const wanted = { positions: [other], scan };
      const answer = await count(replica, { n: { $exists: false } }, wanted);
      restore();
      return answer;
    };
    expect(await looked(most, false)).to.equal(0);
    expectLimit(await looked(most + 1, false), "limit-exceeded", {
      limit: "rows_to_scan",
      max: most,
    });
    expect(await looked(most + 1, true)).to.equal(0);
  });

  it("COUNT_MS_MAX: a count may take so long, and no longer", async () => {
    const { COUNT_MS_MAX: most } = limits;
    for (let n = 0; n < 3; n += 1) await replica.put(`k${n}`, { n });
    takesMs(replica, most);
    expect(await count(replica, { n: { $gte: 1 }, $key: { $prefix: "k" } })).to.equal(2);
    takesMs(replica, most + 1);
    expectLimit(
      await count(replica, { n: { $gte: 1 }, $key: { $prefix: "k" } }),
      "limit-exceeded",
      { limit: "count_ms", max: most },
    );
  });

  it("PAGE_MS_MAX: a page that takes longer ends there, and goes on by its cursor", async () => {
    const { PAGE_MS_MAX: most } = limits;
    for (let n = 0; n < 100; n += 1) await replica.put(`k${n}`, { n: 1 });
    takesMs(replica, most);
    expect(pageIn(await find(replica, { n: 1 }))).to.deep.include({ more: false, count: 100 });
    takesMs(replica, most + 1);
    const page = pageIn(await find(replica, { n: 1 }));
    expect(page).to.include({ more: true }).and.to.have.property("reached").that.is.a("string");
    expect(page.count).to.be.within(1, 99);
  });

  it("PAGE_MS_MAX: is an error where the order has no index, and nothing can go on", async () => {
    const { PAGE_MS_MAX: most } = limits;
    replica.excluded = ["n"];
    for (let n = 0; n < 3; n += 1) await replica.put(`k${n}`, { n });
    takesMs(replica, most);
    const options = { driver: 0, scan: true };
    expect(pageIn(await find(replica, { n: { $gt: 0 } }, options))).to.include({ count: 2 });
    takesMs(replica, most + 1);
    const error = await find(replica, { n: { $gt: 0 } }, options);
    expectLimit(error, "limit-exceeded", { limit: "page_ms", max: most });
  });

  it("VIEW_MS_MAX: a view may be read for so long; later the query is refused", async () => {
    const { VIEW_MS_MAX: most } = limits;
    const changedAfter = async (ms: number): Promise<KvError | PageReply> => {
      await replica.put("a", { n: 1 });
      // A record that has changed since is read from the view itself.
      replica.beforeGetMany = async () => {
        await sleep(replica.clock, ms);
        await replica.put("a", { n: 2 });
      };
      return find(replica, { n: 1 });
    };
    expect(pageIn(await changedAfter(most - 1))).to.include({ count: 1 });
    const error = await changedAfter(most);
    expectLimit(error, "overloaded", { limit: "view_ms", max: most });
    expect(replica.applied.viewCount).to.equal(0);
  });

  it("VIEWS_MAX: so many views are open at once", async () => {
    const { VIEWS_MAX: most } = limits;
    const views: View[] = [];
    for (let n = 0; n < most; n += 1) views.push(await replica.applied.openView([]));
    const error = await refusal(replica.applied.openView([]));
    expectLimit(error, "overloaded", { limit: "views", max: most });
    await views[0]?.close();
    await replica.applied.openView([]);
  });

  it("QUERIES_MAX: so many are worked on at once; one more waits, and is answered", async () => {
    const { QUERIES_MAX: most } = limits;
    await replica.put("a", 1);
    const query = replica.query();
    const running = query.run();
    const openView = replica.applied.openView.bind(replica.applied);
    replica.applied.openView = async (ranges) => {
      const view = await openView(ranges);
      await sleep(replica.clock, 100);
      return view;
    };
    const replies: Uint8Array[] = [];
    const payload = countPayload({ $key: "a" });
    for (let n = 0; n <= most; n += 1) {
      query.offer("count", payload, (reply) => void replies.push(reply));
    }
    await replica.clock.advance(99);
    expect(replica.applied.viewCount).to.equal(most);
    await replica.clock.advance(101);
    expect(replies).to.have.length(most + 1);
    expect(replies.map((reply) => decodeCountReply(reply, POSITIONS).count)).to.deep.equal(
      Array.from({ length: most + 1 }, () => 1),
    );
    query.close();
    await replica.clock.resolve(running);
  });

  it("QUERY_RECORDS_MAX: so many records are read at once, the next ones then", async () => {
    const { QUERY_RECORDS_MAX: most } = limits;
    const sizes: number[] = [];
    const openView = replica.applied.openView.bind(replica.applied);
    replica.applied.openView = async (ranges) => {
      const view = await openView(ranges);
      return {
        ...view,
        getMany: (keys) => {
          sizes.push(keys.length);
          return view.getMany(keys);
        },
      };
    };
    const total = 4 * most + 1;
    for (let n = 0; n < total; n += 1) await replica.put(`k${n}`, { n: 1, odd: n % 2 });
    expect(await count(replica, { n: { $gte: 1 }, odd: { $gte: 0 } })).to.equal(total);
    expect(Math.max(...sizes)).to.equal(most);
    expect(sizes.reduce((sum, size) => sum + size, 0)).to.equal(total);
  });
});

describe("limits of a replica", () => {
  it("SESSION_WAIT_MS: a session's read waits for so long, and is then unavailable", async () => {
    const { SESSION_WAIT_MS: most } = limits;
    const { applied, clock } = new QueryReplica(POSITIONS, all);
    const never = (): Promise<void> => new Promise(() => undefined);
    const reader = new Reader(applied, new Disk().open(), never, never, clock);
    const running = reader.run();
    const toldAfter = async (revision: number, ms: number): Promise<string | undefined> => {
      let told: string | undefined;
      const settle = (result: Result): void => void (told = kindOf(result));
      reader.offer({ request: getOf("a", "session", revision), settle });
      await clock.advance(ms);
      applied.batchStarts();
      applied.table.setRevision(positionOf("a", POSITIONS), revision as Revision);
      applied.batchWritten((applied.appliedSequence + 1) as Sequence, 0 as TimeMs);
      await clock.advance(0);
      return told;
    };
    expect(await toldAfter(1, most - 1)).to.equal("not-found");
    expect(await toldAfter(2, most)).to.equal("unavailable");
    reader.close();
    await clock.resolve(running);
  });

  it("LAG_SERVING_MAX: a replica that lags so much serves, with one more it stops", async () => {
    const shard = new MemoryShard();
    const [node] = await shard.startServing("n1", "n2");
    const log = shard.log("n1");
    log.pauseDeliveries();
    // Nor does it get entries one by one, as it does with those that are late.
    log.read = () => new Promise(() => undefined);
    const write = (): void => {
      shard.stream.take(entryBytes({ kind: "barrier" }, zeroOrigin, 0));
    };
    for (let lag = 1; lag <= limits.LAG_SERVING_MAX; lag += 1) write();
    await shard.clock.advance(10_000);
    expect(node?.replica.phase).to.equal("serving");
    write();
    await shard.clock.advance(10_000);
    expect(node?.replica.phase).to.equal("catching-up");
    expect(node?.lines).to.include("the replica stops serving");
  });

  it("EXPIRE_PER_ENTRY_MAX: one entry deletes so many, the next one the rest", async () => {
    const { EXPIRE_PER_ENTRY_MAX: most } = limits;
    for (const [due, left] of [
      [most, 0],
      [most + 1, 1],
    ] as const) {
      const writer = new LogWriter();
      const applier = new ShardApplier();
      await applier.apply(writer.messages);
      const keys = Array.from({ length: due }, (_, n) => set(`{t}${n}`, 1, { ttl: 1_000 }));
      await applier.apply([writer.operations(...keys)]);
      writer.time += 1_000;
      await applier.apply([writer.barrier()]);
      expect(await checkStore(applier.store)).to.have.property("size", left);
      await applier.apply([writer.barrier()]);
      expect(await checkStore(applier.store)).to.have.property("size", 0);
    }
  });

  it("SEED_IDLE_MS: a store's copy is kept for so long, and then begins anew", async () => {
    const clock = new ManualClock();
    const store = new Disk().open();
    const key = Buffer.from("a");
    await store.write([{ type: "put", key, value: Buffer.alloc(100) }], { sync: false });
    const source = new SeedSource(store, clock, 10);
    const shard = { shard: "s1" as ShardId, log_id: "00000000000000a1" as LogId };
    const ask = (part: number): Promise<unknown> => source.answer({ ...shard, session: "s", part });
    await ask(0);
    await clock.advance(limits.SEED_IDLE_MS - 1);
    await ask(1);
    await clock.advance(limits.SEED_IDLE_MS);
    expect((await refusal(ask(2))).kind).to.equal("not-found");
    await ask(0);
    await source.close();
  });
});

describe("limits of queues", () => {
  it("MAILBOX_REQUESTS_MAX: so many wait for a loop, for a proposer, and for a barrier", () => {
    const { MAILBOX_REQUESTS_MAX: most } = limits;
    const mailbox = new Mailbox<number>(new ManualClock());
    const core = new ProposerCore("ab".repeat(16) as Origin);
    const barriers = new ProposerCore("cd".repeat(16) as Origin);
    const barrier = { deadlineMs: 1_000, resolve: () => undefined, reject: () => undefined };
    for (const offer of [
      () => mailbox.offer(1),
      () => offerTo(core, [set("k", 1)]),
      () => barriers.wantBarrier(barrier),
    ]) {
      for (let n = 0; n < most; n += 1) offer();
      const details = { limit: "mailbox_requests", max: most };
      expectLimit(refusalNow(offer), "overloaded", details);
    }
  });

  it("MAILBOX_BYTES_MAX: so many bytes wait for a proposer", () => {
    const { MAILBOX_BYTES_MAX: most } = limits;
    const bytesOf = (valueBytes: number): Operation =>
      ({ ...set("k", 1), value: new Uint8Array(valueBytes) }) as Operation;
    // What an operation takes beside its value is found out by one that is alone too large.
    const fits = (valueBytes: number): boolean => {
      const core = new ProposerCore("ab".repeat(16) as Origin);
      try {
        offerTo(core, [bytesOf(valueBytes)]);
        return true;
      } catch {
        return false;
      }
    };
    const head = most - largest(most - 4_096, most, fits);
    const core = new ProposerCore("ab".repeat(16) as Origin);
    const half = bytesOf(most / 2 - head);
    offerTo(core, [half]);
    offerTo(core, [half]);
    const details = { limit: "mailbox_bytes", max: most };
    expectLimit(
      refusalNow(() => offerTo(core, [bytesOf(0)])),
      "overloaded",
      details,
    );
    expect(core.queueLength).to.equal(2);
  });

  it("COORDINATOR_REQUESTS_MAX: so many requests are under way", () => {
    const { COORDINATOR_REQUESTS_MAX: most } = limits;
    const underWay = new UnderWay();
    for (let n = 0; n < most; n += 1) underWay.enter(0);
    const error = refusalNow(() => underWay.enter(0));
    expectLimit(error, "overloaded", { limit: "coordinator_requests", max: most });
  });

  it("QUEUE_MS_MAX: messages may wait for so long before they are read", async () => {
    const { QUEUE_MS_MAX: most, PULSE_MS } = limits;
    const clock = new ManualClock();
    // What the node sends to itself does not come back.
    const fate = (): { drop: boolean } => ({ drop: true });
    const network = new MemoryNetwork({ clock, chance: seededChance(1), fate });
    const pulse = new Pulse(network.connect("n1"), "kv.node.n1.pulse", clock);
    pulse.start();
    expect(pulse.isLate()).to.equal(false);
    await clock.advance(PULSE_MS);
    // The second one leaves now; of the first alone nothing is concluded.
    expect(pulse.isLate()).to.equal(false);
    await clock.advance(most);
    expect(pulse.isLate()).to.equal(false);
    await clock.advance(1);
    expect(pulse.isLate()).to.equal(true);
    expectLimit(tooLate, "overloaded", { limit: "queue_ms", max: most });
    pulse.stop();
  });

  it("ENTRY_OPERATIONS_MAX: so many operations go into one entry, one more into the next", () => {
    const { ENTRY_OPERATIONS_MAX: most } = limits;
    const sets = (count: number): Operation[] => Array.from({ length: count }, () => set("k", 1));
    expect(entrySizes(sets(most))).to.deep.equal([most]);
    expect(entrySizes(sets(most + 1))).to.deep.equal([most, 1]);
  });

  it("ENTRY_BYTES_TARGET: an entry that has so many bytes takes no further operation", () => {
    const { ENTRY_BYTES_TARGET: target } = limits;
    const of = (valueBytes: number): Operation =>
      ({ ...set("k", 1), value: new Uint8Array(valueBytes) }) as Operation;
    const isAlone = (valueBytes: number): boolean => {
      return entrySizes([of(valueBytes), of(0)]).length === 2;
    };
    expect(isAlone(target)).to.equal(true);
    const most = largest(target - 4_096, target, (bytes) => !isAlone(bytes));
    expect(most).to.be.within(target - 1_024, target - 1);
  });
});

describe("limits of a coordinator", () => {
  const names = new Names("kv");
  let clock: ManualClock;
  let shard: FakeShard;
  let router: Router;
  beforeEach(() => {
    clock = new ManualClock();
    const chance = seededChance(1);
    const network = new MemoryNetwork({ clock, chance });
    shard = new FakeShard(network.connect("s1"), clock, names, "s1", POSITIONS, all);
    router = new Router({ names, bus: network.connect("n1"), clock, chance });
  });

  it("ATTEMPT_TIMEOUT_MS: what has no answer is sent again after it, not before", async () => {
    shard.fate = (number) => (number === 1 ? "lose" : "do");
    const routed = router.route(writeOf("a"));
    await clock.advance(limits.ATTEMPT_TIMEOUT_MS - 1);
    expect(shard.received).to.have.length(1);
    expect((await clock.resolve(routed, 1_000)).kind).to.equal("written");
    expect(shard.received).to.have.length(2);
  });

  it("REQUEST_TIMEOUT_MS: a shard that serves within it is waited for, and no longer", async () => {
    const { REQUEST_TIMEOUT_MS: most } = limits;
    const away = new KvError("unavailable", "not yet");
    const servesAfter = async (ms: number): Promise<Result> => {
      const endMs = clock.elapsedMs() + ms;
      shard.fate = () => (clock.elapsedMs() < endMs ? away : "do");
      return clock.resolve(router.route(writeOf("a")));
    };
    // Waits between attempts are of half to one and a half times their length, by chance.
    const spreadMs = AGAIN_MAX_MS / 2;
    expect((await servesAfter(most - AGAIN_MAX_MS - spreadMs)).kind).to.equal("written");
    expect(kindOf(await servesAfter(most + spreadMs))).to.equal("unavailable");
  });
});

describe("limits of replies and events", () => {
  it("REPLY_BYTES_MAX: a batch's values fill its reply up to the last byte", () => {
    const { REPLY_BYTES_MAX: most, VALUE_BYTES_MAX } = limits;
    const replyWith = (lastBytes: number): { bytes: number; isWhole: boolean } => {
      const sizes = [...Array.from({ length: 3 }, () => VALUE_BYTES_MAX), lastBytes];
      const { body } = batchReply(sizes.map(readOf));
      const { outcomes } = JSON.parse(Buffer.from(body).toString()) as { outcomes: object[] };
      return { bytes: body.length, isWhole: !("error" in (outcomes.at(-1) as object)) };
    };
    const last = largest(2, VALUE_BYTES_MAX, (bytes) => replyWith(bytes).isWhole);
    expect(replyWith(last).bytes).to.be.within(most - 1, most);
    expect(replyWith(last + 1)).to.include({ isWhole: false });
    expect(replyWith(last + 1).bytes).to.be.below(most);
  });

  it("RELAY_BEHIND_MAX: a relay so many entries behind keeps its rows, not one more", async () => {
    const { RELAY_BEHIND_MAX: most } = limits;
    const clock = new ManualClock();
    const stream = new MemoryStream({ clock, id: "00000000000000a1" });
    const entries = new EntryWriter();
    stream.take(entries.genesis(stream.id));
    const events = new MemoryEventStream(clock, true).connect();
    const bus = new MemoryNetwork({ clock, chance: seededChance(1) }).connect("n1");
    const log = stream.open();
    const replica = new RelayReplica({ node: "n1", rank: 0, clock, log, events, bus });
    // The events' stream does not answer, so the relay gets nowhere.
    events.isPaused = true;
    await replica.start();
    const { applied, relay } = replica;
    await clock.runUntil(() => applied.appliedSequence === stream.last);
    const place = async (sequence: number): Promise<Sequence> => {
      applied.batchStarts();
      applied.batchWritten(sequence as Sequence, applied.appliedLogTime);
      await clock.advance(60_000);
      return relay.durablePlace();
    };
    expect(await place(most)).to.equal(0);
    expect(await place(most + 1)).to.equal(1);
    await clock.resolve(Promise.race([replica.stop(), sleep(clock, 60_000)]));
  });
});

/** A refusal that names the limit, and tells it in its text too, where people read it. */
function expectLimit(error: unknown, kind: KvError["kind"], details: ErrorDetails): void {
  expect(error).to.be.instanceOf(KvError);
  const { kind: told, message, details: given } = error as KvError;
  expect({ kind: told, ...given }).to.deep.include({ kind, ...details });
  expect(`${message} ${JSON.stringify(given)}`).to.contain(String(details["max"]));
}

/** The largest number that fits; `from` does, `to` does not need to. */
function largest(from: number, to: number, fits: (size: number) => boolean): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** From the next reading of records on, so much time passes once. */
function takesMs(replica: QueryReplica, ms: number): void {
  replica.beforeGetMany = () => sleep(replica.clock, ms);
}

/** The index of the next views has the rows it has again and again, `count` in all. */
function repeatRows({ applied }: QueryReplica, count: number): () => void {
  const openView = applied.openView.bind(applied);
  applied.openView = async (ranges) => {
    const view = await openView(ranges);
    const [records, ...rest] = view.iterators;
    const rows = await rest[0]!.next(1);
    let left = count;
    const next: StoreIterator["next"] = (rowsMax) => {
      const length = Math.min(left, rowsMax);
      left -= length;
      return Promise.resolve(Array.from({ length }, () => rows[0]!));
    };
    const repeated: StoreIterator = { next, seek: () => undefined, close: () => rest[0]!.close() };
    return { ...view, iterators: [records!, repeated] };
  };
  return () => void (applied.openView = openView);
}

interface QueryOptions {
  readonly positions?: readonly Position[];
  readonly scan?: boolean;
  readonly driver?: number;
}

function countPayload(where: object, { positions, scan = false }: QueryOptions = {}): Uint8Array {
  const { conditions } = parseFilter(where);
  return encodeQuery({ verb: "count", conditions, level: "stale", scan, positions });
}

async function count(
  replica: QueryReplica,
  where: object,
  options?: QueryOptions,
): Promise<KvError | number> {
  const reply = await replica.ask("count", countPayload(where, options));
  return queryErrorOf(reply) ?? decodeCountReply(reply, POSITIONS).count;
}

async function find(
  replica: QueryReplica,
  where: object,
  { driver, scan = false }: QueryOptions = {},
): Promise<KvError | PageReply> {
  const { conditions } = parseFilter(where);
  const payload = encodeQuery({
    verb: "find",
    conditions,
    driver: driver ?? "key",
    after: undefined,
    limit: 1_000,
    bytesMax: 100_000,
    values: false,
    select: undefined,
    level: "stale",
    scan,
    positions: undefined,
  });
  const reply = await replica.ask("find", payload);
  return queryErrorOf(reply) ?? decodePageReply(reply, POSITIONS);
}

function pageIn(answer: KvError | PageReply): { count: number; more: boolean; reached?: string } {
  if (answer instanceof KvError) throw answer;
  const { rows, more, reached } = answer;
  return { count: rows.length, more, ...(reached === undefined ? {} : { reached: reached.key }) };
}

function offerTo(core: ProposerCore, group: readonly Operation[]): void {
  core.offer({ group, deadlineMs: 1_000, settle: () => undefined });
}

/** How many operations the entries have that these are written in, each by itself. */
function entrySizes(operations: readonly Operation[]): number[] {
  const origin = "ab".repeat(16) as Origin;
  const basis = { sequence: 0 as Sequence, chain: 0n };
  const core = new ProposerCore(origin);
  for (const operation of operations) offerTo(core, [operation]);
  const sizes: number[] = [];
  for (let number = 1; core.hasWork; number += 1) {
    const entry = decodeEntry(core.take(basis) as Uint8Array);
    const groups = entry.kind === "operations" ? entry.groups : [];
    if (groups.length > 0) sizes.push(groups.length);
    const done = { ok: true, done: { revision: 1 } } as never;
    core.applied(
      origin,
      number,
      groups.map(() => done),
    );
  }
  return sizes;
}

function writeOf(key: string): Parameters<Router["route"]>[0] {
  return { kind: "write", operation: set(key, 1), hops: 0 };
}

function kindOf(result: Result): string {
  return result.kind === "refused" ? result.error.kind : result.kind;
}

function readOf(valueBytes: number): Result {
  const record: StoredRecord = {
    revision: 1 as Revision,
    updatedAt: 0 as TimeMs,
    expiresAt: 0 as TimeMs,
    contentType: "application/json",
    value: Buffer.from(`"${"x".repeat(valueBytes - 2)}"`),
  };
  return { kind: "read", key: "k", position: 0 as Position, record };
}
