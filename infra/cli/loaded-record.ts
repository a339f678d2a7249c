/**
 * Loaded records: an element of a records file → the key and value to set.
 *
 * Two forms. With `--key FIELD` an element is a value, an object, and its key is what its member
 * FIELD says; the value is stored as its source text, so that no number changes on the way. Without
 * it an element is a record as `export` writes it:
 *
 *   {"key","value"|"value_base64","content_type","ttl"|"expires_at"}, and more that is not read
 */
import { KvError } from "../../protocol/errors.js";
import type { TimeMs } from "../../protocol/ids.js";
import { TTL_MIN_MS, VALUE_BYTES_MAX } from "../../protocol/limits.js";
import type { ContentType } from "../../protocol/operation.js";
import { checkKey } from "../../protocol/position.js";
import { valueFromJson } from "../../protocol/request/draft.js";
import { parseContentType } from "../../protocol/value/content.js";
import { membersOf, sliceOf, type Span } from "../../protocol/value/json-members.js";
import { parseTtl, withoutDays } from "../../protocol/value/ttl.js";
import { memberNames } from "./option-values.js";

const OPEN_OBJECT = 0x7b;
const byteOrderMark = [0xef, 0xbb, 0xbf];

export interface RecordForm {
  /** Path of the member that is the key (memberNames). Undefined = elements are records. */
  readonly keyField: string | undefined;
  readonly prefix: string;
  /** For all that name no other. */
  readonly ttl: string | undefined;
}

export interface LoadedRecord {
  readonly key: string;
  readonly value: Uint8Array;
  readonly contentType: ContentType;
  readonly ttl?: string;
}

/** Undefined = it has expired since it was exported. Throws KvError for what cannot be set. */
export function recordOf(
  source: Uint8Array,
  form: RecordForm,
  nowMs: TimeMs,
): LoadedRecord | undefined {
  const { keyField, prefix, ttl } = form;
  if (keyField === undefined) return exported(source, form, nowMs);
  const key = `${prefix}${keyText(memberAt(source, keyField), keyField)}`;
  return checked({ key, value: source, contentType: "application/json", ...ttlMember(ttl) });
}

/** The source text of what stands at the path; undefined = there is nothing. */
function memberAt(source: Uint8Array, keyField: string): string | undefined {
  const value = parsed(source);
  if (!isObject(value)) {
    throw new KvError("bad-request", `no object, so it has no member ${JSON.stringify(keyField)}`);
  }
  let span: Span | undefined;
  for (const name of memberNames(keyField)) {
    if (span !== undefined && source[span.start] !== OPEN_OBJECT) return undefined;
    span = membersOf(source, span).get(name);
    if (span === undefined) return undefined;
  }
  return span && Buffer.from(sliceOf(source, span)).toString();
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function exported(
  source: Uint8Array,
  { prefix, ttl }: RecordForm,
  nowMs: TimeMs,
): LoadedRecord | undefined {
  const members = membersOfRecord(source);
  const json = (name: string): unknown => {
    const span = members.get(name);
    return span === undefined ? undefined : parsed(sliceOf(source, span));
  };
  const key = json("key");
  if (typeof key !== "string") {
    const advice = "a record has one; for other objects name the member with --key FIELD";
    throw new KvError("bad-request", `no "key" that is text: ${advice}`);
  }
  const type = json("content_type");
  const contentType = parseContentType(typeof type === "string" ? type : undefined);
  const span = members.get("value");
  const base64 = json("value_base64");
  if ((span === undefined) === (base64 === undefined)) {
    throw new KvError("bad-request", 'a record has "value" or "value_base64"');
  }
  const value =
    span === undefined ? bytesOf(base64) : valueFromJson(sliceOf(source, span), contentType);
  const own = json("ttl");
  if (own !== undefined && typeof own !== "string" && typeof own !== "number") {
    throw new KvError("bad-request", `"ttl" is a duration like "90m"; received ${typeof own}`);
  }
  const left = own === undefined ? ttlLeft(json("expires_at"), nowMs) : withoutDays(String(own));
  if (left === null) return undefined;
  return checked({ key: `${prefix}${key}`, value, contentType, ...ttlMember(left ?? ttl) });
}

/** For bad JSON, the reason as for a file: advice on requests is of no use here. */
function membersOfRecord(source: Uint8Array): ReturnType<typeof membersOf> {
  try {
    return membersOf(source);
  } catch (error) {
    parsed(source);
    throw error;
  }
}

/** Null = nothing is left of it. */
function ttlLeft(expiresAt: unknown, nowMs: TimeMs): string | null | undefined {
  if (expiresAt === undefined || expiresAt === null) return undefined;
  const timeMs = typeof expiresAt === "string" ? Date.parse(expiresAt) : NaN;
  if (Number.isNaN(timeMs)) {
    const received = JSON.stringify(expiresAt);
    throw new KvError("bad-request", `"expires_at" is a time (RFC 3339); received ${received}`);
  }
  const leftMs = timeMs - nowMs;
  return leftMs < TTL_MIN_MS ? null : `${leftMs}ms`;
}

function ttlMember(ttl: string | undefined): { readonly ttl?: string } {
  if (ttl === undefined) return {};
  parseTtl(ttl);
  return { ttl };
}

function checked(record: LoadedRecord): LoadedRecord {
  checkKey(record.key);
  const size = record.value.length;
  if (size > VALUE_BYTES_MAX) {
    const text = `a value has at most ${VALUE_BYTES_MAX} bytes; this one has ${size}`;
    throw new KvError("too-large", text, { limit: VALUE_BYTES_MAX, size });
  }
  return record;
}

/**
 * Text, or a whole number: its digits as the file has them, however many. A small one that is
 * written as a fraction (1.0, 1e0) is the same number, and the same key, as in JSON.
 */
function keyText(member: string | undefined, keyField: string): string {
  if (member?.startsWith('"') === true) return JSON.parse(member) as string;
  if (member !== undefined && member !== "-0" && /^-?\d+$/.test(member)) return member;
  if (member !== undefined && /^[-\d]/.test(member) && Number.isSafeInteger(Number(member))) {
    return String(Number(member));
  }
  const name = JSON.stringify(keyField);
  const received = member === undefined ? "there is none" : `received ${shortened(member)}`;
  throw new KvError("bad-request", `member ${name} must be text or a whole number; ${received}`);
}

function shortened(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}

function bytesOf(base64: unknown): Uint8Array {
  const bytes = typeof base64 === "string" ? Buffer.from(base64, "base64") : undefined;
  if (bytes !== undefined && bytes.toString("base64") === base64) return bytes;
  throw new KvError("bad-request", '"value_base64" must be base64 with padding');
}

function parsed(source: Uint8Array): unknown {
  if (byteOrderMark.every((byte, index) => source[index] === byte)) {
    const advice = "two files were put together; take it out";
    throw new KvError("bad-request", `begins with a byte order mark (U+FEFF): ${advice}`);
  }
  const text = Buffer.from(source.buffer, source.byteOffset, source.length).toString();
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KvError("bad-request", `no JSON: ${why}`, {}, { cause });
  }
}
