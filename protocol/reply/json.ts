/**
 * Results as JSON text: what subjectReply and batchReply put together.
 *
 * Built by concatenation, because values go in as the bytes they were set as (spliceJson), and
 * because a reply of three numbers should cost no more than that.
 */
import { assert } from "../assert.js";
import { KvError } from "../errors.js";
import { REPLY_BYTES_MAX } from "../limits.js";
import type { Done, StoredRecord } from "../operation.js";
import { jsonOfText, spliceJson } from "../value/content.js";
import { formatTime } from "../value/ttl.js";
import type { ReadResult, WrittenResult } from "./result.js";

/** What the member `type` of every JSON reply says. */
export function responseType<Verb extends string>(verb: Verb): `io.ringdex.v1.${Verb}_response` {
  return `io.ringdex.v1.${verb}_response`;
}

/** `"type":…,` as it opens every JSON reply. */
export function typeMember(verb: string): string {
  return `"type":"${responseType(verb)}",`;
}

/** What a record's value takes of a reply's room; JSON text without the braces around it. */
export type Splice = (record: StoredRecord) => string;

/** The value itself, whatever its size. */
const spliceRecord: Splice = (record) => spliceJson(record.value, record.contentType);

/**
 * The members of a write's reply. `previousAsked`: the request had `Kv-Return: previous`. Then
 * `previous` is null if no record was there, and left out if that is not known: a repeat gets the
 * first outcome without it.
 */
export function writtenMembers(
  { key, position, done }: WrittenResult,
  previousAsked: boolean,
  splice: Splice = spliceRecord,
): string {
  const revision = done.verb === "del" && !done.existed ? "null" : done.revision;
  const members = `"key":${jsonOfText(key)},"revision":${revision},"position":${position}`;
  return members + ownMember(done) + previousMember(done, previousAsked, splice);
}

function ownMember(done: Done): string {
  switch (done.verb) {
    case "set":
    case "patch":
      return `,"created":${done.created}`;
    case "del":
      return `,"existed":${done.existed}`;
    case "incr":
      assert(done.number !== undefined, "an incr that was done has its number");
      return `,"value":${done.number}`;
    case "touch":
      return `,"expires_at":${done.expiresAt === 0 ? "null" : `"${formatTime(done.expiresAt)}"`}`;
    case "check":
      return "";
  }
}

function previousMember(done: Done, asked: boolean, splice: Splice): string {
  const { previous } = done;
  if (previous !== undefined) {
    return `,"previous":{${splice(previous)},"revision":${previous.revision}}`;
  }
  const noneWasThere = done.created || (done.verb === "del" && !done.existed);
  return asked && noneWasThere ? ',"previous":null' : "";
}

/** The members of a get's outcome in a batch. */
export function readMembers({ key, position, record }: ReadResult): string {
  const { revision, updatedAt, expiresAt } = record;
  const expires = expiresAt === 0 ? "" : `,"expires_at":"${formatTime(expiresAt)}"`;
  return (
    `"key":${jsonOfText(key)},${spliceRecord(record)},"revision":${revision}` +
    `,"position":${position},"updated_at":"${formatTime(updatedAt)}"${expires}`
  );
}

export function errorMember(error: KvError): string {
  return `"error":${JSON.stringify(error.toBody())}`;
}

/** Stands for a value that does not fit one reply. */
export function replyTooLarge(size: number): KvError {
  const limit = REPLY_BYTES_MAX;
  const text = `a reply has at most ${limit} bytes; a value of ${size} bytes does not fit`;
  return new KvError("too-large", text, { limit, size });
}

/** What takes more than this of a batch's outcome is cut; OUTCOME_BYTES_MAX is the room for it. */
const errorBytesMax = 480;
const descriptionMax = 200;

/** The error, with a description and details that fit an outcome of a batch. */
export function shortened(error: KvError): KvError {
  if (Buffer.byteLength(errorMember(error)) <= errorBytesMax) return error;
  const { kind, message, details, retryable } = error;
  const { index, limit, max, received, size, revision, field } = details;
  const known = { index, limit, max, received, size, revision, field };
  const cut = (units: number): string =>
    `${message.slice(0, units).replace(/\p{Surrogate}/gu, "")}…`;
  const options = { cause: error, retryable };
  const short = new KvError(kind, cut(descriptionMax), known, options);
  if (Buffer.byteLength(errorMember(short)) <= errorBytesMax) return short;
  // Escapes and letters of many bytes: six for each is the most JSON makes of one.
  return new KvError(kind, cut(descriptionMax / 6), {}, options);
}
