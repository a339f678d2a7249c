/**
 * The packed form of requests, between our client, coordinators and replicas: MessagePack maps
 * whose members are absent when they have their default.
 *
 *   key            text
 *   value          bytes; set: the value, patch: the merge patch
 *   content_type   index in operation.ts contentTypes; absent = 0, JSON
 *   by, path       incr
 *   if_revision    whole number
 *   ttl            milliseconds | "never" | "keep"; absent = set: never, patch and incr: keep
 *   request_id, request_index (absent = 0)
 *   return         "previous"
 *   read           "linearizable" | "session" | "stale"; absent = linearizable
 *   min_revision   get: whole number
 *   accept         get: index of a content type
 *   hops           how often it was forwarded already; absent = 0
 *
 * A batch is {ops: [<the above, and op: verb>…], atomic?: true, read?, hops?}: `read` is what its
 * gets have that name none, `hops` is that of all.
 */
import { Encoder } from "@msgpack/msgpack";
import { assert } from "../assert.js";
import { KvError } from "../errors.js";
import { TTL_MAX_MS, TTL_MIN_MS } from "../limits.js";
import {
  contentTypes,
  isVerb,
  type ContentType,
  type Operation,
  type Ttl,
  type Verb,
} from "../operation.js";
import { decodeMsgpack } from "../value/msgpack.js";
import { quote, shown } from "../value/shown.js";
import { assembleBatch } from "./batch.js";
import {
  checkLevel,
  checkReturn,
  checkWhole,
  finishRequest,
  newDraft,
  type Draft,
} from "./draft.js";
import type { BatchRequest, ReadLevel, RefusedRequest, Request } from "./request.js";

// One is enough: encoding never waits, and the buffer is reused.
const encoder = new Encoder();

type PackedMap = Readonly<Record<string, unknown>>;

/** Values are views of `payload`. Throws KvError as finishRequest does. */
export function parsePackedRequest(
  verb: string,
  payload: Uint8Array,
  positionCount: number,
): Request {
  const map = decodeMap(payload);
  return finishRequest(readDraft(packedVerb(verb), map), positionCount);
}

export function encodePackedRequest(request: Request): Uint8Array {
  const map = request.kind === "get" ? packGet(request) : packOperation(request.operation);
  if (request.kind === "get" && request.level !== "linearizable") map["read"] = request.level;
  if (request.hops !== 0) map["hops"] = request.hops;
  return encoder.encode(map);
}

/** Throws KvError for what is wrong with the whole, and with any operation of an atomic batch. */
export function parsePackedBatch(payload: Uint8Array, positionCount: number): BatchRequest {
  const map = decodeMap(payload);
  let hops = 0;
  let level: ReadLevel = "linearizable";
  for (const [name, value] of Object.entries(map)) {
    if (name === "hops") hops = checkWhole('"hops"', value);
    else if (name === "read") level = checkLevel('"read"', value);
    else if (name !== "ops" && name !== "atomic") throw unknownMember(name);
  }
  const { ops, atomic = false } = map;
  if (!Array.isArray(ops)) throw new KvError("bad-request", '"ops" must be an array of operations');
  if (typeof atomic !== "boolean")
    throw new KvError("bad-request", '"atomic" must be true or false');
  return assembleBatch(ops.length, { atomic, hops, positionCount }, (index) => {
    const operation: unknown = ops[index];
    if (!isMap(operation)) throw new KvError("bad-request", "an operation must be a map");
    const { op, ...members } = operation;
    const draft = readDraft(packedVerb(op, true), members);
    if (draft.verb === "get") draft.level ??= level;
    draft.hops = hops;
    return draft;
  });
}

/** Of requests that were not refused: those do not travel on. */
export function encodePackedBatch(batch: BatchRequest): Uint8Array {
  const map: Record<string, unknown> = {
    ops: batch.requests.map((request) => packBatched(request, batch.level)),
  };
  if (batch.atomic) map["atomic"] = true;
  if (batch.level !== "linearizable") map["read"] = batch.level;
  if (batch.hops !== 0) map["hops"] = batch.hops;
  return encoder.encode(map);
}

function packBatched(request: Request | RefusedRequest, level: ReadLevel): object {
  assert(request.kind !== "refused", "a coordinator answers refused operations by itself");
  if (request.kind === "write") {
    return { op: request.operation.verb, ...packOperation(request.operation) };
  }
  const map = { op: "get", ...packGet(request) };
  return request.level === level ? map : { ...map, read: request.level };
}

