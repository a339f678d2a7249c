/**
 * A real cluster for one test file: `ringdex up` as a process of its own, with its nats-server and
 * nodes, on 127.0.0.1, on a free port, in a folder of its own.
 *
 * With `mapping: false` the nats-server is a plain one without our subject mapping, as a user may
 * have it. This file starts it, and gives it to the cluster by RINGDEX_NATS_URL.
 *
 * Errors thrown here include the cluster's stderr. A test that ends without `stop()` leaves no
 * process behind, as long as the test runner itself is not killed.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect, type NatsConnection } from "nats";
import { dataPaths } from "../../infra/main/server/data-folder.js";
import { findNatsServer } from "../../infra/nats-server/nats-binary.js";
import {
  commandLine,
  exitOf,
  readPid,
  signalTo,
  stopChild,
} from "../../infra/nats-server/nats-server.js";
import type { StatusReport } from "../../protocol/node/status.js";
import { startTestServer, type TestServer } from "./nats-server.js";
import { until } from "./until.js";

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 60_000;
// Short: a request that was on its way to a killed node has no answer.
const STATUS_TIMEOUT_MS = 2_000;
const NODE_TIMEOUT_MS = 30_000;
const program = fileURLToPath(new URL("../../infra/cli/ringdex.js", import.meta.url));

export interface ClusterOptions {
  /** Default 3. */
  readonly nodes?: number;
  /** Default 2. */
  readonly replicas?: number;
  /** Default "kv". */
  readonly store?: string;
  /** Whether nats-server maps keys to positions. Default true. */
  readonly mapping?: boolean;
  /** Added to what `ringdex up` gets; other RINGDEX_ variables of the test runner are not. */
  readonly env?: NodeJS.ProcessEnv;
  /** A program and its arguments that starts `ringdex up` and becomes it: a tracer, say. */
  readonly launcher?: readonly string[];
  /** Data to start with (made if missing); it is then not removed by `stop()`. */
  readonly folder?: string;
}

export interface Cluster {
  readonly url: string;
  readonly store: string;
  readonly dataFolder: string;
  /** Of `ringdex up`, which has no data; changes with a restart. */
  readonly pid: number;
  /** Of nats-server; changes with a restart. */
  readonly serverPid: number;
  /** What `ringdex up` has written on stderr so far. */
  readonly stderr: string;
  /** Reply of kv.status. */
  status(): Promise<StatusReport>;
  /** The process of a node that is up; rejects if it is not. */
  nodePid(node: string): Promise<number>;
  /**
   * Ends a node by SIGKILL (or another signal), and resolves when its process is gone. The
   * supervisor starts it again after a second or more.
   */
  kill(node: string, signal?: NodeJS.Signals): Promise<void>;
  /** Ends nats-server by SIGKILL; the supervisor starts it again. Only where it has its own. */
  killServer(): Promise<void>;
  /** Resolves when all nodes are up and all replicas serve with nothing left to apply. */
  settled(limitMs?: number): Promise<void>;
  /** Ends `ringdex up`, by default in order, and resolves when its processes are gone. */
  down(signal?: NodeJS.Signals): Promise<void>;
  /** After `down()`: starts it again with the same data, on the same port. */
  up(): Promise<void>;
  /** Ends it for good, if it runs, and removes its folder. */
  stop(): Promise<void>;
}

