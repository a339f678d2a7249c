/**
 * Every setting, in one table: its variable and flag, unit, default and limits.
 *
 * `--help`, docs/operations.md and the parser all read this table. A flag wins over its variable.
 * A setting that was not asked for takes its default, but `ringdex up` on data that exist takes
 * what the data were made with; that is why a Settings object knows what was asked.
 */
import {
  EVENTS_BYTES_MAX,
  LOG_BYTES_MAX,
  NAME_CHARS_MAX,
  PATH_BYTES_MAX,
} from "../../protocol/limits.js";
import { checkStoreName } from "../../protocol/nats/subjects.js";
import {
  isInboxPrefix,
  splitUrl,
  withoutCredentials,
  type Credentials,
} from "../nats/credentials.js";

export const logLevels = ["error", "info", "debug"] as const;
export type LogLevel = (typeof logLevels)[number];

export const logOutputs = ["file", "stdout", "both"] as const;
export type LogOutput = (typeof logOutputs)[number];

export interface SettingValues {
  readonly host: string;
  readonly port: number;
  readonly dataFolder: string;
  readonly nodeCount: number;
  readonly replicaCount: number;
  readonly store: string;
  readonly natsUrl: string | undefined;
  readonly natsServer: string | undefined;
  readonly natsUser: string | undefined;
  readonly natsPassword: string | undefined;
  readonly natsToken: string | undefined;
  readonly natsNkey: string | undefined;
  readonly natsCreds: string | undefined;
  readonly natsTlsCa: string | undefined;
  readonly natsTlsCert: string | undefined;
  readonly natsTlsKey: string | undefined;
  readonly natsInboxPrefix: string | undefined;
  readonly natsDomain: string | undefined;
  readonly logLevel: LogLevel;
  readonly logOutput: LogOutput;
  readonly syncInterval: string;
  readonly logBytesMax: number;
  readonly eventsBytesMax: number;
  readonly indexExclude: readonly string[];
}

export type SettingName = keyof SettingValues;

export interface Settings extends SettingValues {
  /** The settings that a flag or a variable named. */
  readonly asked: ReadonlySet<SettingName>;
}

export interface Setting<Name extends SettingName = SettingName> {
  readonly name: Name;
  readonly variable: string;
  /**
   * Without the leading dashes. Undefined = there is none: everybody on the machine can read the
   * arguments of a process, so a secret is set by its variable.
   */
  readonly flag: string | undefined;
  /** What stands for the value in help: a word that says the unit. */
  readonly unit: string;
  /** As one would type it; "" = none. */
  readonly default: string;
  /** What is allowed, as a phrase: "1 … 64". */
  readonly limit: string;
  readonly about: string;
  /** Undefined if the text is not allowed. */
  readonly parse: (text: string) => SettingValues[Name] | undefined;
}

/** A setting that cannot be: names it, what was received and what is allowed. */
export class SettingError extends Error {
  override readonly name = "SettingError";
}

export const NODES_MAX = 64;
/** What status says of a nats-server whose configuration we did not write. */
export const SYNC_INTERVAL_UNKNOWN = "unknown";
const KIB = 1_024;
const BYTES_MIN = 1_024 * KIB;
const BYTES_MAX = 1_024 ** 5;

type Table = { readonly [Name in SettingName]: Omit<Setting<Name>, "name"> };

const asTyped = (text: string): string => text;
const asName = (text: string): string | undefined => (/^[\w-]+$/.test(text) ? text : undefined);

function parseSyncInterval(text: string): string | undefined {
  if (text === "always" || text === SYNC_INTERVAL_UNKNOWN) return text;
  return /^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text) ? text : undefined;
}

