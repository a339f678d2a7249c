/**
 * A chaos run: real processes under load, with one fault after another, and then every check.
 *
 *   1. `ringdex up` (its nats-server fsyncs every message), three nodes, two replicas; nodes and
 *      clients reach nats-server through a proxy that can cut and hold their connections.
 *   2. Load processes record all requests and answers, first for a while without a fault.
 *   3. The run carries out rounds of faults from the plan. After each it waits until all replicas
 *      serve again.
 *   4. The load stops, and the cluster comes to rest; the run reads events, and does final gets
 *      and finds.
 *   5. The cluster stops, and checks.ts compares history, events and stores.
 */
import { createServer, type AddressInfo } from "node:net";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect as connectNats } from "nats";
import { connect, Session } from "../../infra/client/client.js";
import { sleep, systemClock } from "../../infra/clock.js";
import { positionOf } from "../../protocol/position.js";
import { parseRing, RingLookup } from "../../protocol/ring/ring.js";
import { formatHistory, type HistoryRow } from "../history/history.js";
import { startCluster, type Cluster } from "../support/cluster.js";
import { equalReplicas } from "../support/equal-replicas.js";
import { seededChance } from "../support/manual-clock.js";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.js";
import { until } from "../support/until.js";
import { ClientAccess } from "./access.js";
import type { Span } from "./availability.js";
import { checkAll, type ChaosReport } from "./checks.js";
import { readEvents } from "./events.js";
import { describeRound, planFaults, type Round } from "./fault-plan.js";
import { carryOut, CLIENT_NAME } from "./faults.js";
import {
  clientNames,
  hotCounters,
  hotKeys,
  hotRegisters,
  ownKeys,
  ownPrefix,
  pairs,
  probeKeys,
} from "./keys.js";
import { LoadProcesses } from "./load-processes.js";
import { machineMs, Recorder } from "./recorder.js";
import { GROUPS, type Pace } from "./workers.js";

export interface ChaosOptions {
  readonly seed: number;
  /** How long faults continue; up to twice as long if too few requests got answers by then. */
  readonly seconds: number;
  /** In place of those planned from the seed. */
  readonly rounds?: readonly Round[];
  readonly clientCount: number;
  readonly processCount: number;
  readonly pace: Pace;
  /** How long the load runs before the first fault. */
  readonly calmMs: number;
  /** Answered operations on the hot keys without which the run shows nothing. */
  readonly operationsMin: number;
  /** Of them, the share without an answer with which it shows nothing. */
  readonly unansweredShareMax: number;
  /** False: where there is no Go, our own checker is enough. */
  readonly needsPorcupine: boolean;
  /** Exists and is empty. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

const NODES = ["n1", "n2", "n3"];
const WELL_LIMIT_MS = 90_000;
/** Between being well again and the next fault. */
const PAUSE_MS = 1_000;
const PROBE_KEYS = 256;
const FINAL_TIMEOUT_MS = 30_000;
const BATCH_KEYS = 500;

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const run = new Run(options);
  try {
    await run.start();
    await run.faults();
    await run.finish();
  } finally {
    await run.end();
  }
  return run.check();
}

class Run {
  readonly #load = new LoadProcesses();
  readonly #spans: Span[] = [];
  readonly #problems: string[] = [];
  readonly #clients: readonly string[];
  readonly #data: string;
  #cluster: Cluster | undefined;
  #proxy: TcpProxy | undefined;
  #startedMs = 0;
  #rows: HistoryRow[] = [];
  #finalRows: HistoryRow[] = [];
  #events: Awaited<ReturnType<typeof readEvents>> = [];
  #seenAllMs = 0;

  constructor(private readonly options: ChaosOptions) {
    this.#clients = clientNames(options.clientCount);
    this.#data = join(options.folder, "data");
  }

