/**
 * Drafts: what a wire form said, before anybody asked whether it makes sense. A parser puts each
 * option into its field, in its type; `finishRequest` then checks what belongs to which verb, every
 * limit of one operation, and that values can be read, so that all forms refuse the same things
 * in the same words.
 */
import { KvError } from "../errors.js";
import type { Position, Revision } from "../ids.js";
import {
  BATCH_OPERATIONS_MAX,
  PATH_BYTES_MAX,
  REQUEST_ID_BYTES_MAX,
  REVISION_MAX,
  VALUE_BYTES_MAX,
} from "../limits.js";
import {
  verbs,
  type ContentType,
  type Operation,
  type RequestRef,
  type Ttl,
  type Verb,
} from "../operation.js";
import { checkKey, positionOf } from "../position.js";
import { convertValue, decodeValue, isExact } from "../value/content.js";
import { quote, quoteBytes, shown } from "../value/shown.js";
import type { GetRequest, ReadLevel, Request } from "./request.js";

export const readLevels = ["linearizable", "session", "stale"] as const satisfies ReadLevel[];

/** Undefined = not given. */
export interface Draft {
  verb: Verb;
  key: string;
  /** set: the value; patch: the merge patch. */
  value: Uint8Array | undefined;
  contentType: ContentType | undefined;
  by: number | undefined;
  path: string | undefined;
  ifRevision: number | undefined;
  ttl: Ttl | undefined;
  requestId: string | undefined;
  /** Place in the batch that the id was given for as a whole; 0 otherwise. */
  requestIndex: number;
  returnPrevious: boolean | undefined;
  level: ReadLevel | undefined;
  minRevision: number | undefined;
  accept: ContentType | undefined;
  hops: number;
}

export function newDraft(verb: Verb, key: string): Draft {
  return {
    verb,
    key,
    value: undefined,
    contentType: undefined,
    by: undefined,
    path: undefined,
    ifRevision: undefined,
    ttl: undefined,
    requestId: undefined,
    requestIndex: 0,
    returnPrevious: undefined,
    level: undefined,
    minRevision: undefined,
    accept: undefined,
    hops: 0,
  };
}

type Option = Exclude<keyof Draft, "verb" | "key" | "requestIndex" | "hops" | "accept">;

/** What an option is called in a body, and as a header. */
const optionNames: Readonly<Record<Option, string>> = {
  value: '"value"',
  contentType: '"content_type"',
  by: '"by"',
  path: '"path"',
  ifRevision: '"if_revision" (Kv-If-Revision)',
  ttl: '"ttl" (Kv-TTL)',
  requestId: '"request_id" (Kv-Request-Id)',
  returnPrevious: '"return" (Kv-Return)',
  level: '"read" (Kv-Read)',
  minRevision: '"min_revision" (Kv-Min-Revision)',
};

const common = ["ifRevision", "requestId", "returnPrevious"] as const;
const applies: Readonly<Record<Verb, readonly Option[]>> = {
  // An id on a get changes nothing, and a client may put one on every request.
  get: ["level", "minRevision", "requestId"],
  set: [...common, "value", "contentType", "ttl"],
  del: common,
  patch: [...common, "value", "contentType", "ttl"],
  incr: [...common, "by", "path", "ttl"],
  touch: [...common, "ttl"],
  check: ["ifRevision", "requestId"],
};
const options = Object.keys(optionNames) as readonly Option[];
const appliesNot = Object.fromEntries(
  verbs.map((verb) => [verb, options.filter((option) => !applies[verb].includes(option))]),
) as Record<Verb, Option[]>;

/** Throws KvError `bad-request`, `too-large`, `limit-exceeded` or `unsupported`. */
export function finishRequest(draft: Draft, positionCount: number): Request {
  const { verb, key, hops } = draft;
  checkKey(key);
  for (const option of appliesNot[verb]) {
    if (draft[option] === undefined) continue;
    throw new KvError("bad-request", `${optionNames[option]} does not apply to ${verb}`);
  }
  if (draft.requestId !== undefined) checkRequestId(draft.requestId);
  checkNumbers(draft);
  const position = positionOf(key, positionCount);
  if (verb === "get") return finishGet(draft, position);
  if (draft.accept !== undefined && draft.accept !== "application/json") {
    const what = `the reply of ${verb} is always application/json; received Accept ${draft.accept}`;
    throw new KvError("unsupported", what);
  }
  return { kind: "write", operation: finishOperation(draft, verb, position), hops };
}

