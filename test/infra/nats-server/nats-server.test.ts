/**
 * Starting and stopping a real nats-server, and telling one that was left behind from others.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { findNatsServer } from "../../../infra/nats-server/nats-binary.js";
import {
  commandLine,
  findLeftover,
  startNatsServer,
  stopLeftover,
  type NatsServer,
} from "../../../infra/nats-server/nats-server.js";
import { failureText } from "../../support/failure.js";
import { startTestServer } from "../../support/nats-server.js";

describe("nats-server", () => {
  let folder: string;
  let started: NatsServer[];
  beforeEach(() => {
    started = [];
    folder = mkdtempSync(join(tmpdir(), "ringdex-server-"));
  });
  afterEach(async () => {
    for (const server of started) await server.stop("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });

  async function optionsOf(conf: string): Promise<Parameters<typeof startNatsServer>[0]> {
    const configFile = join(folder, "nats.conf");
    writeFileSync(configFile, conf);
    return {
      binary: await findNatsServer(),
      configFile,
      pidFile: join(folder, "pid"),
      logFile: join(folder, "log"),
      host: "127.0.0.1",
      port: -1,
    };
  }

  it("serves on a free port when started, and not when stopped", async () => {
    const options = await optionsOf("max_payload: 2MB");
    const server = await startNatsServer({ ...options, storeFolder: join(folder, "js") });
    started.push(server);
    expect(server.port).to.be.greaterThan(0);
    expect(server.maxPayload).to.equal(2 * 1_024 ** 2);
    expect(await server.stop()).to.deep.equal({ code: 0, signal: null });
    expect(await commandLine(server.pid)).to.equal("");
  });

  it("tells the reason in its log when it does not start", async () => {
    const start = startNatsServer(await optionsOf("no_such_setting: 1"));
    expect(await failureText(start)).to.match(/did not start: it ended[^]*no_such_setting/);
  });

  it("is not taken for started without JetStream, and is ended", async () => {
    const start = startNatsServer(await optionsOf(""));
    expect(await failureText(start)).to.contain("its JetStream is not on");
    expect(await findLeftover(join(folder, "pid"), folder)).to.equal(undefined);
  });

  it("is known as a leftover by its folder, and ended by its id", async () => {
    const options = await optionsOf(`jetstream { store_dir: "${join(folder, "js")}" }`);
    const server = await startNatsServer(options);
    started.push(server);
    expect(await findLeftover(options.pidFile, join(tmpdir(), "elsewhere"))).to.equal(undefined);
    expect(await findLeftover(options.pidFile, folder)).to.equal(server.pid);
    await stopLeftover(server.pid, folder);
    expect(await server.exited).to.deep.equal({ code: 0, signal: null });
  });

  it("is not any process whose command line names the folder", async () => {
    const other = spawn(process.execPath, ["-e", "setInterval(() => 0, 1000)", folder]);
    writeFileSync(join(folder, "pid"), `${other.pid}`);
    expect(await commandLine(other.pid ?? 0)).to.contain(folder);
    expect(await findLeftover(join(folder, "pid"), folder)).to.equal(undefined);
    other.kill("SIGKILL");
  });
});

describe("a test's nats-server", () => {
  it("comes back on its port after a kill", async () => {
    const server = await startTestServer();
    const { port, pid } = server;
    await server.kill();
    await server.restart();
    expect(server.port).to.equal(port);
    expect(server.pid).to.not.equal(pid);
    await server.stop();
    expect(await commandLine(server.pid)).to.equal("");
  });
});
