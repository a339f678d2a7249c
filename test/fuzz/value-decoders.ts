/**
 * Fuzz targets: values and the texts in requests.
 */
import { encode } from "@msgpack/msgpack";
import { decode } from "@msgpack/msgpack";
import { createHash } from "node:crypto";
import { settingsOf, SettingError, settingsTable } from "../../infra/settings/config.js";
import { DEPTH_MAX, INDEX_ENTRIES_MAX, PATH_BYTES_MAX } from "../../protocol/limits.js";
import { contentTypes } from "../../protocol/operation.js";
import { decodeCursor, encodeCursor, queryHash } from "../../protocol/query/cursor.js";
import { compileFilter } from "../../protocol/query/filter-match.js";
import { parseFilter } from "../../protocol/query/filter.js";
import { requestTime } from "../../protocol/request-id.js";
import { canonicalPath, joinPath, splitPath } from "../../protocol/value/attribute-path.js";
import { attributesOf } from "../../protocol/value/attributes.js";
import {
  convertValue,
  decodeValue,
  encodeValue,
  isExact,
  spliceJson,
  type Plain,
} from "../../protocol/value/content.js";
import { elementsOf, membersOf, sliceOf } from "../../protocol/value/json-members.js";
import { mergePatch } from "../../protocol/value/merge-patch.js";
import { scanMsgpack } from "../../protocol/value/msgpack-scan.js";
import { decodeMsgpack } from "../../protocol/value/msgpack.js";
import { memberOf, type PlainObject } from "../../protocol/value/plain.js";
import { formatDuration, parseTtl } from "../../protocol/value/ttl.js";
import { decodeTyped, typedBytes } from "../../protocol/value/typed-value.js";
import { chosen, orDamaged, orKvError, same, utf8, withChecksum, type Decoder } from "./decoder.js";

const indexLimits = {
  depthMax: DEPTH_MAX,
  entriesMax: INDEX_ENTRIES_MAX,
  pathBytesMax: PATH_BYTES_MAX,
};

const values: readonly Uint8Array[] = [
  utf8('\0{"name":"Delhi","geo":{"lat":28.6,"tags":["a","b"]},"n":1.0,"__proto__":null}'),
  utf8("\0[1,-0,1e400,9007199254740993,0.30000000000000004]"),
  utf8('\0"\\ud83d\\ude00 \\u0000"'),
  Buffer.concat([Buffer.of(1), encode({ a: [1, -1.5, null, true], b: Buffer.from("x"), c: "é" })]),
  Buffer.concat([Buffer.of(1), encode(2n ** 63n - 1n, { useBigInt64: true })]),
  utf8("\x02plain text"),
  Buffer.of(3, 0, 255),
];

function content(bytes: Buffer): void {
  const [type, value] = chosen(contentTypes, bytes);
  const plain = orKvError(() => decodeValue(value, type));
  for (const accept of contentTypes) orKvError(() => convertValue(value, type, accept));
  orKvError(() => isExact(value, type));
  if (plain === undefined) return;
  JSON.parse(`{${spliceJson(value, type)}}`);
  for (const { value: attribute } of orKvError(() => attributes(plain)) ?? []) {
    const encoded = typedBytes(attribute);
    const { value: again, exact, end } = decodeTyped(encoded, 0);
    if (end !== encoded.length) throw new Error("an index entry is longer than its value");
    if (exact && typeof attribute !== "symbol") {
      same(number(again), number(attribute), "an index entry");
    }
  }
  const written = orKvError(() => encodeValue(plain, type));
  if (written !== undefined) same(decodeValue(written, type), minusZero(plain, type), "a value");
}

function attributes(plain: Plain): ReturnType<typeof attributesOf> {
  return attributesOf(plain, { excluded: ["hidden.x"] }, indexLimits);
}

/** 5n and 5 are one value in the index, and so are 0 and −0. */
function number(value: unknown): unknown {
  return typeof value === "bigint" || typeof value === "number" ? Number(value) + 0 : value;
}

/** JSON has no −0 where JSON.stringify writes it. */
function minusZero(plain: Plain, type: string): Plain {
  if (type !== "application/json") return plain;
  return JSON.parse(JSON.stringify(plain)) as Plain;
}

function msgpackScan(bytes: Buffer): void {
  const members = orKvError(() => scanMsgpack(bytes));
  const decoded = orKvError(() => decodeMsgpack(bytes));
  if ((decoded === undefined) !== (members === undefined)) throw new Error("one scan, two results");
  if (members === undefined) return;
  const plain = decode(bytes, { useBigInt64: true }) as Plain;
  const again = orKvError(() => encodeValue(plain, "application/msgpack"));
  if (again !== undefined) {
    same(decode(again, { useBigInt64: true }), plain, "MessagePack");
  }
}

