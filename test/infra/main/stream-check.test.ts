/**
 * Streams beside ours on a real nats-server: those that answer in our place, logs of no ring; and
 * the logs of a new ring themselves.
 */
import { expect } from "chai";
import { systemClock } from "../../../infra/clock.js";
import { askJetstream, type JsonObject } from "../../../infra/jetstream/jetstream-api.js";
import { StreamMaker } from "../../../infra/main/log-maker.js";
import { checkStreams, doCollide } from "../../../infra/main/stream-check.js";
import { connectBus, type NatsBus } from "../../../infra/nats/nats-bus.js";
import { Names } from "../../../protocol/nats/subjects.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { NotedLogger } from "../../support/noted-logger.js";
import { smallRing } from "../../support/small-ring.js";

const names = new Names("kv");
const ring = smallRing([0, 1], [2, 3]);
const MIB = 1_024 * 1_024;

describe("streams beside ours", function () {
  this.timeout(60_000);
  let server: TestServer;
  let bus: NatsBus;
  let maker: StreamMaker;
  let logger: NotedLogger;

  beforeEach(async () => {
    const config =
      'jetstream { store_dir: "%FOLDER%/data", max_file_store: 100MB, sync_interval: 2m }';
    server = await startTestServer({ config });
    const onFailure = (error: unknown): void => {
      throw error;
    };
    bus = await connectBus({ url: server.url, name: "test", clock: systemClock, onFailure });
    logger = new NotedLogger();
    maker = new StreamMaker(names, bus, 1, logger);
  });
  afterEach(async () => {
    await bus.close();
    await server.stop();
  });

  it("are none of our business as long as they capture nothing that we answer", async () => {
    await maker.create(ring.shards, MIB);
    await add("kv-events", ["kv.event.>", "kv.relay.>"]);
    await add("other", ["kv2.>", "kv.setting.>"]);
    await add("notes", ["kv.notes.>"]);
    await add("audit", ["kv.set.>"], { no_ack: true });
    expect(await checkStreams(bus, names, ring)).to.deep.equal([]);
  });

  for (const subject of ["kv.get.>", "kv.find", "kv.ring.*.set.>", "kv.shard.>", "kv.*.a"]) {
    it(`are warned of when they capture ${subject}`, async () => {
      await maker.create(ring.shards, MIB);
      await add("bad", ["fine.>", subject]);
      const [warning, ...more] = await checkStreams(bus, names, ring);
      expect(warning).to.contain(`stream bad captures ${subject}:`);
      expect(more).to.deep.equal([]);
    });
  }

  it("are warned of when they are logs that no ring names", async () => {
    await maker.create(ring.shards, MIB);
    const warnings = await checkStreams(bus, names, smallRing([0, 1, 2, 3]));
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.contain("kv-log-s2-0000000000000002 is a log of no shard");
  });

  describe("logs of a new ring", () => {
    it("are listed with how many entries they ever had, and removed", async () => {
      const [first, second] = ring.shards;
      await maker.create(ring.shards, MIB);
      await maker.begin(first!, Buffer.from("genesis"));
      const listed = (await maker.list()).toSorted((a, b) => a.shard.localeCompare(b.shard));
      const { shard, logId } = first!;
      expect(listed[0]).to.deep.equal({ shard, logId, sequenceLast: 1, entryCount: 1 });
      expect(listed[1]).to.include({ shard: "s2", sequenceLast: 0, entryCount: 0 });
      await maker.remove(first!);
      await maker.remove(first!);
      expect((await maker.list()).map((log) => log.logId)).to.deep.equal([second!.logId]);
    });

    it("are not begun twice", async () => {
      await maker.create(ring.shards, MIB);
      await maker.begin(ring.shards[0]!, Buffer.from("genesis"));
      const error = await maker
        .begin(ring.shards[0]!, Buffer.from("genesis"))
        .catch((reason: unknown) => reason);
      expect(error).to.include({ kind: "unavailable" });
    });

    it("share what room there is", async () => {
      await maker.create(ring.shards, 64 * MIB);
      expect(logger.messages("info")).to.deep.equal([
        "made logs smaller than the setting asks for",
      ]);
      expect(await bytesMaxOf("kv-log-s1-0000000000000001")).to.equal(32 * MIB);
      expect(await bytesMaxOf("kv-log-s2-0000000000000002")).to.equal(32 * MIB);
    });

    it("are not made, and nothing stays, where there is no room for useful ones", async () => {
      await add("large", ["large"], { max_bytes: 80 * MIB });
      const error = await maker.create(ring.shards, 64 * MIB).catch((reason: unknown) => reason);
      expect(error).to.include({ kind: "unavailable" });
      expect((error as Error).message).to.contain("max_file_store");
      expect(await maker.list()).to.deep.equal([]);
    });
  });

  async function add(name: string, subjects: string[], more: JsonObject = {}): Promise<void> {
    const config = { name, subjects, storage: "file", num_replicas: 1, ...more };
    await askJetstream(bus, `STREAM.CREATE.${name}`, config);
  }

  async function bytesMaxOf(stream: string): Promise<unknown> {
    const { config } = await askJetstream(bus, `STREAM.INFO.${stream}`);
    return (config as JsonObject).max_bytes;
  }
});

describe("patterns of subjects", () => {
  for (const [left, right, isHit] of [
    ["a.b", "a.b", true],
    ["a.b", "a.c", false],
    ["a.*", "a.b", true],
    ["a.*", "*.b", true],
    ["a.*", "a.b.c", false],
    ["a.>", "a.b.c", true],
    ["a.>", "a", false],
    ["a.*.c", "a.>", true],
    [">", "a", true],
    ["a.b.>", "a.*.c", true],
    ["a.b.>", "b.>", false],
  ] as const) {
    it(`${left} and ${right} ${isHit ? "meet" : "do not meet"}`, () => {
      expect(doCollide(left, right)).to.equal(isHit);
      expect(doCollide(right, left)).to.equal(isHit);
    });
  }
});
