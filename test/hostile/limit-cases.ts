/**
 * Every limit of protocol/limits.ts that a message can meet, as messages of any size: by the plain
 * form (subject or JSON) and by the packed one.
 */
import { encode } from "@msgpack/msgpack";
import type { ErrorName } from "../../protocol/errors.js";
import type * as limits from "../../protocol/limits.js";
import { POSITION_COUNT } from "../../protocol/limits.js";
import { Names, type SingleKeyVerb } from "../../protocol/nats/subjects.js";
import { positionOf } from "../../protocol/position.js";

export type LimitName = keyof typeof limits;

export interface Sent {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface LimitCase {
  readonly limit: LimitName;
  readonly what: string;
  /** The least that is allowed, not the most. */
  readonly isLeast?: true;
  /** What answers a value beyond the limit, and one within it (undefined = it is done). */
  readonly refused: ErrorName;
  readonly within?: ErrorName;
  /** Whoever counts stops at the limit, so nobody knows what was received. */
  readonly isUncounted?: true;
  /** How the error names what is limited. */
  readonly field: RegExp;
  readonly plain?: (size: number) => Sent;
  readonly packed?: (size: number) => Sent;
}

const names = new Names("kv");
const KEY = "hostile.limit";
/** In a position of the first of three shards. */
const TAGGED = tagged();
const HOUR_MS = 3_600_000;

function plain(verb: string, body: object | string, headers?: Record<string, string>): Sent {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const sent = { subject: `kv.${verb}`, data: Buffer.from(text) };
  return headers === undefined ? sent : { ...sent, headers };
}

function packed(verb: SingleKeyVerb, map: Record<string, unknown>): Sent {
  const key = typeof map["key"] === "string" ? map["key"] : KEY;
  const subject = names.ring(positionOf(key, POSITION_COUNT), verb);
  return { subject, data: encode({ key, ...map }, { maxDepth: 200 }) };
}

function toShard(verb: string, map: Record<string, unknown>): Sent {
  return { subject: `kv.shard.s1.${verb}`, data: encode(map) };
}

/** The same set, of a value as JSON, by its subject and packed. */
function ofValue(valueOf: (size: number) => string): Pick<LimitCase, "plain" | "packed"> {
  return {
    plain: (size) => plain(`set.${KEY}`, valueOf(size)),
    packed: (size) => packed("set", { value: Buffer.from(valueOf(size)) }),
  };
}

function tagged(): string {
  for (let tag = 0; ; tag += 1) {
    const key = `{hostile${tag}}limit`;
    if (positionOf(key, POSITION_COUNT) < POSITION_COUNT / 4) return key;
  }
}

function nested(levels: number): string {
  return `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
}

function textOf(bytes: number): string {
  return JSON.stringify("v".repeat(bytes - 2));
}

/** Values of an atomic batch that has so many bytes with its keys. */
function atomicValues(size: number): string[] {
  const keys = 3 * TAGGED.length;
  const part = Math.floor((size - keys) / 3);
  return [part, part, size - keys - 2 * part].map(textOf);
}

export const limitCases: readonly LimitCase[] = [
  {
    limit: "KEY_BYTES_MAX",
    what: "key",
    refused: "too-large",
    field: /key/,
    plain: (size) => plain("set", { key: "k".repeat(size), value: 1 }),
    packed: (size) => packed("set", { key: "k".repeat(size), value: Buffer.from("1") }),
  },
  {
    limit: "KEY_BYTES_MAX",
    what: "key in a subject",
    refused: "too-large",
    field: /key/,
    plain: (size) => plain(`set.${"k".repeat(size)}`, "1"),
  },
  {
    limit: "KEY_BYTES_MAX",
    what: "prefix of keys",
    refused: "too-large",
    field: /prefix/,
    plain: (size) => plain("keys", { prefix: "k".repeat(size) }),
  },
  {
    limit: "VALUE_BYTES_MAX",
    what: "value",
    refused: "too-large",
    field: /value/,
    ...ofValue(textOf),
  },
  {
    limit: "VALUE_BYTES_MAX",
    what: "patch",
    refused: "too-large",
    field: /patch/,
    plain: (size) => plain("patch.hostile.patch", textOf(size)),
    packed: (size) => packed("patch", { key: "hostile.patch", value: Buffer.from(textOf(size)) }),
  },
  {
    limit: "DEPTH_MAX",
    what: "names in a path",
    refused: "limit-exceeded",
    field: /depth|level|deep/,
    ...ofValue(nested),
  },
  {
    limit: "INDEX_ENTRIES_MAX",
    what: "attributes",
    refused: "limit-exceeded",
    field: /attribute|index|entr/,
    ...ofValue((count) => {
      return JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [i, i])));
    }),
  },
  {
    limit: "PATH_BYTES_MAX",
    what: "path of an attribute",
    refused: "limit-exceeded",
    field: /path/,
    ...ofValue((bytes) => JSON.stringify({ ["p".repeat(bytes)]: 1 })),
  },
  {
    limit: "PATH_BYTES_MAX",
    what: "path of incr",
    refused: "limit-exceeded",
    field: /path/,
    plain: (bytes) => plain("incr.hostile.path", { path: "p".repeat(bytes) }),
    packed: (bytes) => packed("incr", { key: "hostile.path", by: 1, path: "p".repeat(bytes) }),
  },
  {
    limit: "PATH_BYTES_MAX",
    what: "path of a filter",
    refused: "limit-exceeded",
    field: /path/,
    plain: (bytes) => plain("count", { where: { ["p".repeat(bytes)]: 1 } }),
    packed: (bytes) => toShard("count", { where: [["p".repeat(bytes), "eq", 1]] }),
  },
  {
    limit: "DECODE_DEPTH_MAX",
    what: "arrays in arrays",
    isUncounted: true,
    refused: "limit-exceeded",
    field: /nested/,
    ...ofValue((levels) => "[".repeat(levels) + "]".repeat(levels)),
  },
  {
    limit: "DECODE_DEPTH_MAX",
    what: "$and in $and",
    isUncounted: true,
    refused: "limit-exceeded",
    field: /\$and/,
    // The conditions themselves are at one level more.
    plain: (levels) => {
      return plain("count", `{"where":${'{"$and":['.repeat(levels)}{}${"]}".repeat(levels)}}`);
    },
  },
  {
    limit: "TTL_MIN_MS",
    what: "time to live",
    isLeast: true,
    refused: "bad-request",
    field: /ttl/,
    plain: (ms) => plain(`set.${KEY}`, "1", { "Kv-TTL": `${ms}ms` }),
    packed: (ms) => packed("set", { value: Buffer.from("1"), ttl: ms }),
  },
  {
    limit: "TTL_MAX_MS",
    what: "time to live",
    refused: "bad-request",
    field: /ttl/,
    plain: (ms) => {
      const text = `${Math.floor(ms / HOUR_MS)}h${ms % HOUR_MS}ms`;
      return plain(`set.${KEY}`, "1", { "Kv-TTL": text });
    },
    packed: (ms) => packed("set", { value: Buffer.from("1"), ttl: ms }),
  },
  {
    limit: "REQUEST_ID_BYTES_MAX",
    what: "request id",
    refused: "bad-request",
    field: /request_id/,
    plain: (bytes) => plain(`set.${KEY}`, "1", { "Kv-Request-Id": "i".repeat(bytes) }),
    packed: (bytes) => {
      return packed("set", { value: Buffer.from("1"), request_id: "j".repeat(bytes) });
    },
  },
  {
    limit: "REVISION_MAX",
    what: "if_revision",
    refused: "bad-request",
    within: "conflict",
    field: /if_revision|If-Revision/,
    plain: (revision) => plain(`set.${KEY}`, "1", { "Kv-If-Revision": String(revision) }),
    packed: (revision) => packed("set", { value: Buffer.from("1"), if_revision: revision }),
  },
  {
    limit: "BATCH_OPERATIONS_MAX",
    what: "operations",
    refused: "limit-exceeded",
    field: /operations/,
    plain: (count) => {
      return plain("batch", {
        ops: Array.from({ length: count }, () => ({ op: "del", key: KEY })),
      });
    },
    packed: (count) => {
      return toShard("batch", {
        ops: Array.from({ length: count }, () => ({ op: "del", key: KEY })),
      });
    },
  },
  {
    limit: "ATOMIC_BYTES_MAX",
    what: "bytes of an atomic batch",
    refused: "too-large",
    field: /atomic/,
    plain: (size) => {
      const values = atomicValues(size);
      const ops = values.map((value) => `{"op":"set","key":"${TAGGED}","value":${value}}`);
      return plain("batch", `{"ops":[${ops.join()}],"atomic":true}`);
    },
    packed: (size) => {
      const values = atomicValues(size).map((value) => Buffer.from(value));
      const ops = values.map((value) => ({ op: "set", key: TAGGED, value }));
      return toShard("batch", { ops, atomic: true });
    },
  },
  {
    limit: "PAGE_ROWS_MAX",
    what: "rows of find",
    refused: "limit-exceeded",
    field: /limit/,
    plain: (rows) => plain("find", { limit: rows, select: [] }),
  },
  {
    limit: "PAGE_ROWS_MAX",
    what: "rows of keys",
    refused: "limit-exceeded",
    field: /limit/,
    plain: (rows) => plain("keys", { limit: rows }),
  },
  {
    limit: "FILTER_CONDITIONS_MAX",
    what: "values of $in",
    refused: "limit-exceeded",
    field: /\$in|conditions/,
    plain: (count) => {
      return plain("count", { where: { a: { $in: Array.from({ length: count }, (_, i) => i) } } });
    },
    packed: (count) => {
      return toShard("count", { where: [["a", "in", Array.from({ length: count }, (_, i) => i)]] });
    },
  },
  {
    limit: "FILTER_CONDITIONS_MAX",
    what: "conditions",
    isUncounted: true,
    refused: "limit-exceeded",
    field: /conditions/,
    plain: (count) => {
      return plain("count", { where: { $and: Array.from({ length: count }, () => ({ a: 1 })) } });
    },
  },
];

/** The test that tries a limit's neighbours, or why they cannot be tried. */
export type Elsewhere = { readonly file: string; readonly it: string } | { readonly why: string };

const ours = (title: string): Elsewhere => ({ file: "test/hostile/limits.test.ts", it: title });
/** Titles there begin with the limit's name. */
const byHand = (limit: LimitName): Elsewhere => ({
  file: "test/actors/limits.test.ts",
  it: `${limit}: `,
});

/** Limits that no size of one message meets. */
export const otherLimits: Partial<Record<LimitName, Elsewhere>> = {
  POSITION_COUNT: { why: "a number that is fixed when a store is made; nothing reaches it" },
  POSITION_COUNT_MAX: ours("POSITION_COUNT_MAX and WEIGHT_MAX: "),
  WEIGHT_MAX: ours("POSITION_COUNT_MAX and WEIGHT_MAX: "),
  NAME_CHARS_MAX: ours("NAME_CHARS_MAX: "),
  KEY_TOKENS_MAPPED_MAX: ours("KEY_TOKENS_MAPPED_MAX: "),
  INDEX_TEXT_BYTES_MAX: {
    file: "test/actors/shard/query/query.test.ts",
    it: "checks in full what the index holds cut",
  },
  REQUEST_WINDOW_MS: {
    file: "test/actors/shard/apply/entry-work.test.ts",
    it: "that are UUIDv7 are refused when too old or too far ahead",
  },
  REQUEST_AHEAD_MAX_MS: {
    file: "test/actors/shard/apply/entry-work.test.ts",
    it: "that are UUIDv7 are refused when too old or too far ahead",
  },
  // Logged, so that a log of the test's own has it smaller.
  OUTCOMES_MAX: {
    file: "test/actors/shard/apply/entry-work.test.ts",
    it: "are overloaded beyond what is remembered, until the window has passed",
  },
  ENTRY_OPERATIONS_MAX: byHand("ENTRY_OPERATIONS_MAX"),
  ENTRY_BYTES_TARGET: byHand("ENTRY_BYTES_TARGET"),
  ENTRY_BYTES_MAX: {
    file: "test/contract/log-contract.ts",
    it: "keeps an entry of the largest size, and refuses a larger one",
  },
  PAYLOAD_BYTES_MAX: ours("PAYLOAD_BYTES_MAX: "),
  REPLY_SUBJECT_BYTES_MAX: {
    file: "test/actors/answer.test.ts",
    it: "go to no subject that could end our connection or is none",
  },
  REPLY_BYTES_MAX: byHand("REPLY_BYTES_MAX"),
  MAILBOX_REQUESTS_MAX: byHand("MAILBOX_REQUESTS_MAX"),
  MAILBOX_BYTES_MAX: byHand("MAILBOX_BYTES_MAX"),
  MAILBOX_MS_MAX: {
    file: "test/actors/shard/state/mailbox.test.ts",
    it: "takes nothing more once its oldest item has waited for MAILBOX_MS_MAX",
  },
  QUEUE_MS_MAX: byHand("QUEUE_MS_MAX"),
  PULSE_MS: {
    file: "test/actors/pulse.test.ts",
    it: "sends when it is asked, not more often than every PULSE_MS",
  },
  COORDINATOR_REQUESTS_MAX: byHand("COORDINATOR_REQUESTS_MAX"),
  COORDINATOR_BYTES_MAX: {
    file: "test/actors/coordinator/under-way.test.ts",
    it: "is at most so many bytes together, and has room again when a request ends",
  },
  PAGE_ROWS_DEFAULT: { why: "a default, of a page that names no limit" },
  SCAN_ROWS_MAX: byHand("SCAN_ROWS_MAX"),
  PAGE_MS_MAX: byHand("PAGE_MS_MAX"),
  COUNT_MS_MAX: byHand("COUNT_MS_MAX"),
  QUERIES_MAX: byHand("QUERIES_MAX"),
  QUERY_RECORDS_MAX: byHand("QUERY_RECORDS_MAX"),
  VIEWS_MAX: byHand("VIEWS_MAX"),
  VIEW_MS_MAX: byHand("VIEW_MS_MAX"),
  HOPS_MAX: ours("HOPS_MAX: "),
  EXPIRE_PER_ENTRY_MAX: byHand("EXPIRE_PER_ENTRY_MAX"),
  BARRIER_QUIET_MS: { why: "a wait of ours; nobody is answered by it" },
  LOG_BYTES_MAX: {
    file: "test/contract/log-contract.ts",
    it: "is full at its limit: nothing lands any more, and the end is still known",
  },
  PULL_BYTES_MAX: { why: "JetStream keeps it, and sends the rest with the next pull" },
  EVENTS_BYTES_MAX: { why: "a default that JetStream keeps: the oldest events go" },
  RELAY_BEHIND_MAX: byHand("RELAY_BEHIND_MAX"),
  LAG_SERVING_MAX: byHand("LAG_SERVING_MAX"),
  LAG_SERVING_AGAIN: {
    why: "the lag that a replica passes while it catches up; only when differs",
  },
  SESSION_WAIT_MS: byHand("SESSION_WAIT_MS"),
  ATTEMPT_TIMEOUT_MS: byHand("ATTEMPT_TIMEOUT_MS"),
  ATTEMPT_MS_PER_OPERATION: { why: "added to a wait of ours; nobody is answered by it" },
  REPAIRS_MAX: {
    file: "test/actors/node/node-repair.test.ts",
    it: "run one after another, and more than REPAIRS_MAX are refused",
  },
  SEED_SESSIONS_MAX: {
    file: "test/actors/node/seed.test.ts",
    it: "forgets a session that nobody asks for, and has room for few",
  },
  SEED_PART_BYTES: { why: "how a copy is cut into messages; nothing is refused" },
  SEED_IDLE_MS: byHand("SEED_IDLE_MS"),
  REQUEST_TIMEOUT_MS: byHand("REQUEST_TIMEOUT_MS"),
};
