/**
 * What every command gets: where to write, its settings, a connection, and how to fail.
 *
 * Commands never touch process.stdout, process.env or process.exit, so that tests can run them in
 * their own process. They write results with `out`, say everything else with `stderr`, and fail by
 * throwing: exit-codes.ts decides what a thrown error means.
 */
import { Option, type Command } from "commander";
import type { NatsConnection } from "nats";
import { KvError } from "../../protocol/errors.js";
import { LOG_FILE_BYTES_MAX, LOG_FILES_MAX, LogFile } from "../files/log-file.js";
import { packageFolder } from "../files/package-version.js";
import { withTimes } from "../files/timed-lines.js";
import { dataPaths, liveAddress, type Address } from "../main/server/data-folder.js";
import { openConnection } from "../nats/connection.js";
import { withoutCredentials } from "../nats/credentials.js";
import {
  credentialSettingNames,
  credentialsOf,
  settingsOf,
  settingsTable,
  type Setting,
  type SettingFlags,
  type SettingName,
  type Settings,
} from "../settings/config.js";
import { CommandFailed, type ExitName } from "./exit-codes.js";
import { programCall, startCall, type Surroundings } from "./program-call.js";

export interface CliIo {
  /** The bytes of the process's command line (argument-bytes.ts); undefined = cannot be seen. */
  readonly commandLine?: () => Uint8Array | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadableStream;
  /**
   * Writes text to stdout as it is; the caller ends its lines. To be waited for: it resolves when
   * the reader has room for more, and rejects with OutputFailed.
   */
  readonly out: (text: string | Uint8Array) => void | Promise<void>;
  /** Resolves when all that was written is out; undefined = it always is. */
  readonly outEnd?: (() => Promise<void>) | undefined;
  /** Fires when nothing more can be written; undefined = it never does. */
  readonly outFailed?: AbortSignal | undefined;
  /** Writes text to stderr as it is. */
  readonly stderr: (text: string) => void;
  /** True if a person looks at stdout: tables and bars, not only lines. */
  readonly isTerminal: boolean;
  /** Characters in a line of stdout's terminal; undefined = it is none, so nothing is cut. */
  readonly columns?: number | undefined;
  /** Where a progress bar may be drawn: stderr, if it is a terminal. */
  readonly bar?: NodeJS.WritableStream | undefined;
  /** Fires on Ctrl-C and SIGTERM, which no longer end the process once this has been read. */
  readonly stopping: AbortSignal;
}

export interface CliConnection {
  readonly nats: NatsConnection;
  readonly url: string;
  readonly store: string;
  /** JetStream's; undefined = none. */
  readonly domain: string | undefined;
}

export interface CliContext extends CliIo {
  /** How a person calls this program and starts a cluster, for hints (program-call.ts). */
  readonly surroundings: Surroundings;
  readonly out: (text: string | Uint8Array) => Promise<void>;
  /** The settings that this command's options and the environment say. */
  settings(command: Command): Settings;
  /** Connects as the command's options say (addConnectionOptions); closed when it ends. */
  connect(command: Command): Promise<CliConnection>;
  /** The code to end with when the command returns without throwing. Default "ok". */
  exit(exit: ExitName): void;
  /** From now on all lines begin with the time: for a file that is read days later. */
  beginLinesWithTimes(): void;
  /** From now on all lines go to this file, which is rotated by size. */
  beginLogFile(file: string): void;
}

const CONNECT_TIMEOUT_MS = 3_000;

/** A context for one run, and what ends it. */
export class RunContext implements CliContext {
  exitName: ExitName = "ok";
  #open: NatsConnection[] = [];
  #hasTimes = false;
  #logFile: LogFile | undefined;

  constructor(private readonly io: CliIo) {}