/** How to say to NATS who one is, and whom to believe (infra/nats/credentials.ts). */
const credentialSettings = {
  natsUser: {
    variable: "RINGDEX_NATS_USER",
    flag: "nats-user",
    unit: "name",
    default: "",
    limit: "a user of the NATS server",
    about: "who one is for NATS; replies then come below _INBOX and this name",
    parse: asTyped,
  },
  natsPassword: {
    variable: "RINGDEX_NATS_PASSWORD",
    flag: undefined,
    unit: "text",
    default: "",
    limit: "the user's password",
    about: "password of that user; no flag, as everybody could read it there",
    parse: asTyped,
  },
  natsToken: {
    variable: "RINGDEX_NATS_TOKEN",
    flag: undefined,
    unit: "text",
    default: "",
    limit: "the token of the NATS server",
    about: "for a server that knows no users; no flag, as everybody could read it there",
    parse: asTyped,
  },
  natsNkey: {
    variable: "RINGDEX_NATS_NKEY",
    flag: "nats-nkey",
    unit: "file",
    default: "",
    limit: "a file with an nkey seed",
    about: "in place of user and password",
    parse: asTyped,
  },
  natsCreds: {
    variable: "RINGDEX_NATS_CREDS",
    flag: "nats-creds",
    unit: "file",
    default: "",
    limit: "a creds file with JWT and seed",
    about: "in place of user and password",
    parse: asTyped,
  },
  natsTlsCa: {
    variable: "RINGDEX_NATS_TLS_CA",
    flag: "nats-tls-ca",
    unit: "file",
    default: "",
    limit: "a PEM file",
    about: "who may have signed the server's certificate; otherwise whom Node.js trusts",
    parse: asTyped,
  },
  natsTlsCert: {
    variable: "RINGDEX_NATS_TLS_CERT",
    flag: "nats-tls-cert",
    unit: "file",
    default: "",
    limit: "a PEM file",
    about: "certificate to show to a server that asks for one",
    parse: asTyped,
  },
  natsTlsKey: {
    variable: "RINGDEX_NATS_TLS_KEY",
    flag: "nats-tls-key",
    unit: "file",
    default: "",
    limit: "a PEM file",
    about: "key of that certificate",
    parse: asTyped,
  },
  natsInboxPrefix: {
    variable: "RINGDEX_NATS_INBOX_PREFIX",
    flag: "nats-inbox-prefix",
    unit: "subject",
    default: "",
    limit: "tokens without wildcards, such as _INBOX.reader",
    about: "where replies come to, if the user may not read all of _INBOX",
    parse: (text: string) => (isInboxPrefix(text) ? text : undefined),
  },
  natsDomain: {
    variable: "RINGDEX_NATS_DOMAIN",
    flag: "nats-domain",
    unit: "name",
    default: "",
    limit: "letters, digits, - and _",
    about: "JetStream's domain, for watch, where its API has another name",
    parse: asName,
  },
} as const;

export const credentialSettingNames = Object.keys(
  credentialSettings,
) as readonly (keyof typeof credentialSettings)[];