/** Resolves when all nodes serve. Takes a few seconds. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const binary = await findNatsServer(); // where it must be built, not in the time of the start
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "ringdex-cluster-"));
  const { store = "kv", mapping = true } = options;
  const server = mapping ? undefined : await startTestServer({ mapping: false, store });
  const cluster = new RunningCluster(folder, store, binary, server, options);
  try {
    await cluster.up();
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

const running = new Set<RunningCluster>();
process.once("exit", () => {
  for (const cluster of running) cluster.endNow();
});

class RunningCluster implements Cluster {
  #child: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();
  #connection: NatsConnection | undefined;
  #port = 0;
  url = "";
  stdout = "";
  stderr = "";

  constructor(
    readonly dataFolder: string,
    readonly store: string,
    private readonly binary: string,
    private readonly server: TestServer | undefined,
    private readonly options: ClusterOptions,
  ) {}

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get serverPid(): number {
    return this.server?.pid ?? readPid(dataPaths(this.dataFolder).natsPid) ?? 0;
  }

  async up(): Promise<void> {
    const command = [...(this.options.launcher ?? []), process.execPath, program, "up"];
    const child = spawn(command[0] ?? "", command.slice(1), {
      env: this.#env(),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true, // Ctrl-C is for the test runner, which then ends it in its own way
    });
    this.#child = child;
    this.#exited = exitOf(child);
    this.stdout = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    running.add(this);
    const line = /^ready (nats:\/\/\S+?:(\d+)) .*\n/m;
    const isReady = (): boolean => {
      if (hasEnded(child)) throw new Error(`"ringdex up" ended:\n${this.stderr}`);
      return line.test(this.stdout);
    };
    try {
      await until(isReady, READY_TIMEOUT_MS, "the ready line");
    } catch (error) {
      throw new Error(`the cluster does not start:\n${this.stderr}`, { cause: error });
    }
    const match = line.exec(this.stdout);
    this.url = match?.[1] ?? "";
    this.#port = Number(match?.[2]);
  }

  async status(): Promise<StatusReport> {
    if (this.#connection === undefined || this.#connection.isClosed()) {
      this.#connection = await connect({ servers: this.url, maxReconnectAttempts: -1 });
    }
    const subject = `${this.store}.status`;
    const reply = await this.#connection.request(subject, "", { timeout: STATUS_TIMEOUT_MS });
    const body = reply.json<StatusReport & { error?: { description: string } }>();
    if (body.error !== undefined) throw new Error(`kv.status: ${body.error.description}`);
    return body;
  }

  async nodePid(node: string): Promise<number> {
    const { nodes } = await this.status();
    const pid = nodes.find((one) => one.node === node)?.pid;
    if (typeof pid !== "number") throw new Error(`node ${node} is not up:\n${this.stderr}`);
    return pid;
  }

  async kill(node: string, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const pid = await this.nodePid(node);
    signalTo(pid, signal);
    await until(async () => (await commandLine(pid)) === "", NODE_TIMEOUT_MS, `end of ${node}`);
  }

  async killServer(): Promise<void> {
    const pid = readPid(dataPaths(this.dataFolder).natsPid);
    if (pid === undefined) throw new Error("this cluster has no nats-server of its own");
    signalTo(pid, "SIGKILL");
    await until(async () => (await commandLine(pid)) === "", NODE_TIMEOUT_MS, "nats-server's end");
  }

  async settled(limitMs = NODE_TIMEOUT_MS): Promise<void> {
    let last: StatusReport | undefined;
    const isSettled = async (): Promise<boolean> => {
      // No coordinator may be there to answer: then it is not settled.
      last = await this.status().catch(() => undefined);
      if (last === undefined) return false;
      const nodesUp = last.nodes.every(({ state }) => state === "up");
      const wanted = last.nodes.length === 0 ? 1 : this.#replicaCount(last.nodes.length);
      const serve = last.replicas.filter(({ state, lag }) => state === "serving" && lag === 0);
      return nodesUp && serve.length === last.replicas.length && serve.length >= wanted;
    };
    try {
      await until(isSettled, limitMs, "a settled cluster");
    } catch (error) {
      const seen = JSON.stringify(last, undefined, 1);
      throw new Error(`the cluster does not settle: ${seen}\n${this.stderr}`, { cause: error });
    }
  }

  async down(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.#connection?.close();
    this.#connection = undefined;
    const child = this.#child;
    if (child === undefined) return;
    if (hasEnded(child)) await this.#exited;
    else await stopChild(child, exitOf(child), signal, STOP_TIMEOUT_MS);
    this.#child = undefined;
    running.delete(this);
  }

  async stop(): Promise<void> {
    await this.down();
    this.endNow(); // a nats-server that a killed supervisor left behind
    await this.server?.stop();
    if (this.options.folder === undefined) {
      rmSync(this.dataFolder, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  /** Without waiting: the nodes end by themselves, because their supervisor is gone. */
  endNow(): void {
    if (this.#child !== undefined && !hasEnded(this.#child)) this.#child.kill("SIGKILL");
    const pid = readPid(dataPaths(this.dataFolder).natsPid);
    if (pid !== undefined && isOurServer(pid, this.dataFolder)) signalTo(pid, "SIGKILL");
  }

  /** One shard a node, each on so many nodes. */
  #replicaCount(nodeCount: number): number {
    return nodeCount * Math.min(this.options.replicas ?? 2, nodeCount);
  }

  #env(): NodeJS.ProcessEnv {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("RINGDEX_"));
    const { nodes = 3, replicas = 2, env = {} } = this.options;
    return {
      ...Object.fromEntries(inherited),
      RINGDEX_NATS_SERVER: this.binary,
      RINGDEX_DATA: this.dataFolder,
      RINGDEX_STORE: this.store,
      RINGDEX_NODES: String(nodes),
      RINGDEX_REPLICAS: String(replicas),
      RINGDEX_PORT: String(this.#port),
      ...(this.server === undefined ? {} : { RINGDEX_NATS_URL: this.server.url }),
      ...env,
    };
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** A pid file may outlive its process, and pids are given out again. */
function isOurServer(pid: number, folder: string): boolean {
  const file = `/proc/${pid}/cmdline`;
  return existsSync(file) && readFileSync(file, "utf8").includes(folder);
}
