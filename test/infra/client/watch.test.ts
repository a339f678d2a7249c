/**
 * Watches over a real events stream that the test fills as a relay would: order, prefixes, gaps,
 * resets, and going on after the server was away.
 */
import { expect } from "chai";
import { connect as connectNats, DiscardPolicy, type NatsConnection } from "nats";
import {
  connect,
  EventGapError,
  isUnavailable,
  type ChangeEvent,
  type EventGap,
  type Ringdex,
  type Watch,
} from "../../../infra/client/client.js";
import { BATCH_MESSAGES } from "../../../infra/client/event-feed.js";
import { filtersOf, RevisionProof } from "../../../infra/client/watch.js";
import { Names } from "../../../protocol/nats/subjects.js";
import { failure } from "../../support/failure.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { publishEvent } from "./fake-store.js";

describe("watch", function () {
  this.timeout(30_000);

  let server: TestServer;
  let relay: NatsConnection;
  let db: Ringdex;

  beforeEach(async () => {
    server = await startTestServer();
    relay = await connectNats({
      servers: server.url,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
    });
    db = await connect({ servers: server.url });
  });

  afterEach(async () => {
    await db.close();
    await relay.close();
    await server.stop();
  });

  async function makeStream(): Promise<void> {
    const manager = await relay.jetstreamManager();
    const subjects = ["kv.event.>", "kv.relay.*"];
    await manager.streams.add({ name: "kv-events", subjects, discard: DiscardPolicy.Old });
  }

  function set(key: string, revision: number, position = 1): Promise<void> {
    return publishEvent(relay, { op: "set", key, revision, position, value: { revision } });
  }

  it("tells what happens after it is ready, in order, with all that the event says", async () => {
    await makeStream();
    await set("before", 1);
    const watch = db.watch<{ revision: number }>();
    await watch.ready;
    await set("a b/ü", 2);
    await publishEvent(relay, { op: "del", key: "a", revision: 3, position: 1 });
    const [first, second] = await take(watch, 2);
    expect(first).to.deep.equal({
      op: "set",
      key: "a b/ü",
      value: { revision: 2 },
      revision: 2,
      position: 1,
      updatedAt: new Date("2026-01-02T03:04:05.678Z"),
      contentType: "application/json",
    });
    expect(second).to.include({ op: "del", key: "a", revision: 3 }).and.not.have.property("value");
  });

  it("tells more than one batch from the beginning, without what is not an event", async () => {
    await makeStream();
    const count = BATCH_MESSAGES * 2 + 5;
    for (let revision = 1; revision <= count; revision += 1) {
      await set("key", revision);
      if (revision % 100 === 0) await relay.jetstream().publish("kv.relay.s1", "");
    }
    const events = await take(db.watch({ from: "beginning" }), count);
    expect(events.map(({ revision }) => revision)).to.deep.equal(
      Array.from({ length: count }, (_, index) => index + 1),
    );
  });

  it("begins at a time", async () => {
    await makeStream();
    await set("a", 1);
    const manager = await relay.jetstreamManager();
    const { time } = await manager.streams.getMessage("kv-events", { seq: 1 });
    const from = new Date(time.getTime() + 1);
    while (Date.now() <= from.getTime()) await relay.flush();
    await set("b", 2);
    expect((await take(db.watch({ from }), 1))[0]?.key).to.equal("b");
  });

  it("tells only keys with the prefix, those that fit no subject and resets included", async () => {
    await makeStream();
    const keys = ["user.1", "user.12", "user.1 2", "users.12", "user.12.x", "other"];
    for (const [index, key] of keys.entries()) await set(key, index * 2 + 1);
    await publishEvent(relay, { op: "reset", key: "-", revision: 99, position: 1 });
    const watch = db.watch({ prefix: "user.1", from: "beginning" });
    const events = await take(watch, 5);
    const told = ["user.1", "user.12", "user.1 2", "user.12.x"];
    expect(events.slice(0, 4).map(({ key }) => key)).to.deep.equal(told);
    expect(events[4]?.op).to.equal("reset");
  });

  it("tells values as text or bytes, as they were set, if asked to", async () => {
    await makeStream();
    await set("key", 1);
    const text = '{"revision":1}';
    const [asText] = await take(db.watch({ from: "beginning", as: "text" }), 1);
    const [asBytes] = await take(db.watch({ from: "beginning", as: "bytes" }), 1);
    expect(asText).to.include({ op: "set", value: text, contentType: "application/json" });
    expect(asBytes).to.deep.include({ value: new TextEncoder().encode(text) });
  });

  it("throws at a gap, and hands over nothing that follows", async () => {
    await makeStream();
    for (const revision of [1, 2, 4, 5]) await set("key", revision);
    const seen: number[] = [];
    const watching = async (): Promise<void> => {
      for await (const event of db.watch({ from: "beginning" })) seen.push(event.revision);
    };
    const error = await failure(watching());
    expect(error).to.be.instanceOf(EventGapError);
    const gap = { position: 1, revisionExpected: 3, revision: 4 };
    expect((error as EventGapError).gap).to.deep.equal(gap);
    expect(seen).to.deep.equal([1, 2]);
  });

  it("sees a gap also if a prefix hides the events around it", async () => {
    await makeStream();
    for (const revision of [1, 3]) await set("other", revision);
    const error = await failure(take(db.watch({ prefix: "use", from: "beginning" }), 1));
    expect(error).to.be.instanceOf(EventGapError);
  });

  it("goes on after a gap that it could report, and over a reset without one", async () => {
    await makeStream();
    for (const revision of [1, 3]) await set("key", revision);
    await publishEvent(relay, { op: "reset", key: "-", revision: 50, position: 1 });
    await set("key", 51);
    const gaps: EventGap[] = [];
    const watch = db.watch({ from: "beginning", onGap: (gap) => gaps.push(gap) });
    const events = await take(watch, 4);
    expect(events.map(({ revision }) => revision)).to.deep.equal([1, 3, 50, 51]);
    expect(gaps).to.deep.equal([{ position: 1, revisionExpected: 2, revision: 3 }]);
  });

  it("throws when somebody else closes the connection", async () => {
    await makeStream();
    const own = await connectNats({ servers: server.url });
    const other = await connect({ connection: own });
    const watch = other.watch();
    const error = failure(take(watch, 1));
    await watch.ready;
    await own.close();
    expect(isUnavailable(await error)).to.equal(true);
    await other.close();
  });

  it("ends with the signal's reason, by stop() and by close() without one", async () => {
    await makeStream();
    const reason = new Error("enough");
    const controller = new AbortController();
    const aborted = failure(take(db.watch({ signal: controller.signal }), 1));
    const stopped = db.watch();
    const ended = take(stopped, 1);
    const closed = take(db.watch(), 1);
    controller.abort(reason);
    stopped.stop();
    expect(await aborted).to.equal(reason);
    expect(await ended).to.deep.equal([]);
    await db.close();
    expect(await closed).to.deep.equal([]);
  });

  async function take<Value>(watch: Watch<Value>, count: number): Promise<ChangeEvent<Value>[]> {
    const events: ChangeEvent<Value>[] = [];
    for await (const event of watch) if (events.push(event) === count) break;
    return events;
  }
});

