/**
 * The headers of a request, in their types. The bus has them by lower-case name, so they are read
 * in any case; each may be given once.
 */
import { KvError } from "../errors.js";
import type { ContentType } from "../operation.js";
import { parseContentType } from "../value/content.js";
import { quote } from "../value/shown.js";
import { parseTtl } from "../value/ttl.js";
import { checkLevel, checkReturn, checkWhole } from "./draft.js";
import type { ReadLevel, RequestHeaders } from "./request.js";

/** Undefined = not given. */
export interface HeaderOptions {
  ifRevision?: number;
  ttl?: number | "never";
  requestId?: string;
  returnPrevious?: true;
  level?: ReadLevel;
  minRevision?: number;
  accept?: ContentType;
  /** As it was sent: what it means depends on the form of the request. */
  contentType?: string;
}

const none: HeaderOptions = {};

/** Throws KvError `bad-request` for a `Kv-` header that is unknown, given twice or malformed. */
export function readHeaders(headers: RequestHeaders | undefined): HeaderOptions {
  if (headers === undefined || headers.size === 0) return none;
  const options: HeaderOptions = {};
  for (const [name, values] of headers) readHeader(options, name, values);
  return options;
}

/**
 * The level that a verb over many keys reads at. A session has seen positions one by one, so over
 * many keys only the log's end will do for it. Throws KvError `bad-request` for options of writes,
 * `unsupported` for another reply than JSON.
 */
export function readQueryLevel(
  verb: string,
  headers: RequestHeaders | undefined,
): "linearizable" | "stale" {
  const { level, accept, ifRevision, ttl, returnPrevious } = readHeaders(headers);
  const ofWrites = { "Kv-If-Revision": ifRevision, "Kv-TTL": ttl, "Kv-Return": returnPrevious };
  for (const [name, value] of Object.entries(ofWrites)) {
    if (value === undefined) continue;
    throw new KvError("bad-request", `${name} does not apply to ${verb}`);
  }
  if (accept !== undefined && accept !== "application/json") {
    const what = `the reply of ${verb} is always application/json; received Accept ${accept}`;
    throw new KvError("unsupported", what);
  }
  return level === "stale" ? "stale" : "linearizable";
}

function readHeader(options: HeaderOptions, name: string, values: readonly string[]): void {
  switch (name) {
    case "kv-if-revision":
      options.ifRevision = wholeHeader("Kv-If-Revision", values);
      return;
    case "kv-ttl":
      options.ttl = parseTtl(single("Kv-TTL", values));
      return;
    case "kv-request-id":
      options.requestId = single("Kv-Request-Id", values);
      return;
    case "kv-read":
      options.level = checkLevel("Kv-Read", single("Kv-Read", values));
      return;
    case "kv-min-revision":
      options.minRevision = wholeHeader("Kv-Min-Revision", values);
      return;
    case "kv-return":
      options.returnPrevious = checkReturn("Kv-Return", single("Kv-Return", values));
      return;
    case "content-type":
      options.contentType = single("Content-Type", values);
      return;
    case "accept": {
      const accept = readAccept(single("Accept", values));
      if (accept !== undefined) options.accept = accept;
      return;
    }
    default:
      if (!name.startsWith("kv-")) return;
      throw new KvError("bad-request", `unknown header ${quote(name)}; known headers: ${known}`);
  }
}

const known = "Kv-If-Revision, Kv-TTL, Kv-Request-Id, Kv-Read, Kv-Min-Revision and Kv-Return";

function single(name: string, values: readonly string[]): string {
  const value = values[0];
  if (value !== undefined && values.length === 1) return value.trim();
  const text = `${name} may be given only once; received ${values.length}`;
  throw new KvError("bad-request", `${text}: ${values.map(quote).slice(0, 3).join(", ")}`);
}

function wholeHeader(name: string, values: readonly string[]): number {
  const text = single(name, values);
  return checkWhole(name, /^\d{1,16}$/.test(text) ? Number(text) : text);
}

/** One type, or a wildcard, which asks for the value as it is stored: undefined. */
function readAccept(text: string): ContentType | undefined {
  if (text.includes(",")) {
    throw new KvError("bad-request", `Accept must name one type; received ${quote(text)}`);
  }
  return text === "" || text.includes("*") ? undefined : parseContentType(text);
}