  get env(): NodeJS.ProcessEnv {
    return this.io.env;
  }
  get stdin(): NodeJS.ReadableStream {
    return this.io.stdin;
  }
  get isTerminal(): boolean {
    return this.io.isTerminal;
  }
  get columns(): number | undefined {
    return this.io.columns;
  }
  get bar(): NodeJS.WritableStream | undefined {
    return this.io.bar;
  }
  get stopping(): AbortSignal {
    return this.io.stopping;
  }
  get outFailed(): AbortSignal | undefined {
    return this.io.outFailed;
  }
  readonly out = async (text: string | Uint8Array): Promise<void> => {
    if (!this.#hasTimes) return this.io.out(text);
    const timed = withTimes(String(text));
    if (!this.#logged(timed)) await this.io.out(timed);
  };
  readonly stderr = (text: string): void => {
    const timed = this.#hasTimes ? withTimes(text) : text;
    if (!this.#logged(timed)) this.io.stderr(timed);
  };

  get surroundings(): Surroundings {
    return { cwd: process.cwd(), path: this.io.env["PATH"], packageFolder: packageFolder() };
  }

  settings(command: Command): Settings {
    const flags = settingFlagsOf(command);
    // A folder that was typed says more of where the store is than a variable.
    const isByFolder = flags.dataFolder !== undefined && flags.natsUrl === undefined;
    const env = isByFolder ? { ...this.io.env, RINGDEX_NATS_URL: "" } : this.io.env;
    return settingsOf(env, flags);
  }

  async connect(command: Command): Promise<CliConnection> {
    const settings = this.settings(command);
    const { url, store } = await this.#addressOf(settings, command);
    try {
      const nats = await openConnection({
        url,
        credentials: credentialsOf(settings),
        name: `ringdex ${command.name()}`,
        options: { timeout: CONNECT_TIMEOUT_MS },
      });
      this.#open.push(nats);
      return { nats, url, store, domain: settings.natsDomain };
    } catch (error) {
      if (!(error instanceof KvError) || error.kind === "bad-request") throw error;
      const why = error.cause instanceof Error ? error.cause.message : error.message;
      throw new CommandFailed(
        "unavailable",
        `cannot reach ${shownUrl(url)} (${why}); start a cluster with ` +
          `${startCall(this.surroundings)}, or say where it is with -s or RINGDEX_NATS_URL`,
        { cause: error },
      );
    }
  }

  /** Of a data folder that was typed only the cluster that runs on it will do. */
  async #addressOf(settings: Settings, command: Command): Promise<Address> {
    const { dataFolder, natsUrl } = settings;
    const isTyped = settingFlagsOf(command).dataFolder !== undefined;
    if (!isTyped || natsUrl !== undefined) return addressOf(settings);
    const live = await liveAddress(dataPaths(dataFolder)).catch(() => undefined);
    if (live !== undefined) {
      return { url: live.url, store: settings.asked.has("store") ? settings.store : live.store };
    }
    const start = `${programCall(this.surroundings)} up --data ${dataFolder}`;
    throw new CommandFailed(
      "unavailable",
      `no cluster runs on ${dataFolder}; "${start}" starts one`,
    );
  }

  exit(exit: ExitName): void {
    this.exitName = exit;
  }

  beginLinesWithTimes(): void {
    this.#hasTimes = true;
  }

  beginLogFile(file: string): void {
    this.#logFile = new LogFile(file, LOG_FILE_BYTES_MAX, LOG_FILES_MAX);
  }

  /** True if the text went to the log file. A file that fails gives way to the stream. */
  #logged(text: string): boolean {
    try {
      this.#logFile?.write(text.replace(/\n$/, ""));
      return this.#logFile !== undefined;
    } catch {
      return false;
    }
  }

  /** Closes what connect() opened. */
  async close(): Promise<void> {
    this.#logFile?.close();
    await Promise.all(this.#open.splice(0).map((nats) => nats.close()));
  }
}

/** As asked; else where the cluster of the data folder runs; else where one runs by default. */
async function addressOf(settings: Settings): Promise<Address> {
  const { natsUrl, host, port, store, asked, dataFolder } = settings;
  if (natsUrl !== undefined) return { url: natsUrl, store };
  const byDefault = { url: `nats://${host === "0.0.0.0" ? "127.0.0.1" : host}:${port}`, store };
  // Port 0 asks for any free one: only the lock tells which it became.
  if (port !== 0 && (asked.has("host") || asked.has("port"))) return byDefault;
  // A lock that cannot be read, of somebody else's folder, names no cluster of ours.
  const live = await liveAddress(dataPaths(dataFolder)).catch(() => undefined);
  if (live === undefined) return byDefault;
  return { url: live.url, store: asked.has("store") ? store : live.store };
}

/** Without user and password: for messages. */
export function shownUrl(url: string): string {
  return withoutCredentials(url);
}

/** Adds an option for each of these settings, described as the table describes it. */
export function addSettingOptions(command: Command, names: readonly SettingName[]): Command {
  addOptionsFor(command, names);
  return addSecretsHelp(command, names);
}

function addOptionsFor(command: Command, names: readonly SettingName[]): void {
  for (const setting of settingsTable.filter(({ name }) => names.includes(name))) {
    const { flag, unit } = setting;
    if (flag === undefined) continue;
    const option = new Option(`--${flag} <${unit}>`, aboutOf(setting));
    const isCredential = (credentialSettingNames as readonly string[]).includes(setting.name);
    if (isCredential) option.helpGroup("Credentials for NATS (docs/security.md):");
    command.addOption(option);
  }
}

/** Says which settings have no option, and why. */
export function addSecretsHelp(command: Command, names: readonly SettingName[]): Command {
  const secrets = settingsTable.filter(({ name, flag }) => names.includes(name) && !flag);
  if (secrets.length > 0) {
    const variables = secrets.map(({ variable }) => variable).join(" and ");
    command.addHelpText("after", `\nAnd by ${variables}, which everybody could read in a flag.`);
  }
  return command;
}

/** The options of every command that talks to a running store, whatever server it is at. */
export function addConnectionOptions(command: Command): Command {
  const abouts: Partial<Record<SettingName, string>> = {
    natsUrl: "the store's NATS server; default: that of the cluster on the data folder",
    dataFolder: "the store is that of the cluster which runs on this data folder",
  };
  for (const setting of settingsTable) {
    const { name, flag = "", unit } = setting;
    const about = abouts[name];
    if (about === undefined) continue;
    command.addOption(new Option(`--${flag} <${unit}>`, aboutOf({ ...setting, about })));
  }
  addOptionsFor(command, ["store", ...credentialSettingNames]);
  return command;
}

/** What was typed for each setting's option: behind the command, or before it. */
export function settingFlagsOf(command: Command): SettingFlags {
  const before = command.parent === null ? {} : settingFlagsOf(command.parent);
  const typed = command.opts<Record<string, string | undefined>>();
  const flags = settingsTable.map(
    ({ name, flag }) => [name, flag === undefined ? flag : typed[attributeOf(flag)]] as const,
  );
  const own = flags.filter(([, text]) => text !== undefined);
  return { ...before, ...Object.fromEntries(own) };
}

function aboutOf(setting: Setting): string {
  const fallback = setting.default === "" ? "" : `, default ${setting.default}`;
  return `${setting.about} (${setting.limit}; ${setting.variable}${fallback})`;
}

/** How commander names the attribute of `--nats-url`: natsUrl. */
function attributeOf(flag: string): string {
  return flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
