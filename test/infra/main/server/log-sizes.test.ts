/**
 * The size of logs that exist, on a real nats-server.
 */
import { expect } from "chai";
import { systemClock } from "../../../../infra/clock.js";
import { askJetstream, objectIn } from "../../../../infra/jetstream/jetstream-api.js";
import { createLogStream, sealLogStream } from "../../../../infra/jetstream/jetstream-log.js";
import { applyLogBytesMax } from "../../../../infra/main/server/log-sizes.js";
import { connectBus, type NatsBus } from "../../../../infra/nats/nats-bus.js";
import { Names } from "../../../../protocol/nats/subjects.js";
import { failureText } from "../../../support/failure.js";
import { startTestServer, type TestServer } from "../../../support/nats-server.js";

const MIB = 1_024 * 1_024;
const logs = ["kv-log-s1-0123456789abcdef", "kv-log-s2-0123456789abcdef"];
const subjects = ["kv.log.s1.0123456789abcdef", "kv.log.s2.0123456789abcdef"];

describe("sizes of logs", function () {
  this.timeout(20_000);
  let server: TestServer;
  let bus: NatsBus;
  let reported: string[];
  beforeEach(async () => {
    server = await startTestServer();
    const onFailure = (error: unknown): void => expect.fail(String(error));
    bus = await connectBus({ url: server.url, name: "test", clock: systemClock, onFailure });
    reported = [];
    for (const [index, stream] of logs.entries()) {
      const subject = subjects[index] ?? "";
      await createLogStream(bus, { stream, subject, bytesMax: 16 * MIB, replicas: 1 });
    }
  });
  afterEach(async () => {
    await bus.close();
    await server.stop();
  });

  const apply = (bytes: number): Promise<void> =>
    applyLogBytesMax(bus, new Names("kv"), bytes, (line) => reported.push(line));

  async function sizes(): Promise<unknown[]> {
    const infos = logs.map((stream) => askJetstream(bus, `STREAM.INFO.${stream}`));
    return (await Promise.all(infos)).map((info) => objectIn(info, "config")["max_bytes"]);
  }

  it("become what was asked for, and are left alone where they are that", async () => {
    await apply(32 * MIB);
    expect(await sizes()).to.deep.equal([32 * MIB, 32 * MIB]);
    expect(reported).to.have.length(2);
    await apply(32 * MIB);
    expect(reported).to.have.length(2);
  });

  it("do not change at all if one log holds more than that", async () => {
    const data = new Uint8Array(MIB / 2);
    for (let count = 0; count < 5; count += 1) {
      await bus.request(subjects[1] ?? "", data, { timeoutMs: 5_000 });
    }
    expect(await failureText(apply(2 * MIB))).to.match(/is 2MiB, but the log kv-log-s2-\S+ holds/);
    expect(await sizes()).to.deep.equal([16 * MIB, 16 * MIB]);
  });

  it("of logs that have ended stay", async () => {
    await sealLogStream(bus, logs[0] ?? "");
    const [sealed] = await sizes();
    await apply(32 * MIB);
    expect(await sizes()).to.deep.equal([sealed, 32 * MIB]);
  });
});