  async start(): Promise<void> {
    const { options } = this;
    await mkdir(this.#data, { recursive: true });
    const port = await freePort();
    this.#proxy = await startTcpProxy(port);
    const throughProxy = `--import=${new URL("./through-proxy.js", import.meta.url).href}`;
    const url = `nats://127.0.0.1:${this.#proxy.port}`;
    this.#cluster = await startCluster({
      nodes: NODES.length,
      replicas: 2,
      folder: this.#data,
      env: {
        RINGDEX_PORT: String(port),
        CHAOS_PROXY_URL: url,
        NODE_OPTIONS: `${process.env["NODE_OPTIONS"] ?? ""} ${throughProxy}`.trim(),
      },
    });
    for (const node of NODES) {
      const isThere = this.#proxy.names().some((name) => name.startsWith(`ringdex ${node} `));
      if (!isThere) throw new Error(`${node} does not go through the proxy: it could not be cut`);
    }
    const { store } = this.#cluster;
    const { seed, pace, processCount } = options;
    const plan = { url, store, seed, pace, processCount, clientsAll: this.#clients };
    await this.#load.start({ ...plan, probes: await this.#probeKeys() }, options.folder);
    this.#startedMs = machineMs();
    await sleep(systemClock, options.calmMs);
    this.#note("no fault", this.#startedMs);
  }

  async faults(): Promise<void> {
    const { seed, seconds, rounds, say } = this.options;
    const endMs = machineMs() + seconds * 1_000;
    for (const round of rounds ?? planFaults(seededChance(seed), NODES)) {
      this.#load.check();
      if (rounds === undefined && this.#isEnough(endMs)) return;
      const fromMs = machineMs();
      await carryOut(this.#running, round);
      const overMs = machineMs();
      const isWell = await this.#isWell();
      const wellMs = machineMs();
      await sleep(systemClock, PAUSE_MS);
      const name = describeRound(round);
      this.#note(name, fromMs, { lastedMs: overMs - fromMs, wellMs: wellMs - overMs });
      const at = ((fromMs - this.#startedMs) / 1_000).toFixed(1).padStart(7);
      const lasted = ((overMs - fromMs) / 1_000).toFixed(1);
      const well = isWell ? `all serve after ${((wellMs - overMs) / 1_000).toFixed(1)} s` : "STUCK";
      say(`${at} s  ${name.padEnd(44)}  for ${lasted} s, ${well}`);
      if (isWell) continue;
      this.#problems.push(`${name}: not all replicas serve after ${WELL_LIMIT_MS} ms`);
      return;
    }
  }

  /** The time is over, and enough was answered; on a slow machine it takes longer. */
  #isEnough(endMs: number): boolean {
    const { seconds, operationsMin } = this.options;
    const overdueMs = machineMs() - endMs;
    if (overdueMs < 0) return false;
    return this.#load.hotAnswered >= operationsMin || overdueMs > seconds * 1_000;
  }

  /** Load off, everything at rest; what can be asked of the running cluster is asked. */
  async finish(): Promise<void> {
    const { say } = this.options;
    say("the load stops; everything is read back");
    this.#rows = await this.#load.stop();
    const { cluster } = this.#running;
    await this.#collect(() => equalReplicas(cluster));
    await this.#asOne(cluster, (recorder) => this.#writeLast(recorder));
    await this.#collect(() => equalReplicas(cluster));
    this.#events = await readEvents(cluster);
    this.#seenAllMs = machineMs();
    await this.#asOne(cluster, (recorder) => this.#readBack(recorder));
    await this.#collect(() => equalReplicas(cluster));
  }

  async end(): Promise<void> {
    this.#load.kill();
    await this.#cluster?.stop();
    await this.#proxy?.close();
  }

  async check(): Promise<ChaosReport> {
    const rows = [...this.#rows, ...this.#finalRows];
    await writeFile(join(this.options.folder, "history.jsonl"), formatHistory(rows));
    const events = this.#events.map((event) => `${JSON.stringify(event)}\n`).join("");
    await writeFile(join(this.options.folder, "events.jsonl"), events);
    return checkAll({
      rows,
      events: this.#events,
      seenAllMs: this.#seenAllMs,
      spans: this.#spans,
      problems: this.#problems,
      folder: this.options.folder,
      dataFolder: this.#data,
      seed: this.options.seed,
      clientCount: this.options.clientCount,
      operationsMin: this.options.operationsMin,
      unansweredShareMax: this.options.unansweredShareMax,
      needsPorcupine: this.options.needsPorcupine,
    });
  }

  get #running(): { readonly cluster: Cluster; readonly proxy: TcpProxy } {
    const [cluster, proxy] = [this.#cluster, this.#proxy];
    if (cluster === undefined || proxy === undefined) throw new Error("start() comes first");
    return { cluster, proxy };
  }

  #note(name: string, fromMs: number, more: Partial<Span> = {}): void {
    this.#spans.push({ name, fromMs, toMs: machineMs(), ...more });
  }

  /** All nodes are up and all replicas serve. Not that nothing is left to apply: there is load. */
  async #isWell(): Promise<boolean> {
    const { cluster } = this.#running;
    const serveAll = async (): Promise<boolean> => {
      const status = await cluster.status().catch(() => undefined);
      if (status === undefined || status.replicas.length < NODES.length * 2) return false;
      const areUp = status.nodes.every(({ state }) => state === "up");
      return areUp && status.replicas.every(({ state }) => state === "serving");
    };
    try {
      await until(serveAll, WELL_LIMIT_MS, "replicas that serve");
      return true;
    } catch {
      return false; // told as a problem, with the fault that did it
    }
  }

  async #collect(check: () => Promise<unknown>): Promise<void> {
    try {
      await check();
    } catch (error) {
      this.#problems.push(error instanceof Error ? error.message : String(error));
    }
  }

  /** By shard, keys in its positions. */
  async #probeKeys(): Promise<Record<string, string[]>> {
    const { cluster } = this.#running;
    const nats = await connectNats({ servers: cluster.url });
    try {
      const reply = await nats.request(`${cluster.store}.ring`, "", { timeout: 5_000 });
      const lookup = new RingLookup(parseRing(reply.json()));
      const keys: Record<string, string[]> = {};
      for (const key of probeKeys()) {
        const { shard } = lookup.shardOf(positionOf(key, lookup.ring.positionCount));
        const list = (keys[shard] ??= []);
        if (list.length < PROBE_KEYS) list.push(key);
        const lists = Object.values(keys);
        const isFull = lists.every(({ length }) => length === PROBE_KEYS);
        if (lists.length === lookup.ring.shards.length && isFull) break;
      }
      return keys;
    } finally {
      await nats.close();
    }
  }