function packGet(request: Extract<Request, { kind: "get" }>): Record<string, unknown> {
  const map: Record<string, unknown> = { key: request.key };
  if (request.minRevision !== undefined) map["min_revision"] = request.minRevision;
  if (request.accept !== undefined) map["accept"] = contentTypes.indexOf(request.accept);
  return map;
}

function packOperation(operation: Operation): Record<string, unknown> {
  const { verb, request } = operation;
  const map: Record<string, unknown> = { key: operation.key };
  if (verb === "set" || verb === "patch") {
    map["value"] = operation.value;
    const type = contentTypes.indexOf(operation.contentType);
    if (type !== 0) map["content_type"] = type;
  }
  if (verb === "incr") {
    map["by"] = operation.by;
    if (operation.path !== undefined) map["path"] = operation.path;
  }
  if ("ttl" in operation && operation.ttl !== (verb === "set" ? "never" : "keep")) {
    map["ttl"] = operation.ttl;
  }
  if (operation.ifRevision !== undefined) map["if_revision"] = operation.ifRevision;
  if (request !== undefined) {
    map["request_id"] = request.id;
    if (request.index !== 0) map["request_index"] = request.index;
  }
  if (operation.returnPrevious) map["return"] = "previous";
  return map;
}

function readDraft(verb: Verb, map: PackedMap): Draft {
  const draft = newDraft(verb, "");
  if (typeof map["key"] !== "string") throw notOf("key", "text", map["key"]);
  for (const name in map) readMember(draft, name, map[name]);
  return draft;
}

function readMember(draft: Draft, name: string, value: unknown): void {
  switch (name) {
    case "key":
      draft.key = text(name, value);
      return;
    case "value":
      if (!(value instanceof Uint8Array)) throw notOf(name, "bytes", value);
      draft.value = value;
      return;
    case "content_type":
      draft.contentType = readContentType(name, value);
      return;
    case "by":
      if (typeof value !== "number") throw notOf(name, "a number", value);
      draft.by = value;
      return;
    case "path":
      draft.path = text(name, value);
      return;
    case "if_revision":
      draft.ifRevision = checkWhole('"if_revision"', value);
      return;
    case "ttl":
      draft.ttl = readTtl(value);
      return;
    case "request_id":
      draft.requestId = text(name, value);
      return;
    case "request_index":
      draft.requestIndex = checkWhole('"request_index"', value);
      return;
    case "return":
      draft.returnPrevious = checkReturn('"return"', value);
      return;
    case "read":
      draft.level = checkLevel('"read"', value);
      return;
    case "min_revision":
      draft.minRevision = checkWhole('"min_revision"', value);
      return;
    case "accept":
      draft.accept = readContentType(name, value);
      return;
    case "hops":
      draft.hops = checkWhole('"hops"', value);
      return;
    default:
      throw unknownMember(name);
  }
}

function decodeMap(payload: Uint8Array): PackedMap {
  let decoded: unknown;
  try {
    decoded = decodeMsgpack(payload);
  } catch (error) {
    const why = `the payload is not MessagePack: ${messageOf(error)}`;
    if (error instanceof KvError)
      throw new KvError(error.kind, why, error.details, { cause: error });
    throw new KvError("bad-request", why, {}, { cause: error });
  }
  if (isMap(decoded)) return decoded;
  throw new KvError("bad-request", "the payload is not a MessagePack map");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function isMap(value: unknown): value is PackedMap {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !ArrayBuffer.isView(value)
  );
}

function packedVerb(word: unknown, inBatch = false): Verb {
  if (isVerb(word) && (inBatch || word !== "check")) return word;
  throw new KvError("unsupported", `unknown verb ${shown(word)}`);
}

function text(name: string, value: unknown): string {
  if (typeof value !== "string") throw notOf(name, "text", value);
  return value;
}

function readContentType(name: string, value: unknown): ContentType {
  const type = contentTypes[checkWhole(`"${name}"`, value)];
  if (type !== undefined) return type;
  throw notOf(name, `an index below ${contentTypes.length}`, value);
}

function readTtl(value: unknown): Ttl {
  if (value === "never" || value === "keep") return value;
  const ms = checkWhole('"ttl"', value);
  if (ms >= TTL_MIN_MS && ms <= TTL_MAX_MS) return ms;
  throw notOf("ttl", `${TTL_MIN_MS} … ${TTL_MAX_MS} ms`, ms);
}

function notOf(name: string, form: string, value: unknown): KvError {
  return new KvError("bad-request", `"${name}" must be ${form}; received ${shown(value)}`);
}

function unknownMember(name: string): KvError {
  return new KvError("bad-request", `unknown member ${quote(name)}`);
}
