/**
 * The faults of events streams, in memory and on a JetStream behind a proxy that holds and cuts.
 */
import { expect } from "chai";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Events } from "../../infra/events.js";
import { EventStream } from "../../infra/jetstream/event-stream.js";
import { askJetstream, objectIn } from "../../infra/jetstream/jetstream-api.js";
import { connectBus, type NatsBus } from "../../infra/nats/nats-bus.js";
import type { Sequence, ShardId } from "../../protocol/ids.js";
import { Names } from "../../protocol/nats/subjects.js";
import { MemoryEventStream, type MemoryEvents } from "../support/memory-events.js";
import { startTestServer, type TestServer } from "../support/nats-server.js";
import { PacedClock } from "../support/paced-clock.js";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.js";
import { until } from "../support/until.js";
import { eventsFaultsContract, type FaultyEventsWorld } from "./events-faults-contract.js";

const MIB = 1_024 ** 2;

describe("an events stream in memory with faults", () => {
  eventsFaultsContract((bytesMax) => Promise.resolve(memoryWorld(bytesMax)));
});

describe("an events stream on JetStream with faults", function () {
  this.timeout(30_000);
  let server: TestServer;
  let proxy: TcpProxy;
  let number = 0;
  before(async () => {
    server = await startTestServer({ mapping: false, keep: true });
    proxy = await startTcpProxy(server.port);
  });
  after(async () => {
    await proxy.close();
    await server.stop();
    rmSync(server.folder, { recursive: true });
  });

  const createWorld = (bytesMax?: number): JetstreamWorld => {
    number += 1;
    return new JetstreamWorld(server, proxy, new Names(`kv${number}`), bytesMax);
  };

  eventsFaultsContract((bytesMax) => Promise.resolve(createWorld(bytesMax)));

  it("ends a writer whose stream is gone; another begins once it is made anew", async () => {
    const world = createWorld();
    const events = await world.connect();
    await events.open();
    const subject = world.names.relayMarker("s1" as ShardId);
    const message = { subject, headers: [], data: new Uint8Array() };
    const own = events.writer();
    own.publish(message, { subject, sequence: 0 as Sequence });
    expect(await own.flushed()).to.equal(1);
    await world.remove();
    own.publish(message, { subject, sequence: 1 as Sequence });
    const asked = [own.flushed(), events.last(subject), events.state()];
    for (const failure of await Promise.allSettled(asked)) {
      expect(failure).to.have.nested.property("reason.kind", "unavailable");
    }
    await events.open();
    const next = events.writer();
    // JetStream may begin the new one with what it had not written yet of the old one.
    const begun = (await events.last(subject))?.sequence ?? (0 as Sequence);
    next.publish(message, { subject, sequence: begun });
    expect(await next.flushed()).to.be.above(begun);
    next.close();
    await world.close();
  });
});

function memoryWorld(bytesMax = Infinity): FaultyEventsWorld {
  const clock = new PacedClock();
  const stream = new MemoryEventStream(clock);
  stream.bytesMax = bytesMax;
  const handles: MemoryEvents[] = [];
  let synced = 0;
  const done = Promise.resolve();
  const goAway = (): void => {
    for (const each of handles) each.disconnect();
  };
  const comeBack = (): void => {
    for (const each of handles) each.reconnect();
  };
  return {
    names: new Names("kv"),
    connect: () => {
      const events = stream.connect();
      handles.push(events);
      return Promise.resolve(events);
    },
    loseAnswers: (events, count, publish) => {
      publish();
      (events as MemoryEvents).disconnect(count);
      (events as MemoryEvents).reconnect();
      return done;
    },
    hold: (events) => {
      (events as MemoryEvents).isPaused = true;
      return () => {
        (events as MemoryEvents).resume();
        return done;
      };
    },
    refuseAbove: (bytes) => {
      stream.refuses = ({ data }) => data.length > bytes;
      return done;
    },
    trim: (first) => {
      stream.trim(first);
      return done;
    },
    goAway: () => Promise.resolve(goAway()),
    comeBack: () => Promise.resolve(comeBack()),
    sync: () => {
      synced = stream.last;
      goAway();
      comeBack();
      return done;
    },
    crash: () => {
      goAway();
      stream.truncate(synced);
      comeBack();
      return done;
    },
    hurry: (isHurried) => {
      clock.isHurried = isHurried;
    },
    close: () => done,
  };
}