  /** As one more client, alone. */
  async #asOne(cluster: Cluster, work: (recorder: Recorder) => Promise<void>): Promise<void> {
    const db = await connect<unknown>({ servers: cluster.url, name: `${CLIENT_NAME} final` });
    const write = (row: HistoryRow): void => void this.#finalRows.push(row);
    const access = new ClientAccess(db, new Session(), FINAL_TIMEOUT_MS);
    const recorder = new Recorder(`final${this.#finalRows.length}`, access, { write });
    try {
      await work(recorder);
    } finally {
      await db.close();
    }
  }

  /** Each hot key once more, so that a last revision is known of each (porcupine/main.go). */
  async #writeLast(recorder: Recorder): Promise<void> {
    for (const key of hotCounters) await recorder.one({ verb: "incr", key, by: 1 });
    for (const key of hotRegisters) await recorder.one({ verb: "set", key, value: '"last"' });
  }

  /** Every key, and every question that the load asks, once more: now there is one right answer. */
  async #readBack(recorder: Recorder): Promise<void> {
    const own = this.#clients.flatMap(ownKeys);
    const others = [...new Set(this.#events.map(({ key }) => key))];
    const keys = [...new Set([...hotKeys, ...pairs.flat(), ...own, ...others])];
    const level = "linearizable";
    for (let at = 0; at < keys.length; at += BATCH_KEYS) {
      const some = keys.slice(at, at + BATCH_KEYS).map((key) => ({ verb: "get" as const, key }));
      await recorder.many("batch", some);
    }
    for (const client of this.#clients) {
      await recorder.query("find", { where: { client }, limit: 7, level });
      await recorder.query("count", { where: { client, group: { $gte: 2 } }, level });
      await recorder.query("keys", { prefix: ownPrefix(client), limit: 500, level });
    }
    for (let group = 0; group < GROUPS; group += 1) {
      await recorder.query("find", { where: { group }, limit: 500, level });
      await recorder.query("count", { where: { group }, level });
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
