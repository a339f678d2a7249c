/**
 * Finder over two shards of four positions: pages, overlaps, holes, failures.
 */
import { expect } from "chai";
import { Finder, type AskShard } from "../../../actors/coordinator/find.js";
import { KvError } from "../../../protocol/errors.js";
import type { Epoch, LogId, NodeName, Position, ShardId } from "../../../protocol/ids.js";
import { decodeQuery, encodeQueryError } from "../../../protocol/query/messages.js";
import type { RingTable } from "../../../protocol/ring/ring.js";
import { refusal } from "../../support/failure.js";
import { QueryReplica } from "../../support/query-replica.js";

const POSITIONS = 4;

describe("finder", () => {
  let shards: Map<string, QueryReplica>;
  let asked: { shard: string; positions: readonly number[] | undefined }[];
  let finder: Finder;
  let before: (shard: string) => void;

  beforeEach(async () => {
    const s1 = new QueryReplica(POSITIONS, [0, 1]);
    const s2 = new QueryReplica(POSITIONS, [2, 3]);
    shards = new Map([["s1", s1], ["s2", s2]]); // prettier-ignore
    // Both hold all records, as while positions move: only ownership tells whose they are.
    for (const key of keys)
      for (const shard of shards.values()) await shard.put(key, { n: 1, key });
    asked = [];
    before = () => {};
    const ask: AskShard = async (shard, verb, payload) => {
      const { positions } = decodeQuery(verb, payload, POSITIONS);
      asked.push({ shard, positions });
      before(shard);
      return shards.get(shard)!.ask(verb, payload);
    };
    finder = new Finder(ask, () => ring);
  });

  it("asks each shard once and gives all rows in order", async () => {
    const reply = await find({ where: { n: 1 }, select: [], certificate: true });
    expect(reply.items.map(({ key }) => key)).to.deep.equal(keys);
    expect(reply).to.include({ cursor: null, complete: true, type: "io.ringdex.v1.find_response" });
    expect(reply.certificate?.map(({ shard, positions }) => [shard, positions])).to.deep.equal([
      ["s1", ["0-1"]],
      ["s2", ["2-3"]],
    ]);
    expect(asked.length).to.equal(2);
  });

  it("gives values as they were set, and all rows over pages", async () => {
    const found: string[] = [];
    let cursor: string | null = null;
    do {
      const reply = await find({ where: { key: { $gte: "" } }, limit: 3, cursor });
      for (const { key, value } of reply.items) {
        expect(value).to.deep.equal({ n: 1, key });
        found.push(key);
      }
      cursor = reply.cursor;
    } while (cursor !== null);
    expect(found).to.deep.equal(keys);
  });

  it("asks again for the rest of an answer that overlaps", async () => {
    // 0 has moved, which the ring table does not say yet; 1 is claimed by both.
    shards.get("s1")!.ownership.set(0 as Position, "absent", 2);
    for (const position of [0, 1]) {
      shards.get("s2")!.ownership.set(position as Position, "owned", 2);
    }
    const reply = await find({ where: { n: 1 } });
    expect(reply.items.map(({ key }) => key)).to.deep.equal(keys);
    expect(asked[2]).to.deep.equal({ shard: "s2", positions: [0, 2, 3] });
    expect(asked.length).to.equal(3);
    expect(await count({ where: { n: 1 } })).to.include({ count: keys.length, complete: true });
  });

  it("asks the owner for a hole", async () => {
    shards.get("s2")!.ownership.set(3 as Position, "absent", 2);
    let round = 0;
    before = () => {
      round += 1;
      if (round === 3) shards.get("s2")!.ownership.set(3 as Position, "owned", 3);
    };
    expect((await find({ where: { n: 1 } })).items.map(({ key }) => key)).to.deep.equal(keys);
    expect(asked[2]).to.deep.equal({ shard: "s2", positions: [3] });
  });

  it("is incomplete, listing what is missing, unless partial is allowed", async () => {
    before = (shard) => {
      if (shard === "s2") throw new KvError("unavailable", "nobody listens");
    };
    const error = await refusal(finder.find(json({ where: { n: 1 } })));
    expect(error.kind).to.equal("incomplete");
    expect(error.details["missing"]).to.deep.equal(["2-3"]);
    const reply = await find({ where: { n: 1 }, partial: true });
    expect(reply).to.deep.include({ complete: false, missing: ["2-3"] });
    expect(reply.items.length).to.be.within(1, keys.length - 1);
  });

  it("passes on what is the query's own fault, at once", async () => {
    const answer = encodeQueryError(new KvError("limit-exceeded", "rows"));
    const refusing = new Finder(() => Promise.resolve(answer), () => ring); // prettier-ignore
    expect((await refusal(refusing.find(json({})))).kind).to.equal("limit-exceeded");
  });

  it("refuses the cursor of another query", async () => {
    const { cursor } = await find({ where: { n: 1 }, limit: 1 });
    const error = await refusal(finder.find(json({ where: { n: 2 }, cursor })));
    expect(error.kind).to.equal("bad-request");
  });

  it("cuts a page that is larger than a reply, and goes on after it", async () => {
    const pad = "\u0001".repeat(100_000);
    for (const key of keys)
      for (const shard of shards.values()) await shard.put(key, { n: 1, pad });
    const first = await finder.find(json({ where: { n: 1 } }));
    expect(Buffer.byteLength(first)).to.be.below(1_024 * 1_024);
    expect(JSON.parse(first)).to.have.property("cursor").that.is.a("string");
  });

  it("selects a number beyond every double as it is stored", async () => {
    const big = Buffer.from('{"n":1,"big":1e400}');
    for (const shard of shards.values()) await shard.put(keys[0]!, big);
    const reply = await finder.find(json({ where: { n: 1 }, select: ["big"] }));
    expect(reply).to.contain('"value":{"big":1e400}');
  });

  it("shows records whose JSON form a reply has no room for, page after page", async () => {
    const bytes = Buffer.alloc(172_100, 1);
    for (const key of keys)
      for (const shard of shards.values())
        await shard.put(key, bytes, { contentType: "text/plain" });
    const found: unknown[] = [];
    let cursor: string | null | undefined;
    while (cursor !== null) {
      const reply = await find({ where: {}, scan: true, ...(cursor && { cursor }) });
      found.push(...reply.items);
      cursor = reply.cursor;
    }
    const value_base64 = bytes.toString("base64");
    expect(found).to.have.length(keys.length);
    expect(found[0]).to.deep.include({ value_base64, content_type: "text/plain" });
  });

  it("lists keys by prefix", async () => {
    const reply = JSON.parse(await finder.keys(json({ prefix: "k1", limit: 2 }))) as Reply;
    expect(reply.keys).to.deep.equal(["k1", "k10"]);
    const { cursor } = reply;
    const next = JSON.parse(await finder.keys(json({ prefix: "k1", limit: 2, cursor }))) as Reply;
    expect(next.keys).to.deep.equal(["k11"]);
    expect(next.cursor).to.equal(null);
  });

  async function find(body: object): Promise<Reply> {
    return JSON.parse(await finder.find(json(body))) as Reply;
  }
  async function count(body: object): Promise<Reply> {
    return JSON.parse(await finder.count(json(body))) as Reply;
  }
});

interface Reply {
  readonly items: { readonly key: string; readonly value: unknown }[];
  readonly keys: string[];
  readonly cursor: string | null;
  readonly complete: boolean;
  readonly certificate?: { readonly shard: string; readonly positions: string[] }[];
}

const keys = Array.from({ length: 12 }, (_, index) => `k${index}`).sort();

const ring: RingTable = {
  store: "kv",
  epoch: 1 as Epoch,
  positionCount: POSITIONS,
  shards: [ringShard("s1", "a", [0, 1]), ringShard("s2", "b", [2, 3])],
  nodes: [{ node: "n1" as NodeName, weight: 1, zone: undefined }],
};

function ringShard(shard: string, digit: string, positions: number[]): RingTable["shards"][number] {
  return {
    shard: shard as ShardId,
    logId: digit.repeat(16) as LogId,
    nodes: ["n1" as NodeName],
    weight: 1,
    positions: positions as Position[],
  };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
