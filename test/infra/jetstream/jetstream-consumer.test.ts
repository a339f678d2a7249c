/**
 * JetStream consumer: goes on where it was, and believes nobody but the server.
 */
import { expect } from "chai";
import { systemClock } from "../../../infra/clock.js";
import { askJetstream } from "../../../infra/jetstream/jetstream-api.js";
import {
  createLogStream,
  deleteLogStream,
  JetstreamLog,
} from "../../../infra/jetstream/jetstream-log.js";
import type { Delivery, LogConsumer } from "../../../infra/log.js";
import { connectBus, type NatsBus } from "../../../infra/nats/nats-bus.js";
import type { LogId, Sequence, ShardId } from "../../../protocol/ids.js";
import { RawNats } from "../../hostile/raw-nats.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { until } from "../../support/until.js";

describe("jetstream consumer", () => {
  let server: TestServer;

  let number = 0;

  let stream = "";

  let subject = "";

  let bus: NatsBus;
  let pulls: NatsBus;

  const failures: unknown[] = [];

  const warnings: string[] = [];

  const connect = (name: string): Promise<NatsBus> => {
    const onFailure = (error: unknown): void => void failures.push(error);
    return connectBus({ url: server.url, name, clock: systemClock, onFailure });
  };

  const open = (): JetstreamLog =>
    new JetstreamLog({
      shard: "s1" as ShardId,
      id: "0" as LogId,
      stream,
      subject,
      bus,
      pulls,
      clock: systemClock,
      heartbeatMs: 200,
      warn: (description) => void warnings.push(description),
    });

  const create = async (bytesMax = 256 * 1_024 * 1_024): Promise<void> => {
    number += 1;
    stream = `kv-log-s1-${number}`;
    subject = `kv.log.s1.${number}`;
    warnings.length = 0;
    await createLogStream(bus, { stream, subject, bytesMax, replicas: 1 });
  };

  before(async function () {
    this.timeout(30_000);
    const config = 'jetstream { store_dir: "%FOLDER%/data", max_file_store: 1GB }';
    server = await startTestServer({ config });
    [bus, pulls] = await Promise.all([connect("requests"), connect("pulls")]);
  });

  afterEach(async () => {
    expect(failures).to.deep.equal([]);
    await deleteLogStream(bus, stream);
  });

  after(async () => {
    await Promise.all([bus.close(), pulls.close()]);
    await server.stop();
  });

  it("makes a consumer that is gone anew, after the last entry handed over", async () => {
    await create();
    const log = open();
    await log.append(Uint8Array.of(1), 5_000);
    const consumer = log.consume(0 as Sequence);
    expect(await untilMessages(consumer)).to.deep.equal([1]);
    const next = consumer.next();
    await deleteConsumers(1);
    expect(await next).to.deep.equal({ kind: "resumed" });
    await log.append(Uint8Array.of(2), 5_000);
    expect(await untilMessages(consumer)).to.deep.equal([2]);
    consumer.stop();
    await until(async () => (await consumerNames()).length === 0);
  });

  it("says `resumed` after its connection came back, though the server never went", async () => {
    await create();
    const log = open();
    await log.append(Uint8Array.of(1), 5_000);
    const consumer = log.consume(0 as Sequence);
    expect(await untilMessages(consumer)).to.deep.equal([1]);
    const next = consumer.next();
    await pulls.connection.reconnect();
    expect(await next).to.deep.equal({ kind: "resumed" });
    await log.append(Uint8Array.of(2), 5_000);
    expect(await untilMessages(consumer)).to.deep.equal([2]);
    expect(warnings).to.deep.equal([`consumer of ${stream}: the connection went`]);
    consumer.stop();
  });

  it("notices a consumer that went while nobody read", async () => {
    await create();
    const log = open();
    await log.append(Uint8Array.of(1), 5_000);
    const consumer = log.consume(0 as Sequence);
    expect(await consumer.next()).to.deep.equal({ kind: "resumed" });
    await deleteConsumers(1);
    expect(await consumer.next()).to.deep.equal({ kind: "resumed" });
    expect(await untilMessages(consumer)).to.deep.equal([1]);
    consumer.stop();
  });

  it("hands over what was published with a status, as if the server had said it", async () => {
    await create();
    const raw = await RawNats.open(server.url, [], () => undefined);
    const statuses = ["100 Idle Heartbeat", "404 No Messages", "408 Request Timeout", "409 Gone"];
    // A status alone is dropped by the server; one before other headers is kept.
    const lines = [
      "HTTP/1.1 200 OK",
      ...statuses.map(
        (status) => `NATS/1.0 ${status}
A: b`,
      ),
    ];
    for (const [index, line] of lines.entries()) {
      const headers = Buffer.from(`${line}\r\n\r\n`);
      const data = Buffer.from([index + 1]);
      raw.publish({ subject: Buffer.from(subject), reply: undefined, headers, data });
    }
    await raw.flush();
    raw.close();
    const log = open();
    const consumer = log.consume(0 as Sequence);
    const found: (number | undefined)[] = [];
    while (found.length < lines.length) found.push(...(await untilMessages(consumer)));
    expect(found).to.deep.equal([1, 2, 3, 4, 5]);
    for (const [index] of lines.entries()) {
      const message = await log.read((index + 1) as Sequence);
      expect([...(message?.data ?? [])]).to.deep.equal([index + 1]);
    }
    expect(warnings).to.deep.equal([]);
    consumer.stop();
  });

  it("ignores what somebody else sends to where it waits for messages", async () => {
    await create();
    const log = open();
    const consumer = log.consume(0 as Sequence);
    const asked: string[] = [];
    const taps = await RawNats.open(server.url, ["$JS.API.CONSUMER.MSG.NEXT.>"], (message) => {
      asked.push(message.reply ?? "");
    });
    expect(await consumer.next()).to.deep.equal({ kind: "resumed" });
    const next = untilMessages(consumer);
    await until(() => asked.length > 0);
    for (const data of [Buffer.alloc(0), Buffer.from("{}")]) {
      const [reply = ""] = asked;
      taps.publish({ subject: Buffer.from(reply), reply: undefined, headers: undefined, data });
    }
    await taps.flush();
    await log.append(Uint8Array.of(1), 5_000);
    expect(await next).to.deep.equal([1]);
    expect(warnings).to.deep.equal([]);
    taps.close();
    consumer.stop();
  });

  it("starts at the first entry kept where earlier ones were trimmed", async () => {
    await create();
    const log = open();
    for (const value of [1, 2, 3]) await log.append(Uint8Array.of(value), 5_000);
    await askJetstream(bus, `STREAM.PURGE.${stream}`, { seq: 3 });
    const consumer = log.consume(0 as Sequence);
    expect(await untilMessages(consumer)).to.deep.equal([3]);
    expect(await log.state()).to.include({ first: 3, last: 3 });
    await askJetstream(bus, `STREAM.PURGE.${stream}`);
    expect(await log.state()).to.include({ first: 4, last: 3 });
    consumer.stop();
  });

  it("asks for nothing more while its reader is busy", async () => {
    await create();
    const log = open();
    const data = new Uint8Array(512 * 1_024);
    for (let count = 0; count < 40; count++) await log.append(data, 5_000);
    const consumer = log.consume(0 as Sequence);
    await consumer.next();
    let first = await consumer.next();
    const bytesBefore = pulls.connection.stats().inBytes;
    // The rest of the first pull arrives; a second pull would bring as much again.
    await until(() => pulls.connection.stats().inBytes - bytesBefore > 0);
    await idle(() => pulls.connection.stats().inBytes);
    expect(await delivered()).to.be.below(17);
    // What is here is handed over before more is asked for.
    if (sizeOf(first) < (await delivered())) first = join(first, await consumer.next());
    await idle(() => pulls.connection.stats().inBytes);
    expect(await delivered()).to.be.below(17);
    for (let seen = sizeOf(first); seen < 40; seen += sizeOf(first)) first = await consumer.next();
    expect(warnings).to.deep.equal([]);
    consumer.stop();
  }).timeout(60_000);

  async function delivered(): Promise<number> {
    const [name] = await consumerNames();
    const info = await askJetstream(bus, `CONSUMER.INFO.${stream}.${name}`);
    return (info.delivered as { stream_seq: number }).stream_seq;
  }

  async function consumerNames(): Promise<string[]> {
    return (await askJetstream(bus, `CONSUMER.NAMES.${stream}`)).consumers as string[];
  }

  async function deleteConsumers(count: number): Promise<void> {
    const names = await consumerNames();
    expect(names).to.have.length(count);
    for (const name of names) await askJetstream(bus, `CONSUMER.DELETE.${stream}.${name}`);
  }
});

async function untilMessages(consumer: LogConsumer): Promise<(number | undefined)[]> {
  for (;;) {
    const delivery = await consumer.next();
    if (delivery?.kind === "messages") return delivery.messages.map(({ data }) => data[0]);
  }
}

function join(a: Delivery | undefined, b: Delivery | undefined): Delivery {
  const messages = [a, b].flatMap((each) => (each?.kind === "messages" ? each.messages : []));
  return { kind: "messages", messages };
}

function sizeOf(delivery: Delivery | undefined): number {
  return delivery?.kind === "messages" ? delivery.messages.length : 0;
}

/** Resolves when `count` has not changed for a while. */
async function idle(count: () => number): Promise<void> {
  let last = -1;
  let unchanged = 0;
  await until(() => {
    unchanged = count() === last ? unchanged + 1 : 0;
    last = count();
    return unchanged > 30;
  });
}