const table: Table = {
  host: {
    variable: "RINGDEX_HOST",
    flag: "host",
    unit: "address",
    default: "127.0.0.1",
    limit: "an address of this machine",
    about: "where nats-server listens; whoever reaches it may read and write",
    parse: (text) => (/^[\w.:-]+$/.test(text) ? text : undefined),
  },
  port: {
    variable: "RINGDEX_PORT",
    flag: "port",
    unit: "number",
    default: "4222",
    limit: "0 … 65535, 0 = any free one",
    about: "port on which nats-server listens",
    parse: (text) => parseWhole(text, 0, 65_535),
  },
  dataFolder: {
    variable: "RINGDEX_DATA",
    flag: "data",
    unit: "folder",
    default: "./data",
    limit: "a folder on a local disk",
    about: "where logs and stores are kept",
    parse: (text) => text,
  },
  nodeCount: {
    variable: "RINGDEX_NODES",
    flag: "nodes",
    unit: "count",
    default: "3",
    limit: `1 … ${NODES_MAX}`,
    about: "nodes, and shards; decided when the data folder is made",
    parse: (text) => parseWhole(text, 1, NODES_MAX),
  },
  replicaCount: {
    variable: "RINGDEX_REPLICAS",
    flag: "replicas",
    unit: "count",
    default: "2",
    limit: "1 … the number of nodes",
    about: "copies of each shard; decided when the data folder is made",
    parse: (text) => parseWhole(text, 1, NODES_MAX),
  },
  store: {
    variable: "RINGDEX_STORE",
    flag: "store",
    unit: "name",
    default: "kv",
    limit: `1 … ${NAME_CHARS_MAX} letters, digits, - and _`,
    about: "name of the store: first token of its subjects",
    parse: parseStore,
  },
  natsUrl: {
    variable: "RINGDEX_NATS_URL",
    flag: "nats-url",
    unit: "url",
    default: "",
    limit: "nats://host:port, or host:port; tls://host:port for TLS",
    about: "use this NATS server and start none",
    parse: parseUrl,
  },
  natsServer: {
    variable: "RINGDEX_NATS_SERVER",
    flag: "nats-server",
    unit: "path",
    default: "",
    limit: "a nats-server, 2.12.3 or newer",
    about: "the nats-server to start; otherwise found on PATH, or built",
    parse: (text) => text,
  },
  syncInterval: {
    variable: "RINGDEX_SYNC_INTERVAL",
    flag: "sync-interval",
    unit: "interval",
    default: SYNC_INTERVAL_UNKNOWN,
    limit: `always, a duration such as 2m, or ${SYNC_INTERVAL_UNKNOWN}`,
    about: "the sync_interval of a NATS server that up did not start, for the warnings of status",
    parse: parseSyncInterval,
  },
  ...credentialSettings,
  logLevel: {
    variable: "RINGDEX_LOG_LEVEL",
    flag: "log-level",
    unit: "level",
    default: "info",
    limit: logLevels.join(", "),
    about: "what nodes write to their log files",
    parse: (text) => logLevels.find((level) => level === text),
  },
  logOutput: {
    variable: "RINGDEX_LOG_OUTPUT",
    flag: "log-output",
    unit: "place",
    default: "file",
    limit: logOutputs.join(", "),
    about: "where nodes write their logs, as JSON lines: to node.log, to stdout, or to both",
    parse: (text) => logOutputs.find((output) => output === text),
  },
  logBytesMax: {
    variable: "RINGDEX_LOG_BYTES_MAX",
    flag: "log-bytes-max",
    unit: "bytes",
    default: formatBytes(LOG_BYTES_MAX),
    limit: "1MiB … 1PiB, KiB, MiB, GiB and TiB allowed",
    about: "size of a shard's log, or an equal share of what the server has if that is less",
    parse: parseBytes,
  },
  eventsBytesMax: {
    variable: "RINGDEX_EVENTS_BYTES_MAX",
    flag: "events-bytes-max",
    unit: "bytes",
    default: formatBytes(EVENTS_BYTES_MAX),
    limit: "1MiB … 1PiB, KiB, MiB, GiB and TiB allowed",
    about: "size of the stream of events; the oldest go first",
    parse: parseBytes,
  },
  indexExclude: {
    variable: "RINGDEX_INDEX_EXCLUDE",
    flag: "index-exclude",
    unit: "paths",
    default: "",
    limit: `attribute paths of at most ${PATH_BYTES_MAX} bytes, separated by commas`,
    about: "attributes that are not indexed; decided when the data folder is made",
    parse: parsePaths,
  },
};

/** All settings, in the order in which help and docs list them. */
export const settingsTable = Object.entries(table).map(
  ([name, row]) => ({ name, ...row }) as Setting,
);

/** Flags as given, by setting; undefined = not given. */
export type SettingFlags = Readonly<Partial<Record<SettingName, string | undefined>>>;

/** Reads all settings. Throws SettingError for the first that cannot be. */
export function settingsOf(env: NodeJS.ProcessEnv, flags: SettingFlags = {}): Settings {
  const asked = new Set<SettingName>();
  const values: Partial<Record<SettingName, unknown>> = {};
  for (const setting of settingsTable) {
    const flag = flags[setting.name];
    const variable = env[setting.variable];
    // An empty variable is how shells and make say "not set".
    const text = flag ?? (variable === "" ? undefined : variable);
    if (text !== undefined) asked.add(setting.name);
    const from = flag === undefined ? setting.variable : `--${setting.flag}`;
    values[setting.name] = parsed(setting, text ?? setting.default, from);
  }
  return { ...withUrlSplit(values as unknown as SettingValues), asked };
}

/** A user and password in the URL become settings like any, so that no message shows them. */
function withUrlSplit(values: SettingValues): SettingValues {
  if (values.natsUrl === undefined) return values;
  const { url: natsUrl, found } = splitUrl(values.natsUrl);
  if (found.token !== undefined) return { ...values, natsUrl, natsToken: found.token };
  if (found.user === undefined) return { ...values, natsUrl };
  return { ...values, natsUrl, natsUser: found.user, natsPassword: found.password };
}

/** What these settings say to NATS. */
export function credentialsOf(
  settings: Pick<SettingValues, (typeof credentialSettingNames)[number]>,
): Credentials {
  return {
    user: settings.natsUser,
    password: settings.natsPassword,
    token: settings.natsToken,
    nkeyFile: settings.natsNkey,
    credsFile: settings.natsCreds,
    tlsCaFile: settings.natsTlsCa,
    tlsCertFile: settings.natsTlsCert,
    tlsKeyFile: settings.natsTlsKey,
    inboxPrefix: settings.natsInboxPrefix,
  };
}

