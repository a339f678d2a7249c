/**
 * A real nats-server for one test file: on 127.0.0.1, on a random port, in a folder of its own.
 *
 * `restart()` keeps folder and port, so clients find it again. `kill()` is SIGKILL: nothing is
 * flushed. A test that ends without `stop()` leaves nothing behind, as long as the test runner
 * itself is not killed.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNatsServer } from "../../infra/nats-server/nats-binary.js";
import { signalTo, startNatsServer, type NatsServer } from "../../infra/nats-server/nats-server.js";
import { mappingsOf } from "../../protocol/nats/nats-conf.js";

export interface TestServerOptions {
  /** Lines to add to the configuration; or all of it, if it has the placeholder `%FOLDER%`. */
  readonly config?: string;
  /** Whether the subject mapping of `store` is in the configuration. Default true. */
  readonly mapping?: boolean;
  /** Fsync each message, as in production. Default false: tests need the speed more. */
  readonly syncAlways?: boolean;
  /** Default "kv". */
  readonly store?: string;
  /** Data to start with (made if missing); it is then not removed by `stop()`. */
  readonly folder?: string;
  /** Keep the folder on `stop()`. */
  readonly keep?: boolean;
  /** Default: a free one. */
  readonly port?: number;
}

export interface TestServer {
  readonly url: string;
  readonly port: number;
  /** The running process's id; changes with a restart. */
  readonly pid: number;
  readonly folder: string;
  readonly logFile: string;
  /** Ends it for good and removes its folder. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Ends it by SIGKILL; the data stays for `restart()`. */
  kill(): Promise<void>;
  /** Ends it if it runs (SIGTERM), and starts it again with the same data and port. */
  restart(): Promise<void>;
}

const running = new Set<number>();
process.once("exit", () => {
  for (const pid of running) signalTo(pid, "SIGKILL");
});

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const binary = await findNatsServer();
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "ringdex-nats-"));
  mkdirSync(folder, { recursive: true });
  const configFile = join(folder, "nats.conf");
  const pidFile = join(folder, "nats-server.pid");
  const logFile = join(folder, "nats-server.log");
  writeFileSync(configFile, configOf(options, folder));

  const start = async (port: number): Promise<NatsServer> => {
    const host = "127.0.0.1";
    const files = { configFile, pidFile, logFile };
    const started = await startNatsServer({ binary, ...files, host, port, detached: false });
    running.add(started.pid);
    void started.exited.then(() => running.delete(started.pid));
    return started;
  };
  let server = await start(options.port ?? -1);
  const { port } = server;

  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    folder,
    logFile,
    get pid() {
      return server.pid;
    },
    async stop(signal) {
      await server.stop(signal);
      const isOurs = options.folder === undefined && options.keep !== true;
      if (isOurs) rmSync(folder, { recursive: true, force: true });
    },
    async kill() {
      await server.stop("SIGKILL");
    },
    async restart() {
      await server.stop();
      server = await start(port);
    },
  };
}

function configOf(options: TestServerOptions, folder: string): string {
  const text = options.config ?? "";
  if (text.includes("%FOLDER%")) return text.replaceAll("%FOLDER%", folder);
  const sync = options.syncAlways === true ? "always" : "2m";
  return [
    `jetstream { store_dir: ${JSON.stringify(join(folder, "data"))}, sync_interval: ${sync} }`,
    options.mapping === false ? "" : mappingBlock(options.store ?? "kv"),
    text,
    "",
  ].join("\n");
}

function mappingBlock(store: string): string {
  const lines = mappingsOf(store).map(({ source, destination }) => `"${source}": "${destination}"`);
  return `mappings {\n${lines.join("\n")}\n}`;
}
