/**
 * The supervisor: `ringdex up`. Starts nats-server and the nodes, and keeps them running.
 *
 * It has no data of its own, so that killing it loses nothing. Each child is in a process group of
 * its own: Ctrl-C reaches only the supervisor, which then stops the nodes first, while they can
 * still finish what they have taken, and nats-server last. A child that ends unasked is started
 * again (keep-running.ts). If the supervisor is killed, the nodes end because their stdin closes;
 * nats-server stays, and the next start recognises it by its pid file and stops it.
 *
 * On stdout it writes one line, `ready nats://…`, once all nodes serve, or some of them serve every
 * position while others still fill or read their stores; what happens on the way and later goes to
 * stderr, a short line each.
 *
 * With RINGDEX_NATS_URL it uses that server, and starts and stops none.
 */
import { chmod, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { natsConf } from "../../../protocol/nats/nats-conf.js";
import { Names } from "../../../protocol/nats/subjects.js";
import { systemClock } from "../../clock.js";
import { makeFolder } from "../../files/make-folder.js";
import {
  compareVersions,
  findNatsServer,
  natsServerVersion,
  NATS_SERVER_VERSION_MIN,
} from "../../nats-server/nats-binary.js";
import {
  findLeftover,
  readServerInfo,
  startNatsServer,
  stopLeftover,
  type NatsServer,
} from "../../nats-server/nats-server.js";
import { connectBus, type NatsBus } from "../../nats/nats-bus.js";
import {
  credentialsOf,
  credentialVariables,
  nodeArguments,
  nodeNames,
  type Settings,
} from "../../settings/config.js";
import {
  asRefusal,
  dataPaths,
  describeData,
  keepDescription,
  Refusal,
  takeLock,
  type DataDescription,
  type DataPaths,
  type Lock,
} from "./data-folder.js";
import { keepRunning } from "./keep-running.js";
import { applyLogBytesMax } from "./log-sizes.js";
import { describeExit, runNodeProcess, type NodeCommand } from "./node-process.js";
import { refuseOpenServer, serverCredentials } from "./open-server.js";
import { untilServed } from "./served-check.js";

const NATS_PORT_DEFAULT = 4222;

/** So long a start waits for all nodes, before it looks whether some of them serve everything. */
const LOOK_AFTER_MS = 10_000;

export interface SupervisorOptions {
  readonly settings: Settings;
  readonly env: NodeJS.ProcessEnv;
  /** The program and arguments that come before those of nodeArguments(). */
  readonly nodeCommand: NodeCommand;
  /** Fires when everything is to be stopped. */
  readonly stopping: AbortSignal;
  /** True if a server that anybody can reach may know no password. */
  readonly isOpenAllowed?: boolean;
  /** Default LOOK_AFTER_MS. */
  readonly lookAfterMs?: number;
  /** Writes a line to stdout: the ready line, once; and the nodes' logs if they go there. */
  readonly say: (line: string) => void;
  /** Writes a line to stderr: progress, restarts. */
  readonly report: (line: string) => void;
}

/**
 * Runs until `stopping` fires and everything has been stopped in order. Throws Refusal, having
 * stopped what it started, if it must not run like this.
 */
export async function runSupervisor(options: SupervisorOptions): Promise<void> {
  const paths = dataPaths(options.settings.dataFolder);
  const { stopping, report, settings } = options;
  refuseOpenServer(settings, options.isOpenAllowed === true);
  // Logs and stores are for their owner only; nats-server and the nodes inherit this.
  process.umask(0o077);
  const lock = await takeLock(paths);
  const supervisor = new Supervisor(options, paths, lock);
  // At once, whatever is under way: the person who pressed Ctrl-C wants to see that it was heard.
  const onStopping = (): void => report("stopping");
  stopping.addEventListener("abort", onStopping, { once: true });
  try {
    await supervisor.run();
  } finally {
    stopping.removeEventListener("abort", onStopping);
    await supervisor.stop();
    lock.release();
  }
  report("stopped");
}

class Supervisor {
  readonly #nodesStopping = new AbortController();
  readonly #serverStopping = new AbortController();
  #nodes: Promise<void>[] = [];
  #server: Promise<void> = Promise.resolve();

  constructor(
    private readonly options: SupervisorOptions,
    private readonly paths: DataPaths,
    private readonly lock: Lock,
  ) {}

  async run(): Promise<void> {
    const { settings, stopping, say, report } = this.options;
    const description = await describeData(this.paths, settings);
    if (stopping.aborted) return;
    const url = await this.startServer(description);
    if (stopping.aborted) return;
    const { store, nodes, replicas } = description;
    await keepDescription(this.paths, description);
    await this.lock.tell({ url, store });
    if (settings.asked.has("logBytesMax")) await this.sizeLogs(url, store);
    report(`starting ${nodes} node${nodes === 1 ? "" : "s"}`);
    const isReady = await this.startNodes(description, url);
    if (!isReady) return;
    say(`ready ${url} store=${store} nodes=${nodes} replicas=${replicas} data=${this.paths.root}`);
    await aborted(stopping);
  }

  /** Nodes first, nats-server last. */
  async stop(): Promise<void> {
    this.#nodesStopping.abort();
    await Promise.all(this.#nodes);
    this.#serverStopping.abort();
    await this.#server;
  }

  /** The URL for nodes and people. Resolves when the server serves. */
  private async startServer(description: DataDescription): Promise<string> {
    const { settings, env, report } = this.options;
    if (settings.natsUrl !== undefined) {
      await checkServer(settings.natsUrl);
      return settings.natsUrl;
    }
    await this.endLeftover();
    await refuseTakenPort(settings.host, settings.port);
    const binary = await findServer(settings, env, report);
    const server = await this.serve(binary, description, settings.port === 0 ? -1 : settings.port);
    report(`nats-server ${server.version} runs on port ${server.port}`);

    let first: NatsServer | undefined = server;
    const live = async (): Promise<string> => {
      // Clients and nodes look for it where it was: a restart keeps the port.
      const running = first ?? (await this.serve(binary, description, server.port));
      if (first === undefined) report("nats-server runs again");
      first = undefined;
      const stop = (): void => void running.stop();
      this.#serverStopping.signal.addEventListener("abort", stop, { once: true });
      if (this.#serverStopping.signal.aborted) stop();
      const exit = await running.exited;
      this.#serverStopping.signal.removeEventListener("abort", stop);
      return describeExit(exit);
    };
    this.#server = keepRunning("nats-server", live, this.#serverStopping.signal, report);
    return `nats://${settings.host === "0.0.0.0" ? "127.0.0.1" : settings.host}:${server.port}`;
  }

  private async serve(
    binary: string,
    description: DataDescription,
    port: number,
  ): Promise<NatsServer> {
    const { host } = this.options.settings;
    const { natsConf: configFile, natsPid: pidFile, natsLog: logFile, jetstream } = this.paths;
    const { store, positions: positionCount } = description;
    const credentials = serverCredentials(this.options.settings);
    const own = { store, positionCount, host, port, dataFolder: jetstream, pidFile };
    const conf = natsConf({ ...own, credentials });
    try {
      await makeFolder(this.paths.nats);
      await writeFile(configFile, conf, { mode: 0o600 });
      // One that was there keeps its rights otherwise, and now it may have a password.
      await chmod(configFile, 0o600);
    } catch (error) {
      throw asRefusal(this.paths.nats, error);
    }
    const signal = this.#serverStopping.signal;
    return startNatsServer({ binary, configFile, pidFile, logFile, signal });
  }

  private async sizeLogs(url: string, store: string): Promise<void> {
    const { settings, report } = this.options;
    const bus = await this.connect(url);
    try {
      await applyLogBytesMax(bus, new Names(store), settings.logBytesMax, report);
    } finally {
      await bus.close();
    }
  }

  private connect(url: string): Promise<NatsBus> {
    const { settings, report } = this.options;
    return connectBus({
      url,
      credentials: credentialsOf(settings),
      name: "ringdex up",
      clock: systemClock,
      onFailure: (error) => report(`a message of nats-server: ${String(error)}`),
    });
  }

  private async endLeftover(): Promise<void> {
    const pid = await findLeftover(this.paths.natsPid, this.paths.nats);
    if (pid === undefined) return;
    this.options.report(`stopping a nats-server that was left behind (process ${pid})`);
    await stopLeftover(pid, this.paths.nats);
  }

  /** True when every position is served, false if asked to stop before. */
  private async startNodes(description: DataDescription, natsUrl: string): Promise<boolean> {
    const { settings, nodeCommand, report } = this.options;
    const env = { ...this.options.env, ...credentialVariables(settings) };
    const { store, replicas: replicaCount } = description;
    const names = nodeNames(description.nodes);
    const waiting = new Set(names);
    const returning = new Set<string>();
    const signal = this.#nodesStopping.signal;
    let isUp = false;
    const allReady = new Promise<boolean>((resolve, reject) => {
      const onRefused = (reason: string): void => {
        // Later it is one node's trouble, which may pass; now it is what was asked for.
        if (isUp || waiting.size === 0) return;
        reject(new Refusal(reason));
        this.#nodesStopping.abort();
      };
      for (const name of names) {
        const folder = this.paths.node(name);
        // natsConf() configures our own server; of another one we know what its operator says.
        const syncInterval = settings.natsUrl === undefined ? "always" : settings.syncInterval;
        const own = { name, dataFolder: folder, natsUrl, store, replicaCount, syncInterval };
        const node = { ...settings, ...own, clusterNodes: names, endsWithStdin: true };
        const argumentList = nodeArguments(node);
        const command = {
          file: nodeCommand.file,
          argumentList: [...nodeCommand.argumentList, ...argumentList],
        };
        const onReady = (): void => {
          if (waiting.delete(name)) report(`${name} serves`);
          else if (returning.delete(name)) report(`${name} serves again`);
          if (waiting.size === 0) resolve(true);
        };
        const onLogLine = settings.logOutput === "file" ? (): void => undefined : this.options.say;
        const told = { onReady, onRefused, onLogLine };
        const child = { name, folder, command, env, stopping: signal, ...told };
        const live = async (): Promise<string> => {
          const ending = await runNodeProcess(child);
          if (!waiting.has(name)) returning.add(name);
          return ending;
        };
        this.#nodes.push(keepRunning(name, live, signal, report));
      }
    });
    const isReady = await this.firstOf(allReady, natsUrl, store);
    isUp = isReady;
    if (isReady && waiting.size > 0) {
      const late = [...waiting].join(", ");
      report(`${late}: not ready yet, it goes on by itself; the others serve every position`);
    }
    return isReady;
  }

  /** True when all nodes are ready, or every position is served; false if asked to stop before. */
  private async firstOf(
    allReady: Promise<boolean>,
    natsUrl: string,
    store: string,
  ): Promise<boolean> {
    const { stopping, lookAfterMs = LOOK_AFTER_MS } = this.options;
    // Without it only the nodes themselves say when they are ready.
    const bus = await this.connect(natsUrl).catch(() => undefined);
    const settled = new AbortController();
    const first = [allReady, aborted(stopping).then(() => false)];
    if (bus !== undefined) {
      first.push(untilServed(bus, new Names(store), lookAfterMs, settled.signal));
    }
    try {
      return await Promise.race(first);
    } finally {
      settled.abort();
      await bus?.close();
    }
  }
}

async function findServer(
  settings: Settings,
  env: NodeJS.ProcessEnv,
  onProgress: (line: string) => void,
): Promise<string> {
  const named = settings.natsServer;
  const asked = named === undefined ? env : { ...env, RINGDEX_NATS_SERVER: named };
  try {
    const binary = await findNatsServer({ env: asked, onProgress });
    onProgress(`using ${binary}, version ${await natsServerVersion(binary)}`);
    return binary;
  } catch (error) {
    throw new Refusal(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** Says now, in our words, what nats-server would say in its log. */
async function refuseTakenPort(host: string, port: number): Promise<void> {
  if (port === 0) return;
  const listening = new Promise<void>((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve()));
  });
  try {
    await listening;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE") {
      throw new Refusal(`cannot listen on ${host}:${port} (${code})`, { cause: error });
    }
    const info = await readServerInfo(host, port, 1_000).catch(() => undefined);
    throw new Refusal(
      `port ${port} is taken by ${info === undefined ? "another program" : "a NATS server"}; ` +
        `set RINGDEX_PORT to a free port` +
        (info === undefined ? "" : `, or use it with RINGDEX_NATS_URL=nats://${host}:${port}`),
      { cause: error },
    );
  }
}

/** Refuses a server that is not there, too old, or without JetStream. */
async function checkServer(natsUrl: string): Promise<void> {
  const url = new URL(natsUrl);
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? NATS_PORT_DEFAULT : Number(url.port);
  const info = await readServerInfo(host, port).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new Refusal(
      `RINGDEX_NATS_URL: no NATS server answers at ${host}:${port} (${why}); ` +
        `start it, or leave the variable out to have one started`,
      { cause: error },
    );
  });
  if (compareVersions(info.version, NATS_SERVER_VERSION_MIN) < 0) {
    throw new Refusal(
      `RINGDEX_NATS_URL: ${host}:${port} is nats-server ${info.version}; versions before ` +
        `${NATS_SERVER_VERSION_MIN} lose data, so upgrade it`,
    );
  }
  if (!info.jetstream) {
    throw new Refusal(
      `RINGDEX_NATS_URL: ${host}:${port} has no JetStream; start it with a configuration such ` +
        `as "ringdex nats-conf" prints`,
    );
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
