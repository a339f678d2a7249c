/**
 * The checks of a simulated run, each against a run that is right and the same run with one thing
 * planted in it that must not be.
 */
import { expect } from "chai";
import { eventOf } from "../../actors/relay/relay-core.js";
import type { StoredEvent } from "../../infra/events.js";
import type { Epoch, NodeName, Position, Sequence, ShardId } from "../../protocol/ids.js";
import type { Operation } from "../../protocol/operation.js";
import type { HistoryRow, QueryOutcome, QueryStep, Step, StepOutcome } from "../history/history.js";
import { del, incr, limits, LOG_ID, POSITIONS, set } from "../support/log-writer.js";
import { MemoryShard, names, type MemoryNode } from "../support/memory-shard.js";
import { checkRun } from "./check-run.js";
import type { RunFacts } from "./facts.js";
import { matches } from "./filter-truth.js";
import { LogTruth } from "./log-truth.js";

describe("checks of a run", () => {
  let shard: MemoryShard;
  let node: MemoryNode;
  let rows: HistoryRow[];
  let events: StoredEvent[];

  before(async () => {
    shard = new MemoryShard();
    [node] = (await shard.startServing("n1")) as [MemoryNode];
    for (const operation of operations) await shard.write(operation);
    await shard.clock.advance(100);
  });

  beforeEach(() => {
    rows = [
      row(1, { verb: "set", key: "a", value: value(1) }, written(1, true)),
      row(2, { verb: "set", key: "b", value: value(2) }, written(1, true)),
      row(3, { verb: "incr", key: "b", path: "count", by: 2 }, { ...written(2), number: 2 }),
      row(4, { verb: "del", key: "a" }, { ...written(2), existed: true }),
      row(5, { verb: "set", key: "c", value: value(5) }, written(1, true)),
      row(6, { verb: "get", key: "b" }, { kind: "value", value: incremented, revision: 2 }),
      row(7, { verb: "get", key: "a" }, { kind: "absent" }),
    ];
    events = eventsOf(new LogTruth(shard.stream.history));
  });

  function facts(changes: Partial<RunFacts> = {}): RunFacts {
    const positions = Array.from({ length: POSITIONS }, (_, index) => index as Position);
    const s1 = "s1" as ShardId;
    const n1 = "n1" as NodeName;
    const ringShard = { shard: s1, logId: LOG_ID, nodes: [n1], weight: 1, positions };
    const sequence = shard.stream.last;
    const replica = {
      node: n1,
      phase: "serving" as const,
      reason: "",
      sequence,
      store: node.store,
    };
    const ring = {
      store: "kv",
      epoch: 1 as Epoch,
      positionCount: POSITIONS,
      shards: [ringShard],
      nodes: [{ node: n1, weight: 1, zone: undefined }],
    };
    const entries = shard.stream.history;
    const only = { shard: ringShard, entries, damage: undefined, wasTrimmed: false };
    const shards = [{ ...only, replicas: [replica] }];
    return { rows, ring, limits, shards, events, eventsAreDamaged: false, ...changes };
  }

  async function problems(changes: Partial<RunFacts> = {}): Promise<string> {
    const report = await shard.clock.resolve(checkRun(facts(changes)));
    return report.problems.join("\n");
  }

  function find(changes: Partial<Answered> = {}, asked: Partial<QueryStep> = {}): HistoryRow {
    const sequence = shard.stream.last;
    const positions = [`0-${POSITIONS - 1}`];
    const outcome: QueryOutcome = {
      kind: "answered",
      items: [
        { key: "b", value: incremented, revision: 2 },
        { key: "c", value: value(5), revision: 1 },
      ],
      complete: true,
      more: false,
      certificate: [{ shard: "s1", epoch: 1, sequence, positions }],
      ...changes,
    };
    const where = { by: "c1" };
    const level = "linearizable" as const;
    const query = { where, limit: 100, level, partial: false, outcome, ...asked };
    const number = 8 + rows.length;
    const times = { invokedAt: 10 * number, returnedAt: 10 * number + 5 };
    return { client: "c1", number, kind: "find", steps: [], query, ...times };
  }

  it("find nothing in a run that is right, and say what they compared", async () => {
    rows.push(find(), { ...find({ count: 2 }), kind: "count" }, keysRow(["b", "c"]));
    const report = await shard.clock.resolve(checkRun(facts()));
    expect(report.problems).to.deep.equal([]);
    expect(report.counts).to.include({
      "operations put into an order": 7,
      "linearizable reads": 2,
      "acknowledged writes": 5,
      "finds compared": 1,
      "items compared": 2,
      "counts compared": 1,
      "query freshness": 2,
      "events compared": 5,
      "stores compared": 1,
    });
  });

  describe("of writes", () => {
    it("miss one that was acknowledged and is not in the log", async () => {
      rows.push(row(8, { verb: "set", key: "d", value: value(8) }, written(1)));
      expect(await problems()).to.include("acknowledged and not in the log: set d");
    });

    it("find one that was refused and is there", async () => {
      rows[4] = row(5, { verb: "set", key: "c", value: value(5) }, refused);
      expect(await problems()).to.include("not acknowledged, and in the log: set c");
    });

    it("find another revision than was told", async () => {
      rows[4] = row(5, { verb: "set", key: "c", value: value(5) }, written(7));
      expect(await problems()).to.include("the log says 1: set c");
    });

    it("find one that took effect twice", async () => {
      const twice = new MemoryShard();
      await twice.startServing("n1");
      const once = set("c", { by: "c1", n: 5 });
      for (const each of [...operations, once]) await twice.write(each);
      const { shards } = facts();
      const own = { ...shards[0]!, entries: twice.stream.history, replicas: [] };
      const { requestId: _id, ...unnamed } = rows[4]!;
      rows[4] = unnamed;
      expect(await problems({ shards: [own] })).to.include("took effect 2 times: set c");
    });

    it("find one that has no name, was refused and is there", async () => {
      const more = new MemoryShard();
      await more.startServing("n1");
      for (const each of [...operations, del("b")]) await more.write(each);
      const { shards } = facts();
      const own = { ...shards[0]!, entries: more.stream.history, replicas: [] };
      events = eventsOf(new LogTruth(more.stream.history));
      const nameless = (outcome: StepOutcome): HistoryRow => {
        const { requestId: _id, ...rest } = row(8, { verb: "del", key: "b" }, outcome);
        return rest;
      };
      rows.push(nameless({ kind: "unknown" }));
      expect(await problems({ shards: [own] })).to.equal("");
      rows[7] = nameless(refused);
      expect(await problems({ shards: [own] })).to.equal(
        "in the log more often than asked for: del b",
      );
    });
  });

  describe("of writes whose fate nobody was told", () => {
    const step: Wanted = { verb: "set", key: "d", value: value(8) };
    const read: StepOutcome = { kind: "value", value: value(8), revision: 1 };

    it("find one that is seen, and not in the log", async () => {
      rows.push(row(8, step, { kind: "unknown" }));
      expect(await problems()).to.equal("");
      rows.push(row(9, { verb: "get", key: "d" }, read));
      expect(await problems()).to.include("not linearizable");
    });

    it("find one that was seen, and then is not there", async () => {
      rows[4] = row(5, { verb: "set", key: "c", value: value(5) }, { kind: "unknown" });
      const seen: StepOutcome = { kind: "value", value: value(5), revision: 1 };
      rows.push(row(8, { verb: "get", key: "c" }, seen));
      expect(await problems()).to.equal("");
      rows.push(row(9, { verb: "get", key: "c" }, { kind: "absent" }));
      expect(await problems()).to.include("not linearizable");
    });
  });

  describe("of reads", () => {
    it("find a state that had passed, unless it was to be stale", async () => {
      const step: Wanted = { verb: "get", key: "b" };
      const old: StepOutcome = { kind: "value", value: value(2), revision: 1 };
      rows.push(row(8, step, old));
      expect(await problems())
        .to.include("read what was not there")
        .and.include("not linearizable");
      rows[7] = row(8, { ...step, level: "stale" }, old);
      expect(await problems()).to.equal("");
    });

    it("find what never was, at whatever level", async () => {
      const other: StepOutcome = { kind: "value", value: value(9), revision: 1 };
      rows.push(row(8, { verb: "get", key: "b", level: "stale" }, other));
      expect(await problems()).to.include("read what was not there");
    });
  });

  describe("of queries", () => {
    const item = { key: "b", value: value(2), revision: 1 };
    const first = { key: "c", value: value(5), revision: 1 };
    const old = { shard: "s1", epoch: 1, sequence: 3, positions: ["0-7"] };
    const some = { ...old, positions: ["0-3"] };
    const plants: [string, Partial<Answered>, string][] = [
      ["leave out a record", { items: [first] }, "b is left out"],
      ["have a record twice", { items: [first, first] }, "c is there twice"],
      ["have an old value", { items: [item, first] }, 'b is {"by":"c1","n":2,"count":2} at 2'],
      ["have what does not match", { items: [{ ...first, key: "x" }] }, "x does not match"],
      ["are older than a write acknowledged before", { certificate: [old] }, "though"],
      ["claim a position twice", { certificate: [old, old] }, "position 0 is there twice"],
      ["claim to be complete", { certificate: [some] }, "4-7 is missing"],
      ["say that something is missing", { complete: false }, "nothing is missing"],
      ["miscount", { count: 3 }, "the count is 2"],
    ];
    for (const [what, changes, problem] of plants) {
      it(`find answers that ${what}`, async () => {
        rows.push(find(changes));
        expect(await problems()).to.include(problem);
      });
    }

    it("find pages that repeat a record, or leave one out", async () => {
      const page = find({ items: [first], more: true }, { limit: 1 });
      const continues = `c1/${page.number}`;
      const next = { ...find({ items: [first] }, { limit: 1, continues }), number: 90 };
      rows.push(page, next);
      expect(await problems())
        .to.include("c is there again")
        .and.include("b is on none of 2 pages");
    });

    it("find keys that are not there, are left out, or stand in another order", async () => {
      rows.push(keysRow(["b", "c", "d"]));
      expect(await problems()).to.equal("");
      rows[7] = keysRow(["a", "b", "c"]);
      expect(await problems()).to.include("a was not there");
      rows[7] = keysRow(["b"]);
      expect(await problems()).to.include("c is left out");
      rows[7] = keysRow(["c", "b"]);
      expect(await problems()).to.include("keys out of order");
    });
  });

  describe("of events", () => {
    const plants: [string, (all: StoredEvent[]) => StoredEvent[], string][] = [
      ["is left out", (all) => all.slice(0, -1), "end at 0 of 1"],
      ["comes twice", (all) => [...all, all.at(-1)!], "comes after 1"],
      ["comes early", (all) => all.toReversed(), "comes after"],
      [
        "has another value",
        (all) => all.with(0, { ...all[0]!, data: Buffer.of(1) }),
        "the log says",
      ],
      ["has another verb", (all) => all.with(0, { ...all[0]!, subject: "kv.event.del.a" }), "del"],
    ];
    for (const [what, plant, problem] of plants) {
      it(`find one that ${what}`, async () => {
        expect(await problems({ events: plant(events) })).to.include(problem);
      });
    }

    it("accept a hole that a reset tells of, and no other", async () => {
      const ofB = events.filter(({ headers }) => headers?.get("kv-key")?.[0] === "b");
      const others = events.filter((event) => !ofB.includes(event));
      expect(await problems({ events: [...others, ofB[1]!] })).to.include("and no reset");
      const reset = { ...ofB[1]!, subject: names.event("reset", "") };
      expect(await problems({ events: [...others, ofB[1]!, reset] })).to.equal("");
    });
  });

  it("find a store that is not what its log says", async () => {
    const behind = new LogTruth(shard.stream.history.slice(0, -1));
    expect(behind.records.size).to.be.lessThan(2);
    const { shards } = facts();
    const own = { ...shards[0]!, entries: shard.stream.history.slice(0, -1) };
    expect(await problems({ shards: [own] })).to.include("s1 on n1: c is ");
  });
});

