/**
 * Values: to bytes and back, by content type.
 */
import { expect } from "chai";
import {
  connect,
  isKind,
  type ConnectOptions,
  type Ringdex,
} from "../../../infra/client/client.js";
import { positionOf } from "../../../protocol/position.js";
import { failure } from "../../support/failure.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { FakeStore } from "./fake-store.js";

describe("the client's values", function () {
  let server: TestServer;
  let store: FakeStore;
  let db: Ringdex;

  before(async () => {
    server = await startTestServer();
  });

  after(() => server.stop());

  beforeEach(async () => {
    store = await FakeStore.start(server.url);
    db = await open();
  });

  afterEach(async () => {
    await db.close();
    await store.stop();
  });

  function open(options: ConnectOptions = {}): Promise<Ringdex> {
    return connect({ servers: server.url, attemptTimeoutMs: 100, ...options });
  }

  describe("values", () => {
    it("come back as they were set, by their content type", async () => {
      const city = { name: "दिल्ली", population: 32_900_000, tags: ["capital"] };
      const raw = new Uint8Array([0, 255, 7]);
      await db.set("json", city);
      await db.set("text", "hello", { contentType: "text/plain" });
      await db.set("string", "hello");
      await db.set("raw", raw);
      await db.set("msgpack", city, { contentType: "application/msgpack" });

      expect((await db.get<typeof city>("json"))?.value).to.deep.equal(city);
      expect(await db.get("text")).to.include({ value: "hello", contentType: "text/plain" });
      expect(await db.get("string")).to.include({
        value: "hello",
        contentType: "application/json",
      });
      expect((await db.get("raw"))?.value).to.deep.equal(raw);
      expect((await db.get("msgpack"))?.value).to.deep.equal(city);
      expect((await db.get("string", { as: "text" }))?.value).to.equal('"hello"');
      expect((await db.get("string", { as: "bytes" }))?.value).to.deep.equal(
        new TextEncoder().encode('"hello"'),
      );
      expect(await db.get("nowhere")).to.equal(undefined);
    });

    it("that JSON cannot say are refused before anything is sent", async () => {
      for (const value of [undefined, () => 1, NaN, 1n]) {
        const error = await failure(db.set("key", value));
        expect(isKind(error, "bad-request"), String(value)).to.equal(true);
      }
      expect(store.asked).to.have.length(0);
    });

    it("go to the key's position, with what the options say", async () => {
      await db.set("a.b", 1, { ttl: "90s", ifAbsent: true, returnPrevious: true });
      const [asked] = store.asked;
      expect(asked?.subject).to.equal(`kv.ring.${positionOf("a.b")}.set`);
      expect(asked?.body).to.include({
        key: "a.b",
        ttl: 90_000,
        if_revision: 0,
        return: "previous",
      });
      expect(asked?.body["request_id"]).to.match(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    });

    it("before a write are told if asked for", async () => {
      await db.set("key", 1);
      const result = await db.set("key", 2, { returnPrevious: true });
      expect(result).to.deep.include({ revision: 2, created: false });
      expect(result.previous).to.deep.include({ value: 1, revision: 1 });
    });
  });
});
