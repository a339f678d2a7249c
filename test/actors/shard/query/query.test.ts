/**
 * Queries of one replica: every page of every filter is what a look at all records gives.
 */
import { expect } from "chai";
import fc from "fast-check";
import { comparePlaces } from "../../../../actors/coordinator/merge.js";
import { attributesOfRecord } from "../../../../actors/shard/query/query-scan.js";
import type { QueryReply } from "../../../../actors/shard/query/query.js";
import { KvError } from "../../../../protocol/errors.js";
import type { Position } from "../../../../protocol/ids.js";
import { MAILBOX_BYTES_MAX } from "../../../../protocol/limits.js";
import { positionOf } from "../../../../protocol/position.js";
import type { Place } from "../../../../protocol/query/cursor.js";
import { chooseDriver } from "../../../../protocol/query/driver.js";
import { compileFilter } from "../../../../protocol/query/filter-match.js";
import { parseFilter } from "../../../../protocol/query/filter.js";
import {
  decodeCountReply,
  decodePageReply,
  encodeQuery,
  queryErrorOf,
  type FindRequest,
  type PageReply,
} from "../../../../protocol/query/messages.js";
import type { Plain } from "../../../../protocol/value/content.js";
import { refusal } from "../../../support/failure.js";
import { QueryReplica } from "../../../support/query-replica.js";

const POSITIONS = 8;
const all = [0, 1, 2, 3, 4, 5, 6, 7];