function finishGet(draft: Draft, position: Position): GetRequest {
  const { key, level = "linearizable", minRevision, accept, hops } = draft;
  if (level === "stale" && minRevision !== undefined) {
    const what =
      '"min_revision" (Kv-Min-Revision) waits, but a stale read never does: use "session"';
    throw new KvError("bad-request", what);
  }
  const revision = minRevision as Revision | undefined;
  return { kind: "get", key, position, level, minRevision: revision, accept, hops };
}

/** Literals, not spreads: a spread of the common members costs more than all else here. */
function finishOperation(draft: Draft, verb: Exclude<Verb, "get">, position: Position): Operation {
  const { key, returnPrevious = false } = draft;
  const ifRevision = draft.ifRevision as Revision | undefined;
  const request = requestRef(draft);
  switch (verb) {
    case "set": {
      const { contentType = "application/json", ttl = "never" } = draft;
      const value = checkSetValue(draft.value, contentType);
      if (ttl === "keep") throw new KvError("bad-request", '"ttl" of a set cannot be "keep"');
      return { verb, key, position, ifRevision, request, returnPrevious, value, contentType, ttl };
    }
    case "del":
      return { verb, key, position, ifRevision, request, returnPrevious };
    case "patch": {
      const { ttl = "keep" } = draft;
      const { value, contentType } = checkPatch(draft);
      return { verb, key, position, ifRevision, request, returnPrevious, value, contentType, ttl };
    }
    case "incr": {
      const { path, by: amount = 1, ttl = "keep" } = draft;
      if (path !== undefined) checkPath(path);
      if (!Number.isFinite(amount)) {
        throw new KvError("bad-request", `"by" must be a finite number; received ${amount}`);
      }
      // + 0 turns −0 into 0: what goes over the wire as an integer has no −0.
      const by = amount + 0;
      return { verb, key, position, ifRevision, request, returnPrevious, path, by, ttl };
    }
    case "touch": {
      const { ttl } = draft;
      if (ttl === undefined || ttl === "keep") {
        throw new KvError("bad-request", 'touch needs "ttl" (Kv-TTL), such as "60", "1h", "never"');
      }
      return { verb, key, position, ifRevision, request, returnPrevious, ttl };
    }
    case "check":
      if (ifRevision === undefined) {
        throw new KvError("bad-request", 'check needs "if_revision"; 0 = the key must be absent');
      }
      return { verb, key, position, ifRevision, request, returnPrevious };
  }
}

function requestRef(draft: Draft): RequestRef | undefined {
  const { requestId: id, requestIndex: index } = draft;
  return id === undefined ? undefined : { id, index };
}

function checkRequestId(id: string): void {
  const size = Buffer.byteLength(id);
  if (size >= 1 && size <= REQUEST_ID_BYTES_MAX && !/\p{Surrogate}/u.test(id)) return;
  const name = optionNames.requestId;
  const form = `${name} must be text of 1 … ${REQUEST_ID_BYTES_MAX} bytes`;
  throw new KvError("bad-request", `${form}; received ${size} bytes: ${quote(id)}`);
}

/** What has a fixed width in a log entry. */
function checkNumbers({ ifRevision = 0, requestIndex }: Draft): void {
  if (ifRevision > REVISION_MAX) {
    const form = `${optionNames.ifRevision} must be at most ${REVISION_MAX}`;
    throw new KvError("bad-request", `${form}; received ${ifRevision}`);
  }
  if (requestIndex < BATCH_OPERATIONS_MAX) return;
  const form = `"request_index" must be below ${BATCH_OPERATIONS_MAX}`;
  throw new KvError("bad-request", `${form}; received ${requestIndex}`);
}