describe("filter truth", () => {
  it("knows what MongoDB's operators mean", () => {
    const record = { n: 5, text: "über", list: [1, "x", null], geo: { lat: -3.5 }, none: null };
    const yes: object[] = [
      { n: 5 },
      { n: { $gte: 5, $lt: 6 } },
      { text: { $prefix: "üb" } },
      { list: "x" },
      { list: { $gt: 0 } },
      { list: { $exists: true } },
      { "geo.lat": { $lt: 0 } },
      { none: null },
      { missing: null },
      { missing: { $exists: false } },
      { missing: { $in: [null] } },
      { $and: [{ n: 5 }, { $key: { $prefix: "k" } }] },
    ];
    const no: object[] = [
      { n: "5" },
      { n: { $gt: "4" } },
      { list: 2 },
      { geo: null },
      { missing: { $exists: true } },
      { missing: { $lt: 1 } },
      { list: { $in: [] } },
      { $key: { $gt: "z" } },
    ];
    for (const where of yes)
      expect(matches(where, "key", record), JSON.stringify(where)).to.be.true;
    for (const where of no)
      expect(matches(where, "key", record), JSON.stringify(where)).to.be.false;
  });
});

type Answered = Extract<QueryOutcome, { kind: "answered" }>;
type Wanted = Omit<Step, "outcome">;

