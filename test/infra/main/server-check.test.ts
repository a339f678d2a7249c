/**
 * What a node finds out about a real nats-server: its mapping, and how large messages may be.
 */
import { expect } from "chai";
import { systemChance, systemClock } from "../../../infra/clock.js";
import { NodeRefused } from "../../../infra/main/node-identity.js";
import { checkServer } from "../../../infra/main/server-check.js";
import { connectBus } from "../../../infra/nats/nats-bus.js";
import { POSITION_COUNT } from "../../../protocol/limits.js";
import { mappingsOf } from "../../../protocol/nats/nats-conf.js";
import { Names } from "../../../protocol/nats/subjects.js";
import { startTestServer, type TestServerOptions } from "../../support/nats-server.js";

describe("server check", function () {
  this.timeout(60_000);

  it("has nothing to say of the mapping that ringdex prints", async () => {
    expect(await check({})).to.deep.equal([]);
  });

  it("says that the mapping of another store is none", async () => {
    const [warning, ...more] = await check({ store: "other" });
    expect(warning).to.contain("has no mapping for this store");
    expect(warning).to.contain("ringdex nats-conf --store kv");
    expect(more).to.deep.equal([]);
  });

  it("says that a mapping is missing", async () => {
    expect((await check({ mapping: false }))[0]).to.contain("has no mapping for this store");
  });

  it("says that a mapping is for keys of some lengths only", async () => {
    const config = mapping(mappingsOf("kv").filter(({ source }) => /^kv\.get\.\*$/.test(source)));
    expect((await check({ mapping: false, config }))[0]).to.contain("keys of some lengths");
  });

  it("says that a mapping is for fewer positions", async () => {
    const config = mapping(mappingsOf("kv", 1_000));
    const [warning] = await check({ mapping: false, config });
    expect(warning).to.contain(`is not for ${POSITION_COUNT} positions`);
  });

  it("says that a mapping for more positions sends requests to nobody", async () => {
    const config = mapping(mappingsOf("kv", 2 * POSITION_COUNT));
    const [warning] = await check({ mapping: false, config });
    expect(warning).to.match(/sends \d+ of 64 trial requests where nobody listens/);
  });

  it("says the same of a mapping to somewhere else", async () => {
    const config = mapping([{ source: "kv.get.*", destination: "elsewhere.{{wildcard(1)}}" }]);
    const [warning] = await check({ mapping: false, config });
    expect(warning).to.contain("8 of 64 trial requests where nobody listens");
  });

  it("refuses a server whose messages are too small", async () => {
    const error = await check({ config: "max_payload: 65536" }).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(NodeRefused);
    expect((error as NodeRefused).message).to.contain("max_payload is 65536");
  });
});

async function check(options: TestServerOptions): Promise<string[]> {
  const server = await startTestServer(options);
  const onFailure = (error: unknown): void => {
    throw error;
  };
  const bus = await connectBus({ url: server.url, name: "test", clock: systemClock, onFailure });
  try {
    return await checkServer(bus, new Names("kv"), POSITION_COUNT, systemChance);
  } finally {
    await bus.close();
    await server.stop();
  }
}

function mapping(lines: readonly { source: string; destination: string }[]): string {
  const text = lines.map(({ source, destination }) => `"${source}": "${destination}"`);
  return `mappings {\n${text.join("\n")}\n}`;
}
