/**
 * The log over a real JetStream: as every log, and what only a stream on a server can meet.
 */
import { expect } from "chai";
import { systemClock } from "../../../infra/clock.js";
import {
  askJetstream,
  errorCodes,
  InsufficientStorage,
} from "../../../infra/jetstream/jetstream-api.js";
import {
  createLogStream,
  deleteLogStream,
  JetstreamLog,
} from "../../../infra/jetstream/jetstream-log.js";
import type { Delivery } from "../../../infra/log.js";
import { connectBus, type NatsBus } from "../../../infra/nats/nats-bus.js";
import type { LogId, Sequence, ShardId } from "../../../protocol/ids.js";
import { logContract } from "../../contract/log-contract.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { until } from "../../support/until.js";

describe("jetstream log", () => {
  let server: TestServer;

  let number = 0;

  let stream = "";

  let subject = "";

  let bus: NatsBus;
  let pulls: NatsBus;

  const failures: unknown[] = [];

  const warnings: string[] = [];

  const errors: string[] = [];

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
      error: (description) => void errors.push(description),
    });

  const create = async (bytesMax = 256 * 1_024 * 1_024): Promise<void> => {
    number += 1;
    stream = `kv-log-s1-${number}`;
    subject = `kv.log.s1.${number}`;
    warnings.length = 0;
    errors.length = 0;
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

  logContract(async (bytesMax) => {
    await create(bytesMax);
    return {
      open: () => Promise.resolve(open()),
      crash: async () => {
        await server.kill();
        await server.restart();
      },
      close: () => Promise.resolve(),
    };
  });

  it("is refused where the server has no room, and made with a smaller limit", async () => {
    const wish = create(2 * 1_024 ** 3).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(await wish).to.be.instanceOf(InsufficientStorage);
    await create(32 * 1_024);
    const log = open();
    expect((await log.append(new Uint8Array(40_000), 5_000)).kind).to.equal("full");
    expect(await log.state()).to.include({ last: 0, bytesMax: 32 * 1_024 });
  });

  it("is refused where there is no stream, and does not land when there is one again", async () => {
    await create();
    const log = open();
    await deleteLogStream(bus, stream);
    await deleteLogStream(bus, stream);
    expect((await log.append(Uint8Array.of(1), 5_000)).kind).to.equal("refused");
    const tail = await log.tail().catch((error: unknown) => error);
    expect(tail).to.have.property("kind", "unavailable");
    const read = await log.read(1 as Sequence).catch((error: unknown) => error);
    expect(read).to.have.property("kind", "unavailable");
  });

  it("knows that JetStream cannot store, and says so once, until an entry is stored", async () => {
    await create();
    const [made, failing] = [stream, "kv.log.s1.failing"];
    // As 2.14.5 answers when its disk is full, and from then on.
    const full = "write 1.blk: no space left on device";
    const refusal = { code: 503, err_code: errorCodes.storeFailed, description: full };
    let answer: object = { error: refusal };
    const answering = bus.subscribe(failing, undefined, ({ reply = "" }) =>
      bus.publish(reply, Buffer.from(JSON.stringify(answer))),
    );
    subject = failing;
    const log = open();
    expect(log.storeFailure).to.equal(undefined);
    for (let times = 0; times < 2; times += 1) {
      // What could not be stored may stand there all the same.
      expect((await log.append(Uint8Array.of(1), 5_000)).kind).to.equal("unanswered");
      expect(log.storeFailure).to.equal(full);
    }
    expect(warnings).to.deep.equal(["JetStream cannot store entries"]);
    answer = { stream: made, seq: 1 };
    expect((await log.append(Uint8Array.of(1), 5_000)).kind).to.equal("accepted");
    expect(log.storeFailure).to.equal(undefined);
    answering.unsubscribe();
    const silent = bus.subscribe(failing, undefined, () => undefined);
    expect((await log.append(Uint8Array.of(1), 50)).kind).to.equal("unanswered");
    silent.unsubscribe();
    expect(log.storeFailure).to.match(/no answer/);
    expect(warnings).to.have.length(2);
  });

  it("tells a log at its limit from a server that cannot store", async () => {
    await create(32 * 1_024);
    const log = open();
    expect((await log.append(new Uint8Array(40_000), 5_000)).kind).to.equal("full");
    expect(log.storeFailure).to.equal(undefined);
    expect(warnings).to.deep.equal([]);
  });

  it("says once that it is full, and again only after it has accepted an entry", async () => {
    await create(32 * 1_024);
    const log = open();
    const kindOf = async (bytes: number): Promise<string> =>
      (await log.append(new Uint8Array(bytes), 5_000)).kind;
    expect(await kindOf(1)).to.equal("accepted");
    expect(errors).to.deep.equal([]);
    const told = "log is full: writes are refused until it has more room";
    for (let times = 0; times < 3; times += 1) expect(await kindOf(40_000)).to.equal("full");
    expect(errors).to.deep.equal([told]);
    expect(await kindOf(1)).to.equal("accepted");
    expect(await kindOf(40_000)).to.equal("full");
    expect(errors).to.deep.equal([told, told]);
  });

  it("keeps single entries from deletion", async () => {
    await create();
    const log = open();
    await log.append(Uint8Array.of(1), 5_000);
    const deletion = await askJetstream(bus, `STREAM.MSG.DELETE.${stream}`, { seq: 1 }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(deletion).to.be.instanceOf(Error);
    expect((await log.read(1 as Sequence))?.data).to.deep.equal(Uint8Array.of(1));
  });

  it("neither knows of an entry that was not answered nor trusts a silent server", async () => {
    await create();
    const log = open();
    const consumer = log.consume(0 as Sequence);
    expect(await consumer.next()).to.deep.equal({ kind: "resumed" });
    const next = consumer.next();
    process.kill(server.pid, "SIGSTOP");
    let answered = 0;
    try {
      // A process does not stop at the very moment it is told to.
      while ((await log.append(Uint8Array.of(1), 100)).kind !== "unanswered") answered += 1;
      await until(() => warnings.some((warning) => warning.includes("nothing heard")));
    } finally {
      process.kill(server.pid, "SIGCONT");
    }
    const deliveries = [await next];
    const count = (): number => deliveries.reduce((sum, delivery) => sum + sizeOf(delivery), 0);
    while (count() < answered + 1) deliveries.push(await consumer.next());
    expect(deliveries.map((delivery) => delivery?.kind)).to.include("resumed");
    expect(await log.tail()).to.equal(answered + 1);
    consumer.stop();
  }).timeout(20_000);
});

function sizeOf(delivery: Delivery | undefined): number {
  return delivery?.kind === "messages" ? delivery.messages.length : 0;
}
