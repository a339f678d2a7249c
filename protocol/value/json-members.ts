/**
 * Where the members of a JSON object stand in its bytes.
 *
 * A request's `value` is kept as the bytes that were sent, so it is cut out of the request by its
 * place. JSON.parse (with the checks of content.ts) judges the whole first; what it has accepted
 * is then scanned for brackets and quotes only, without recursion. Of members with the same name
 * the last counts, as for JSON.parse. UTF-8 helps: no byte of a character beyond ASCII is a quote,
 * a bracket or a backslash.
 */
import { KvError } from "../errors.js";
import { decodeValue } from "./content.js";
import { typeName, type Plain } from "./plain.js";

/** Bytes `start` up to, not including, `end`; no white space around. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * The members of an object and the places of their values. Without `span` the bytes are checked
 * (KvError `bad-request` unless they are a JSON object); with it they are part of bytes that
 * decodeValue has accepted as JSON, and only what kind of value stands there is checked.
 */
export function membersOf(json: Uint8Array, span?: Span): Map<string, Span> {
  const at = startOf(json, span, OPEN_OBJECT, "an object");
  const members = new Map<string, Span>();
  let index = skipSpace(json, at + 1);
  while (json[index] !== CLOSE_OBJECT) {
    const nameEnd = afterString(json, index);
    const name = nameOf(json, index, nameEnd);
    // Between name and value stands only white space and a colon.
    const start = skipSpace(json, skipSpace(json, nameEnd) + 1);
    const end = afterValue(json, start);
    members.set(name, { start, end });
    index = afterComma(json, end);
  }
  return members;
}

/** The places of an array's elements, in order. `span` as for membersOf. */
export function elementsOf(json: Uint8Array, span?: Span): Span[] {
  const at = startOf(json, span, OPEN_ARRAY, "an array");
  const elements: Span[] = [];
  let index = skipSpace(json, at + 1);
  while (json[index] !== CLOSE_ARRAY) {
    const end = afterValue(json, index);
    elements.push({ start: index, end });
    index = afterComma(json, end);
  }
  return elements;
}

/** What stands at a place, as bytes; not a copy. */
export function sliceOf(json: Uint8Array, span: Span): Uint8Array {
  return json.subarray(span.start, span.end);
}

/** The place of the one value that JSON text is, without white space around it. */
export function wholeSpan(json: Uint8Array): Span {
  const start = skipSpace(json, 0);
  return { start, end: afterValue(json, start) };
}

function startOf(json: Uint8Array, span: Span | undefined, open: number, wanted: string): number {
  if (span === undefined) decodeValue(json, "application/json");
  const start = span?.start ?? skipSpace(json, 0);
  if (json[start] === open) return start;
  const found = JSON.parse(textAt(json, start, afterValue(json, start))) as Plain;
  throw new KvError("bad-request", `expected ${wanted}; received ${typeName(found)}`);
}

function nameOf(json: Uint8Array, start: number, end: number): string {
  for (let index = start; index < end; index += 1) {
    if (json[index] === BACKSLASH) return JSON.parse(textAt(json, start, end)) as string;
  }
  return textAt(json, start + 1, end - 1);
}

function textAt(json: Uint8Array, start: number, end: number): string {
  return Buffer.from(json.buffer, json.byteOffset + start, end - start).toString("utf8");
}

function skipSpace(json: Uint8Array, at: number): number {
  let index = at;
  // Space, tab and line ends are all that JSON has, and nothing else in it is below "!".
  while (index < json.length && json[index]! <= 0x20) index += 1;
  return index;
}

/** `at` is where a value ended: the next member or element, or the closing bracket. */
function afterComma(json: Uint8Array, at: number): number {
  const index = skipSpace(json, at);
  return json[index] === COMMA ? skipSpace(json, index + 1) : index;
}

/** `at` is a string's first quote; the place after its last. */
function afterString(json: Uint8Array, at: number): number {
  let index = at + 1;
  while (json[index] !== QUOTE) index += json[index] === BACKSLASH ? 2 : 1;
  return index + 1;
}

/** `at` is a value's first byte; the place after its last. */
function afterValue(json: Uint8Array, at: number): number {
  const first = json[at]!;
  if (first === QUOTE) return afterString(json, at);
  if (first === OPEN_ARRAY || first === OPEN_OBJECT) return afterBrackets(json, at);
  let index = at;
  while (index < json.length && isOfLiteral(json[index]!)) index += 1;
  return index;
}

function afterBrackets(json: Uint8Array, at: number): number {
  let depth = 0;
  let index = at;
  do {
    const byte = json[index]!;
    if (byte === QUOTE) {
      index = afterString(json, index);
      continue;
    }
    if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) depth += 1;
    else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) depth -= 1;
    index += 1;
  } while (depth > 0);
  return index;
}

function isOfLiteral(byte: number): boolean {
  return byte > 0x20 && byte !== COMMA && byte !== CLOSE_ARRAY && byte !== CLOSE_OBJECT;
}