function jsonMembers(bytes: Buffer): void {
  const spans = orKvError(() => membersOf(bytes));
  const elements = orKvError(() => elementsOf(bytes));
  if (spans !== undefined) {
    const whole = JSON.parse(bytes.toString()) as PlainObject;
    same([...spans.keys()].toSorted(), Object.keys(whole).toSorted(), "names of members");
    for (const [name, span] of spans) {
      const part = JSON.parse(Buffer.from(sliceOf(bytes, span)).toString()) as Plain;
      same(part, memberOf(whole, name), "a member");
    }
  }
  if (elements === undefined) return;
  const parts = elements.map((span) => JSON.parse(Buffer.from(sliceOf(bytes, span)).toString()));
  same(parts, JSON.parse(bytes.toString()), "elements");
}

function patch(bytes: Buffer): void {
  const pair = orKvError(() => decodeValue(bytes, "application/json"));
  if (!Array.isArray(pair) || pair.length < 2) return;
  const [target, change] = pair as [Plain, Plain];
  const before = JSON.stringify(target);
  const once = mergePatch(target, change);
  same(mergePatch(once, change), once, "a patch applied twice");
  same(JSON.stringify(target), before, "what is patched");
}

function filter(bytes: Buffer): void {
  const where = orKvError(() => decodeValue(bytes, "application/json"));
  if (where === undefined) return;
  const parsed = orKvError(() => parseFilter(where));
  if (parsed === undefined) return;
  const matches = compileFilter(parsed);
  matches(attributes({ n: 5, a: [{ b: "x" }, 7], country: "IN" }), "key");
  matches([], "");
}

const query = queryHash("kv", "find", []);

function cursor(bytes: Buffer): void {
  const checksum = createHash("sha256").update(bytes).digest().subarray(0, 4);
  const text = Buffer.concat([bytes, checksum]).toString("base64url");
  orKvError(() => decodeCursor(bytes.toString(), query));
  const found = orKvError(() => decodeCursor(text, query));
  if (found === undefined || found.after.key.includes("\ufffd")) return;
  same(encodeCursor(found, query), text, "a cursor");
}

function ttl(bytes: Buffer): void {
  const text = bytes.toString();
  requestTime(text);
  const ms = orKvError(() => parseTtl(text));
  if (typeof ms === "number") same(parseTtl(formatDuration(ms)), ms, "a duration");
}

function path(bytes: Buffer): void {
  const text = bytes.toString();
  const names = orKvError(() => splitPath(text));
  if (names === undefined) return;
  same(canonicalPath(text), joinPath(names), "a path");
  same(splitPath(joinPath(names)), names, "names of a path");
}

function config(bytes: Buffer): void {
  const [{ name, variable }, text] = chosen(settingsTable, bytes);
  try {
    const found = settingsOf({ [variable]: text.toString() });
    if (!(name in found)) throw new Error(`${name} is missing`);
  } catch (error) {
    if (!(error instanceof SettingError)) throw error;
    if (!error.message.includes(variable)) throw new Error("it does not name the setting");
  }
}

const jsonSeeds = values.slice(0, 3).map((bytes) => bytes.subarray(1));

export const valueDecoders: readonly Decoder[] = [
  { name: "content", seeds: values, run: content },
  {
    name: "msgpack-scan",
    seeds: [encode({ a: [1, "x", { b: null }] }), encode([1.5, -7, 2 ** 40, Buffer.alloc(300)])],
    run: msgpackScan,
  },
  {
    name: "json-members",
    seeds: [...jsonSeeds, utf8(' { "a" : [ 1 , "]" ] } ')],
    run: jsonMembers,
  },
  {
    name: "merge-patch",
    seeds: [utf8('[{"a":{"b":1},"c":[1]},{"a":{"b":null,"d":{}},"c":2,"__proto__":{"x":null}}]')],
    run: patch,
  },
  {
    name: "filter",
    seeds: [
      utf8('{"country":"IN","n":{"$gt":1,"$lte":5},"$key":{"$prefix":"a"}}'),
      utf8('{"$and":[{"a.b":{"$in":[1,null,"x"]}},{"tags":{"$exists":false}},{"\\\\$x":true}]}'),
    ],
    run: filter,
  },
  {
    name: "cursor",
    seeds: [
      Buffer.from(
        encodeCursor({ driver: 0, after: { order: Buffer.of(4, 1, 2), key: "a.é" } }, query),
        "base64url",
      ).subarray(0, -4),
    ],
    run: cursor,
  },
  { name: "ttl", seeds: ["90", "1h30m", "1.5s", "never", "+.5h2µs"].map(utf8), run: ttl },
  { name: "attribute-path", seeds: ["a.b", "\\$x.\\.y.\\\\", "é"].map(utf8), run: path },
  {
    name: "config",
    seeds: ["\x00127.0.0.1", "\x014222", "\x05kv", "\x06nats://a:4222", "\x0a8GiB"].map(utf8),
    run: config,
  },
  {
    name: "typed-value",
    seeds: [typedBytes("x\0y"), typedBytes(-1.5), typedBytes("é".repeat(200)), typedBytes(null)],
    run: (bytes) => {
      const found = orDamaged(() => decodeTyped(bytes, 0));
      if (found !== undefined) withChecksum(typedBytes(found.value));
    },
  },
];
