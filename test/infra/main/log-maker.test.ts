/**
 * Logs that go on from others, and the end of those, on a real nats-server.
 */
import { expect } from "chai";
import { systemClock } from "../../../infra/clock.js";
import { JetstreamLog } from "../../../infra/jetstream/jetstream-log.js";
import { StreamMaker } from "../../../infra/main/log-maker.js";
import { connectBus, type NatsBus } from "../../../infra/nats/nats-bus.js";
import { KvError } from "../../../protocol/errors.js";
import type { LogId, Sequence } from "../../../protocol/ids.js";
import { isMissingLog } from "../../../protocol/log/missing-log.js";
import { Names } from "../../../protocol/nats/subjects.js";
import type { RingShard } from "../../../protocol/ring/ring.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { NotedLogger } from "../../support/noted-logger.js";
import { smallRing } from "../../support/small-ring.js";

const names = new Names("kv");
const MIB = 1_024 * 1_024;
const FIRST = 101 as Sequence;

describe("logs of a repair", function () {
  this.timeout(60_000);
  const [old] = smallRing([0, 1], [2, 3]).shards as [RingShard];
  const next: RingShard = { ...old, logId: "00000000000000b2" as LogId };
  let server: TestServer;
  let bus: NatsBus;
  let maker: StreamMaker;

  beforeEach(async () => {
    const config = 'jetstream { store_dir: "%FOLDER%/data", max_file_store: 20MB }';
    server = await startTestServer({ config });
    const onFailure = (error: unknown): void => {
      throw error;
    };
    bus = await connectBus({ url: server.url, name: "test", clock: systemClock, onFailure });
    maker = new StreamMaker(names, bus, 1, new NotedLogger());
  });
  afterEach(async () => {
    await bus.close();
    await server.stop();
  });

  it("begin at the sequence that they are given", async () => {
    await maker.create([next], MIB, FIRST);
    expect(await open(next).state()).to.include({ first: 101, last: 100 });
    expect(await open(next).tail()).to.equal(100);
    await maker.begin(next, Buffer.from("genesis"), FIRST);
    expect(await open(next).state()).to.include({ first: 101, last: 101 });
    expect(Buffer.from((await open(next).read(FIRST))!.data).toString()).to.equal("genesis");
    const [listed] = await maker.list();
    expect(listed).to.include({ sequenceLast: 101, entryCount: 1 });
    const second = await maker.begin(next, Buffer.from("again"), FIRST).catch(String);
    expect(second).to.contain("is not ours");
  });

  it("end for good: nothing lands any more, and what is there can be read", async () => {
    await maker.create([old], 16 * MIB);
    await maker.begin(old, Buffer.from("genesis"));
    await maker.seal(old);
    const late = await open(old).append(Buffer.from("late"), 2_000);
    expect(late).to.include({ kind: "refused" });
    expect(await open(old).state()).to.include({ first: 1, last: 1 });
    expect(Buffer.from((await open(old).read(1 as Sequence))!.data).toString()).to.equal("genesis");
    await maker.seal(old);
  });

  it("tell when they were written last, as the server has it", async () => {
    expect(await maker.lastTimeOf(old)).to.equal(undefined);
    await maker.create([old], MIB);
    expect(await maker.lastTimeOf(old)).to.equal(undefined);
    await maker.begin(old, Buffer.from("genesis"));
    await open(old).append(Buffer.from("more"), 2_000);
    const last = await open(old).read(2 as Sequence);
    expect(await maker.lastTimeOf(old)).to.equal(last?.time);
    await maker.seal(old);
    expect(await maker.lastTimeOf(old)).to.equal(last?.time);
  });

  it("have the room that the ended one had reserved", async () => {
    await maker.create([old], 16 * MIB);
    await maker.begin(old, Buffer.from("genesis"));
    await maker.seal(old);
    await maker.create([next], 8 * MIB, FIRST);
    expect((await open(next).state()).bytesMax).to.equal(8 * MIB);
  });

  it("may be ended though they are gone, which a log tells apart from silence", async () => {
    await maker.seal(old);
    const gone: unknown = await open(old)
      .state()
      .catch((error: unknown) => error);
    expect(gone instanceof KvError && isMissingLog(gone)).to.equal(true);
    await server.stop();
    const silent: unknown = await open(old)
      .state()
      .catch((error: unknown) => error);
    expect(silent instanceof KvError && isMissingLog(silent)).to.equal(false);
  });

  function open({ shard, logId }: RingShard): JetstreamLog {
    return new JetstreamLog({
      shard,
      id: logId,
      stream: names.logStream(shard, logId),
      subject: names.log(shard, logId),
      bus,
      pulls: bus,
      clock: systemClock,
    });
  }
});
