/**
 * Content: how a value's bytes are read, written, converted, and put into a JSON reply.
 *
 * A value is kept byte for byte as it was set. It is read for its attributes, for patch and incr,
 * for `Accept` and for replies in JSON. Everything here ends in a value or in a KvError, whatever
 * the bytes are; reading never recurses, and writing recurses at most DECODE_DEPTH_MAX deep.
 *
 * Decided here
 *   - A byte order mark is part of the bytes: JSON with one is refused, text keeps it.
 *   - JSON text with a lone surrogate ("\ud800") is refused: it has no UTF-8, so no index entry.
 *   - JSON numbers are read as the nearest double, so 1e400 is Infinity. The record keeps its
 *     bytes; isExact (json-exact.ts) is what keeps patch and incr from writing the loss down.
 *   - MessagePack that JSON cannot tell (bytes, Infinity) is not converted: `Accept` gets
 *     `unsupported`, and in a JSON reply it stands as `value_base64`, so that one such record
 *     does not fail a whole find. So does a value whose JSON form a reply has no room for.
 */
import { Encoder } from "@msgpack/msgpack";
import { isUtf8 } from "node:buffer";
import { KvError } from "../errors.js";
import { DECODE_DEPTH_MAX, REPLY_BYTES_MAX } from "../limits.js";
import { contentTypes, type ContentType } from "../operation.js";
import { exactMemberCount, memberCount } from "./json-exact.js";
import { scanMsgpack, tooDeep } from "./msgpack-scan.js";
import { decodeMsgpackExact } from "./msgpack.js";
import { isPlainObject, type Plain } from "./plain.js";

export type { Plain } from "./plain.js";

// The byte order mark is kept so that places in the text are places in the bytes.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
// The encoder counts the scalar in the innermost container as one more level.
const encoder = new Encoder({ useBigInt64: true, maxDepth: DECODE_DEPTH_MAX + 1 });

const surrogateEscape = /\\u[dD][89a-fA-F]/;
const loneSurrogate = /\p{Surrogate}/u;
/** Text that JSON needs no escapes for: the usual case, without a call of JSON.stringify. */
const plainText = /^[ !#-[\]-\u007e]*$/;

/** The type a header names: absent is JSON, parameters are ignored, unknown types are raw bytes. */
export function parseContentType(header: string | undefined): ContentType {
  if (header === undefined || header === "") return "application/json";
  const end = header.indexOf(";");
  const name = (end < 0 ? header : header.slice(0, end)).trim().toLowerCase();
  return contentTypes.find((known) => known === name) ?? "application/octet-stream";
}

/**
 * Reads a value: undefined for text and raw bytes, which have no attributes. Bytes in the result
 * are views into `value`. Throws KvError: `bad-request` for malformed bytes, `limit-exceeded` for
 * nesting beyond DECODE_DEPTH_MAX, `unsupported` for MessagePack's extension types.
 */
export function decodeValue(value: Uint8Array, contentType: ContentType): Plain | undefined {
  switch (contentType) {
    case "application/json":
      return decodeJson(value);
    case "application/msgpack":
      return decodeMsgpackExact(value) as Plain;
    case "text/plain":
      if (!isUtf8(value)) throw notUtf8(contentType);
      return undefined;
    case "application/octet-stream":
      return undefined;
  }
}

/** Fatal UTF-8. */
export function textOf(value: Uint8Array, contentType: ContentType): string {
  try {
    return utf8.decode(value);
  } catch {
    throw notUtf8(contentType);
  }
}

function decodeJson(value: Uint8Array): Plain {
  const text = textOf(value, "application/json");
  let plain: Plain;
  try {
    plain = JSON.parse(text) as Plain;
  } catch (cause) {
    throw notJson(cause);
  }
  refuseDeepJson(text);
  if (surrogateEscape.test(text)) refuseLoneSurrogates(plain);
  return plain;
}

/** `text` is valid JSON. V8's parser does not recurse, so depth is looked at afterwards. */
function refuseDeepJson(text: string): void {
  // Each level takes an opening and a closing bracket.
  if (text.length <= 2 * DECODE_DEPTH_MAX) return;
  if (openingBrackets(text, DECODE_DEPTH_MAX + 1) <= DECODE_DEPTH_MAX) return;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) at = endOfString(text, at);
    else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > DECODE_DEPTH_MAX) throw tooDeep();
    } else if (code === 0x5d || code === 0x7d) depth -= 1;
  }
}

