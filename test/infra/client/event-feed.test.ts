/**
 * Event feed: goes on where it was, whatever becomes of server, consumer and deliveries.
 */
import { expect } from "chai";
import {
  connect as connectNats,
  DiscardPolicy,
  type NatsConnection,
  type SubscriptionOptions,
} from "nats";
import {
  connect,
  isUnavailable,
  type ChangeEvent,
  type Ringdex,
  type Watch,
} from "../../../infra/client/client.js";
import { parseAckSubject } from "../../../infra/nats/ack-subject.js";
import { failure } from "../../support/failure.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { publishEvent } from "./fake-store.js";

describe("event feed", function () {
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

  it("goes on where it was when the server comes back", async () => {
    await makeStream();
    const watch = db.watch({ from: "beginning" });
    const events = watch[Symbol.asyncIterator]();
    await set("key", 1);
    expect((await events.next()).value).to.include({ revision: 1 });
    const waiting = events.next();
    await server.restart();
    await untilDone(() => set("key", 2));
    expect((await waiting).value).to.include({ revision: 2 });
    await set("key", 3);
    expect((await events.next()).value).to.include({ revision: 3 });
    watch.stop();
    expect((await events.next()).done).to.equal(true);
  });

  it("makes its consumer again when the server has lost it", async () => {
    await makeStream();
    const manager = await relay.jetstreamManager();
    const events = db.watch({ from: "beginning" })[Symbol.asyncIterator]();
    await set("key", 1);
    await events.next();
    const waiting = events.next();
    const names = await manager.consumers.list("kv-events").next();
    for (const { name } of names) await manager.consumers.delete("kv-events", name);
    await set("key", 2);
    expect((await waiting).value).to.include({ revision: 2 });
  });

  it("makes its consumer again when a delivery was lost, and loses nothing", async () => {
    await makeStream();
    for (let revision = 1; revision <= 9; revision += 1) await set("key", revision);
    let isLost = false;
    const lossy = Object.create(relay, {
      subscribe: {
        value: (subject: string, options: SubscriptionOptions) => {
          const callback: typeof options.callback = (error, message) => {
            const delivered = parseAckSubject(message.reply ?? "")?.delivered;
            if (delivered === 3 && !isLost) isLost = true;
            else options.callback?.(error, message);
          };
          return relay.subscribe(subject, { ...options, callback });
        },
      },
    }) as NatsConnection;
    const other = await connect({ connection: lossy });
    const events = await take(other.watch({ prefix: "", from: "beginning", onGap: () => 0 }), 9);
    expect(events.map(({ revision }) => revision)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(isLost).to.equal(true);
    await other.close();
  });

  it("leaves no consumer behind when the loop is left", async () => {
    await makeStream();
    await set("key", 1);
    const manager = await relay.jetstreamManager();
    expect(await take(db.watch({ from: "beginning" }), 1)).to.have.length(1);
    while ((await manager.consumers.list("kv-events").next()).length > 0) await relay.flush();
  });

  it("says so when there is no events stream", async () => {
    for (const from of ["now", "beginning"] as const) {
      const error = await failure(take(db.watch({ from }), 1));
      expect(isUnavailable(error), from).to.equal(true);
    }
  });

  async function take<Value>(watch: Watch<Value>, count: number): Promise<ChangeEvent<Value>[]> {
    const events: ChangeEvent<Value>[] = [];
    for await (const event of watch) if (events.push(event) === count) break;
    return events;
  }
});

/** Publishes again until the server answers; what is published while it is away is refused. */
async function untilDone(publish: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await publish();
    } catch {
      // Not back yet.
    }
  }
}
