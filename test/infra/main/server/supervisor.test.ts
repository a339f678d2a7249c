/**
 * The supervisor with a real nats-server and fake nodes: start, stop, refusals, and what happens
 * when its children or it itself are killed.
 */
import { spawn, type ChildProcess } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { connect, type JetStreamManager } from "nats";
import { stopCluster } from "../../../../infra/main/server/background.js";
import { dataPaths, liveAddress } from "../../../../infra/main/server/data-folder.js";
import { findNatsServer } from "../../../../infra/nats-server/nats-binary.js";
import {
  commandLine,
  readPid,
  readServerInfo,
  signalTo,
} from "../../../../infra/nats-server/nats-server.js";
import { startTestServer } from "../../../support/nats-server.js";
import { until } from "../../../support/until.js";

const WAIT_MS = 15_000;
const program = fileURLToPath(new URL("../../../support/supervisor-program.js", import.meta.url));

describe("supervisor", function () {
  this.timeout(60_000);
  let folder: string;
  let started: Supervised[];
  before(async () => {
    await findNatsServer(); // where it must be built, not in the time of a test
  });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-up-"));
    started = [];
  });
  afterEach(async () => {
    for (const one of started) await one.end("SIGKILL");
    await stopCluster(folder, () => undefined);
    rmSync(folder, { recursive: true, force: true });
  });

  function up(env: NodeJS.ProcessEnv = {}): Supervised {
    const supervised = new Supervised({ RINGDEX_DATA: folder, RINGDEX_PORT: "0", ...env });
    started.push(supervised);
    return supervised;
  }

  it("prints one ready line when all nodes serve, and nothing else on stdout", async () => {
    const supervised = up();
    const port = await supervised.ready();
    expect((await readServerInfo("127.0.0.1", port)).jetstream).to.equal(true);
    expect(await supervised.end("SIGTERM")).to.equal(0);
    expect(supervised.stdout).to.match(/^ready nats:\/\/127\.0\.0\.1:\d+ .*\n$/);
    for (const name of ["n1", "n2", "n3"]) expect(events(folder, name)[0]).to.match(/^started /);
    expect(existsSync(join(folder, "nodes", "n4"))).to.equal(false);
  });

  it("passes on what nodes log to stdout, if that is wanted there", async () => {
    const supervised = up({ RINGDEX_LOG_OUTPUT: "stdout" });
    await supervised.ready();
    expect(supervised.stdout.match(/^noise$/gm)).to.have.length(3);
  });

  it("keeps all files from others", async () => {
    await up().ready();
    const open = readdirSync(folder, { recursive: true, withFileTypes: true })
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => existsSync(path) && (statSync(path).mode & 0o077) !== 0);
    expect(open).to.deep.equal([]);
  });

  describe("opened to others", () => {
    const env = { RINGDEX_HOST: "0.0.0.0" };

    it("is refused without a password, unless that is wanted", async () => {
      const refused = up(env);
      expect(await refused.ended).to.equal(2);
      expect(refused.stderr).to.match(/at 0\.0\.0\.0 others could reach.*--insecure/);
      expect(existsSync(join(folder, "nats"))).to.equal(false);
      const half = up({ ...env, RINGDEX_NATS_USER: "ann" });
      expect(await half.ended).to.equal(2);
      expect(half.stderr).to.contain("RINGDEX_NATS_PASSWORD is missing");
      const supervised = new Supervised({ RINGDEX_DATA: folder, RINGDEX_PORT: "0", ...env }, [
        "--insecure",
      ]);
      started.push(supervised);
      await supervised.ready();
      const conf = readFileSync(join(folder, "nats", "nats.conf"), "utf8");
      expect(conf).to.contain("there is no password.").and.not.contain("Only this machine");
    });

    it("asks for the password, or the token, that was given", async () => {
      const user = { RINGDEX_NATS_USER: "ann", RINGDEX_NATS_PASSWORD: 'p"1\\x' };
      for (const secret of [user, { RINGDEX_NATS_TOKEN: "12345" }]) {
        const supervised = up({ ...env, ...secret });
        const servers = `nats://127.0.0.1:${await supervised.ready()}`;
        const refused = await connect({ servers }).catch((error: unknown) => error);
        expect(String(refused)).to.match(/authorization/i);
        const credentials =
          "RINGDEX_NATS_TOKEN" in secret
            ? { token: secret.RINGDEX_NATS_TOKEN }
            : { user: user.RINGDEX_NATS_USER, pass: user.RINGDEX_NATS_PASSWORD };
        await (await connect({ servers, ...credentials })).close();
        await supervised.end("SIGTERM");
      }
    });
  });

  describe("asked for another size of logs", () => {
    const stream = "kv-log-s1-0123456789abcdef";
    const MIB = 1_024 * 1_024;

    async function withLog<Value>(
      supervised: Supervised,
      use: (manager: JetStreamManager) => Promise<Value>,
    ): Promise<Value> {
      const connection = await connect({ servers: `nats://127.0.0.1:${await supervised.ready()}` });
      const value = await use(await connection.jetstreamManager());
      await connection.close();
      await supervised.end("SIGTERM");
      return value;
    }

    beforeEach(() =>
      withLog(up(), async (manager) => {
        const subjects = ["kv.log.s1.0123456789abcdef"];
        await manager.streams.add({ name: stream, subjects, max_bytes: 64 * MIB });
        const data = new Uint8Array(MIB / 2);
        for (let count = 0; count < 6; count += 1) {
          await manager.jetstream().publish(subjects[0] ?? "", data);
        }
      }),
    );

    it("gives logs that exist that size, larger or smaller", async () => {
      for (const mib of [32, 128]) {
        const supervised = up({ RINGDEX_LOG_BYTES_MAX: `${mib}MiB` });
        const info = await withLog(supervised, (manager) => manager.streams.info(stream));
        expect(info.config.max_bytes).to.equal(mib * MIB);
        expect(supervised.stderr).to.contain(`size of log ${stream} changed from`);
      }
      const info = await withLog(up(), (manager) => manager.streams.info(stream));
      expect(info.config.max_bytes, "not asked for").to.equal(128 * MIB);
    });

    it("refuses less than they hold, and changes nothing", async () => {
      const supervised = up({ RINGDEX_LOG_BYTES_MAX: "2MiB" });
      expect(await supervised.ended).to.equal(2);
      expect(supervised.stderr).to.match(/RINGDEX_LOG_BYTES_MAX is 2MiB, but the log .* holds \d+/);
      const info = await withLog(up(), (manager) => manager.streams.info(stream));
      expect(info.config.max_bytes).to.equal(64 * MIB);
    });

    it("says where JetStream has no room, and starts", async () => {
      const supervised = up({ RINGDEX_LOG_BYTES_MAX: "1PiB" });
      await withLog(supervised, () => Promise.resolve());
      expect(supervised.stderr).to.match(/not changed from 64MiB to 1PiB: JetStream has no room/);
    });
  });

  it("is ready without a node that takes long, once the others serve every position", async () => {
    const supervised = up({ FAKE_NODE_SILENT: "n3", FAKE_LOOK_AFTER_MS: "100" });
    const address = async (): Promise<string | undefined> =>
      (await liveAddress(dataPaths(folder)))?.url;
    await until(async () => (await address()) !== undefined, WAIT_MS, "the address");
    const connection = await connect({ servers: (await address()) ?? "" });
    let state = "catching-up";
    const shards = [{ shard: "s1", log_id: "0123456789abcdef", nodes: ["n1"], weight: 1 }];
    const ring = {
      store: "kv",
      epoch: 1,
      position_count: 1_024,
      shards: shards.map((shard) => ({ ...shard, positions: ["0-1023"] })),
      nodes: [{ node: "n1", weight: 1 }],
    };
    const answers = { ring: () => ring, status: () => ({ replicas: [{ shard: "s1", state }] }) };
    let askedCount = 0;
    for (const [verb, answer] of Object.entries(answers)) {
      connection.subscribe(`kv.${verb}`, {
        callback: (_, message) => {
          askedCount += 1;
          message.respond(JSON.stringify(answer()));
        },
      });
    }
    await until(() => askedCount >= 6, WAIT_MS, "questions");
    const haveSaid = (name: string): boolean => supervised.stderr.includes(`${name} serves`);
    await until(() => haveSaid("n1") && haveSaid("n2"), WAIT_MS, "n1 and n2");
    expect(supervised.stdout).to.equal("");
    state = "serving";
    await supervised.ready();
    expect(supervised.stderr).to.match(/^n3: not ready yet, it goes on by itself;/m);
    await connection.close();
    expect(await supervised.end("SIGTERM")).to.equal(0);
  });

  it("is not ready while a node is not", async () => {
    const supervised = up({ FAKE_NODE_SILENT: "n2" });
    const others = /n1 serves[^]*n3 serves|n3[^]*n1 serves/;
    await until(() => others.test(supervised.stderr), WAIT_MS, "n1 and n3");
    expect(await supervised.end("SIGTERM")).to.equal(0);
    expect(supervised.stdout).to.equal("");
  });

  for (const way of ["SIGTERM", "Ctrl-C"] as const) {
    it(`stops the nodes first and nats-server last on ${way}`, async () => {
      const supervised = up();
      const port = await supervised.ready();
      expect(await supervised.end(way)).to.equal(0);
      for (const name of ["n1", "n2", "n3"]) {
        const [, ...rest] = events(folder, name);
        expect(rest).to.have.length(1);
        expect(rest[0]).to.match(/^SIGTERM server-up /);
      }
      expect(await isServed(port)).to.equal(false);
      expect(existsSync(join(folder, "lock"))).to.equal(false);
      expect(supervised.stderr).to.match(/\nstopping\nstopped\n$/);
    });
  }

  it("says that it heard Ctrl-C before it was ready", async () => {
    const supervised = up({ RINGDEX_NODES: "1", FAKE_NODE_SILENT: "n1" });
    const isStarting = (): boolean => /^starting 1 node$/m.test(supervised.stderr);
    await until(isStarting, WAIT_MS, "the start");
    expect(await supervised.end("Ctrl-C")).to.equal(0);
    expect(supervised.stderr).to.match(/\nstopping\nstopped\n$/);
    expect(supervised.stdout).to.equal("");
  });

  it("tells in its lock where it serves, before the nodes do", async () => {
    const supervised = up({ RINGDEX_STORE: "shop", FAKE_NODE_SILENT: "n1" });
    await until(() => supervised.stderr.includes("n2 serves"), WAIT_MS, "n2");
    const address = await liveAddress(dataPaths(folder));
    expect(address?.store).to.equal("shop");
    expect(await isServed(Number(new URL(address?.url ?? "").port))).to.equal(true);
    expect(await supervised.end("SIGTERM")).to.equal(0);
  });

  it("starts a killed node again", async () => {
    const supervised = up();
    await supervised.ready();
    const pid = pidOf(events(folder, "n2")[0]);
    signalTo(pid, "SIGKILL");
    await until(() => supervised.stderr.includes("n2 serves again\n"), WAIT_MS, "n2 again");
    expect(events(folder, "n2")).to.have.length(2);
    expect(supervised.stderr).to.match(/n2: was ended by SIGKILL; starting it again in 1 s/);
    expect(supervised.stderr.match(/serves again/g)).to.have.length(1);
    expect(await supervised.end("SIGTERM")).to.equal(0);
    expect(supervised.stdout.match(/ready/g)).to.have.length(1);
  });

  it("says of a node that failed what it failed with", async () => {
    const supervised = up({ FAKE_NODE_THROWS: "n3" });
    await until(() => events(folder, "n3").length === 2, WAIT_MS, "n3 again");
    const reason = "n3: ended with code 1 (Error: out of ideas); starting it again in 1 s";
    expect(supervised.stderr).to.contain(reason);
    expect(await supervised.end("SIGTERM")).to.equal(0);
  });

  it("starts a killed nats-server again on its port", async () => {
    const supervised = up();
    const port = await supervised.ready();
    const pidFile = join(folder, "nats", "nats-server.pid");
    const pid = readPid(pidFile) ?? 0;
    signalTo(pid, "SIGKILL");
    await until(async () => !(await isServed(port)), WAIT_MS, "its end");
    await until(() => isServed(port), WAIT_MS, "nats-server again");
    expect(readPid(pidFile)).to.not.equal(pid);
    expect(await supervised.end("SIGTERM")).to.equal(0);
    expect(await isServed(port)).to.equal(false);
  });

  it("finds its data at the second start, whatever the defaults", async () => {
    const first = up({ RINGDEX_NODES: "2", RINGDEX_STORE: "shop" });
    await first.ready();
    await first.end("SIGTERM");
    const second = up();
    await second.ready();
    expect(second.stdout).to.contain("store=shop nodes=2 replicas=2 ");
    expect(await second.end("SIGTERM")).to.equal(0);
    expect(existsSync(join(folder, "nodes", "n3"))).to.equal(false);
  });

  it("leaves no node when killed, and the next start ends the nats-server it left", async () => {
    const first = up();
    await first.ready();
    const nodes = ["n1", "n2", "n3"].map((name) => pidOf(events(folder, name)[0]));
    const server = readPid(join(folder, "nats", "nats-server.pid")) ?? 0;
    await first.end("SIGKILL");
    for (const pid of nodes) await until(() => isGone(pid), WAIT_MS, `the end of ${pid}`);
    expect(events(folder, "n1")[1]).to.match(/^stdin-closed server-up /);
    expect(await isGone(server)).to.equal(false);
    const second = up();
    await second.ready();
    expect(second.stderr).to.contain(`left behind (process ${server})`);
    expect(await isGone(server)).to.equal(true);
    expect(await second.end("SIGTERM")).to.equal(0);
  });

  it("does not take a process for a leftover because its pid is in the file", async () => {
    const other = spawn(process.execPath, ["-e", "setInterval(() => 0, 1000)"]);
    mkdirSync(join(folder, "nats"), { recursive: true });
    writeFileSync(join(folder, "nats", "nats-server.pid"), `${other.pid}`);
    const supervised = up();
    await supervised.ready();
    expect(other.exitCode ?? other.signalCode).to.equal(null);
    other.kill("SIGKILL");
  });

  it("uses an existing server, and leaves it running", async () => {
    const server = await startTestServer();
    const supervised = up({ RINGDEX_NATS_URL: server.url });
    expect(await supervised.ready()).to.equal(server.port);
    expect(await supervised.end("SIGTERM")).to.equal(0);
    expect(await isServed(server.port)).to.equal(true);
    expect(existsSync(join(folder, "nats"))).to.equal(false);
    await server.stop();
  });

  describe("refuses", () => {
    async function refusal(env: NodeJS.ProcessEnv): Promise<string> {
      const supervised = up(env);
      expect(await supervised.ended).to.equal(2);
      expect(supervised.stdout).to.equal("");
      return supervised.stderr;
    }

    it("a port that another program has", async () => {
      const blocker = await listen(() => undefined);
      const { port } = blocker.address() as AddressInfo;
      const reason = await refusal({ RINGDEX_PORT: String(port) });
      expect(reason).to.contain(`port ${port} is taken by another program; set RINGDEX_PORT`);
      blocker.close();
    });

    it("without binding the data folder to what was asked", async () => {
      const server = await startTestServer();
      const old = join(folder, "old-server");
      writeFileSync(old, "#!/bin/sh\necho nats-server: v2.12.2\n", { mode: 0o755 });
      const one = { RINGDEX_NODES: "1", RINGDEX_STORE: "one" };
      await refusal({ ...one, RINGDEX_PORT: String(server.port) });
      await refusal({ ...one, RINGDEX_NATS_URL: "nats://127.0.0.1:1" });
      await refusal({ ...one, RINGDEX_NATS_SERVER: old });
      await server.stop();
      const other = up({ RINGDEX_NODES: "2", RINGDEX_STORE: "two" });
      await other.ready();
      expect(other.stdout).to.contain("store=two nodes=2 ");
      expect(await other.end("SIGTERM")).to.equal(0);
    });

    it("a port that a NATS server has, and offers to use that", async () => {
      const server = await startTestServer();
      const reason = await refusal({ RINGDEX_PORT: String(server.port) });
      expect(reason).to.contain(`RINGDEX_NATS_URL=nats://127.0.0.1:${server.port}`);
      await server.stop();
    });

    it("a data folder that is in use, and leaves its user alone", async () => {
      const user = up();
      const port = await user.ready();
      const reason = await refusal({});
      expect(reason).to.match(/is in use by process \d+ .*ringdex down/);
      expect(reason).to.contain(`serves at nats://127.0.0.1:${port};`);
      expect(await isServed(port)).to.equal(true);
      expect(await user.end("SIGTERM")).to.equal(0);
    });

    it("other nodes, replicas or another store than the data have", async () => {
      const first = up();
      await first.ready();
      await first.end("SIGTERM");
      const reasons = [
        await refusal({ RINGDEX_NODES: "4" }),
        await refusal({ RINGDEX_REPLICAS: "3" }),
        await refusal({ RINGDEX_STORE: "other" }),
      ];
      expect(reasons[0]).to.contain("RINGDEX_NODES is 4").and.contain("made with 3");
      expect(reasons[1]).to.contain("RINGDEX_REPLICAS is 3").and.contain("made with 2");
      expect(reasons[2]).to.contain("RINGDEX_STORE is other").and.contain("made with kv");
    });

    it("more replicas than nodes, unless nobody asked for so many", async () => {
      const reason = await refusal({ RINGDEX_NODES: "1", RINGDEX_REPLICAS: "2" });
      expect(reason).to.contain("RINGDEX_REPLICAS is 2, but RINGDEX_NODES is 1");
      const alone = up({ RINGDEX_NODES: "1" });
      await alone.ready();
      expect(alone.stdout).to.contain("nodes=1 replicas=1 ");
      expect(await alone.end("SIGTERM")).to.equal(0);
    });

    it("data of another format", async () => {
      writeFileSync(join(folder, "ringdex.json"), '{"format":99}');
      expect(await refusal({}))
        .to.contain("has data of format 99")
        .and.contain("reads format 1");
    });

    it("a nats-server that is too old", async () => {
      const old = join(folder, "nats-server");
      writeFileSync(old, "#!/bin/sh\necho nats-server: v2.12.2\n", { mode: 0o755 });
      const reason = await refusal({ RINGDEX_NATS_SERVER: old });
      expect(reason).to.contain("is version 2.12.2; versions before 2.12.3 lose data");
    });

    it("an existing server that is too old, has no JetStream or is not there", async () => {
      const server = await listen((text) => text.write(info("2.10.0", true)));
      const bare = await listen((text) => text.write(info("2.14.5", false)));
      const url = (one: Server): string =>
        `nats://127.0.0.1:${(one.address() as AddressInfo).port}`;
      const [old, without] = [url(server), url(bare)];
      expect(await refusal({ RINGDEX_NATS_URL: old })).to.contain("is nats-server 2.10.0");
      expect(await refusal({ RINGDEX_NATS_URL: without })).to.contain("has no JetStream");
      server.close();
      bare.close();
      expect(await refusal({ RINGDEX_NATS_URL: old })).to.contain("no NATS server answers");
    });

    it("to go on when a node refuses, and stops the others", async () => {
      const reason = await refusal({ FAKE_NODE_REFUSES: "n2" });
      expect(reason).to.contain("n2: ended with code 2 (this folder belongs to another node)");
      expect(reason).to.not.contain("starting it again");
      expect(await isGone(readPid(join(folder, "nats", "nats-server.pid")) ?? 0)).to.equal(true);
    });
  });
});