/** The variables that say the same to a process that is started: its arguments can be read. */
export function credentialVariables(settings: SettingValues): NodeJS.ProcessEnv {
  const rows = settingsTable.filter(({ name }) =>
    (credentialSettingNames as readonly SettingName[]).includes(name),
  );
  return Object.fromEntries(
    rows.map(({ name, variable }) => [variable, String(settings[name] ?? "")]),
  );
}

function parsed(setting: Setting, text: string, from: string): unknown {
  if (text === "" && setting.default === "")
    return setting.name === "indexExclude" ? [] : undefined;
  const value = text === "" ? undefined : setting.parse(text);
  if (value !== undefined) return value;
  const shown = JSON.stringify(setting.name === "natsUrl" ? withoutCredentials(text) : text);
  throw new SettingError(`${from} is ${shown}; it must be ${setting.limit}`);
}

/** What one node is told when it is started. */
export interface NodeSettings {
  readonly name: string;
  /** `<data>/nodes/<name>`: the node's own. */
  readonly dataFolder: string;
  readonly natsUrl: string;
  readonly credentials: Credentials;
  readonly store: string;
  /** The nodes that the ring is created with; looked at only when there is no ring yet. */
  readonly clusterNodes: readonly string[];
  readonly replicaCount: number;
  readonly logLevel: LogLevel;
  /** Default "file". */
  readonly logOutput?: LogOutput;
  readonly logBytesMax: number;
  readonly eventsBytesMax: number;
  readonly indexExclude: readonly string[];
  /** nats-server's `sync_interval`, where it is known; status shows it. */
  readonly syncInterval: string;
  /** True if the node is to end when its stdin does: a supervisor that is killed closes it. */
  readonly endsWithStdin?: boolean;
}

/** The arguments of `ringdex node start` that say these settings; credentials go by variables. */
export function nodeArguments(node: Omit<NodeSettings, "credentials">): string[] {
  const argumentList = ["--name", node.name, "--data", node.dataFolder, "--nats-url", node.natsUrl];
  argumentList.push("--store", node.store, "--cluster-nodes", node.clusterNodes.join(","));
  argumentList.push("--replicas", String(node.replicaCount), "--log-level", node.logLevel);
  argumentList.push("--log-bytes-max", String(node.logBytesMax));
  argumentList.push("--events-bytes-max", String(node.eventsBytesMax));
  argumentList.push("--sync-interval", node.syncInterval);
  if (node.logOutput !== undefined) argumentList.push("--log-output", node.logOutput);
  if (node.endsWithStdin === true) argumentList.push("--end-with-stdin");
  if (node.indexExclude.length > 0)
    argumentList.push("--index-exclude", node.indexExclude.join(","));
  return argumentList;
}

/** Node names: `n1`, `n2`, … */
export function nodeNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `n${index + 1}`);
}

/** "8GiB": the largest unit that divides it. */
export function formatBytes(bytes: number): string {
  const units = ["", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  let value = bytes;
  while (value >= KIB && value % KIB === 0 && unit < units.length - 1) {
    value /= KIB;
    unit += 1;
  }
  return `${value}${units[unit]}`;
}

function parseBytes(text: string): number | undefined {
  const match = /^(\d+) ?(?:([KMGTP])i?B?|B)?$/i.exec(text);
  if (match === null) return undefined;
  const power = match[2] === undefined ? 0 : "KMGTP".indexOf(match[2].toUpperCase()) + 1;
  const bytes = Number(match[1]) * KIB ** power;
  return bytes >= BYTES_MIN && bytes <= BYTES_MAX ? bytes : undefined;
}

function parseWhole(text: string, min: number, max: number): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}

/** A bare host or host:port, as NATS tools take it, is made a URL. */
function parseUrl(typed: string): string | undefined {
  const isBare = /^([\w.-]+|\[[\da-f:]+\])(:\d+)?$/i.test(typed);
  const text = isBare ? `nats://${typed}` : typed;
  return URL.canParse(text) && /^(nats|tls):$/.test(new URL(text).protocol) ? text : undefined;
}

function parseStore(text: string): string | undefined {
  try {
    return checkStoreName(text);
  } catch {
    return undefined; // the caller says what is allowed, and which setting it was
  }
}

function parsePaths(text: string): readonly string[] | undefined {
  const paths = text.split(",").map((path) => path.trim());
  const fits = (path: string): boolean => path !== "" && Buffer.byteLength(path) <= PATH_BYTES_MAX;
  return paths.every(fits) ? paths : undefined;
}
