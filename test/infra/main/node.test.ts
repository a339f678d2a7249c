/**
 * A node as a process of its own, on a real nats-server: its start, its refusals, its end.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { systemClock } from "../../../infra/clock.js";
import { askJetstream } from "../../../infra/jetstream/jetstream-api.js";
import { RingBucket } from "../../../infra/jetstream/ring-bucket.js";
import { connectBus, type NatsBus } from "../../../infra/nats/nats-bus.js";
import { decodeRing, ringBytes } from "../../../protocol/ring/ring-bytes.js";
import { encodeRing, type RingTable } from "../../../protocol/ring/ring.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { repaired } from "../../support/small-ring.js";
import { until } from "../../support/until.js";

const program = fileURLToPath(new URL("../../../infra/cli/ringdex.js", import.meta.url));

describe("node", function () {
  this.timeout(60_000);
  let server: TestServer;
  let folder: string;
  let child: ChildProcess;
  let out: string;
  let exit: Promise<number | null>;

  before(async () => {
    server = await startTestServer();
  });
  after(async () => {
    await server.stop();
  });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-node-"));
    out = "";
  });
  afterEach(async () => {
    child.kill("SIGKILL");
    await exit;
    rmSync(folder, { recursive: true, force: true });
  });

  function start(store: string, ...more: string[]): void {
    const argumentList = [
      "node",
      "start",
      "--name",
      "n1",
      "--cluster-nodes",
      "n1",
      "--data",
      folder,
    ];
    argumentList.push("--nats-url", server.url, "--store", store, "--log-bytes-max", "16MiB");
    argumentList.push("--events-bytes-max", "16MiB", "--replicas", "1");
    child = spawn(process.execPath, [program, ...argumentList, ...more], { stdio: "pipe" });
    const note = (chunk: Buffer): void => void (out += chunk.toString());
    child.stdout?.on("data", note);
    child.stderr?.on("data", note);
    exit = new Promise((resolve) => child.once("exit", resolve));
  }

  function connected(): Promise<NatsBus> {
    return connectBus({ url: server.url, name: "test", clock: systemClock, onFailure });
  }

  it("waits for a nats-server that is not there yet, and ends on SIGTERM", async () => {
    await server.kill();
    start("kv1");
    await until(() => out.includes("trying again"), 20_000, "the first attempt");
    expect(child.exitCode).to.equal(null);
    await server.restart();
    await untilReady();
    child.kill("SIGTERM");
    expect(await exit).to.equal(0);
  });

  it("ends when its supervisor is gone, also while it waits for nats-server", async () => {
    await server.kill();
    start("kv2", "--end-with-stdin");
    await until(() => out.includes("trying again"), 20_000, "the first attempt");
    child.stdin?.end();
    expect(await exit).to.equal(0);
    await server.restart();
  });

  it("does not mind a stdin that ends at once, as service managers give it", async () => {
    start("kv2b");
    child.stdin?.end();
    await untilReady();
    expect(child.exitCode).to.equal(null);
    child.kill("SIGTERM");
    expect(await exit).to.equal(0);
  });

  it("refuses a wish that no start will fulfil, with the reason", async () => {
    start("kv3", "--replicas", "2");
    expect(await exit).to.equal(2);
    expect(out).to.match(/replicas/);
  });

  it("shows in status a stream that answers in its place", async () => {
    const bus = await connected();
    const config = { name: "bad", subjects: ["kv4.set.>"], storage: "memory", num_replicas: 1 };
    await askJetstream(bus, "STREAM.CREATE.bad", config);
    start("kv4");
    await untilReady();
    const warnings = await untilWarned("kv4", bus, "stream bad captures kv4.set.>");
    expect(warnings.join("\n")).to.contain("no mapping for this store");
    await askJetstream(bus, "STREAM.DELETE.bad");
    await bus.close();
  });

  it("puts back what the ring's bucket has lost, whether it lived or was away", async () => {
    start("kv5");
    await untilReady();
    const lossy = await lossyBucket("kv5");
    const { bus, bucket, ringOf, epoch, cutPower } = lossy;
    const first = await ringOf();
    const ring = repaired(repaired(first, 0), 0);
    // Two changes are lost, and come back as one: the next has a revision that was there before.
    await bucket.update(ringBytes(repaired(first, 0)), 1);
    await bucket.update(ringBytes(ring), 2);
    await untilKept(ring);

    await cutPower();
    await until(async () => (await epoch()) === ring.epoch, 20_000, "put back");
    expect(await bucket.read()).to.deep.include({ value: ringBytes(ring), revision: 2 });
    const [old] = first.shards;
    const info = await askJetstream(bus, `STREAM.INFO.kv5-log-s1-${old?.logId}`);
    expect(info).to.have.nested.property("config.sealed", true);
    const next = repaired(ring, 0);
    await bucket.update(ringBytes(next), 2);
    await untilKept(next);

    await stopAndCutPower(lossy);
    start("kv5");
    await until(async () => (await epoch()) === next.epoch, 20_000, "put back at a start");
    await bus.close();
  });

  it("puts nothing back over what was written since, and shows that in status", async () => {
    start("kv6");
    await untilReady();
    const lossy = await lossyBucket("kv6");
    const { bus, bucket, ringOf, epoch } = lossy;
    const first = await ringOf();
    await bucket.update(ringBytes(repaired(first, 0)), 1);
    await untilKept(repaired(first, 0));
    await stopAndCutPower(lossy);
    const log = `kv6.log.s1.${first.shards[0]?.logId}`;
    await bus.request(log, Buffer.from("since"), { timeoutMs: 10_000 });
    start("kv6");
    await untilWarned("kv6", bus, "s1 was written since in the log");
    expect(await epoch()).to.equal(1);
    await bus.close();
  });

  function untilReady(): Promise<void> {
    return until(() => out.includes('"ready":true'), 20_000, "ready");
  }

  async function stopAndCutPower({ cutPower, epoch }: LossyBucket): Promise<void> {
    child.kill("SIGTERM");
    await exit;
    await cutPower();
    await until(async () => (await epoch()) === 1, 20_000, "the bucket without changes");
  }

  async function untilWarned(store: string, bus: NatsBus, part: string): Promise<string[]> {
    let warnings: string[] = [];
    const isWarned = async (): Promise<boolean> => {
      const reply = await bus
        .request(`${store}.status`, new Uint8Array(), { timeoutMs: 5_000 })
        .catch(() => undefined); // it starts
      if (reply === undefined) return false;
      ({ warnings } = JSON.parse(Buffer.from(reply.data).toString()) as Status);
      return warnings.some((warning) => warning.includes(part));
    };
    await until(isWarned, 20_000, "the warning");
    return warnings;
  }

  function untilKept(ring: RingTable): Promise<void> {
    const text = JSON.stringify(encodeRing(ring));
    const isKept = (): boolean => readFileSync(join(folder, "ring.json"), "utf8").includes(text);
    return until(isKept, 20_000, "the change is seen");
  }

  /** A bucket of which a power cut takes what is changed from now on. */
  async function lossyBucket(store: string): Promise<LossyBucket> {
    const streams = join(server.folder, "data", "jetstream", "$G", "streams");
    const [stream, copy] = [join(streams, `KV_${store}-ring`), join(server.folder, store)];
    await server.kill();
    cpSync(stream, copy, { recursive: true });
    await server.restart();
    const bus = await connected();
    const options = { bus, bucket: `${store}-ring`, replicas: 1, clock: systemClock, onFailure };
    const bucket = await RingBucket.open(options);
    const ringOf = async (): Promise<RingTable> =>
      decodeRing((await bucket.read())?.value ?? new Uint8Array());
    const epoch = (): Promise<number> =>
      ringOf().then(
        (ring) => ring.epoch,
        () => 0,
      );
    const cutPower = async (): Promise<void> => {
      await server.kill();
      rmSync(stream, { recursive: true });
      cpSync(copy, stream, { recursive: true });
      await server.restart();
    };
    return { bus, bucket, ringOf, epoch, cutPower };
  }
});

function onFailure(error: unknown): void {
  throw error;
}

interface LossyBucket {
  readonly bus: NatsBus;
  readonly bucket: RingBucket;
  readonly ringOf: () => Promise<RingTable>;
  /** 0 = it does not answer. */
  readonly epoch: () => Promise<number>;
  readonly cutPower: () => Promise<void>;
}

interface Status {
  readonly warnings: string[];
}
