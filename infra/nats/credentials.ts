/**
 * Credentials: how the client, the command line and the nodes say to NATS who they are.
 *
 * Keys, creds and certificates are named by file and read at each connection, so that a file that
 * was renewed counts from the next reconnect on. Errors name the file and never what is in it.
 *
 * A user with a name gets the inbox prefix `_INBOX.<user>`, unless another one is asked for: the
 * roles of docs/security.md allow each user its own inbox and no other.
 */
import { readFileSync } from "node:fs";
import {
  credsAuthenticator,
  nkeyAuthenticator,
  type ConnectionOptions,
  type TlsOptions,
} from "nats";
import { KvError } from "../../protocol/errors.js";

export interface Credentials {
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  /** A file with an nkey seed, `SU…`. */
  readonly nkeyFile?: string | undefined;
  /** A file with a user's JWT and seed, as `nsc` writes it. */
  readonly credsFile?: string | undefined;
  /** A file with the certificates of the CAs that may sign the server's; PEM. */
  readonly tlsCaFile?: string | undefined;
  /** Files with this client's own certificate and its key, for servers that ask for one; PEM. */
  readonly tlsCertFile?: string | undefined;
  readonly tlsKeyFile?: string | undefined;
  /** Replies come to subjects below it. */
  readonly inboxPrefix?: string | undefined;
}

/** What can stand as a token of a subject, so that `_INBOX.<user>` is one. */
const TOKEN = /^[^\s.*>\0-\u0020\u007f]+$/;
const SEED = /S[A-Z2-7]{57,}/;

/** For nats.js. Throws KvError `bad-request` for files that cannot be read, or parts missing. */
export function connectionCredentials(given: Credentials): ConnectionOptions {
  checkOneKind(given);
  const { user, password, token, nkeyFile, credsFile } = given;
  const inboxPrefix = inboxPrefixOf(given);
  const tls = tlsOf(given);
  return {
    ...(user === undefined ? {} : { user, pass: password ?? "" }),
    ...(token === undefined ? {} : { token }),
    ...(nkeyFile === undefined ? {} : { authenticator: authenticatorOf(nkeyFile, "nkey") }),
    ...(credsFile === undefined ? {} : { authenticator: authenticatorOf(credsFile, "creds") }),
    ...(tls === undefined ? {} : { tls }),
    ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
  };
}

/** Undefined = NATS's own, `_INBOX`. */
export function inboxPrefixOf({ inboxPrefix, user }: Credentials): string | undefined {
  if (inboxPrefix !== undefined) return inboxPrefix;
  return user !== undefined && TOKEN.test(user) ? `_INBOX.${user}` : undefined;
}

/** True if `text` can begin the subjects of replies. */
export function isInboxPrefix(text: string): boolean {
  return text.split(".").every((token) => TOKEN.test(token));
}

/**
 * The URL without `user:password@` or `token@`, and what stood there. Of several URLs the first one
 * that names somebody counts.
 */
export function splitUrl(url: string): { readonly url: string; readonly found: Credentials } {
  const part = /([^/,@]*)@/.exec(url)?.[1];
  if (part === undefined) return { url, found: {} };
  const colon = part.indexOf(":");
  const found =
    colon < 0
      ? { token: decoded(part) }
      : { user: decoded(part.slice(0, colon)), password: decoded(part.slice(colon + 1)) };
  return { url: withoutCredentials(url), found };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % stands for itself
  }
}

/** For messages, and for the arguments of a process, which everybody on the machine can read. */
export function withoutCredentials(url: string): string {
  return url.replaceAll(/[^/,@]*@/g, "");
}

function checkOneKind(given: Credentials): void {
  const { user, password, token, nkeyFile, credsFile, tlsCertFile, tlsKeyFile } = given;
  const kinds = { user, token, nkey: nkeyFile, creds: credsFile };
  const named = Object.entries(kinds).filter(([, value]) => value !== undefined);
  if (named.length > 1) {
    const list = named.map(([kind]) => kind).join(" and ");
    throw new KvError("bad-request", `give only one kind of credentials; received ${list}`);
  }
  if (password !== undefined && user === undefined) {
    throw new KvError("bad-request", "a password needs a user, but no user is given");
  }
  if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined)) {
    throw new KvError("bad-request", "give a TLS certificate and its key together");
  }
}

function authenticatorOf(
  file: string,
  kind: "nkey" | "creds",
): NonNullable<ConnectionOptions["authenticator"]> {
  const make = kind === "nkey" ? nkeyAuthenticator : credsAuthenticator;
  const read = (): Uint8Array => {
    const text = textOf(file, kind);
    const seed = SEED.exec(text)?.[0];
    if (seed === undefined) {
      throw new KvError("bad-request", `the ${kind} file ${file} has no seed (S…) in it`);
    }
    return Buffer.from(kind === "nkey" ? seed : text);
  };
  // Now as well: a file that is not there is told before anything is tried.
  read();
  return make(read);
}

function tlsOf({ tlsCaFile, tlsCertFile, tlsKeyFile }: Credentials): TlsOptions | undefined {
  const files = { caFile: tlsCaFile, certFile: tlsCertFile, keyFile: tlsKeyFile };
  const named = Object.entries(files).filter(([, file]) => file !== undefined);
  for (const [, file] of named) textOf(file ?? "", "TLS");
  return named.length === 0 ? undefined : Object.fromEntries(named);
}

function textOf(file: string, kind: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code = "unknown" } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : code;
    throw new KvError("bad-request", `cannot read the ${kind} file ${file}: ${why}`, { file });
  }
}
