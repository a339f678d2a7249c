/**
 * Replies to subject and keyless requests of one operation: JSON, or a get's bytes with headers.
 */
import { assert } from "../assert.js";
import { KvError } from "../errors.js";
import { REPLY_BYTES_MAX } from "../limits.js";
import type { ContentType } from "../operation.js";
import { convertValue } from "../value/content.js";
import { formatTime } from "../value/ttl.js";
import { errorMember, replyTooLarge, typeMember, writtenMembers } from "./json.js";
import type { ReadResult, Reply, ReplyOptions, Result } from "./result.js";

/**
 * A single operation's reply to a subject or keyless request. Throws nothing a client could cause:
 * a conversion that is not possible is an `unsupported` reply.
 */
export function subjectReply(verb: string, result: Result, options: ReplyOptions = {}): Reply {
  switch (result.kind) {
    case "refused":
      return errorReply(result.error, verb);
    case "read":
      return readReply(verb, result, options.accept);
    case "written": {
      const asked = options.returnPrevious ?? false;
      const body = Buffer.from(`{${typeMember(verb)}${writtenMembers(result, asked)}}`);
      assert(body.length <= REPLY_BYTES_MAX, "spliceJson leaves room for one value");
      return { headers: [], body };
    }
  }
}

/** `verb` undefined: the request was none that we know. */
export function errorReply(error: KvError, verb?: string): Reply {
  const type = verb === undefined ? "" : typeMember(verb);
  return {
    headers: [
      ["Nats-Service-Error-Code", String(error.code)],
      ["Nats-Service-Error", headerText(error.message)],
    ],
    body: Buffer.from(`{${type}${errorMember(error)}}`),
  };
}

function readReply(verb: string, result: ReadResult, accept: ContentType | undefined): Reply {
  const { position, record } = result;
  const contentType = accept ?? record.contentType;
  let body: Uint8Array;
  try {
    body = convertValue(record.value, record.contentType, contentType);
    if (body.length > REPLY_BYTES_MAX) throw replyTooLarge(body.length);
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    return errorReply(error, verb);
  }
  const headers: [string, string][] = [
    ["Kv-Revision", String(record.revision)],
    ["Kv-Position", String(position)],
    ["Kv-Updated-At", formatTime(record.updatedAt)],
  ];
  if (record.expiresAt !== 0) headers.push(["Kv-Expires-At", formatTime(record.expiresAt)]);
  headers.push(["Content-Type", contentType]);
  return { headers, body };
}

const headerUnitsMax = 512;

/** A header is one line; what a client sent may be quoted in it. The body has the full text. */
function headerText(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim();
  if (line.length <= headerUnitsMax) return line;
  return `${line.slice(0, headerUnitsMax).replace(/\p{Surrogate}/gu, "")}…`;
}
