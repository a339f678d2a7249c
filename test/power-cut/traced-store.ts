/**
 * Traced store: a real store of which every system call on its files is written down, and of which
 * one machine, or all, can lose power.
 *
 * nats-server, the supervisor and each node are machines of their own, with a disk each. A machine
 * that loses power is ended by SIGKILL, and its disk is put back to what a power cut would have
 * left of it (disk.ts) before it is started again.
 */
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { dataPaths } from "../../infra/main/server/data-folder.js";
import { findNatsServer } from "../../infra/nats-server/nats-binary.js";
import {
  commandLine,
  signalTo,
  startNatsServer,
  type NatsServer,
} from "../../infra/nats-server/nats-server.js";
import { natsConf } from "../../protocol/nats/nats-conf.js";
import { startCluster, type Cluster } from "../support/cluster.js";
import type { SeededChance } from "../support/manual-clock.js";
import { until } from "../support/until.js";
import { diskAt, readImage, untraced, writeImage } from "./cut.js";
import type { Disk, Image, Loss } from "./disk.js";
import { straceCommand } from "./trace.js";

const NODES = 3;
const REPLICAS = 2;
const END_TIMEOUT_MS = 10_000;
const MS_PER_SECOND = 1_000;
const SYNC_ALWAYS = "  sync_interval: always\n";

/** nats-server's `sync_interval`: ours, or what it takes by itself, two minutes. */
export type Syncing = "always" | "default";

export interface Loses {
  readonly loss: Loss;
  readonly chance: SeededChance;
  /** Wall clock; default: the moment at which the machine was ended. */
  readonly atMs?: number;
}

/** Of nats-servers that run: a test that ends without stop() leaves none behind. */
const servers = new Set<number>();
process.once("exit", () => {
  for (const pid of servers) signalTo(pid, "SIGKILL");
});

export class TracedStore {
  #server: NatsServer | undefined;
  #cluster: Cluster | undefined;
  /** By the root of a machine's disk: what was there when its trace began. */
  readonly #bases = new Map<string, Image>();

  constructor(
    readonly folder: string,
    private readonly syncing: Syncing,
  ) {
    mkdirSync(folder, { recursive: true });
  }