class JetstreamWorld implements FaultyEventsWorld {
  readonly #clock = new PacedClock();
  readonly #buses = new Map<Events, { readonly bus: NatsBus; readonly name: string }>();

  constructor(
    private readonly server: TestServer,
    private readonly proxy: TcpProxy,
    readonly names: Names,
    private readonly bytesMax = 64 * MIB,
  ) {}

  async connect(): Promise<Events> {
    const { names, bytesMax } = this;
    const clock = this.#clock;
    const name = `${names.store}-${this.#buses.size}`;
    const url = `nats://127.0.0.1:${this.proxy.port}`;
    const bus = await connectBus({ url, name, clock, onFailure: () => undefined });
    const events = new EventStream({ names, bus, clock, bytesMax, replicas: 1 });
    this.#buses.set(events, { bus, name });
    return events;
  }

  async loseAnswers(events: Events, count: number, publish: () => void): Promise<void> {
    const { bus, name } = this.#of(events);
    const [other] = [...this.#buses.keys()].filter((each) => each !== events);
    if (other === undefined) throw new Error("somebody else has to see what arrives");
    const { last } = await other.state();
    const letGo = this.proxy.hold((each) => each === name, "from-server");
    publish();
    await until(async () => (await other.state()).last === last + count);
    this.proxy.cut((each) => each === name);
    await until(() => bus.status === "disconnected");
    letGo();
    await until(() => bus.status === "connected");
  }

  hold(events: Events): () => Promise<void> {
    const { name } = this.#of(events);
    const letGo = this.proxy.hold((each) => each === name, "to-server");
    return () => Promise.resolve(letGo());
  }

  async refuseAbove(bytes: number): Promise<void> {
    const { bus } = this.#any;
    const stream = this.names.eventsStream;
    const info = await askJetstream(bus, `STREAM.INFO.${stream}`);
    const config = { ...objectIn(info, "config"), max_msg_size: bytes };
    await askJetstream(bus, `STREAM.UPDATE.${stream}`, config);
  }

  async trim(first: number): Promise<void> {
    const asked = `STREAM.PURGE.${this.names.eventsStream}`;
    await askJetstream(this.#any.bus, asked, { seq: first });
  }

  async remove(): Promise<void> {
    await askJetstream(this.#any.bus, `STREAM.DELETE.${this.names.eventsStream}`);
  }

  /** In order: killed, it would lose what it has not written yet. */
  async goAway(): Promise<void> {
    await this.server.stop();
    await this.#allAre("disconnected");
  }

  async comeBack(): Promise<void> {
    await this.server.restart();
    await this.#allAre("connected");
  }

  async sync(): Promise<void> {
    await this.goAway();
    const { folder } = this.server;
    cpSync(join(folder, "data"), join(folder, "synced"), { recursive: true });
    await this.comeBack();
  }

  async crash(): Promise<void> {
    await this.server.kill();
    await this.#allAre("disconnected");
    const { folder } = this.server;
    rmSync(join(folder, "data"), { recursive: true });
    cpSync(join(folder, "synced"), join(folder, "data"), { recursive: true });
    await this.comeBack();
  }

  hurry(isHurried: boolean): void {
    this.#clock.isHurried = isHurried;
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#buses.values(), ({ bus }) => bus.close()));
  }

  #of(events: Events): { readonly bus: NatsBus; readonly name: string } {
    const found = this.#buses.get(events);
    if (found === undefined) throw new Error("not a handle of this world");
    return found;
  }

  get #any(): { readonly bus: NatsBus } {
    const [first] = this.#buses.values();
    if (first === undefined) throw new Error("connect first");
    return first;
  }

  async #allAre(status: "connected" | "disconnected"): Promise<void> {
    const buses = [...this.#buses.values()];
    await until(() => buses.every(({ bus }) => bus.status === status));
  }
}