describe("query", () => {
  let replica: QueryReplica;
  beforeEach(() => {
    replica = new QueryReplica(POSITIONS, all);
  });

  it("takes queries of so many bytes together, and more when those are taken", async () => {
    const { conditions } = parseFilter({ n: "x".repeat(1_000_000) });
    const base = { level: "linearizable", scan: false, positions: undefined } as const;
    const large = encodeQuery({ verb: "count", conditions, ...base });
    const fitting = Math.floor(MAILBOX_BYTES_MAX / large.length);
    const query = replica.query();
    const replies: Uint8Array[] = [];
    const offer = (): void => query.offer("count", large, (reply) => void replies.push(reply));
    for (let count = 0; count <= fitting; count += 1) offer();
    // Nobody takes them yet, so only the last one is answered.
    expect(replies.map((reply) => queryErrorOf(reply)?.details)).to.deep.equal([
      { limit: "mailbox_bytes", max: MAILBOX_BYTES_MAX, received: large.length },
    ]);
    const running = query.run();
    await replica.clock.runUntil(() => replies.length === fitting + 1);
    offer();
    await replica.clock.runUntil(() => replies.length === fitting + 2);
    expect(replies.slice(1).every((reply) => queryErrorOf(reply) === undefined)).to.equal(true);
    query.close();
    await replica.clock.resolve(running);
  });

  it("hands the error out with a reply that tells one, and none with another", async () => {
    const { conditions } = parseFilter({ n: 1 });
    const base = { level: "stale", scan: false, positions: undefined } as const;
    const query = replica.query();
    const replies: QueryReply[] = [];
    const offer = (bytes: Uint8Array): void =>
      query.offer("count", bytes, (...reply) => void replies.push(reply));
    offer(new Uint8Array([0xc1]));
    offer(encodeQuery({ verb: "count", conditions, ...base }));
    const running = query.run();
    await replica.clock.runUntil(() => replies.length === 2);
    query.close();
    offer(encodeQuery({ verb: "count", conditions, ...base }));
    expect(replies.map(([, error]) => error?.code)).to.deep.equal([400, undefined, 503]);
    for (const [bytes, error] of replies) expect(queryErrorOf(bytes)?.code).to.equal(error?.code);
    await replica.clock.resolve(running);
  });

  describe("find", () => {
    it("gives rows with value and revision, in key order for an equality", async () => {
      await replica.put("b", { country: "IN" });
      await replica.put("a", { country: "IN", n: 1 });
      await replica.put("c", { country: "FR" });
      const reply = await page({ country: "IN" });
      expect(reply.rows.map(({ key }) => key)).to.deep.equal(["a", "b"]);
      expect(text(reply.rows[0]?.value)).to.equal('{"country":"IN","n":1}');
      expect(reply.rows[0]?.revision).to.equal(replica.records.get("a")?.revision);
      expect(reply.more).to.equal(false);
      expect(reply.positions).to.deep.equal(all);
    });

    it("gives rows of a range by value, then key", async () => {
      await replica.put("a", { n: 3 });
      await replica.put("b", { n: -1 });
      await replica.put("c", { n: 3 });
      await replica.put("d", { n: "3" });
      expect(await keysOf({ n: { $gt: -5 } })).to.deep.equal(["b", "a", "c"]);
      expect(await keysOf({ n: { $exists: true } })).to.deep.equal(["b", "a", "c", "d"]);
    });

    it("finds a record with an array once, at its smallest matching element", async () => {
      await replica.put("many", { n: [1, 5, 9] });
      await replica.put("one", { n: 4 });
      await replica.put("split", { n: [1, 9] });
      expect(await keysOf({ n: { $gte: 2 } })).to.deep.equal(["one", "many", "split"]);
      // Each bound may be met by another element.
      expect(await keysOf({ n: { $gte: 4, $lte: 5 } })).to.deep.equal(["one", "many", "split"]);
      expect(await keysOf({ n: { $in: [1, 9] } })).to.deep.equal(["many", "split"]);
    });

    it("tells arrays apart that lie above the path", async () => {
      await replica.put("split", { a: [{ n: 1 }, { n: 9 }] });
      await replica.put("one", { a: { n: 4 } });
      expect(await keysOf({ "a.n": { $gt: 3, $lt: 5 } })).to.deep.equal(["one", "split"]);
    });

    it("checks in full what the index holds cut", async () => {
      const common = "x".repeat(256);
      for (const end of ["b", "a", "c"]) await replica.put(`k${end}`, { bio: common + end });
      await replica.put("whole", { bio: common });
      expect(await keysOf({ bio: `${common}a` })).to.deep.equal(["ka"]);
      expect(await keysOf({ bio: { $in: [`${common}a`, `${common}c`] } })).to.deep.equal([
        "ka",
        "kc",
      ]);
      expect(await keysOf({ bio: { $gt: `${common}a` } })).to.deep.equal(["kb", "kc"]);
      expect(await keysOf({ bio: { $prefix: common } })).to.deep.equal(["whole", "ka", "kb", "kc"]);
    });

    it("tells integers apart that share a double", async () => {
      const contentType = "application/msgpack";
      await replica.put("even", { n: 9_007_199_254_740_992n }, { contentType });
      await replica.put("odd", { n: 9_007_199_254_740_993n }, { contentType });
      expect(await keysOf({ n: 9_007_199_254_740_992 })).to.deep.equal(["even"]);
      expect(await keysOf({ n: { $gt: 9_007_199_254_740_992 } })).to.deep.equal(["odd"]);
    });

    it("leaves out records that are due by log time, though they still stand", async () => {
      await replica.put("kept", { n: 1 }, { expiresAt: 2_001 });
      await replica.put("due", { n: 1 }, { expiresAt: 2_000 });
      expect(await keysOf({ n: 1 })).to.deep.equal(["due", "kept"]);
      await replica.at(2_000);
      expect(await keysOf({ n: 1 })).to.deep.equal(["kept"]);
      expect(await count({ n: 1 })).to.equal(1);
      expect(await listKeys("")).to.deep.equal(["kept"]);
    });

    it("leaves out positions that it does not own, or was not asked for", async () => {
      for (const key of letters()) await replica.put(key, { n: 1 });
      replica.ownership.set(3 as Position, "absent", 2);
      const reply = await page({ n: 1 });
      expect(reply.positions).to.deep.equal([0, 1, 2, 4, 5, 6, 7]);
      expect(reply.rows.map(({ key }) => key)).to.deep.equal(
        letters().filter((key) => positionOf(key, POSITIONS) !== 3),
      );
      const some = await page({ n: 1 }, { positions: [3, 4] as Position[] });
      expect(some.positions).to.deep.equal([4]);
      expect(some.rows.map(({ key }) => key)).to.deep.equal(
        letters().filter((key) => positionOf(key, POSITIONS) === 4),
      );
    });

    it("sees records as they were in the view, whatever is written while it reads", async () => {
      await replica.put("changed", { n: 1, text: "before" });
      await replica.put("gone", { n: 1, text: "before" });
      replica.beforeGetMany = async () => {
        await replica.put("changed", { n: 2, text: "after" });
        await replica.del("gone");
        await replica.put("new", { n: 1 });
      };
      const reply = await page({ n: 1 });
      expect(reply.rows.map(({ key, value }) => [key, text(value)])).to.deep.equal([
        ["changed", '{"n":1,"text":"before"}'],
        ["gone", '{"n":1,"text":"before"}'],
      ]);
    });

    it("ends a page at its bytes, but never before the first row", async () => {
      for (const key of ["a", "b", "c"]) await replica.put(key, { n: 1, pad: "x".repeat(1_000) });
      const reply = await page({ n: 1 }, { bytesMax: 100 });
      expect(reply.rows.map(({ key }) => key)).to.deep.equal(["a"]);
      expect(reply.more).to.equal(true);
      expect(reply.reached?.key).to.equal("a");
    });

    it("selects members, and leaves values out where none are wanted", async () => {
      await replica.put("a", { geo: { lat: 1, lon: 2 }, n: 1, tags: [{ x: 1, y: 2 }, 3] });
      const selected = await page({ n: 1 }, { select: ["geo.lat", "tags.x", "none"] });
      expect(text(selected.rows[0]?.value)).to.equal('{"geo":{"lat":1},"tags":[{"x":1}]}');
      const bare = await page({ n: 1 }, { values: false });
      expect(bare.rows[0]?.value).to.equal(undefined);
    });

    it("asks the barrier for linearizable queries only, and tells its failure", async () => {
      await page({}, { level: "stale" });
      expect(replica.barrierCount).to.equal(0);
      replica.barrier = () => Promise.reject(new KvError("unavailable", "no log"));
      expect((await refusal(page({}))).kind).to.equal("unavailable");
    });

    it("answers a malformed message with bad-request", async () => {
      const reply = await replica.ask("find", Buffer.from("hello"));
      expect(() => decodePageReply(reply, POSITIONS)).to.throw(KvError, /MessagePack|map/);
    });

    it("closes its view after an answer and after a refusal", async () => {
      await page({ n: 1 });
      await refusal(page({ n: { $gt: 1 } }, { driver: 7 }));
      expect(replica.applied.viewCount).to.equal(0);
    });
  });

  describe("over random records", () => {
    it("finds page by page what a look at all records finds, and counts the same", async () => {
      await fc.assert(
        fc.asyncProperty(records, filter, fc.integer({ min: 1, max: 4 }), excluded, checkPages),
        { numRuns: 300 },
      );
    });
  });

  describe("keys", () => {
    it("lists keys with a prefix in UTF-8 byte order, page by page", async () => {
      const keys = ["a", "a.1", "ab", "\u{ffff}", "\u{1f600}", "z"];
      for (const key of keys) await replica.put(key, null);
      expect(await listKeys("a")).to.deep.equal(["a", "a.1", "ab"]);
      expect(await listKeys("")).to.deep.equal(["a", "a.1", "ab", "z", "\u{ffff}", "\u{1f600}"]);
    });
  });

  async function checkPages(
    values: readonly Plain[],
    where: object,
    limit: number,
    paths: readonly string[],
  ): Promise<void> {
    replica = new QueryReplica(POSITIONS, [0, 1, 2, 3, 4, 5, 6]);
    replica.excluded = paths;
    await replica.at(1_000);
    for (const [index, value] of values.entries()) {
      const expiresAt = index % 7 === 6 ? 900 : 0;
      await replica.put(`k${(index * 7) % 23}`, value, { expiresAt });
    }
    const match = compileFilter(parseFilter(where));
    const expected = [...replica.records]
      .filter(([key]) => positionOf(key, POSITIONS) !== 7)
      .filter(([, { expiresAt }]) => expiresAt === 0)
      .filter(([key, record]) => match(attributesOfRecord(record), key))
      .map(([key]) => key);
    expect(await count(where)).to.equal(expected.length);
    const places: Place[] = [];
    for (let after: Place | undefined; ;) {
      const reply = await page(where, { limit, after });
      places.push(...reply.rows);
      if (!reply.more) break;
      after = reply.reached;
      expect(reply.rows.length).to.equal(limit);
    }
    expect(places.map(({ key }) => key).sort()).to.deep.equal(expected.sort());
    expect(places).to.deep.equal(places.toSorted(comparePlaces));
  }

  async function page(where: object, options: Partial<FindRequest> = {}): Promise<PageReply> {
    const { conditions } = parseFilter(where);
    const request: FindRequest = {
      verb: "find",
      conditions,
      driver: chooseDriver(conditions),
      after: undefined,
      limit: 100,
      bytesMax: 100_000,
      values: true,
      select: undefined,
      level: "linearizable",
      scan: false,
      positions: undefined,
      ...options,
    };
    return decodePageReply(await replica.ask("find", encodeQuery(request)), POSITIONS);
  }

  async function keysOf(where: object): Promise<string[]> {
    return (await page(where)).rows.map(({ key }) => key);
  }

  async function count(where: object): Promise<number> {
    const { conditions } = parseFilter(where);
    const base = { level: "linearizable", scan: false, positions: undefined } as const;
    const payload = encodeQuery({ verb: "count", conditions, ...base });
    return decodeCountReply(await replica.ask("count", payload), POSITIONS).count;
  }

  async function listKeys(prefix: string): Promise<string[]> {
    const { conditions } = parseFilter({ $key: { $prefix: prefix } });
    const keys: string[] = [];
    for (let after: Place | undefined; ;) {
      const payload = encodeQuery({
        verb: "keys",
        conditions,
        driver: "key",
        after,
        limit: 2,
        bytesMax: 10_000,
        level: "linearizable",
        scan: false,
        positions: undefined,
      });
      const reply = decodePageReply(await replica.ask("keys", payload), POSITIONS);
      keys.push(...reply.rows.map(({ key }) => key));
      if (!reply.more) return keys;
      after = reply.reached;
    }
  }
});

