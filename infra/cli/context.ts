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

export interface CliIo {
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadableStream;
  /** Writes text to stdout as it is; the caller ends its lines. */
  readonly out: (text: string | Uint8Array) => void;
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
  /** The settings that this command's options and the environment say. */
  settings(command: Command): Settings;
  /** Connects as the command's options say (addConnectionOptions); closed when it ends. */
  connect(command: Command): Promise<CliConnection>;
  /** The code to end with when the command returns without throwing. Default "ok". */
  exit(exit: ExitName): void;
  /** From now on all lines begin with the time: for a file that is read days later. */
  beginLinesWithTimes(): void;
}

const CONNECT_TIMEOUT_MS = 3_000;

/** A context for one run, and what ends it. */
export class RunContext implements CliContext {
  exitName: ExitName = "ok";
  #open: NatsConnection[] = [];
  #hasTimes = false;

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
  readonly out = (text: string | Uint8Array): void =>
    this.io.out(this.#hasTimes ? withTimes(String(text)) : text);
  readonly stderr = (text: string): void => this.io.stderr(this.#hasTimes ? withTimes(text) : text);

  settings(command: Command): Settings {
    return settingsOf(this.io.env, settingFlagsOf(command));
  }

  async connect(command: Command): Promise<CliConnection> {
    const settings = this.settings(command);
    const { url, store } = await addressOf(settings);
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
        `cannot reach ${shownUrl(url)} (${why}); start a cluster with "make cluster" or ` +
          `"npx ringdex up", or say where it is with -s or RINGDEX_NATS_URL`,
        { cause: error },
      );
    }
  }

  exit(exit: ExitName): void {
    this.exitName = exit;
  }

  beginLinesWithTimes(): void {
    this.#hasTimes = true;
  }

  /** Closes what connect() opened. */
  async close(): Promise<void> {
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
  for (const setting of settingsTable.filter(({ name }) => names.includes(name))) {
    const { flag, unit } = setting;
    if (flag === undefined) continue;
    const option = new Option(`--${flag} <${unit}>`, aboutOf(setting));
    const isCredential = (credentialSettingNames as readonly string[]).includes(setting.name);
    if (isCredential) option.helpGroup("Credentials for NATS (docs/security.md):");
    command.addOption(option);
  }
  const secrets = settingsTable.filter(({ name, flag }) => names.includes(name) && !flag);
  if (secrets.length > 0) {
    const variables = secrets.map(({ variable }) => variable).join(" and ");
    command.addHelpText("after", `\nAnd by ${variables}, which everybody could read in a flag.`);
  }
  return command;
}

/** The options of every command that talks to a running store, whatever server it is at. */
export function addConnectionOptions(command: Command): Command {
  const about = "the store's NATS server; default: that of the cluster on the data folder";
  for (const setting of settingsTable.filter(({ name }) => name === "natsUrl")) {
    const { flag = "", unit } = setting;
    command.addOption(new Option(`--${flag} <${unit}>`, aboutOf({ ...setting, about })));
  }
  return addSettingOptions(command, ["store", ...credentialSettingNames]);
}

/** What was typed for each setting's option. */
export function settingFlagsOf(command: Command): SettingFlags {
  const typed = command.opts<Record<string, string | undefined>>();
  const flags = settingsTable.map(
    ({ name, flag }) => [name, flag === undefined ? flag : typed[attributeOf(flag)]] as const,
  );
  return Object.fromEntries(flags);
}

function aboutOf(setting: Setting): string {
  const fallback = setting.default === "" ? "" : `, default ${setting.default}`;
  return `${setting.about} (${setting.limit}; ${setting.variable}${fallback})`;
}

/** How commander names the attribute of `--nats-url`: natsUrl. */
function attributeOf(flag: string): string {
  return flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
