/**
 * Replies: what came of a request, and its wire forms.
 *   subject, keyless   JSON, or a get's bytes with headers   here and reply-batch.ts
 *   packed             a MessagePack map                     reply-packed.ts
 */
import { convertValue } from "./content.js";
import { KvError } from "./errors.js";
import type { Position } from "./ids.js";
import { REPLY_BYTES_MAX } from "./limits.js";
import type { ContentType, Done, StoredRecord } from "./operation.js";
import {
  errorMember,
  replyTooLarge,
  type Splice,
  typeMember,
  writtenMembers,
} from "./reply-json.js";
import { formatTime } from "./ttl.js";

export interface WrittenResult {
  readonly kind: "written";
  readonly key: string;
  readonly position: Position;
  readonly done: Done;
}
export interface ReadResult {
  readonly kind: "read";
  readonly key: string;
  readonly position: Position;
  readonly record: StoredRecord;
}
export interface RefusedResult {
  readonly kind: "refused";
  readonly error: KvError;
}
export type Result = WrittenResult | ReadResult | RefusedResult;

/** What came of a batch: an outcome for each operation in order, or one error for all. */
export type BatchResult = readonly Result[] | KvError;

/** Names in the case they are to have on the wire, with their values. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[];

export interface Reply {
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
}

export interface ReplyOptions {
  /** A get's wanted form. */
  readonly accept?: ContentType | undefined;
  /** The write asked for the value before it (`Kv-Return: previous`). */
  readonly returnPrevious?: boolean;
}

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
      if (body.length <= REPLY_BYTES_MAX) return { headers: [], body };
      // Only `previous` can be that long, when JSON has to escape its text.
      const splice: Splice = ({ value }) => errorMember(replyTooLarge(value.length));
      const members = writtenMembers(result, asked, splice);
      return { headers: [], body: Buffer.from(`{${typeMember(verb)}${members}}`) };
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

export { batchReply } from "./reply-batch.js";
export {
  packedBatchReply,
  packedReply,
  parsePackedBatchReply,
  parsePackedReply,
} from "./reply-packed.js";
