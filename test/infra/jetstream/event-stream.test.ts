/**
 * The events stream over a real JetStream: as every Events, and what only a server can meet.
 */
import { expect } from "chai";
import { systemClock } from "../../../infra/clock.js";
import { EventStream } from "../../../infra/jetstream/event-stream.js";
import { askJetstream, objectIn } from "../../../infra/jetstream/jetstream-api.js";
import { connectBus, type NatsBus } from "../../../infra/nats/nats-bus.js";
import { KvError } from "../../../protocol/errors.js";
import type { Sequence } from "../../../protocol/ids.js";
import { Names } from "../../../protocol/nats/subjects.js";
import { eventsContract } from "../../contract/events-contract.js";
import { RawNats } from "../../hostile/raw-nats.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { until } from "../../support/until.js";

const mib = 1_024 * 1_024;

describe("event stream", () => {
  const names = new Names("kv");

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

  const configOf = async (): Promise<Readonly<Record<string, unknown>>> => {
    const bus = buses[0] as NatsBus;
    return objectIn(await askJetstream(bus, "STREAM.INFO.kv-events"), "config");
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

  describe("as any events", () => {
    eventsContract(() => open());
  });

  it("is written asynchronously, and says so", async () => {
    const events = await open();
    expect(await events.open()).to.deep.equal({ isDurable: false });
    expect(await configOf()).to.include({
      persist_mode: "async",
      max_bytes: 64 * mib,
      discard: "old",
      deny_delete: true,
    });
    expect(warnings).to.deep.equal([]);
  });

  it("asks for half as long as the server has no room", async () => {
    const events = await open(300 * mib);
    await events.open();
    expect(await configOf()).to.include({ max_bytes: 75 * mib });
    expect(warnings).to.have.length(2);
  });

  it("uses the stream that another node has made with other settings", async () => {
    const [first, second] = [await open(64 * mib), await open(32 * mib)];
    const opened = await Promise.all([first.open(), second.open()]);
    expect(opened).to.deep.equal([{ isDurable: false }, { isDurable: false }]);
    expect((await configOf()).max_bytes).to.be.oneOf([64 * mib, 32 * mib]);
  });

  it("refuses a stream of its name that does not take its subjects", async () => {
    const config = { name: "kv-events", subjects: ["other.>"], storage: "file" };
    await askJetstream(buses[0] as NatsBus, "STREAM.CREATE.kv-events", config);
    const events = await open();
    const refusal: unknown = await events.open().catch((error: unknown) => error);
    expect(refusal).to.be.instanceOf(KvError).and.to.include({ kind: "unavailable" });
    expect((refusal as KvError).message).to.include("kv.event.>, kv.relay.>".replace(", ", ","));
  });

  it("reads what was published with a status or a place of its own", async () => {
    const events = await open();
    await events.open();
    const raw = await RawNats.open(server.url, [], () => undefined);
    const lines = [
      "NATS/1.0 404",
      "HTTP/1.1 204 EOB",
      "NATS/1.0\r\nNats-Sequence: 7",
      "NATS/1.0 503",
    ];
    for (const line of lines) {
      const headers = Buffer.from(`${line}\r\n\r\n`);
      const subject = Buffer.from("kv.event.set.a");
      raw.publish({ subject, reply: undefined, headers, data: Buffer.from(line) });
    }
    await raw.flush();
    raw.close();
    await until(async () => (await events.state()).last === 4);
    const found: number[] = [];
    for await (const some of events.read(0 as Sequence, 5 as Sequence)) {
      found.push(...some.map(({ sequence }) => sequence));
    }
    expect(found).to.deep.equal([1, 2, 3, 4]);
  });
});
