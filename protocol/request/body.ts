/**
 * The JSON bodies of requests: an operation's members, the payload of incr, and the frame of a
 * batch. Values are cut out of the body as the bytes they were sent as; of members with the same
 * name the last counts.
 */
import { KvError } from "../errors.js";
import type { ContentType, Verb } from "../operation.js";
import { decodeValue, parseContentType, type Plain } from "../value/content.js";
import { elementsOf, membersOf, sliceOf, type Span } from "../value/json-members.js";
import { isPlainObject } from "../value/plain.js";
import { quote, quoteBytes, shown } from "../value/shown.js";
import { parseTtl } from "../value/ttl.js";
import {
  checkLevel,
  checkReturn,
  checkWhole,
  newDraft,
  valueFromJson,
  type Draft,
} from "./draft.js";

export type Members = ReadonlyMap<string, Uint8Array>;

/** Where the operations of a batch stand in its payload. */
export function readFrame(payload: Uint8Array): { ops: readonly Span[]; atomic: boolean } {
  const members = bodyMembers(payload, "batch");
  for (const name of members.keys()) {
    if (name !== "ops" && name !== "atomic") throw unknownMember(name);
  }
  const source = members.get("ops");
  if (source === undefined) {
    throw new KvError("bad-request", 'batch needs "ops": an array of operations');
  }
  const atomic = members.get("atomic");
  const start = source.byteOffset - payload.byteOffset;
  return {
    ops: elementsOf(payload, { start, end: start + source.length }),
    atomic: atomic !== undefined && readBoolean("atomic", atomic),
  };
}

/** Fills a draft from the members of a body, or of an operation of a batch. */
export function readBody(verb: Verb, members: Members, inBatch: boolean): Draft {
  const draft = newDraft(verb, "");
  const source = members.get("key");
  if (source === undefined) throw new KvError("bad-request", `${verb} needs "key"`);
  draft.key = readText("key", source);
  for (const [name, json] of members) {
    if (name === "key" || (inBatch && name === "op")) continue;
    readMember(draft, name, json);
  }
  readValue(draft, members);
  return draft;
}

function readMember(draft: Draft, name: string, json: Uint8Array): void {
  switch (name) {
    case "value":
    case "value_base64":
    case "patch":
      return; // by readValue, which looks at them together
    case "content_type":
      draft.contentType = parseContentType(readText(name, json));
      return;
    case "by":
      draft.by = readNumber(name, decodeValue(json, "application/json"));
      return;
    case "path":
      draft.path = readText(name, json);
      return;
    case "if_revision":
      draft.ifRevision = checkWhole('"if_revision"', decodeValue(json, "application/json"));
      return;
    case "ttl":
      draft.ttl = parseTtl(readText(name, json));
      return;
    case "request_id":
      draft.requestId = readText(name, json);
      return;
    case "read":
      draft.level = checkLevel('"read"', readText(name, json));
      return;
    case "min_revision":
      draft.minRevision = checkWhole('"min_revision"', decodeValue(json, "application/json"));
      return;
    case "return":
      draft.returnPrevious = checkReturn('"return"', readText(name, json));
      return;
    default:
      throw unknownMember(name);
  }
}

function readValue(draft: Draft, members: Members): void {
  const { verb } = draft;
  const [value, base64, patch] = ["value", "value_base64", "patch"].map((name) => {
    const json = members.get(name);
    if (json === undefined || verb === (name === "patch" ? "patch" : "set")) return json;
    throw new KvError("bad-request", `"${name}" does not apply to ${verb}`);
  });
  if (patch !== undefined) {
    if (draft.contentType !== undefined) {
      throw new KvError(
        "bad-request",
        '"content_type" does not apply to "patch", which is always JSON',
      );
    }
    draft.value = patch;
  }
  if (value !== undefined && base64 !== undefined) {
    throw new KvError("bad-request", 'set takes "value" or "value_base64"; received both');
  }
  if (value !== undefined) {
    draft.value = valueFromJson(value, draft.contentType ?? "application/json");
  }
  if (base64 !== undefined) draft.value = readBase64(base64);
}

/** The payload of incr: `{"by":1}`, `{"path":"stock","by":-1}`. */
export function readIncr(draft: Draft, payload: Uint8Array, contentType: ContentType): void {
  if (contentType === "application/json") {
    for (const [name, json] of bodyMembers(payload, "incr")) {
      readIncrMember(draft, name, decodeValue(json, contentType));
    }
    return;
  }
  const plain = decodeValue(payload, contentType);
  if (!isPlainObject(plain)) {
    const form = 'the payload of incr must be {"by":1} or {"path":"stock","by":-1}, or empty';
    throw new KvError("bad-request", `${form}; received ${contentType}`);
  }
  for (const [name, value] of Object.entries(plain)) readIncrMember(draft, name, value);
}

function readIncrMember(draft: Draft, name: string, value: Plain | undefined): void {
  if (name === "by") draft.by = readNumber(name, value);
  else if (name === "path" && typeof value === "string") draft.path = value;
  else if (name === "path") throw new KvError("bad-request", '"path" of incr must be text');
  else throw unknownMember(name);
}

/** The members of a whole payload, by their source bytes. */
export function bodyMembers(payload: Uint8Array, verb: string): Members {
  try {
    return slices(payload, membersOf(payload));
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    const form = `the payload of ${verb} must be a JSON object; received ${quoteBytes(payload)}`;
    throw new KvError(error.kind, form, error.details, { cause: error });
  }
}

export function slices(json: Uint8Array, spans: ReadonlyMap<string, Span>): Members {
  const members = new Map<string, Uint8Array>();
  for (const [name, span] of spans) members.set(name, sliceOf(json, span));
  return members;
}

export function readText(name: string, json: Uint8Array): string {
  const text = decodeValue(json, "application/json");
  if (typeof text === "string") return text;
  throw notOf(name, "text", json);
}

function readBoolean(name: string, json: Uint8Array): boolean {
  const value = decodeValue(json, "application/json");
  if (typeof value === "boolean") return value;
  throw notOf(name, "true or false", json);
}

function readNumber(name: string, value: Plain | undefined): number {
  if (typeof value === "number") return value;
  // MessagePack has 64-bit integers; those that a double tells exactly are numbers like others.
  if (typeof value === "bigint" && Number.isSafeInteger(Number(value))) return Number(value);
  throw new KvError("bad-request", `"${name}" must be a number; received ${shown(value)}`);
}

/** Standard alphabet with padding, and nothing else: Buffer would skip what it does not know. */
function readBase64(json: Uint8Array): Uint8Array {
  const text = readText("value_base64", json);
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") === text) return bytes;
  throw notOf("value_base64", "base64 (RFC 4648, section 4) with padding", json);
}

function notOf(name: string, form: string, json: Uint8Array): KvError {
  return new KvError("bad-request", `"${name}" must be ${form}; received ${quoteBytes(json)}`);
}

function unknownMember(name: string): KvError {
  return new KvError("bad-request", `unknown member ${quote(name)}`);
}