const long = "l".repeat(256);
const scalar = fc.constantFrom<Plain>(
  null,
  false,
  true,
  0,
  1,
  2,
  3,
  "",
  "a",
  "ab",
  "b",
  `${long}1`,
  `${long}2`,
);
const element = fc.oneof(scalar, fc.constantFrom<Plain>({}, { n: 1 }, { n: [2, 3] }, []));
const member = fc.oneof(
  scalar,
  fc.array(element, { maxLength: 4 }),
  fc.constantFrom<Plain>({ n: 2 }, {}),
);
const value = fc.record({ a: member, b: member, c: member }, { requiredKeys: [] });
const records = fc.array(value, { maxLength: 30 });
const excluded = fc.constantFrom([], [], ["a"], ["b"]);

const operand = scalar.filter((each) => each !== null);
const test = fc.oneof(
  scalar,
  fc.record({ $in: fc.array(scalar, { maxLength: 4 }) }),
  fc.record({ $exists: fc.boolean() }),
  fc.record({ $prefix: fc.constantFrom("", "a", "l", long) }),
  fc.record({ $gt: operand }),
  fc.record({ $gte: operand, $lt: operand }),
  fc.record({ $gte: fc.constant(1), $lte: fc.constant(2) }),
  fc.record({ $lte: operand }),
);
const path = fc.constantFrom("a", "b", "c", "a.n", "b.n");
const keyTest = fc.constantFrom(
  "k1",
  { $prefix: "k1" },
  { $in: ["k1", "k7", "none", 5] },
  { $lt: "k5" },
);
const condition = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(path, test) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("$key"), keyTest) },
);
const filter = fc
  .array(condition, { maxLength: 3 })
  .map((pairs) =>
    pairs.length === 0 ? {} : { $and: pairs.map((pair) => Object.fromEntries([pair])) },
  );

function letters(): string[] {
  return "abcdefghijklmnopqrstuvwxyz".split("");
}

function text(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString();
}
