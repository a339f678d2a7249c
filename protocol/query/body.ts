/**
 * What a client says to find, count and keys: a JSON object, checked member by member.
 */
import { KvError } from "../errors.js";
import { KEY_BYTES_MAX, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX } from "../limits.js";
import { textOf } from "../value/content.js";
import { quoteBytes, shown } from "../value/shown.js";
import { checkPath, parseFilter, type Filter } from "./filter.js";

export interface FindBody {
  readonly filter: Filter;
  readonly limit: number;
  readonly cursor: string | undefined;
  /** Undefined = values as they are; empty = keys only. */
  readonly select: readonly string[] | undefined;
  /** An answer that lacks positions is better than none. */
  readonly partial: boolean;
  readonly certificate: boolean;
  readonly scan: boolean;
}
export interface CountBody {
  readonly filter: Filter;
  readonly partial: boolean;
  readonly certificate: boolean;
  readonly scan: boolean;
}
export interface KeysBody {
  readonly prefix: string;
  readonly limit: number;
  readonly cursor: string | undefined;
}

/** Paths in one `select`. */
const SELECT_PATHS_MAX = 256;

const countMembers = ["where", "partial", "certificate", "scan"];
const findMembers = [...countMembers, "order", "limit", "cursor", "select"];

/** An empty payload is an empty object. Throws KvError `bad-request` and others as parseFilter. */
export function parseFind(payload: Uint8Array): FindBody {
  const body = members("find", payload, findMembers);
  if (body["order"] !== undefined && body["order"] !== null) {
    throw new KvError("unsupported", `"order" is not built yet; leave it out, and sort the items`);
  }
  const select = selectOf(body["select"]);
  return { ...countPart(body), ...pagePart(body), select };
}

export function parseCount(payload: Uint8Array): CountBody {
  return countPart(members("count", payload, countMembers));
}

export function parseKeys(payload: Uint8Array): KeysBody {
  const body = members("keys", payload, ["prefix", "limit", "cursor"]);
  const prefix = body["prefix"] ?? "";
  if (typeof prefix !== "string" || /\p{Surrogate}/u.test(prefix)) {
    throw new KvError("bad-request", `"prefix" must be text`);
  }
  const bytes = Buffer.byteLength(prefix);
  if (bytes > KEY_BYTES_MAX) {
    throw new KvError(
      "too-large",
      `"prefix" has ${bytes} bytes, but a key has at most ${KEY_BYTES_MAX}`,
      {
        limit: KEY_BYTES_MAX,
        size: bytes,
      },
    );
  }
  return { prefix, ...pagePart(body) };
}

type Members = Readonly<Record<string, unknown>>;

function countPart(body: Members): CountBody {
  return {
    filter: parseFilter(body["where"] ?? {}),
    partial: flag(body, "partial"),
    certificate: flag(body, "certificate"),
    scan: flag(body, "scan"),
  };
}

function pagePart(body: Members): { limit: number; cursor: string | undefined } {
  const limit = body["limit"] ?? PAGE_ROWS_DEFAULT;
  if (!Number.isInteger(limit) || (limit as number) < 1) {
    const form = `"limit" must be a whole number from 1 to ${PAGE_ROWS_MAX}`;
    throw new KvError("bad-request", `${form}; received ${shown(limit)}`);
  }
  if ((limit as number) > PAGE_ROWS_MAX) {
    throw new KvError(
      "limit-exceeded",
      `"limit" must be at most ${PAGE_ROWS_MAX}, not ${limit as number}; to get more, use the ` +
        "reply's cursor",
      { limit: "page_rows", max: PAGE_ROWS_MAX },
    );
  }
  const cursor = body["cursor"] ?? undefined;
  if (cursor !== undefined && typeof cursor !== "string") {
    throw new KvError("bad-request", `"cursor" must be the text from a reply, or null`);
  }
  return { limit: limit as number, cursor };
}

function selectOf(select: unknown): readonly string[] | undefined {
  if (select === undefined || select === null) return undefined;
  if (!Array.isArray(select) || !select.every((path) => typeof path === "string")) {
    throw new KvError("bad-request", `"select" must be a list of paths like ["country"]`);
  }
  if (select.length > SELECT_PATHS_MAX) {
    throw new KvError(
      "limit-exceeded",
      `"select" has ${select.length} paths; at most ${SELECT_PATHS_MAX} are allowed`,
      {
        limit: "select_paths",
        max: SELECT_PATHS_MAX,
      },
    );
  }
  return select.map(checkPath);
}

function flag(body: Members, name: string): boolean {
  const value = body[name] ?? false;
  if (typeof value !== "boolean") {
    throw new KvError("bad-request", `"${name}" must be true or false`);
  }
  return value;
}

function members(verb: string, payload: Uint8Array, known: readonly string[]): Members {
  if (payload.length === 0) return {};
  let body: unknown;
  try {
    body = JSON.parse(textOf(payload, "application/json"));
  } catch (cause) {
    if (cause instanceof KvError) throw cause;
    const got = `the payload is not JSON; received ${quoteBytes(payload)}`;
    throw new KvError("bad-request", `${verb}: ${got}`, {}, { cause });
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new KvError("bad-request", `${verb} takes a JSON object with ${known.join(", ")}`);
  }
  for (const name of Object.keys(body)) {
    if (known.includes(name)) continue;
    const text = JSON.stringify(name.slice(0, 80));
    throw new KvError(
      "bad-request",
      `${verb}: unknown member ${text}; it takes ${known.join(", ")}`,
    );
  }
  return body as Members;
}