describe("filters of a watch", () => {
  const names = new Names("kv");

  it("are one for all events as long as the prefix has no complete token", () => {
    for (const prefix of ["", "a", "user"]) {
      expect(filtersOf(names, prefix)).to.deep.equal(["kv.event.>"]);
    }
  });

  it("are the complete tokens, the keys that fit no subject, and the resets", () => {
    expect(filtersOf(names, "a.b.c")).to.deep.equal([
      "kv.event.reset.>",
      ...["set", "del", "expire"].flatMap((op) => [`kv.event.${op}._`, `kv.event.${op}.a.b.>`]),
    ]);
  });

  it("leave out subjects that no key with the prefix can have", () => {
    const keyless = ["kv.event.reset.>", "kv.event.set._", "kv.event.del._", "kv.event.expire._"];
    for (const prefix of ["a b", "a b.c", "*.x", "..", "a..b"]) {
      expect(filtersOf(names, prefix), prefix).to.deep.equal(keyless);
    }
  });
});

describe("revision proof", () => {
  it("takes revisions that rise by 1, in each position for itself", () => {
    const proof = new RevisionProof();
    const steps = [[1, 5], [2, 9], [1, 6], [2, 10]] as const; // prettier-ignore
    for (const [position, revision] of steps) {
      expect(proof.check({ op: "set", position, revision })).to.equal(undefined);
    }
    expect(proof.check({ op: "del", position: 1, revision: 6 })).to.equal(7);
    expect(proof.check({ op: "del", position: 2, revision: 12 })).to.equal(11);
  });

  it("starts anew at a reset, whose revision may come again but once", () => {
    const proof = new RevisionProof();
    proof.check({ op: "set", position: 1, revision: 5 });
    expect(proof.check({ op: "reset", position: 1, revision: 20 })).to.equal(undefined);
    expect(proof.check({ op: "set", position: 1, revision: 20 })).to.equal(undefined);
    expect(proof.check({ op: "set", position: 1, revision: 20 })).to.equal(21);
  });
});
