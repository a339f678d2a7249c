/**
 * Queries against a fake coordinator: pages, limits, what is asked, and what is asked too much.
 */
import { expect } from "chai";
import { connect, isKind, type Ringdex } from "../../../infra/client/client.js";
import { failure } from "../../support/failure.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { errorBody, FakeStore, type Body } from "./fake-store.js";

describe("queries", function () {
  this.timeout(20_000);
  let server: TestServer;
  let store: FakeStore;
  let db: Ringdex;

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());
  beforeEach(async () => {
    store = await FakeStore.start(server.url);
    db = await connect({ servers: server.url });
    store.onJson = pagesOf(7);
  });
  afterEach(async () => {
    await db.close();
    await store.stop();
  });

  /** A coordinator that has `count` items; the cursor is the number of those told. */
  function pagesOf(count: number): (verb: string, body: Body) => Body {
    return (verb, body) => {
      const start = Number(body["cursor"] ?? 0);
      const end = Math.min(start + Number(body["limit"]), count);
      const cursor = end < count ? String(end) : null;
      const numbers = Array.from({ length: end - start }, (_, index) => start + index);
      if (verb === "keys") return { keys: numbers.map((n) => `key-${n}`), cursor };
      const items = numbers.map((n) => ({ key: `key-${n}`, value: { n }, revision: n + 1 }));
      return { items, cursor, complete: true };
    };
  }

  function asked(): Body[] {
    return store.jsonAsked.filter(({ verb }) => verb !== "ring").map(({ body }) => body);
  }

  it("give items across pages, each page asked for with the cursor before", async () => {
    const where = { country: "IN", population: { $gt: 1e6 } };
    const items = await db.find<{ n: number }>(where, { pageSize: 3, order: ["-n"] }).toArray();
    expect(items.map(({ value }) => value.n)).to.deep.equal([0, 1, 2, 3, 4, 5, 6]);
    expect(items[0]).to.deep.include({
      key: "key-0",
      revision: 1,
      contentType: "application/json",
    });
    expect(asked().map((body) => body["cursor"])).to.deep.equal([undefined, "3", "6"]);
    expect(asked()[2]).to.deep.equal({ where, order: ["-n"], limit: 3, cursor: "6" });
  });

  it("end at the limit, without asking for more than it", async () => {
    expect(await db.find({}, { pageSize: 3, limit: 5 }).toArray()).to.have.length(5);
    expect(asked().map((body) => body["limit"])).to.deep.equal([3, 2]);
    expect(await db.find({}, { limit: 0 }).toArray()).to.have.length(0);
    expect(asked()).to.have.length(2);
  });

  it("ask for no page ahead of the reader", async () => {
    for await (const item of db.find({}, { pageSize: 2 })) if (item.key === "key-1") break;
    expect(asked()).to.have.length(1);
    expect((await db.find({}).first())?.key).to.equal("key-0");
    expect(asked()[1]).to.include({ limit: 1 });
  });

  it("tell certificate and completeness with the page", async () => {
    const certificate = [{ shard: "s1", epoch: 1, sequence: 9, positions: ["0-511"] }];
    store.onJson = () => ({ items: [], complete: false, certificate });
    for await (const page of db.find({}, { partial: true, certificate: true }).pages()) {
      expect(page).to.deep.equal({ items: [], complete: false, certificate });
    }
    expect(asked()[0]).to.include({ partial: true, certificate: true });
  });

  it("give values that JSON cannot tell as what they are", async () => {
    const raw = { key: "a", value_base64: "AP8=", content_type: "application/octet-stream" };
    store.onJson = () => ({ items: [{ ...raw, revision: 1 }], complete: true });
    expect((await db.find({}).first())?.value).to.deep.equal(new Uint8Array([0, 255]));
  });

  it("give values as their text, with every digit, if asked to", async () => {
    const json = '{"id":9007199254740993,"price":1.50,"all":[-0,1e400],"name":"\\u0061}"}';
    const deep = `${"[".repeat(100)}9007199254740995${"]".repeat(100)}`;
    const type = (name: string): string => `"content_type":"application/${name}"`;
    const items = [
      `{"key":"a","value":${json},"revision":1}`,
      `{"value":${deep},"key":"b","revision":2}`,
      '{"key":"c","value":"\\"x\\"","revision":3,"content_type":"text/plain"}',
      `{"key":"d","value":18446744073709551615,"revision":4,${type("msgpack")}}`,
      `{"key":"e","value_base64":"AP8=","revision":5,${type("octet-stream")}}`,
    ];
    store.onJson = () => `{"items":[${items.join(",")}],"complete":true}`;
    const found = await db.find({}, { as: "text" }).toArray();
    const values = found.map(({ value }) => value);
    const digits = "18446744073709551615";
    expect(values).to.deep.equal([json, deep, '"x"', digits, new Uint8Array([0, 255])]);
    expect(asked()[0]).to.not.have.property("as");
    store.onJson = pagesOf(0);
    expect(await db.find({}, { as: "text" }).toArray()).to.deep.equal([]);
  });

  it("count and list keys", async () => {
    expect(await collect(db.keys({ prefix: "key", pageSize: 4 }))).to.have.length(7);
    expect(await collect(db.keys({ limit: 2 }))).to.deep.equal(["key-0", "key-1"]);
    expect(asked()[0]).to.deep.equal({ prefix: "key", limit: 4 });
    store.onJson = () => ({ count: 42, complete: true });
    expect(await db.count({ a: 1 })).to.equal(42);
  });

  it("say the level of reading, which in a session is linearizable", async () => {
    await db.find({}, { read: "stale" }).first();
    await db.session().find({}).first();
    expect(store.jsonAsked.slice(-2).map(({ read }) => read)).to.deep.equal(["stale", ""]);
  });

  it("are asked again when they may be, and throw what else is told", async () => {
    const replies: Body[] = [errorBody("unavailable", 503), errorBody("unsupported", 501)];
    store.onJson = () => replies.shift() ?? {};
    const error = await failure(db.find({ a: { $near: 1 } }).toArray());
    expect(isKind(error, "unsupported")).to.equal(true);
    expect(asked()).to.have.length(2);
  });

  it("tell of a stream that captures their subjects", async () => {
    store.onJson = () => ({ stream: "ALL", seq: 7 });
    const error = await failure(db.count({}));
    expect(isKind(error, "internal") && error.message).to.include("ALL");
  });

  it("end with the signal's reason between pages", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const read = async (): Promise<void> => {
      for await (const _ of db.find({}, { pageSize: 1, signal: controller.signal })) {
        controller.abort(reason);
      }
    };
    expect(await failure(read())).to.equal(reason);
    expect(asked()).to.have.length(1);
  });
});

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}
