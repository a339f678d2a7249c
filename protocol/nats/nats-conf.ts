/**
 * nats.conf: what Ringdex wants of a nats-server, as text to be printed and as data to be checked.
 *
 * The mapping puts the position into the subject of a request about one key, so that the request
 * reaches a replica that owns the key without a hop over a coordinator. It is an optimisation: on
 * a server without it every request passes a coordinator and the answers are the same.
 *
 *   "kv.get.*.*": "kv.ring.{{partition(1024,1,2)}}.get.{{wildcard(1)}}.{{wildcard(2)}}"
 *
 * There is one line for each verb and number of tokens. A pattern with `>` in place of these
 * would overlap with them, and nats-server tries overlapping patterns in no fixed order.
 */
import { KvError } from "../errors.js";
import {
  KEY_TOKENS_MAPPED_MAX,
  PAYLOAD_BYTES_MAX,
  POSITION_COUNT,
  POSITION_COUNT_MAX,
} from "../limits.js";
import { accountsBlock } from "./nats-roles.js";
import { checkStoreName, singleKeyVerbs } from "./subjects.js";

export interface NatsConfOptions {
  readonly store: string;
  readonly positionCount?: number;
  /** Where clients connect; −1 = a port that is free. */
  readonly host?: string;
  readonly port?: number;
  /** Where JetStream keeps its files; a relative path is seen from where the server starts. */
  readonly dataFolder?: string;
  /** Undefined = none is written. */
  readonly pidFile?: string;
  readonly payloadBytesMax?: number;
  /**
   * With accounts, a user for each role (nats-roles.ts), and TLS by the files server.pem and
   * server-key.pem of this folder. Undefined = everybody may do everything.
   */
  readonly rolesTlsFolder?: string | undefined;
  /** What all clients must show. Undefined = nothing. Not together with roles. */
  readonly credentials?: ServerCredentials | undefined;
}

export type ServerCredentials =
  { readonly user: string; readonly password: string } | { readonly token: string };

/** One line of the `mappings` block. */
export interface Mapping {
  readonly source: string;
  readonly destination: string;
}

/** The mappings of a store: for each verb, and keys of 1 … KEY_TOKENS_MAPPED_MAX tokens. */
export function mappingsOf(store: string, positionCount: number = POSITION_COUNT): Mapping[] {
  checkStoreName(store);
  checkWhole("position_count", positionCount, 1, POSITION_COUNT_MAX);
  const mappings: Mapping[] = [];
  for (const verb of singleKeyVerbs) {
    for (let tokenCount = 1; tokenCount <= KEY_TOKENS_MAPPED_MAX; tokenCount += 1) {
      const tokens = Array.from({ length: tokenCount }, (_, index) => index + 1);
      const partition = `{{partition(${[positionCount, ...tokens].join(",")})}}`;
      const key = tokens.map((token) => `{{wildcard(${token})}}`).join(".");
      mappings.push({
        source: `${store}.${verb}${".*".repeat(tokenCount)}`,
        destination: `${store}.ring.${partition}.${verb}.${key}`,
      });
    }
  }
  return mappings;
}

/** The whole file. Throws KvError `bad-request` for what cannot be written into it. */
export function natsConf(options: NatsConfOptions): string {
  const {
    store,
    positionCount = POSITION_COUNT,
    host = "127.0.0.1",
    port = 4222,
    dataFolder = "./data/nats",
    pidFile,
    payloadBytesMax = PAYLOAD_BYTES_MAX,
    rolesTlsFolder,
    credentials,
  } = options;
  checkWhole("port", port, -1, 65_535);
  checkWhole("max_payload", payloadBytesMax, PAYLOAD_BYTES_MAX, 64 * 1_024 * 1_024);
  const hasRoles = rolesTlsFolder !== undefined;
  const mappings = mappingsBlock(store, positionCount);
  const more = [
    credentials === undefined ? "" : credentialsBlock(credentials),
    pidFile === undefined ? "" : pidFileLines(pidFile),
    hasRoles ? tlsLines(rolesTlsFolder) : "",
  ].join("");
  const command = `ringdex nats-conf${hasRoles ? " --roles" : ""}`;
  return `\
# nats-server for the Ringdex store "${store}", as printed by "${command}".
${hasRoles ? passwordLines : ""}
# Clients connect here.${hasRoles ? "" : whoCan(host, credentials !== undefined)}
listen: ${quoted("host", `${host}:${port}`)}
${more}
# The largest message, in bytes. Ringdex packs what it sends up to this size, and a node that
# finds less does not start.
max_payload: ${payloadBytesMax}

# A client that is gone without a word is noticed after ping_interval * (ping_max + 1).
ping_interval: "2s"
ping_max: 2

jetstream {
  # The logs of all shards: what was acknowledged is here.
  store_dir: ${quoted("data_folder", dataFolder)}

  # A write is acknowledged when it is on the disk. The server's default is to flush every two
  # minutes, and a power cut loses what was acknowledged since. Ringdex packs many writes into
  # one message, so that this costs little.
  sync_interval: always
}

${hasRoles ? accountsBlock(store, mappings) : mappings}`;
}

function whoCan(host: string, hasPassword: boolean): string {
  if (hasPassword) return "";
  if (/^(127\.|localhost$|::1$)/.test(host)) {
    return " Only this machine can: there is no password yet.";
  }
  return " Anybody who reaches this machine can: there is no password.";
}

function credentialsBlock(credentials: ServerCredentials): string {
  const lines = Object.entries(credentials).map(
    ([name, text]) => `  ${name}: ${quoted(name, text)}\n`,
  );
  return `
# What every client must show.
authorization {
${lines.join("")}}
`;
}

function mappingsBlock(store: string, positionCount: number): string {
  const lines = mappingsOf(store, positionCount).map(
    ({ source, destination }) => `  "${source}": "${destination}"`,
  );
  return `\
# The position of each key, put into the subject of a request about it. One line for each verb and
# number of tokens of the key, up to ${KEY_TOKENS_MAPPED_MAX}. Other requests, and all requests on a
# server without these lines, go through a coordinator. The ${positionCount} in each line must be
# the position count of the store.
mappings {
${lines.join("\n")}
}
`;
}

const passwordLines = `#
# Each role has a user of its own (docs/security.md). Their passwords are taken from the
# environment in which nats-server is started, which does not start without them.
`;

function tlsLines(folder: string): string {
  return `
# Nobody reads along, and clients know that it is this server.
tls {
  cert_file: ${quoted("tls", `${folder}/server.pem`)}
  key_file: ${quoted("tls", `${folder}/server-key.pem`)}

  # To let in only who shows a certificate that this CA has signed:
  # ca_file: ${quoted("tls", `${folder}/ca.pem`)}
  # verify: true
}
`;
}

function pidFileLines(pidFile: string): string {
  return `
# The server's process id, to recognise one that was left behind.
pid_file: ${quoted("pid_file", pidFile)}

# Its log file is rotated by size.
logfile_size_limit: 16777216
logfile_max_num: 5
`;
}

/** A string of nats-server's configuration language, which knows few escapes. */
function quoted(field: string, text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (text === "" || /[\u0000-\u001f\u007f]/.test(text)) {
    const received = JSON.stringify(text);
    const description = `${field} must be text without control characters, not ${received}`;
    throw new KvError("bad-request", description, { field });
  }
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

function checkWhole(field: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  const description = `${field} must be a whole number from ${least} to ${most}, not ${value}`;
  throw new KvError("bad-request", description, { field, limit: most });
}
