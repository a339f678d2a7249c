/**
 * Calls with arguments that a verb does not take: each is refused before anything is sent. Against
 * a fake store, so that what was sent shows.
 */
import { expect } from "chai";
import {
  connect,
  isKind,
  ops,
  Session,
  type ConnectOptions,
  type Ringdex,
} from "../../../infra/client/client.js";
import { refusal, refusalNow } from "../../support/failure.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { FakeStore } from "./fake-store.js";

/** The client as JavaScript sees it: no type keeps anything out. */
type Verb = (...given: unknown[]) => unknown;

describe("arguments of calls", function () {
  this.timeout(20_000);
  let server: TestServer;
  let store: FakeStore;
  let db: Ringdex;

  before(async () => {
    server = await startTestServer();
    store = await FakeStore.start(server.url);
    db = await connect({ servers: server.url });
  });
  after(async () => {
    await db.close();
    await store.stop();
    await server.stop();
  });
  beforeEach(() => {
    store.asked.length = 0;
    store.jsonAsked.length = 0;
  });

  /** What a call was refused with, nothing having been sent. */
  async function refused(verb: keyof Ringdex, ...given: unknown[]): Promise<string> {
    const call = (db[verb] as unknown as Verb).bind(db);
    const error = await refusal((async () => call(...given))());
    expect(isKind(error, "bad-request"), `${String(verb)}: ${error.kind}`).to.equal(true);
    expect([...store.asked, ...store.jsonAsked]).to.deep.equal([]);
    return error.message;
  }

  describe("that are values", () => {
    it("are refused where their format cannot tell them", async () => {
      expect(await refused("set", "k", { stock: [{ price: NaN }] })).to.equal(
        "value.stock[0].price is NaN, which JSON cannot tell; give a finite number, null or a text",
      );
      expect(await refused("set", "k", new Map())).to.match(/^value is a Map/);
      expect(await refused("set", "k", undefined)).to.include("to remove a key use del");
      expect(await refused("set", "k", new ArrayBuffer(3))).to.include("new Uint8Array(buffer)");
      expect(await refused("set", "k", [1n], { contentType: "application/msgpack" })).to.match(
        /^value\[0\] is the bigint 1n, which MessagePack/,
      );
      const plain = { contentType: "text/plain" };
      expect(await refused("set", "k", "\ud800", plain)).to.include("half a surrogate pair");
      expect(await refused("set", "k", 5, plain)).to.include("takes a text or a Uint8Array");
      expect(await refused("set", "k", 5, { contentType: "application/octet-stream" })).to.include(
        "takes a Uint8Array; received 5",
      );
      expect(await refused("setMany", [{ key: "k", value: { a: NaN } }])).to.match(
        /^entries\[0\]\.value\.a is NaN/,
      );
      expect(await refused("setMany", new Map([["k", () => 1]]))).to.match(
        /^entries\[0\]\.value is/,
      );
    });

    it("are patches of which no member is removed by mistake", async () => {
      expect(await refused("patch", "k", { price: NaN })).to.match(/^patch\.price is NaN/);
      expect(await refused("patch", "k", undefined)).to.match(/^patch is undefined/);
      await db.patch("k", { price: undefined, name: "x" });
      const bytes = store.asked[0]?.body["value"] as Uint8Array;
      expect(new TextDecoder().decode(bytes)).to.equal('{"name":"x"}');
    });

    it("leave undefined members out in MessagePack as in JSON", async () => {
      await db.set("k", { a: undefined, b: 1 }, { contentType: "application/msgpack" });
      expect((await db.get("k"))?.value).to.deep.equal({ b: 1 });
    });
  });

  describe("that are filters", () => {
    it("never ask for more than was meant", async () => {
      for (const verb of ["count", "find"] as const) {
        expect(await refused(verb, { owner: undefined })).to.match(/^where\.owner is undefined/);
        expect(await refused(verb, { $key: undefined })).to.match(/^where\.\$key is undefined/);
        expect(await refused(verb, { $and: undefined })).to.match(/^where\.\$and is undefined/);
        expect(await refused(verb, { a: { $in: [undefined] } })).to.match(
          /^where\.a\.\$in\[0\] is/,
        );
        expect(await refused(verb, { a: Infinity })).to.match(/^where\.a is Infinity/);
        expect(await refused(verb, { a: /x/ })).to.match(/^where\.a is a RegExp/);
        for (const where of [undefined, null, "IN", [], 5]) {
          expect(await refused(verb, where)).to.match(/^where is a filter; received /);
        }
        expect(await refused(verb, new Map([["a", 1]]))).to.match(/^where is a Map/);
      }
    });

    it("compare with a Date as with its text", async () => {
      store.onJson = () => ({ count: 1, complete: true });
      await db.count({ since: { $gt: new Date(0) } });
      expect(store.jsonAsked[0]?.body["where"]).to.deep.equal({
        since: { $gt: "1970-01-01T00:00:00.000Z" },
      });
    });
  });

  describe("that are options", () => {
    it("are known by their names", async () => {
      const hint = 'there is no option "ifRevison"; did you mean ifRevision?';
      expect(await refused("set", "k", 1, { ifRevison: 9 })).to.equal(`options of set: ${hint}`);
      expect(await refused("del", "k", { if_revision: 3 })).to.include("did you mean ifRevision?");
      expect(await refused("set", "k", 1, { ttll: 5 })).to.include("did you mean ttl?");
      expect(await refused("del", "k", { ttl: 5 })).to.include("known are timeoutMs, signal, ");
      expect(await refused("get", "k", { consistency: "stale" })).to.include(
        'option "consistency"',
      );
      expect(await refused("setMany", [{ key: "k", value: 1, ifRevison: 1 }])).to.match(
        /^entries\[0\]: there is no option "ifRevison"/,
      );
      expect(await refused("find", {}, { sort: ["a"] })).to.include("order");
      expect(await refused("watch", { form: "now" })).to.include("from");
    });

    it("have a value", async () => {
      for (const name of ["ifRevision", "ifAbsent", "ttl", "requestId", "contentType", "session"]) {
        expect(await refused("set", "k", 1, { [name]: undefined })).to.include("or leave it out");
      }
      expect(await refused("keys", { prefix: undefined })).to.include("prefix is a text");
      expect(await refused("find", {}, { cursor: undefined })).to.include("cursor is a text");
      await db.set("k", 1, { signal: undefined, timeoutMs: undefined } as object);
    });

    it("are of their type", async () => {
      const wrong: readonly (readonly [string, readonly unknown[]])[] = [
        ["ifRevision", ["3", -1, 1.5, null, 2n]],
        ["ifAbsent", [1, "true", null]],
        ["ttl", [null, true, 10n, [5], new Date()]],
        ["contentType", ["json", 0]],
        ["requestId", [7]],
        ["returnPrevious", ["yes"]],
        ["timeoutMs", ["5", 0, NaN, Infinity, -1]],
        ["signal", [new AbortController(), {}]],
        ["session", [{}, "s"]],
      ];
      for (const [name, values] of wrong) {
        for (const value of values) {
          expect(await refused("set", "k", 1, { [name]: value })).to.include(`: ${name} is `);
        }
      }
      expect(await refused("get", "k", { as: "utf8" })).to.include('as is one of "json"');
      expect(await refused("find", {}, { as: "bytes" })).to.include('as is one of "text"');
      expect(await refused("watch", { as: "json" })).to.include('as is one of "text", "bytes"');
      expect(await refused("get", "k", { read: "strong" })).to.include("read is one of");
      expect(await refused("find", {}, { select: "name" })).to.include("select is a list of paths");
      expect(await refused("find", {}, { order: ["a", 5] })).to.include("order is a list of paths");
      expect(await refused("find", {}, { limit: "5" })).to.include("limit is a whole number");
      expect(await refused("find", {}, { pageSize: 0 })).to.include("pageSize is a whole number");
      expect(await refused("watch", { from: new Date(NaN) })).to.include("an invalid Date");
    });

    it("are an object, and a prefix is one of them", async () => {
      expect(await refused("keys", "tmp.")).to.include('write keys({ prefix: "tmp." })');
      expect(await refused("watch", "tmp.")).to.include('write watch({ prefix: "tmp." })');
      expect(await refused("get", "k", "stale")).to.include("an object of these: timeoutMs");
      expect(await refused("set", "k", 1, null)).to.include("received null");
      expect(await refused("set", "k", 1, ["1h"])).to.include("received an array");
    });
  });

  it("of incr are finite numbers, and 1 only where nothing is given", async () => {
    for (const by of ["3", 10n, true, null, undefined, NaN, [3]]) await refused("incr", "n", by);
    expect(await refused("incr", "n", { by: undefined })).to.include("by: by is a finite number");
    expect(await refused("incr", "n", { bye: 3 })).to.include("did you mean by?");
    expect(await db.incr("n")).to.include({ value: 1 });
    expect(await db.incr("n", {})).to.include({ value: 2 });
    expect(await db.incr("n", 5, { ttl: "1d" })).to.include({ value: 7 });
    expect(store.asked.at(-1)?.body["ttl"]).to.equal(86_400_000);
  });

  it("of touch are a time to live", async () => {
    for (const ttl of [undefined, null, true, 10n, [5], {}]) {
      expect(await refused("touch", "k", ttl)).to.include("ttl is whole seconds");
    }
    expect(await refused("touch", "k", 1.5)).to.include("ttl");
  });

  it("that are lists are no strings, and have in them what they should", async () => {
    expect(await refused("getMany", "q.a")).to.include("keys is a list of keys");
    expect(await refused("getMany", undefined)).to.include("keys is a list of keys");
    expect(await refused("getMany", ["a", 5])).to.include("key must be text");
    expect(await refused("setMany", { a: 1 })).to.include("new Map(Object.entries(object))");
    expect(await refused("setMany", "ab")).to.include("entries is a Map or a list");
    expect(await refused("setMany", [["a", 1]])).to.include("new Map(pairs)");
    expect(await refused("setMany", [null])).to.match(/^entries\[0\]: received null/);
    expect(await refused("setMany", [{ key: "a" }])).to.match(/^entries\[0\]\.value is undefined/);
    expect(await refused("batch", [{ op: "set" }])).to.match(
      /^operations\[0\] is one that ops made/,
    );
    expect(await refused("batch", [ops.get("a"), null])).to.match(/^operations\[1\] is/);
    expect(await refused("batch", {})).to.include("operations is a list");
    expect(await refused("batch", [], { atomic: "yes" })).to.include("atomic is true or false");
  });

  it("of sessions are pairs that a session told", () => {
    const wrong = [["1", 2], [1], 5, "ab"] as unknown as [number, number][];
    for (const entry of wrong) {
      expect(refusalNow(() => new Session([entry])).kind).to.equal("bad-request");
    }
    expect(refusalNow(() => db.session({} as Session)).message).to.include("session is a Session");
  });

  it("of connect are known, and have a value", async () => {
    const wrong: readonly object[] = [
      { server: "127.0.0.1" },
      { servers: undefined },
      { servers: "" },
      { servers: [] },
      { timeoutMs: -1 },
      { store: 5 },
      { readLevel: "strong" },
      { inFlightMax: "many" },
      { onRetry: true },
      { connection: "nats" },
      { pasword: "x" },
    ];
    for (const options of wrong) {
      const error = await refusal(connect(options as ConnectOptions));
      expect(error.kind).to.equal("bad-request");
      expect(error.message).to.match(/^options of connect: /);
    }
  });
});
