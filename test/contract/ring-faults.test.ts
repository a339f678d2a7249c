/**
 * The faults of the ring's bucket, in memory and on a JetStream behind a proxy that holds and cuts;
 * and what a watcher of that one sees.
 */
import { expect } from "chai";
import { askJetstream } from "../../infra/jetstream/jetstream-api.js";
import { RingBucket } from "../../infra/jetstream/ring-bucket.js";
import { connectBus, type NatsBus } from "../../infra/nats/nats-bus.js";
import { MemoryRing } from "../support/memory-ring.js";
import { startTestServer, type TestServer } from "../support/nats-server.js";
import { PacedClock } from "../support/paced-clock.js";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.js";
import { until } from "../support/until.js";
import {
  GARBAGE,
  ringFaultsContract,
  type FaultyRingWorld,
  type Ring,
} from "./ring-faults-contract.js";

describe("a ring in memory with faults", () => {
  ringFaultsContract(() => {
    const ring = new MemoryRing(isRing);
    const done = Promise.resolve();
    return Promise.resolve({
      open: () => Promise.resolve(ring),
      loseAnswer: (_ring, change) => {
        ring.loseNextAnswer();
        return change();
      },
      put: (value) => Promise.resolve(ring.put(value)),
      goAway: () => {
        ring.isAway = true;
        return done;
      },
      comeBack: () => {
        ring.isAway = false;
        return done;
      },
      hurry: () => undefined,
      close: () => done,
    });
  });
});

describe("a ring in JetStream's bucket with faults", function () {
  this.timeout(30_000);
  let server: TestServer;
  let proxy: TcpProxy;
  let number = 0;
  before(async () => {
    server = await startTestServer({ mapping: false });
    proxy = await startTcpProxy(server.port);
  });
  after(async () => {
    await proxy.close();
    await server.stop();
  });
  const createWorld = (): BucketWorld => {
    number += 1;
    return new BucketWorld(server, proxy, `ring-${number}`);
  };

  ringFaultsContract(() => Promise.resolve(createWorld()));

  it("tells a watcher that was away the newest value, and no older one again", async () => {
    const world = createWorld();
    const [watched, other] = [await world.open(), await world.open()];
    const seen: number[][] = [];
    const end = watched.watch(({ value, revision }) => void seen.push([value[0] ?? 0, revision]));
    await other.createOnce(Uint8Array.of(1));
    await until(() => seen.length === 1);
    const comeBack = await world.cutOff(watched);
    await other.update(Uint8Array.of(2), 1);
    await other.update(Uint8Array.of(3), 2);
    await world.put(Uint8Array.of(GARBAGE));
    await other.update(Uint8Array.of(4), 4);
    await comeBack();
    await until(() => seen.length === 2);
    // Other keys of the bucket change nothing, and are told to nobody.
    for (let key = 0; key < 20; key += 1) await world.put(Uint8Array.of(6), `other${key}`);
    await other.update(Uint8Array.of(5), 5);
    await until(() => seen.length >= 3);
    expect(seen).to.deep.equal([
      [1, 1],
      [4, 5],
      [5, 26],
    ]);
    end();
    expect(world.failures).to.deep.equal([]);
    await world.close();
  });

  it("is unavailable where its stream is gone", async () => {
    const world = createWorld();
    const bucket = await world.open();
    await bucket.createOnce(Uint8Array.of(1));
    await world.remove();
    const failure: unknown = await bucket.read().catch((error: unknown) => error);
    expect(failure).to.have.property("kind", "unavailable");
    await world.close();
  });
});

function isRing([first]: Uint8Array): boolean {
  return first !== GARBAGE;
}

interface Connection {
  readonly bus: NatsBus;
  readonly name: string;
}

class BucketWorld implements FaultyRingWorld {
  readonly failures: unknown[] = [];
  readonly #clock = new PacedClock();
  readonly #connections = new Map<Ring, Connection>();

  constructor(
    private readonly server: TestServer,
    private readonly proxy: TcpProxy,
    private readonly bucket: string,
  ) {}

  async open(): Promise<RingBucket> {
    const { bucket } = this;
    const clock = this.#clock;
    const name = `${bucket}-${this.#connections.size}`;
    const onFailure = (error: unknown): void => void this.failures.push(error);
    const url = `nats://127.0.0.1:${this.proxy.port}`;
    const bus = await connectBus({ url, name, clock, onFailure });
    const ring = await RingBucket.open({ bus, bucket, replicas: 1, clock, isRing, onFailure });
    this.#connections.set(ring, { bus, name });
    return ring;
  }

  async loseAnswer<Result>(ring: Ring, change: () => Promise<Result>): Promise<Result> {
    const { bus, name } = this.#of(ring);
    const [other] = [...this.#connections.keys()].filter((each) => each !== ring);
    const before = (await other?.read())?.revision;
    const letGo = this.proxy.hold((each) => each === name, "from-server");
    const changed = change();
    changed.catch(() => undefined); // looked at by the caller, when the connection is back
    await until(async () => (await other?.read())?.revision !== before);
    this.proxy.cut((each) => each === name);
    await until(() => bus.status === "disconnected");
    letGo();
    await until(() => bus.status === "connected");
    return changed;
  }

  async put(value: Uint8Array, key = "ring"): Promise<void> {
    await this.#last.bus.connection.jetstream().publish(`$KV.${this.bucket}.${key}`, value);
  }

  async goAway(): Promise<void> {
    await this.server.kill();
    await this.#allAre("disconnected");
  }

  async comeBack(): Promise<void> {
    await this.server.restart();
    await this.#allAre("connected");
  }

  /** One alone, until the function returned is called. */
  async cutOff(ring: Ring): Promise<() => Promise<void>> {
    const { bus, name } = this.#of(ring);
    const letGo = this.proxy.hold((each) => each === name);
    this.proxy.cut((each) => each === name);
    await until(() => bus.status === "disconnected");
    return async () => {
      letGo();
      await until(() => bus.status === "connected");
    };
  }

  async remove(): Promise<void> {
    await askJetstream(this.#last.bus, `STREAM.DELETE.KV_${this.bucket}`);
  }

  hurry(isHurried: boolean): void {
    this.#clock.isHurried = isHurried;
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#connections.values(), ({ bus }) => bus.close()));
  }

  #of(ring: Ring): Connection {
    const found = this.#connections.get(ring);
    if (found === undefined) throw new Error("not a handle of this world");
    return found;
  }

  get #last(): Connection {
    const last = [...this.#connections.values()].at(-1);
    if (last === undefined) throw new Error("open it first");
    return last;
  }

  async #allAre(status: "connected" | "disconnected"): Promise<void> {
    const connections = [...this.#connections.values()];
    await until(() => connections.every(({ bus }) => bus.status === status));
  }
}