/** How many `[` and `{` the text has, those in strings counted, up to `enough`. */
function openingBrackets(text: string, enough: number): number {
  let count = 0;
  for (const bracket of ["[", "{"]) {
    let at = text.indexOf(bracket);
    while (at >= 0 && count < enough) {
      count += 1;
      at = text.indexOf(bracket, at + 1);
    }
  }
  return count;
}

/** Place of the quote that ends the string whose first quote is at `at`, in valid JSON. */
function endOfString(text: string, at: number): number {
  for (let index = at + 1; ; index += 1) {
    const code = text.charCodeAt(index);
    if (code === 0x22) return index;
    if (code === 0x5c) index += 1;
  }
}

function refuseLoneSurrogates(root: Plain): void {
  const stack: Plain[] = [root];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (typeof value === "string") refuseLoneSurrogate(value);
    else if (Array.isArray(value)) for (const element of value) stack.push(element);
    else if (isPlainObject(value)) {
      for (const [name, member] of Object.entries(value)) {
        refuseLoneSurrogate(name);
        stack.push(member);
      }
    }
  }
}

function refuseLoneSurrogate(text: string): void {
  if (!loneSurrogate.test(text)) return;
  throw new KvError(
    "bad-request",
    "the JSON value holds a lone surrogate (half of an escaped \\ud83d\\ude00), which is not text",
  );
}

/**
 * Writes a value as JSON or MessagePack. Throws KvError `unsupported` for what the format cannot
 * tell: bytes and Infinity in JSON, a member `__proto__` in MessagePack (it could not be read
 * again), and anything as text or raw bytes; `limit-exceeded` beyond DECODE_DEPTH_MAX.
 */
export function encodeValue(plain: Plain, contentType: ContentType): Uint8Array {
  if (contentType === "application/json") return Buffer.from(jsonOf(plain), "utf8");
  if (contentType !== "application/msgpack") {
    throw new KvError("unsupported", `a structured value cannot be written as ${contentType}`);
  }
  refuseDeep(plain);
  const bytes = encoder.encode(plain);
  // The name occurs in the bytes of every value that has such a member, and in few others.
  if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes("__proto__")) {
    refuseProto(bytes);
  }
  return bytes;
}

/**
 * False if patch or incr would damage the value by reading and writing it: it holds a number that
 * would change, or a member twice (json-exact.ts). Text and raw bytes are exact. Throws as
 * decodeValue for malformed bytes.
 */
export function isExact(value: Uint8Array, contentType: ContentType): boolean {
  const plain = decodeValue(value, contentType);
  if (plain === undefined) return true;
  // All numbers of MessagePack are doubles or 64-bit integers, and come back as such.
  if (contentType === "application/msgpack") return scanMsgpack(value) === memberCount(plain);
  const text = textOf(value, contentType);
  if (JSON.stringify(plain) === text) return true;
  return exactMemberCount(text) === memberCount(plain);
}

function refuseProto(bytes: Uint8Array): void {
  try {
    scanMsgpack(bytes);
  } catch (cause) {
    const text = "a member called `__proto__` cannot be written as MessagePack";
    throw new KvError("unsupported", text, {}, { cause });
  }
}

function refuseDeep(root: Plain): void {
  let level: Plain[] = [root];
  for (let depth = 0; level.length > 0; depth += 1) {
    const next: Plain[] = [];
    for (const value of level) {
      if (typeof value !== "object" || value === null || value instanceof Uint8Array) continue;
      for (const child of Array.isArray(value) ? value : Object.values(value)) next.push(child);
      if (depth === DECODE_DEPTH_MAX) throw tooDeep();
    }
    level = next;
  }
}