/** "a" and "b" are in positions of their own, as is "c". */
const operations: readonly Operation[] = [
  set("a", { by: "c1", n: 1 }, { request: "r1" }),
  set("b", { by: "c1", n: 2 }, { request: "r2" }),
  incr("b", 2, "count", { request: "r3" }),
  del("a", { request: "r4" }),
  set("c", { by: "c1", n: 5 }, { request: "r5" }),
];
const incremented = '{"by":"c1","n":2,"count":2}';
const refused: StepOutcome = { kind: "refused", error: "unavailable" };

function value(number: number): string {
  return JSON.stringify({ by: "c1", n: number });
}

function written(revision: number, created?: boolean): StepOutcome & { kind: "written" } {
  return { kind: "written", revision, ...(created === undefined ? {} : { created }) };
}

function row(number: number, step: Wanted, outcome: StepOutcome): HistoryRow {
  const times = { invokedAt: 10 * number, returnedAt: 10 * number + 5 };
  const steps = [{ ...step, outcome }];
  return { client: "c1", number, requestId: `r${number}`, kind: "single", steps, ...times };
}

function keysRow(keys: string[]): HistoryRow {
  const outcome: QueryOutcome = { kind: "answered", keys, complete: true, more: false };
  const query = { prefix: "", limit: 9, level: "linearizable" as const, partial: false, outcome };
  return {
    client: "c2",
    number: 1,
    kind: "keys",
    steps: [],
    query,
    invokedAt: 990,
    returnedAt: 995,
  };
}

function eventsOf(truth: LogTruth): StoredEvent[] {
  return [...truth.changes.values()]
    .flat()
    .map(({ op, key, position, revision, time, record }, index) => {
      const type = "application/json" as const;
      const content = record && { type, value: Buffer.from(record.value, "latin1") };
      const expiresAt = record?.expiresAt ?? 0;
      const change = { op, key, position, revision, updatedAt: time, expiresAt, content };
      const { subject, headers, data } = eventOf(names, change as never);
      const map = new Map(headers.map(([name, text]) => [name.toLowerCase(), [text]]));
      return { sequence: (index + 1) as Sequence, subject, headers: map, data };
    });
}
