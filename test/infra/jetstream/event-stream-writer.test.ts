/**
 * Event stream writer: the first thing that goes wrong is its end.
 */
import { expect } from "chai";
import { systemClock } from "../../../infra/clock.js";
import { EventStream } from "../../../infra/jetstream/event-stream.js";
import { askJetstream } from "../../../infra/jetstream/jetstream-api.js";
import { connectBus, type NatsBus } from "../../../infra/nats/nats-bus.js";
import { KvError } from "../../../protocol/errors.js";
import type { Sequence } from "../../../protocol/ids.js";
import { Names } from "../../../protocol/nats/subjects.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { until } from "../../support/until.js";

const mib = 1_024 * 1_024;

describe("event stream writer", () => {
  const names = new Names("kv");

  const fence = { subject: "kv.relay.s1", sequence: 0 as Sequence };

  let server: TestServer;

  const buses: NatsBus[] = [];

  const failures: unknown[] = [];

  const warnings: string[] = [];

  const open = async (bytesMax = 64 * mib): Promise<EventStream> => {
    const onFailure = (error: unknown): void => void failures.push(error);
    const bus = await connectBus({ url: server.url, name: "t", clock: systemClock, onFailure });
    buses.push(bus);
    const warn = (description: string): void => void warnings.push(description);
    return new EventStream({ names, bus, clock: systemClock, bytesMax, replicas: 1, warn });
  };

  before(async function () {
    this.timeout(30_000);
    const config =
      'jetstream { store_dir: "%FOLDER%/data", max_file_store: 100MB, sync_interval: always }';
    server = await startTestServer({ config });
  });

  const remove = (): Promise<unknown> =>
    askJetstream(buses[0] as NatsBus, "STREAM.DELETE.kv-events").catch((error: unknown) => error);

  beforeEach(async () => {
    await open();
    // A stream deleted while it is being written asynchronously may leave messages behind, which
    // the next one of its name then begins with.
    await until(async () => {
      const events = await open();
      await events.open();
      const { last } = await events.state();
      await remove();
      return last === 0;
    });
    warnings.length = 0;
  });

  afterEach(async () => {
    await remove();
    await Promise.all(buses.splice(0).map((bus) => bus.close()));
    expect(failures).to.deep.equal([]);
  });

  after(() => server.stop());

  it("ends a writer whose connection goes, for good", async () => {
    const events = await open();
    await events.open();
    const writer = events.writer();
    const event = { subject: "kv.event.set.a", headers: [], data: new Uint8Array() };
    writer.publish(event, fence);
    expect(await writer.flushed()).to.equal(1);
    await server.kill();
    await until(() => writer.failure !== undefined);
    expect(writer.failure).to.be.instanceOf(KvError).and.to.include({ kind: "in-doubt" });
    await server.restart();
    await until(async () => (await events.state().catch(() => undefined)) !== undefined);
    const { last } = await events.state();
    writer.publish(event, fence);
    const refusal: unknown = await writer.flushed().catch((error: unknown) => error);
    expect(refusal).to.equal(writer.failure);
    const next = events.writer();
    next.publish(event, fence);
    expect(await next.flushed()).to.equal(last + 1);
    next.close();
  }).timeout(30_000);
});