  get cluster(): Cluster {
    if (this.#cluster === undefined) throw new Error("the store does not run");
    return this.#cluster;
  }

  get url(): string {
    return this.cluster.url;
  }

  get dataFolder(): string {
    return join(this.folder, "data");
  }

  /** With all that is in its folder; that counts as durable. */
  async start(): Promise<void> {
    await this.startServer();
    await this.startNodes();
  }

  async startServer(): Promise<void> {
    const nats = join(this.folder, "nats");
    const port = this.#server?.port ?? -1;
    this.#bases.set(this.#serverDisk, await readImage(this.#serverDisk));
    rmSync(this.#serverTrace, { force: true });
    mkdirSync(this.#serverDisk, { recursive: true });
    const configFile = join(nats, "nats.conf");
    const conf = natsConf({ store: "kv", port, dataFolder: this.#serverDisk });
    if (!conf.includes(SYNC_ALWAYS)) throw new Error("natsConf() does not sync always");
    writeFileSync(configFile, this.syncing === "always" ? conf : conf.replace(SYNC_ALWAYS, ""));
    // What is started is a script of that name, which becomes the traced nats-server.
    const binary = join(nats, "nats-server");
    const command = [...straceCommand(this.#serverTrace), await findNatsServer()];
    writeFileSync(binary, `#!/bin/sh\nexec ${command.map(quoted).join(" ")} "$@"\n`);
    chmodSync(binary, 0o755);
    const pidFile = join(nats, "nats-server.pid");
    const logFile = join(nats, "nats-server.log");
    const server = await startNatsServer({ binary, configFile, pidFile, logFile });
    servers.add(server.pid);
    void server.exited.finally(() => servers.delete(server.pid));
    this.#server = server;
  }

  async startNodes(): Promise<void> {
    for (const disk of [this.dataFolder, ...this.#nodeDisks]) {
      this.#bases.set(disk, await readImage(disk, this.#otherDisk(disk)));
    }
    rmSync(this.#nodesTrace, { force: true });
    this.#cluster = await startCluster({
      folder: this.dataFolder,
      nodes: NODES,
      replicas: REPLICAS,
      env: { RINGDEX_NATS_URL: `nats://127.0.0.1:${this.#server?.port}` },
      launcher: straceCommand(this.#nodesTrace),
    });
  }

  /** All machines lose power at the same moment. start() starts them again. */
  async cutAll(loses: Loses): Promise<void> {
    const { nodes } = await this.cluster.status();
    const pids = nodes.flatMap(({ pid }) => pid ?? []);
    pids.push(this.cluster.pid, this.#server?.pid ?? 0);
    await killed(pids);
    await this.cluster.down();
    this.#cluster = undefined;
    for (const disk of this.#disks) await this.#cut(disk, loses);
  }

  /** nats-server's machine loses power and comes back; the nodes live on. What was left of it. */
  async cutServer(loses: Loses): Promise<Image> {
    await killed([this.#server?.pid ?? 0]);
    await this.#cut(this.#serverDisk, loses);
    const left = await readImage(this.#serverDisk);
    await this.startServer();
    return left;
  }

  /** A node's machine loses power. Its supervisor, which starts it again, does not notice early. */
  async cutNode(node: string, loses: Loses): Promise<void> {
    const pid = await this.cluster.nodePid(node);
    signalTo(this.cluster.pid, "SIGSTOP");
    try {
      signalTo(pid, "SIGKILL");
      // It is its parent's to take note of, who does not now.
      await until(async () => (await commandLine(pid)) === "", END_TIMEOUT_MS, `end of ${node}`);
      await this.#cut(dataPaths(this.dataFolder).node(node), loses);
    } finally {
      signalTo(this.cluster.pid, "SIGCONT");
    }
  }

  /** In order: what the disks hold then counts as durable at the next start. */
  async stop(): Promise<void> {
    await this.stopNodes();
    await this.#server?.stop();
  }

  async stopNodes(): Promise<void> {
    await this.#cluster?.down();
    this.#cluster = undefined;
  }

  /** The replicas begin anew, from the logs that are given or there. The store does not run. */
  async removeStores(logs?: Image): Promise<void> {
    if (logs !== undefined) await writeImage(this.#serverDisk, logs);
    for (const disk of this.#nodeDisks) await rm(join(disk, "stores"), { recursive: true });
  }

  /** Puts all disks back afterwards to what they hold now. The store does not run. */
  async onCopy<Result>(task: () => Promise<Result>): Promise<Result> {
    const images = new Map<string, Image>();
    for (const disk of this.#disks) {
      images.set(disk, await readImage(disk, this.#otherDisk(disk)));
    }
    try {
      return await task();
    } finally {
      for (const [disk, image] of images) await writeImage(disk, image, this.#otherDisk(disk));
    }
  }

  /** Rejects if the trace tells something else than the disk: it would be cut to anything. */
  async #cut(root: string, { loss, chance, atMs }: Loses): Promise<void> {
    const other = this.#otherDisk(root);
    const [least, found] = [this.#disk(root).now(), await readImage(root, other)];
    const most = this.#disk(root, Infinity, true).now();
    const isOwn = (path: string): boolean => !path.startsWith(`${other}/`);
    const paths = untraced(found, least, most).filter(isOwn);
    if (paths.length > 0) throw new Error(`${root}: not as traced: ${paths.join(", ")}`);
    await writeImage(root, this.#disk(root, atMs).after(loss, chance), other);
  }

  /** Where in a disk others are mounted: those of the nodes in the supervisor's. */
  #otherDisk(root: string): string | undefined {
    return root === this.dataFolder ? "nodes" : undefined;
  }

  #disk(root: string, atMs = Infinity, underWay = false): Disk {
    const base = this.#bases.get(root) ?? { files: new Map(), folders: new Set() };
    const traceFile = root === this.#serverDisk ? this.#serverTrace : this.#nodesTrace;
    return diskAt({ root, base, traceFile, atSeconds: atMs / MS_PER_SECOND, underWay });
  }

  get #disks(): string[] {
    return [this.#serverDisk, this.dataFolder, ...this.#nodeDisks];
  }

  get #serverDisk(): string {
    return join(this.folder, "nats", "jetstream");
  }

  get #nodeDisks(): string[] {
    const paths = dataPaths(this.dataFolder);
    return Array.from({ length: NODES }, (_, index) => paths.node(`n${index + 1}`));
  }

  get #serverTrace(): string {
    return join(this.folder, "nats.trace");
  }

  get #nodesTrace(): string {
    return join(this.folder, "nodes.trace");
  }
}

async function killed(pids: readonly number[]): Promise<void> {
  for (const pid of pids) signalTo(pid, "SIGKILL");
  for (const pid of pids) {
    await until(async () => (await commandLine(pid)) === "", END_TIMEOUT_MS, `the end of ${pid}`);
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