/** A supervisor process and what it has written so far. */
class Supervised {
  stdout = "";
  stderr = "";
  readonly ended: Promise<number | null>;
  private readonly child: ChildProcess;

  constructor(env: NodeJS.ProcessEnv, argumentList: readonly string[] = []) {
    const options = { env: { ...process.env, ...env }, detached: true };
    this.child = spawn(process.execPath, [program, ...argumentList], options);
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.ended = new Promise((resolve) => this.child.once("close", (code) => resolve(code)));
  }

  /** The port in the ready line. */
  async ready(): Promise<number> {
    const line = /^ready nats:\/\/127\.0\.0\.1:(\d+) .*\n/m;
    const isReady = (): boolean => {
      if (this.child.exitCode !== null) throw new Error(`it ended: ${this.stderr}`);
      return line.test(this.stdout);
    };
    await until(isReady, WAIT_MS, "the ready line");
    return Number(line.exec(this.stdout)?.[1]);
  }

  /** Ctrl-C goes to the whole process group, as a terminal sends it. */
  async end(way: NodeJS.Signals | "Ctrl-C"): Promise<number | null> {
    const { pid, exitCode, signalCode } = this.child;
    const isRunning = pid !== undefined && exitCode === null && signalCode === null;
    if (isRunning && way === "Ctrl-C") process.kill(-pid, "SIGINT");
    else if (way !== "Ctrl-C") this.child.kill(way);
    return this.ended;
  }
}

function events(folder: string, name: string): string[] {
  const file = join(folder, "nodes", name, "events.log");
  return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : [];
}

function pidOf(event: string | undefined): number {
  return Number(event?.split(" ").at(-1));
}

async function isGone(pid: number): Promise<boolean> {
  return (await commandLine(pid)) === "";
}

function isServed(port: number): Promise<boolean> {
  return readServerInfo("127.0.0.1", port, 1_000).then(
    () => true,
    () => false,
  );
}

function info(version: string, jetstream: boolean): string {
  return `INFO ${JSON.stringify({ version, jetstream, max_payload: 1_048_576 })}\r\n`;
}

function listen(serve: (socket: NodeJS.WritableStream) => void): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      serve(socket);
    }).listen(0, "127.0.0.1", () => resolve(server));
  });
}
