/**
 * The packed form of replies: MessagePack maps whose members are absent when they have their
 * default. Times are milliseconds, 0 = never, content types the index in operation.ts.
 *
 *   write  {verb, key, revision (0 = none), position, created?, existed?, number?, expires_at?,
 *           previous?: {value, content_type?, revision, updated_at, expires_at?}}
 *   get    {value, content_type?, revision, position, updated_at, expires_at?}
 *   error  {error: the body that errors.ts tells}
 *   batch  {outcomes: [the above, in order]}, or an error
 *
 * Values of a parsed reply are views of its bytes. Bytes that are no reply become KvError
 * `internal`: they come from a program that speaks another version, and nobody knows what it did.
 */
import { Encoder } from "@msgpack/msgpack";
import { KvError } from "../errors.js";
import type { Position, Revision, TimeMs } from "../ids.js";
import { REPLY_BYTES_MAX } from "../limits.js";
import {
  contentTypes,
  isWriteVerb,
  type ContentType,
  type Done,
  type StoredRecord,
} from "../operation.js";
import { OUTCOME_BYTES_MAX } from "../request/batch.js";
import { decodeMsgpack } from "../value/msgpack.js";
import { replyTooLarge, shortened } from "./json.js";
import type { BatchResult, Result, WrittenResult } from "./result.js";

const encoder = new Encoder();

type PackedMap = Record<string, unknown>;

export function packedReply(result: Result): Uint8Array {
  return encoder.encode(packResult(result));
}

/** `key` is the request's: a get's reply does not repeat it. */
export function parsePackedReply(bytes: Uint8Array, key: string): Result {
  try {
    return unpackResult(decodeMap(bytes), key);
  } catch (error) {
    return { kind: "refused", error: notAReply(error) };
  }
}

/** A get whose value does not fit is `too-large`; a `previous` that does not is left out. */
export function packedBatchReply(result: BatchResult): Uint8Array {
  if (result instanceof KvError) return encoder.encode({ error: result.toBody() });
  let size = 0;
  for (const one of result) size += OUTCOME_BYTES_MAX + keyBytes(one);
  const outcomes = result.map((one) => {
    if (one.kind === "refused") return packResult({ ...one, error: shortened(one.error) });
    const value = one.kind === "read" ? one.record.value : one.done.previous?.value;
    if (value === undefined) return packResult(one);
    size += value.length;
    if (size <= REPLY_BYTES_MAX) return packResult(one);
    size -= value.length;
    if (one.kind === "read") return { error: replyTooLarge(value.length).toBody() };
    return packResult({ ...one, done: { ...one.done, previous: undefined } });
  });
  return encoder.encode({ outcomes });
}

/** `keys` are the request's, in order. */
export function parsePackedBatchReply(bytes: Uint8Array, keys: readonly string[]): BatchResult {
  try {
    const { outcomes, error } = decodeMap(bytes);
    if (error !== undefined) return KvError.fromBody(error);
    if (!Array.isArray(outcomes)) throw new Error("it has no outcomes");
    if (outcomes.length !== keys.length) {
      throw new Error(`it has ${outcomes.length} outcomes for ${keys.length} operations`);
    }
    return keys.map((key, index) => unpackResult(asMap(outcomes[index]), key));
  } catch (error) {
    return notAReply(error);
  }
}

function packResult(result: Result): PackedMap {
  switch (result.kind) {
    case "refused":
      return { error: result.error.toBody() };
    case "read": {
      const map = packRecord(result.record);
      map["position"] = result.position;
      return map;
    }
    case "written":
      return packWritten(result);
  }
}

function packWritten({ key, position, done }: WrittenResult): PackedMap {
  const map: PackedMap = { verb: done.verb, key, revision: done.revision, position };
  if (done.created) map["created"] = true;
  if (done.existed) map["existed"] = true;
  if (done.number !== undefined) map["number"] = done.number;
  if (done.expiresAt !== 0) map["expires_at"] = done.expiresAt;
  if (done.previous !== undefined) map["previous"] = packRecord(done.previous);
  return map;
}

function packRecord(record: StoredRecord): PackedMap {
  const { value, revision, updatedAt, expiresAt } = record;
  const map: PackedMap = { value, revision, updated_at: updatedAt };
  const type = contentTypes.indexOf(record.contentType);
  if (type !== 0) map["content_type"] = type;
  if (expiresAt !== 0) map["expires_at"] = expiresAt;
  return map;
}

function unpackResult(map: PackedMap, key: string): Result {
  if (map["error"] !== undefined) {
    return { kind: "refused", error: KvError.fromBody(map["error"]) };
  }
  const position = whole(map, "position") as Position;
  if (map["verb"] === undefined) {
    return { kind: "read", key, position, record: unpackRecord(map) };
  }
  return { kind: "written", key, position, done: unpackDone(map) };
}

function unpackDone(map: PackedMap): Done {
  const { verb, number, previous } = map;
  if (!isWriteVerb(verb)) throw new Error("its verb does not write");
  if (number !== undefined && typeof number !== "number")
    throw new Error("its number is not a number");
  return {
    verb,
    revision: whole(map, "revision") as Revision,
    created: map["created"] === true,
    existed: map["existed"] === true,
    number,
    expiresAt: whole(map, "expires_at", 0) as TimeMs,
    previous: previous === undefined ? undefined : unpackRecord(asMap(previous)),
  };
}

function unpackRecord(map: PackedMap): StoredRecord {
  const { value } = map;
  if (!(value instanceof Uint8Array)) throw new Error("a value is not bytes");
  return {
    revision: whole(map, "revision") as Revision,
    updatedAt: whole(map, "updated_at") as TimeMs,
    expiresAt: whole(map, "expires_at", 0) as TimeMs,
    contentType: unpackContentType(whole(map, "content_type", 0)),
    value,
  };
}

function unpackContentType(index: number): ContentType {
  const type = contentTypes[index];
  if (type === undefined) throw new Error(`it has the unknown content type ${index}`);
  return type;
}

function whole(map: PackedMap, name: string, absent?: number): number {
  const value = map[name] ?? absent;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`${name} is not a whole number`);
}

function decodeMap(bytes: Uint8Array): PackedMap {
  return asMap(decodeMsgpack(bytes));
}

function asMap(value: unknown): PackedMap {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as PackedMap;
  }
  throw new Error("it is not a map");
}

function keyBytes(result: Result): number {
  return result.kind === "written" ? Buffer.byteLength(result.key) : 0;
}

function notAReply(error: unknown): KvError {
  const why = error instanceof Error ? error.message : String(error);
  return new KvError("internal", `a reply could not be read: ${why}`, {}, { cause: error });
}
