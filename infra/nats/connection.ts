/**
 * How the client, the command line and the nodes connect to NATS: one URL or several, credentials,
 * and a name that the server shows; and what they tell when it fails.
 */
import { connect, ErrorCode, NatsError, type ConnectionOptions, type NatsConnection } from "nats";
import { KvError } from "../../protocol/errors.js";
import {
  connectionCredentials,
  splitUrl,
  withoutCredentials,
  type Credentials,
} from "./credentials.js";

/** Between two attempts to reconnect, and as much again by chance. */
const RECONNECT_WAIT_MS = 100;

export interface ConnectionParts {
  /** `nats://host:port`, several separated by commas; `user:password@` or `token@` before it. */
  readonly url: string;
  /** In place of those in the URL. Default: those, or none. */
  readonly credentials?: Credentials;
  /** Told to the server, which shows it in its list of connections. */
  readonly name: string;
  /** What nats.js is told beyond that: how long it waits, and whether it reconnects. */
  readonly options?: ConnectionOptions;
}

/** For a connection that outlives any failure: it reconnects for ever, with short waits. */
export const reconnectForEver: ConnectionOptions = {
  maxReconnectAttempts: -1,
  reconnectTimeWait: RECONNECT_WAIT_MS,
  reconnectJitter: RECONNECT_WAIT_MS,
  reconnectJitterTLS: RECONNECT_WAIT_MS,
};

/**
 * Rejects with KvError if the first attempt to connect fails: `bad-request` if credentials or
 * certificates are wrong, `unavailable` if another attempt may go better.
 */
export async function openConnection(parts: ConnectionParts): Promise<NatsConnection> {
  try {
    return await connect(connectionOptions(parts));
  } catch (cause) {
    throw connectError(parts.url, cause);
  }
}

/** For nats.js. Throws KvError `bad-request` for credentials that cannot be used. */
export function connectionOptions(parts: ConnectionParts): ConnectionOptions {
  const { url, found } = splitUrl(parts.url);
  const urls = url
    .split(",")
    .map((part) => new URL(part.includes("://") ? part : `nats://${part.trim()}`));
  const isTls = urls.some(({ protocol }) => protocol === "tls:");
  return {
    servers: urls.map(({ host }) => host),
    name: parts.name,
    noAsyncTraces: true,
    ...(isTls ? { tls: {} } : {}),
    ...connectionCredentials({ ...found, ...named(parts.credentials) }),
    ...parts.options,
  };
}

/** What is left out stays as the URL has it. */
function named(credentials: Credentials = {}): Credentials {
  return Object.fromEntries(Object.entries(credentials).filter(([, value]) => value !== undefined));
}

/** What to tell of a failed attempt to connect to `url`. */
function connectError(url: string, cause: unknown): KvError {
  const where = withoutCredentials(url);
  const why = cause instanceof Error ? cause.message : String(cause);
  const advice = adviceFor(cause);
  const text = `cannot connect to nats-server at ${where} (${why})`;
  if (advice === undefined) return new KvError("unavailable", text, {}, { cause });
  return new KvError("bad-request", `${text}: ${advice}`, {}, { cause });
}

/** What to mend; undefined = nothing but to try again. */
function adviceFor(cause: unknown): string | undefined {
  if (cause instanceof KvError && cause.kind === "bad-request") return cause.message;
  if (!(cause instanceof Error)) return undefined;
  // Node's own for certificates, nats.js's for the rest.
  const { code } = cause as { readonly code?: unknown };
  if (typeof code === "string" && /CERT|VERIFY|ALTNAME/.test(code)) {
    return (
      "the server's certificate is not to be trusted: it must be signed by the CA that is named " +
      "here, for this host; see docs/security.md"
    );
  }
  if (!(cause instanceof NatsError)) return undefined;
  const isAuth =
    code === String(ErrorCode.AuthorizationViolation) ||
    code === String(ErrorCode.AuthenticationExpired) ||
    code === String(ErrorCode.AccountExpired);
  if (isAuth) return "the server refused these credentials; see docs/security.md";
  if (code === String(ErrorCode.ServerOptionNotAvailable)) {
    return "TLS is asked for here, and the server has none";
  }
  return undefined;
}
