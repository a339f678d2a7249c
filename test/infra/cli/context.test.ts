/**
 * Where a command looks for the store: what was asked for, else the cluster of the data folder.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect } from "chai";
import { Command } from "commander";
import {
  addConnectionOptions,
  RunContext,
  type CliConnection,
} from "../../../infra/cli/context.js";
import { runCli } from "../../../infra/cli/program.js";
import { dataPaths, takeLock, type Lock } from "../../../infra/main/server/data-folder.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";

describe("a command's connection", function () {
  this.timeout(20_000);
  let server: TestServer;
  let folder: string;
  let lock: Lock;
  let contexts: RunContext[];
  before(async () => {
    server = await startTestServer();
  });
  after(async () => {
    await server.stop();
  });
  beforeEach(async () => {
    contexts = [];
    folder = mkdtempSync(join(tmpdir(), "ringdex-context-"));
    lock = await takeLock(dataPaths(folder));
    await lock.tell({ url: server.url, store: "shop" });
  });
  afterEach(async () => {
    for (const context of contexts) await context.close();
    lock.release();
    rmSync(folder, { recursive: true, force: true });
  });

  function connect(env: NodeJS.ProcessEnv, argumentList: string[] = []): Promise<CliConnection> {
    const context = new RunContext(io({ RINGDEX_DATA: folder, ...env }));
    contexts.push(context);
    const command = addConnectionOptions(new Command("get")).parse(argumentList, { from: "user" });
    return context.connect(command);
  }

  async function addressTried(env: NodeJS.ProcessEnv): Promise<string> {
    const failure = await connect(env).catch((error: unknown) => error);
    return /cannot reach (nats:\S+)/.exec(String(failure))?.[1] ?? String(failure);
  }

  it("is to the cluster that holds the lock of the data folder", async () => {
    expect(await connect({})).to.deep.include({ url: server.url, store: "shop" });
    expect(await connect({ RINGDEX_PORT: "0" })).to.deep.include({ url: server.url });
  });

  it("is to the store that was asked for there", async () => {
    expect(await connect({ RINGDEX_STORE: "kv" })).to.deep.include({ store: "kv" });
    expect(await connect({}, ["--store", "kv"])).to.deep.include({ store: "kv" });
  });

  it("is elsewhere if an address was asked for", async () => {
    expect(await addressTried({ RINGDEX_PORT: "1" })).to.equal("nats://127.0.0.1:1");
    const natsUrl = "nats://127.0.0.1:2";
    expect(await addressTried({ RINGDEX_NATS_URL: natsUrl })).to.equal(natsUrl);
    const { port } = new URL(server.url);
    const asked = await connect({ RINGDEX_PORT: port });
    expect(asked).to.deep.include({ url: server.url, store: "kv" });
  });

  it("is where a cluster runs by default if none holds the lock", async () => {
    lock.release();
    // Some cluster of this machine may be there.
    const url = await connect({}).then(
      (connection) => connection.url,
      () => addressTried({}),
    );
    expect(url).to.equal("nats://127.0.0.1:4222");
  });

  it("does not mind a data folder that is none", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    const env = { RINGDEX_DATA: file };
    const url = await connect(env).then(
      (connection) => connection.url,
      () => addressTried(env),
    );
    expect(url).to.equal("nats://127.0.0.1:4222");
  });
});

describe("ringdex up --times", () => {
  it("begins lines with the time, those that say why it fails included", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ringdex-times-"));
    writeFileSync(join(folder, "ringdex.json"), '{"format":99}');
    let stderr = "";
    const all = {
      ...io({ RINGDEX_DATA: folder }),
      stderr: (text: string) => void (stderr += text),
    };
    expect(await runCli(["up", "--times"], all)).to.equal(2);
    expect(stderr).to.match(/^\d{4}-\d\d-\d\dT[\d:.]+Z ringdex: .*format 99/);
    stderr = "";
    const file = join(folder, "up.log");
    expect(await runCli(["up", "--times", "--log-file", file], all)).to.equal(2);
    expect(stderr).to.equal("");
    expect(readFileSync(file, "utf8")).to.match(/^\d{4}-.*Z ringdex: .*format 99.*\n$/);
    rmSync(folder, { recursive: true });
  });
});

function io(env: NodeJS.ProcessEnv): ConstructorParameters<typeof RunContext>[0] {
  return {
    env,
    stdin: Readable.from([]),
    out: () => undefined,
    stderr: () => undefined,
    isTerminal: false,
    stopping: new AbortController().signal,
  };
}