function checkSize(what: string, bytes: Uint8Array): void {
  if (bytes.length <= VALUE_BYTES_MAX) return;
  const [limit, size] = [VALUE_BYTES_MAX, bytes.length];
  const text = `a ${what} has at most ${limit} bytes; received ${size}`;
  throw new KvError("too-large", text, { limit, size });
}

function checkSetValue(value: Uint8Array | undefined, contentType: ContentType): Uint8Array {
  if (value === undefined) throw new KvError("bad-request", 'set needs "value" or "value_base64"');
  checkSize("value", value);
  decodeValue(value, contentType);
  return value;
}

type PatchType = "application/json" | "application/msgpack";

function checkPatch(draft: Draft): { value: Uint8Array; contentType: PatchType } {
  const { value, contentType = "application/json" } = draft;
  if (value === undefined) throw new KvError("bad-request", 'patch needs "patch": {…}');
  if (contentType !== "application/json" && contentType !== "application/msgpack") {
    const form = "a patch must be application/json or application/msgpack";
    throw new KvError("bad-request", `${form}; received Content-Type ${contentType}`);
  }
  checkSize("patch", value);
  try {
    decodeValue(value, contentType);
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    const why = `the patch is not ${contentType}; received ${quoteBytes(value)}`;
    throw new KvError(error.kind, why, error.details, { cause: error });
  }
  return { value, contentType };
}

function checkPath(path: string): void {
  if (path === "" || /\p{Surrogate}/u.test(path)) {
    const form = '"path" must name an attribute; leave it out to increment the value itself';
    throw new KvError("bad-request", `${form}; received ${quote(path)}`);
  }
  const size = Buffer.byteLength(path);
  if (size <= PATH_BYTES_MAX) return;
  const max = PATH_BYTES_MAX;
  const text = `"path" has at most ${max} bytes; received ${size}: ${quote(path)}`;
  throw new KvError("limit-exceeded", text, { limit: "path_bytes", max, received: size });
}

/** The value of a keyless set in another form than JSON: the counterpart of how replies tell it. */
export function valueFromJson(json: Uint8Array, contentType: ContentType): Uint8Array {
  switch (contentType) {
    case "application/json":
      return json;
    case "application/msgpack":
      return exactMsgpack(json);
    case "text/plain": {
      const text: unknown = decodeValue(json, "application/json");
      if (typeof text === "string") return Buffer.from(text);
      const form = `"value" of a text/plain must be a JSON string`;
      throw new KvError("bad-request", `${form}; received ${quoteBytes(json)}`);
    }
    case "application/octet-stream":
      throw new KvError("bad-request", `send a value of raw bytes in "value_base64"`);
  }
}

/** Throws `unsupported` where MessagePack would hold other numbers or members than were sent. */
function exactMsgpack(json: Uint8Array): Uint8Array {
  if (isExact(json, "application/json")) {
    return convertValue(json, "application/json", "application/msgpack");
  }
  throw new KvError(
    "unsupported",
    `"value" has a repeated member, or a number that MessagePack would change; send it as ` +
      `MessagePack in "value_base64", or keep it as JSON`,
  );
}

/** Throws `bad-request` unless `value` is a whole number from 0 to REVISION_MAX. */
export function checkWhole(name: string, value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= REVISION_MAX) {
    return value + 0;
  }
  const form = `${name} must be a whole number from 0 to ${REVISION_MAX}`;
  throw new KvError("bad-request", `${form}; received ${shown(value)}`);
}

export function checkLevel(name: string, value: unknown): ReadLevel {
  const level = readLevels.find((word) => word === value);
  if (level !== undefined) return level;
  const form = `${name} must be "linearizable", "session" or "stale"`;
  throw new KvError("bad-request", `${form}; received ${shown(value)}`);
}

export function checkReturn(name: string, value: unknown): true {
  if (value === "previous") return true;
  throw new KvError("bad-request", `${name} must be "previous"; received ${shown(value)}`);
}
