/**
 * A cluster behind docs/secure.nats.conf: a nats-server of that file, with TLS and a password for
 * each role, and `ringdex up` with the node's credentials. Only folder and port are not the file's.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect as connectNats, type NatsConnection } from "nats";
import { connect, type Ringdex } from "../../infra/client/client.js";
import { exitOf, stopChild } from "../../infra/nats-server/nats-server.js";
import { connectionCredentials } from "../../infra/nats/credentials.js";
import { roleNames, type RoleName } from "../../protocol/nats/nats-roles.js";
import { root } from "../docs/pages.js";
import { startTestServer, type TestServer } from "../support/nats-server.js";
import { runProgram, type Ran } from "../support/run-program.js";
import { until } from "../support/until.js";
import { makeCertificates } from "./certificates.js";

const program = fileURLToPath(new URL("../../infra/cli/ringdex.js", import.meta.url));
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 60_000;

export interface SecureStore {
  readonly folder: string;
  readonly dataFolder: string;
  readonly url: string;
  readonly caFile: string;
  /** stdout and stderr of `ringdex up`. */
  readonly output: string;
  readonly pid: number;
  passwordOf(role: RoleName | "sys"): string;
  /** A plain connection of nats.js. */
  nats(role: RoleName): Promise<NatsConnection>;
  client(role: RoleName): Promise<Ringdex>;
  /** Runs the command line as that role. */
  cli(role: RoleName, argumentList: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ran>;
  stop(): Promise<void>;
}

export async function startSecureStore(): Promise<SecureStore> {
  const folder = mkdtempSync(join(tmpdir(), "ringdex-secure-"));
  makeCertificates(join(folder, "tls"));
  const text = readFileSync(join(root, "docs/secure.nats.conf"), "utf8");
  const config = text.replaceAll("./tls/", "%FOLDER%/tls/").replace("./data/nats", "%FOLDER%/js");
  const passwords = passwordVariables();
  Object.assign(process.env, passwords);
  let server: TestServer;
  try {
    server = await startTestServer({ config, folder });
  } finally {
    for (const name of Object.keys(passwords)) delete process.env[name];
  }
  const store = new RunningSecureStore(folder, server);
  try {
    await store.start();
  } catch (error) {
    await store.stop();
    throw error;
  }
  return store;
}

function passwordOf(role: string): string {
  return `secret-of-${role}-7f3a`;
}

function passwordVariables(): Record<string, string> {
  const users = [...roleNames, "sys"];
  const rows = users.map((user) => [`RINGDEX_${user.toUpperCase()}_PASSWORD`, passwordOf(user)]);
  return Object.fromEntries(rows) as Record<string, string>;
}

class RunningSecureStore implements SecureStore {
  output = "";
  #child: ChildProcess | undefined;
  readonly #open: { close(): Promise<void> }[] = [];

  constructor(
    readonly folder: string,
    private readonly server: TestServer,
  ) {}

  get url(): string {
    return `tls://127.0.0.1:${this.server.port}`;
  }
  get caFile(): string {
    return join(this.folder, "tls", "ca.pem");
  }
  get dataFolder(): string {
    return join(this.folder, "data");
  }
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  passwordOf(role: RoleName | "sys"): string {
    return passwordOf(role);
  }

  async start(): Promise<void> {
    const env = { ...process.env, ...this.#envOf("node"), RINGDEX_DATA: this.dataFolder };
    const child = spawn(process.execPath, [program, "up"], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    this.#child = child;
    process.once("exit", () => child.kill("SIGKILL"));
    const keep = (text: string): unknown => (this.output += text);
    child.stdout.setEncoding("utf8").on("data", keep);
    child.stderr.setEncoding("utf8").on("data", keep);
    const isReady = (): boolean => {
      if (child.exitCode !== null) throw new Error(`"ringdex up" ended:\n${this.output}`);
      return /^ready /m.test(this.output);
    };
    await until(isReady, START_LIMIT_MS, "the ready line");
  }

  async nats(role: RoleName): Promise<NatsConnection> {
    const credentials = { user: role, password: passwordOf(role), tlsCaFile: this.caFile };
    const natsOptions = connectionCredentials(credentials);
    const connection = await connectNats({
      servers: this.url,
      noAsyncTraces: true,
      ...natsOptions,
    });
    this.#open.push(connection);
    return connection;
  }

  async client(role: RoleName): Promise<Ringdex> {
    const client = await connect({
      servers: this.url,
      user: role,
      pass: passwordOf(role),
      tls: { caFile: this.caFile },
      ...(role === "events" ? { jetstreamDomain: "kv" } : {}),
    });
    this.#open.push(client);
    return client;
  }

  cli(role: RoleName, argumentList: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
    const domain = role === "events" ? { RINGDEX_NATS_DOMAIN: "kv" } : {};
    const all = { ...this.#envOf(role), ...domain, ...env };
    return runProgram(process.execPath, [program, ...argumentList], { env: all });
  }

  async stop(): Promise<void> {
    for (const each of this.#open.splice(0)) await each.close();
    const child = this.#child;
    if (child !== undefined) await stopChild(child, exitOf(child), "SIGTERM", STOP_LIMIT_MS);
    await this.server.stop();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #envOf(role: RoleName): NodeJS.ProcessEnv {
    return {
      RINGDEX_NATS_URL: this.url,
      RINGDEX_NATS_USER: role,
      RINGDEX_NATS_PASSWORD: passwordOf(role),
      RINGDEX_NATS_TLS_CA: this.caFile,
    };
  }
}
