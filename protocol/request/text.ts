/**
 * The forms of requests that people write: by subject (`kv.set.delhi`, the payload is the value)
 * and keyless (`kv.set`, `kv.batch`: members of a JSON body). Options are headers in both; the
 * keyless form may have them in its body instead. What is said twice must be the same: neither
 * wins, because either would silently drop what the caller wrote in the other place.
 *
 * Unknown members and unknown headers that begin with `Kv-` are refused, so that a misspelt
 * condition cannot become an unconditional write. Other headers belong to other programs.
 */
import { KvError } from "../errors.js";
import { isVerb, type Verb } from "../operation.js";
import { parseContentType } from "../value/content.js";
import { membersOf } from "../value/json-members.js";
import { quote, quoteBytes } from "../value/shown.js";
import { assembleBatch } from "./batch.js";
import { bodyMembers, readBody, readFrame, readIncr, readText, slices } from "./body.js";
import { finishRequest, newDraft, type Draft } from "./draft.js";
import { readHeaders, type HeaderOptions } from "./headers.js";
import type { BatchRequest, Request, RequestHeaders } from "./request.js";

/** `kv.<verb>.<key>`. The value is a view of `payload`. Throws KvError as finishRequest does. */
export function parseSubjectRequest(
  verb: string,
  key: string,
  payload: Uint8Array,
  headers: RequestHeaders | undefined,
  positionCount: number,
): Request {
  const draft = newDraft(textVerb(verb), key);
  const options = readHeaders(headers);
  mergeHeaders(draft, options);
  const contentType = parseContentType(options.contentType);
  const { verb: known } = draft;
  if (known === "set" || known === "patch") {
    draft.value = payload;
    draft.contentType = contentType;
  } else if (payload.length > 0) {
    if (known !== "incr") {
      const text = `${verb} takes no payload; received ${quoteBytes(payload)}`;
      throw new KvError("bad-request", text);
    }
    readIncr(draft, payload, contentType);
  }
  return finishRequest(draft, positionCount);
}

/** `kv.<verb>` with the key, and all else, in a JSON body. A JSON value keeps its source bytes. */
export function parseKeylessRequest(
  verb: string,
  payload: Uint8Array,
  headers: RequestHeaders | undefined,
  positionCount: number,
): Request {
  const known = textVerb(verb);
  const options = readHeaders(headers);
  checkEnvelope(verb, options);
  const draft = readBody(known, bodyMembers(payload, verb), false);
  mergeHeaders(draft, options);
  return finishRequest(draft, positionCount);
}

/**
 * `kv.batch`. Its headers are defaults for its operations: Kv-Request-Id names each of them by its
 * index, Kv-Read holds for its gets; an operation that has its own keeps that.
 */
export function parseBatchRequest(
  payload: Uint8Array,
  headers: RequestHeaders | undefined,
  positionCount: number,
): BatchRequest {
  const options = readHeaders(headers);
  checkEnvelope("batch", options);
  checkBatchHeaders(options);
  // A session's revision is one position's; over many keys its promise is the stronger one.
  const level = options.level === "session" ? "linearizable" : options.level;
  const { ops, atomic } = readFrame(payload);
  return assembleBatch(ops.length, { atomic, hops: 0, positionCount }, (index) => {
    const members = slices(payload, membersOf(payload, ops[index]));
    const op = members.get("op");
    if (op === undefined) throw new KvError("bad-request", 'an operation needs "op": its verb');
    const draft = readBody(textVerb(readText("op", op), true), members, true);
    if (draft.verb === "get") draft.level ??= level;
    if (draft.requestId === undefined && options.requestId !== undefined) {
      draft.requestId = options.requestId;
      draft.requestIndex = index;
    }
    return draft;
  });
}

function textVerb(word: string, inBatch = false): Verb {
  if (isVerb(word) && (inBatch || word !== "check")) return word;
  throw new KvError("unsupported", `unknown verb ${quote(word)}`);
}

/** The Content-Type header is the payload's, and that is the JSON around the value. */
function checkEnvelope(verb: string, options: HeaderOptions): void {
  if (parseContentType(options.contentType) === "application/json") return;
  const text =
    `the payload of ${verb} without a key must be application/json, ` + "with the value's type in";
  const got = quote(options.contentType ?? "");
  throw new KvError("bad-request", `${text} "content_type"; received Content-Type ${got}`);
}

function checkBatchHeaders({ ifRevision, ttl, returnPrevious, ...rest }: HeaderOptions): void {
  const { minRevision, accept } = rest;
  const each = { ifRevision, ttl, returnPrevious, minRevision };
  for (const [option, value] of Object.entries(each)) {
    if (value === undefined) continue;
    const name = eachNames[option as keyof typeof each];
    throw new KvError(
      "bad-request",
      `in a batch, put "${name}" into the operation that it belongs to`,
    );
  }
  if (accept === undefined || accept === "application/json") return;
  const what = `the reply of batch is always application/json; received Accept ${accept}`;
  throw new KvError("unsupported", what);
}

const eachNames = {
  ifRevision: "if_revision",
  ttl: "ttl",
  returnPrevious: "return",
  minRevision: "min_revision",
} as const;

const merged = {
  ifRevision: '"if_revision" and Kv-If-Revision',
  ttl: '"ttl" and Kv-TTL',
  requestId: '"request_id" and Kv-Request-Id',
  returnPrevious: '"return" and Kv-Return',
  level: '"read" and Kv-Read',
  minRevision: '"min_revision" and Kv-Min-Revision',
} as const;

function mergeHeaders(draft: Draft, options: HeaderOptions): void {
  if (options.accept !== undefined) draft.accept = options.accept;
  let name: keyof typeof merged;
  for (name in merged) {
    const value = options[name];
    if (value === undefined) continue;
    if (draft[name] !== undefined && draft[name] !== value) {
      const got = `${quote(String(draft[name]))} and ${quote(String(value))}`;
      throw new KvError("bad-request", `${merged[name]} differ: ${got}`);
    }
    Object.assign(draft, { [name]: value });
  }
}
