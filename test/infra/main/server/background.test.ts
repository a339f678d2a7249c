/**
 * Starting a supervisor in the background and stopping it, with fake nodes.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { startInBackground, stopCluster } from "../../../../infra/main/server/background.js";
import {
  dataPaths,
  liveAddress,
  lockHolder,
  Refusal,
  takeLock,
} from "../../../../infra/main/server/data-folder.js";
import { findNatsServer } from "../../../../infra/nats-server/nats-binary.js";
import { readServerInfo } from "../../../../infra/nats-server/nats-server.js";
import { settingsOf } from "../../../../infra/settings/config.js";

const program = fileURLToPath(new URL("../../../support/supervisor-program.js", import.meta.url));

describe("a cluster in the background", function () {
  this.timeout(60_000);
  let folder: string;
  let reported: string[];
  before(async () => {
    await findNatsServer();
  });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-background-"));
    reported = [];
  });
  afterEach(async () => {
    await stopCluster(folder, () => undefined);
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(env: NodeJS.ProcessEnv = {}): Promise<string[]> {
    const said: string[] = [];
    const all = { ...process.env, RINGDEX_DATA: folder, RINGDEX_PORT: "0", ...env };
    await startInBackground({
      settings: settingsOf(all),
      env: all,
      command: { file: process.execPath, argumentList: [program, "--times"] },
      say: (line) => said.push(line),
      report: (line) => reported.push(line),
      stopping: new AbortController().signal,
    });
    return said;
  }

  it("serves when start returns, and is gone when stop returns", async () => {
    const [line, ...more] = await start();
    expect(more).to.deep.equal([]);
    const port = Number(/^ready nats:\/\/127\.0\.0\.1:(\d+) /.exec(line ?? "")?.[1]);
    expect((await readServerInfo("127.0.0.1", port)).jetstream).to.equal(true);
    expect(await stopCluster(folder, () => undefined)).to.equal(true);
    expect(await lockHolder(dataPaths(folder))).to.equal(undefined);
    const answer = await readServerInfo("127.0.0.1", port, 1_000).catch(() => "closed");
    expect(answer).to.equal("closed");
    expect(await stopCluster(folder, () => undefined)).to.equal(false);
  });

  it("writes the time before each line of its log, and passes the lines on without", async () => {
    const said = await start();
    await stopCluster(folder, () => undefined);
    const lines = readFileSync(dataPaths(folder).log, "utf8").trimEnd().split("\n");
    for (const line of lines) expect(line).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S/);
    const texts = lines.map((line) => line.slice(line.indexOf(" ") + 1));
    expect(texts.slice(0, reported.length + 1)).to.deep.equal([...reported, ...said]);
    expect(texts.slice(-2)).to.deep.equal(["stopping", "stopped"]);
  });

  it("passes on why it does not start", async () => {
    const error = await start({ FAKE_NODE_REFUSES: "n1" }).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(Refusal);
    expect((error as Refusal).message).to.contain("n1: ended with code 2");
    expect(await lockHolder(dataPaths(folder))).to.equal(undefined);
  });
});

describe("lock of a data folder", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-lock-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it("is held by one, and free again when given back", async () => {
    const paths = dataPaths(folder);
    const lock = await takeLock(paths);
    const second = await takeLock(paths).catch((reason: unknown) => reason);
    expect(second).to.be.instanceOf(Refusal);
    lock.release();
    (await takeLock(paths)).release();
    expect(existsSync(paths.lock)).to.equal(false);
  });

  it("tells where the cluster is, as long as it is held", async () => {
    const paths = dataPaths(folder);
    const address = { url: "nats://127.0.0.1:4322", store: "shop" };
    const lock = await takeLock(paths);
    expect(await liveAddress(paths)).to.equal(undefined);
    await lock.tell(address);
    expect(await liveAddress(paths)).to.deep.equal(address);
    const second = await takeLock(paths).catch((reason: unknown) => reason);
    expect((second as Refusal).message).to.contain("serves at nats://127.0.0.1:4322;");
    lock.release();
    expect(existsSync(paths.lock)).to.equal(false);
    const stale = { pid: process.pid, command: "something else", ...address };
    writeFileSync(paths.lock, JSON.stringify(stale));
    expect(await liveAddress(paths)).to.equal(undefined);
  });

  it("is taken by one of many that find a stale one", async () => {
    const paths = dataPaths(folder);
    // A pid that lives, with another command line: the pid was given out again.
    writeFileSync(paths.lock, JSON.stringify({ pid: process.pid, command: "something else" }));
    const tries = await Promise.allSettled([1, 2, 3, 4].map(() => takeLock(paths)));
    const taken = tries.filter(({ status }) => status === "fulfilled");
    expect(taken).to.have.length(1);
  });
});