/** JSON text of a value, 64-bit integers as digits. Throws as encodeValue. */
export function jsonOf(plain: Plain, depth = 0): string {
  if (typeof plain === "string") return jsonOfText(plain);
  if (typeof plain === "number") return jsonOfNumber(plain);
  if (plain === null || typeof plain !== "object") return String(plain);
  if (plain instanceof Uint8Array) throw notInJson("bytes");
  if (depth >= DECODE_DEPTH_MAX) throw tooDeep();
  let text = "";
  if (Array.isArray(plain)) {
    for (const element of plain) text += (text === "" ? "" : ",") + jsonOf(element, depth + 1);
    return `[${text}]`;
  }
  for (const name of Object.keys(plain)) {
    text += `${text === "" ? "" : ","}${jsonOfText(name)}:${jsonOf(plain[name]!, depth + 1)}`;
  }
  return `{${text}}`;
}

function jsonOfNumber(number: number): string {
  if (!Number.isFinite(number)) throw notInJson(String(number));
  return Object.is(number, -0) ? "-0" : String(number);
}

/** A JSON string, quotes included. */
export function jsonOfText(text: string): string {
  return plainText.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** A value that takes more as JSON stands as base64, which takes at most 4/3 of VALUE_BYTES_MAX. */
const JSON_BYTES_MAX = REPLY_BYTES_MAX / 2;

/**
 * The members that stand for a value in a JSON reply, without braces: `"value":…` as JSON, text
 * or converted MessagePack, otherwise `"value_base64":"…"`; `"content_type":"…"` beside it unless
 * it is JSON. `value` is one that decodeValue has accepted; JSON is put in as it was sent.
 */
export function spliceJson(value: Uint8Array, contentType: ContentType): string {
  if (contentType === "application/json") return `"value":${textOf(value, contentType)}`;
  const type = `,"content_type":"${contentType}"`;
  const json = jsonInReply(value, contentType);
  return json === undefined || Buffer.byteLength(json) > JSON_BYTES_MAX
    ? `"value_base64":"${base64Of(value)}"${type}`
    : `"value":${json}${type}`;
}

function jsonInReply(value: Uint8Array, contentType: ContentType): string | undefined {
  if (contentType === "text/plain") return jsonOfText(textOf(value, contentType));
  if (contentType === "application/msgpack")
    return jsonIfPossible(decodeMsgpackExact(value) as Plain);
  return undefined;
}

function jsonIfPossible(plain: Plain): string | undefined {
  try {
    return jsonOf(plain);
  } catch (error) {
    if (error instanceof KvError && error.kind === "unsupported") return undefined;
    throw error;
  }
}

function base64Of(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.length).toString("base64");
}

/**
 * The value as `accept` asks for it: its own bytes if it is of that type already, JSON and
 * MessagePack into each other (JSON numbers as the nearest double, of a repeated member the
 * last); all else is KvError `unsupported`.
 */
export function convertValue(
  value: Uint8Array,
  from: ContentType,
  accept: ContentType,
): Uint8Array {
  if (from === accept) return value;
  const plain = isStructured(from) && isStructured(accept) ? decodeValue(value, from) : undefined;
  if (plain === undefined) {
    throw new KvError("unsupported", `Accept: a value of ${from} cannot be sent as ${accept}`);
  }
  return encodeValue(plain, accept);
}

function isStructured(contentType: ContentType): boolean {
  return contentType === "application/json" || contentType === "application/msgpack";
}

function notJson(cause: unknown): KvError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new KvError(
    "bad-request",
    `the value is not JSON (${reason}). Put text in quotes ("hello"), or send it with the header ` +
      `Content-Type: text/plain`,
    {},
    { cause },
  );
}

function notUtf8(contentType: ContentType): KvError {
  return new KvError(
    "bad-request",
    `the value is not valid UTF-8, which ${contentType} must be; send raw bytes with the header ` +
      `Content-Type: application/octet-stream`,
  );
}

function notInJson(what: string): KvError {
  return new KvError("unsupported", `the value holds ${what}, which JSON cannot express`);
}
