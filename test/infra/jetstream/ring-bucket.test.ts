/**
 * The ring's bucket: created once, changed by compare-and-set, watched.
 */
import { expect } from "chai";
import { systemClock } from "../../../infra/clock.js";
import { askJetstream } from "../../../infra/jetstream/jetstream-api.js";
import { RingBucket } from "../../../infra/jetstream/ring-bucket.js";
import { connectBus, type NatsBus } from "../../../infra/nats/nats-bus.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { until } from "../../support/until.js";

/** Begins values that are no ring. */
const GARBAGE = 255;

describe("ring bucket", () => {
  let server: TestServer;
  let bus: NatsBus;
  let bucket: RingBucket;
  let number = 0;
  let startedAtMs = 0;
  const failures: unknown[] = [];
  const onFailure = (error: unknown): void => void failures.push(error);
  const open = (): Promise<RingBucket> =>
    RingBucket.open({
      bus,
      bucket: `ring-${number}`,
      replicas: 1,
      clock: systemClock,
      isRing: ([first]) => first !== GARBAGE,
      onFailure,
    });
  before(async function () {
    this.timeout(30_000);
    server = await startTestServer({ mapping: false });
    bus = await connectBus({ url: server.url, name: "test", clock: systemClock, onFailure });
  });
  after(async () => {
    await bus.close();
    await server.stop();
  });
  beforeEach(async () => {
    startedAtMs = systemClock.now();
    number += 1;
    bucket = await open();
  });

  /** Without its time, which must be one of this test. */
  async function readFrom(from: RingBucket): Promise<object | undefined> {
    const found = await from.read();
    if (found === undefined) return undefined;
    const { changedAtMs, ...rest } = found;
    expect(changedAtMs).to.be.within(startedAtMs, systemClock.now());
    return rest;
  }

  it("has no value at first, and gives the first one to one of those who create it", async () => {
    expect(await bucket.read()).to.equal(undefined);
    const other = await open();
    const created = await Promise.all(
      [1, 2, 3, 4].map((n) => (n % 2 ? bucket : other).createOnce(byte(n))),
    );
    expect(created.filter(Boolean)).to.have.length(1);
    const value = byte(created.indexOf(true) + 1);
    expect(await readFrom(other)).to.deep.equal({ value, revision: 1 });
  });

  it("changes only at the newest revision, and tells the new one", async () => {
    await bucket.createOnce(byte(1));
    expect(await bucket.update(byte(2), 1)).to.equal(2);
    expect(await bucket.update(byte(3), 1)).to.equal(undefined);
    expect(await readFrom(bucket)).to.deep.equal({ value: byte(2), revision: 2 });
    expect(await bucket.createOnce(byte(4))).to.equal(false);
    const raced = await Promise.all([bucket.update(byte(5), 2), bucket.update(byte(6), 2)]);
    expect(raced.filter((revision) => revision !== undefined)).to.deep.equal([3]);
  });

  it("tells a watcher what is there and what comes, but no refused value", async () => {
    await bucket.createOnce(byte(1));
    const seen: (number | undefined)[] = [];
    const end = bucket.watch(({ value, revision }) => {
      seen.push(value[0], revision);
      if (revision === 2) throw new Error("a bug");
    });
    await until(() => seen.length === 2);
    await bucket.update(byte(9), 7);
    await bucket.update(byte(2), 1);
    await until(() => seen.length === 4);
    await bucket.update(byte(3), 2);
    await until(() => seen.length === 6);
    expect(seen).to.deep.equal([1, 1, 2, 2, 3, 3]);
    expect(failures.splice(0)).to.have.length(1);
    end();
    await bucket.update(byte(4), 3);
    await bus.flush();
    expect(seen).to.have.length(6);
  });

  it("reads the last value that is a ring where others were put, to be mended", async () => {
    await bucket.createOnce(byte(1));
    await bucket.update(byte(2), 1);
    const seen: (number | undefined)[] = [];
    const end = bucket.watch(({ value }) => void seen.push(value[0]));
    await until(() => seen.length > 0);
    const jetstream = bus.connection.jetstream();
    const subject = `$KV.ring-${number}.ring`;
    await jetstream.publish(subject, byte(GARBAGE));
    await jetstream.publish(`$KV.ring-${number}.other`, byte(7));
    await jetstream.publish(subject, new Uint8Array([GARBAGE, 1]));
    expect(await readFrom(bucket)).to.deep.equal({ value: byte(2), revision: 5 });
    expect(await bucket.update(byte(3), 5)).to.equal(6);
    await until(() => seen.includes(3));
    expect(seen).to.not.include(GARBAGE);
    expect(seen).to.not.include(7);
    // Each was told, unless a newer one stood there when it was looked at.
    expect(failures.splice(0).length).to.be.within(0, 2);
    end();
  });

  it("tells a watcher of another value under a revision that it has seen", async function () {
    this.timeout(30_000);
    await bucket.createOnce(byte(1));
    const seen: (readonly [value: number | undefined, revision: number])[] = [];
    const end = bucket.watch(({ value, revision }) => void seen.push([value[0], revision]));
    await until(() => seen.length > 0);
    // It loses all, and is changed as often again, most often before anybody looks.
    await askJetstream(bus, `STREAM.DELETE.KV_ring-${number}`);
    await open();
    await bucket.createOnce(byte(2));
    await until(() => seen.length === 2, 20_000, "the other value");
    expect(seen).to.deep.equal([
      [1, 1],
      [2, 1],
    ]);
    end();
  });

  it("is visible to NATS's own tools as a key-value bucket", async () => {
    await bucket.createOnce(byte(5));
    const view = await bus.connection.jetstream().views.kv(`ring-${number}`);
    const entry = await view.get("ring");
    expect([entry?.value[0], entry?.revision]).to.deep.equal([5, 1]);
  });
});

function byte(value: number): Uint8Array {
  return Uint8Array.of(value);
}
