/**
 * Every limit of protocol/limits.ts that a message can meet, as messages of any size: by the plain
 * form (subject or JSON) and by the packed one.
 */
import { encode } from "@msgpack/msgpack";
import type { ErrorName } from "../../protocol/errors.js";
import type * as limits from "../../protocol/limits.js";
import { POSITION_COUNT } from "../../protocol/limits.js";
import { positionOf } from "../../protocol/position.js";
import { Names, type SingleKeyVerb } from "../../protocol/subjects.js";

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

/** Limits that no size of one message meets, and where they are met instead; or why nowhere. */
export const otherLimits: Partial<Record<LimitName, string>> = {
  POSITION_COUNT: "fixed when a store is made",
  POSITION_COUNT_MAX: "test/hostile/limits.test.ts",
  WEIGHT_MAX: "test/hostile/limits.test.ts",
  NAME_CHARS_MAX: "test/hostile/limits.test.ts",
  KEY_TOKENS_MAPPED_MAX: "test/hostile/limits.test.ts",
  INDEX_TEXT_BYTES_MAX: "test/cluster/index-limits.test.ts",
  REQUEST_WINDOW_MS: "test/actors/shard/outcomes.test.ts",
  REQUEST_AHEAD_MAX_MS: "test/hostile/limits.test.ts",
  OUTCOMES_MAX:
    "logged; applier-core.test.ts sets it small, four million requests a shard are not sent",
  ENTRY_OPERATIONS_MAX: "test/actors/shard/proposer-core.test.ts",
  ENTRY_BYTES_TARGET: "nothing is refused: the rest goes into the next entry",
  ENTRY_BYTES_MAX: "test/contract/log-contract.ts",
  PAYLOAD_BYTES_MAX: "test/hostile/limits.test.ts",
  REPLY_SUBJECT_BYTES_MAX: "test/actors/answer.test.ts",
  REPLY_BYTES_MAX: "test/protocol/reply.test.ts",
  MAILBOX_REQUESTS_MAX: "test/actors/shard/proposer-core.test.ts",
  MAILBOX_BYTES_MAX: "test/actors/shard/proposer-core.test.ts",
  MAILBOX_MS_MAX: "test/actors/shard/mailbox.test.ts",
  QUEUE_MS_MAX: "test/actors/pulse.test.ts",
  PULSE_MS: "test/actors/pulse.test.ts",
  COORDINATOR_REQUESTS_MAX: "test/actors/coordinator/router.test.ts",
  COORDINATOR_BYTES_MAX: "test/actors/coordinator/under-way.test.ts",
  PAGE_ROWS_DEFAULT: "of a page that names no limit; nothing is refused",
  SCAN_ROWS_MAX: "a million rows a shard are not loaded for a test; make bench comes near",
  PAGE_MS_MAX: "nothing is refused: the page ends with a cursor",
  COUNT_MS_MAX: "needs a count of eight seconds",
  QUERIES_MAX: "nothing is refused: more queries wait",
  QUERY_RECORDS_MAX: "nothing is refused: the next records are read then",
  VIEWS_MAX: "test/actors/shard/applied.test.ts",
  VIEW_MS_MAX: "test/actors/shard/applied.test.ts",
  HOPS_MAX: "test/hostile/limits.test.ts",
  EXPIRE_PER_ENTRY_MAX: "test/actors/shard/applier-core.test.ts",
  BARRIER_QUIET_MS: "a wait of ours, no size of a message",
  LOG_BYTES_MAX: "a default; test/contract/log-contract.ts fills a small log",
  PULL_BYTES_MAX: "nothing is refused: the consumer pulls again",
  EVENTS_BYTES_MAX: "a default; the oldest events go",
  RELAY_BEHIND_MAX: "a million entries behind; consumers get reset",
  LAG_SERVING_MAX: "test/actors/shard/replica.test.ts",
  LAG_SERVING_AGAIN: "the other end of LAG_SERVING_MAX",
  SESSION_WAIT_MS: "test/actors/shard/reader.test.ts",
  ATTEMPT_TIMEOUT_MS: "a wait of ours, no size of a message",
  ATTEMPT_MS_PER_OPERATION: "a wait of ours, no size of a message",
  SEED_SESSIONS_MAX: "between nodes; no message of a client's",
  SEED_PART_BYTES: "between nodes; no message of a client's",
  SEED_IDLE_MS: "between nodes; no message of a client's",
  REQUEST_TIMEOUT_MS: "test/actors/coordinator/router.test.ts",
};
