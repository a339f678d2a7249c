/**
 * Fuzz targets: what comes over the wire from clients, and between coordinators and replicas.
 */
import { encode } from "@msgpack/msgpack";
import { planOf } from "../../actors/shard/query/query-plan.js";
import { parseHeaders } from "../../infra/nats/nats-message.js";
import { KvError } from "../../protocol/errors.js";
import type { Position, ShardId } from "../../protocol/ids.js";
import { Names, singleKeyVerbs } from "../../protocol/nats/subjects.js";
import { contentTypes } from "../../protocol/operation.js";
import { parseCount, parseFind, parseKeys } from "../../protocol/query/body.js";
import {
  decodeCountReply,
  decodePageReply,
  decodeQuery,
  encodeQuery,
  queryErrorOf,
} from "../../protocol/query/messages.js";
import { batchReply } from "../../protocol/reply/batch.js";
import {
  packedBatchReply,
  packedReply,
  parsePackedBatchReply,
  parsePackedReply,
} from "../../protocol/reply/packed.js";
import { subjectReply } from "../../protocol/reply/subject.js";
import { readHeaders, readQueryLevel } from "../../protocol/request/headers.js";
import {
  encodePackedBatch,
  encodePackedRequest,
  parsePackedBatch,
  parsePackedRequest,
} from "../../protocol/request/packed.js";
import type { BatchRequest, Request } from "../../protocol/request/request.js";
import {
  parseBatchRequest,
  parseKeylessRequest,
  parseSubjectRequest,
} from "../../protocol/request/text.js";
import { chosen, orKvError, orToldError, same, utf8, type Decoder } from "./decoder.js";

const POSITIONS = 1_024;
const names = new Names("kv");

/** What a coordinator sends on must arrive as what it took. */
function checkForwarding(request: Request | undefined): void {
  if (request === undefined) return;
  const verb = request.kind === "get" ? "get" : request.operation.verb;
  const again = parsePackedRequest(verb, encodePackedRequest(request), POSITIONS);
  same(again, request, "a request that is sent on");
}

function checkBatch(batch: BatchRequest | undefined): void {
  if (batch === undefined) return;
  const requests = batch.requests.filter(({ kind }) => kind !== "refused");
  // On the way, the level of all is that of each get that says none.
  const sent = { ...batch, requests };
  same(parsePackedBatch(encodePackedBatch(sent), POSITIONS).requests.length, requests.length, "it");
}

function requestText(bytes: Buffer): void {
  const [verb, rest] = chosen(singleKeyVerbs, bytes);
  const keyEnd = rest.indexOf(0);
  const key = rest.subarray(0, keyEnd < 0 ? rest.length : keyEnd).toString();
  const payload = keyEnd < 0 ? Buffer.alloc(0) : rest.subarray(keyEnd + 1);
  checkForwarding(orKvError(() => parseSubjectRequest(verb, key, payload, undefined, POSITIONS)));
}

function requestHeaders(bytes: Buffer): void {
  const headers = parseHeaders(bytes);
  orKvError(() => readHeaders(headers));
  orKvError(() => readQueryLevel("find", headers));
  for (const verb of singleKeyVerbs) {
    checkForwarding(
      orKvError(() => parseSubjectRequest(verb, "key", utf8("1"), headers, POSITIONS)),
    );
  }
  orKvError(() => parseBatchRequest(utf8('{"ops":[{"op":"get","key":"a"}]}'), headers, POSITIONS));
}

function requestBody(bytes: Buffer): void {
  const [verb, body] = chosen(singleKeyVerbs, bytes);
  checkForwarding(orKvError(() => parseKeylessRequest(verb, body, undefined, POSITIONS)));
}

function requestPacked(bytes: Buffer): void {
  const [verb, body] = chosen(singleKeyVerbs, bytes);
  checkForwarding(orKvError(() => parsePackedRequest(verb, body, POSITIONS)));
}

const packedKeys = ["a", "b"];

function replyPacked(bytes: Buffer): void {
  const one = parsePackedReply(bytes, "a");
  // Nothing that can be read may fail to be told to the client.
  for (const accept of contentTypes) orAssertion(() => subjectReply("get", one, { accept }));
  same(parsePackedReply(packedReply(one), "a").kind, one.kind, "a reply");
  const many = parsePackedBatchReply(bytes, packedKeys);
  orAssertion(() => batchReply(many));
  if (!(many instanceof KvError)) packedBatchReply(many);
}

/** A record that breaks its content type's promise is no replica's, but may not hang or loop. */
function orAssertion(tell: () => unknown): void {
  try {
    tell();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const isKnown = ["KvError", "InvariantError", "RangeError"].includes(error.name);
    if (!isKnown) throw error;
  }
}

const queryVerbs = ["find", "count", "keys"] as const;

function queryMessage(bytes: Buffer): void {
  const [verb, payload] = chosen(queryVerbs, bytes);
  const request = orKvError(() => decodeQuery(verb, payload, POSITIONS));
  if (request === undefined) return;
  same(decodeQuery(verb, encodeQuery(request), POSITIONS), request, "a query");
  orKvError(() => planOf(request, { excluded: ["a.b"] }));
}

function queryReply(bytes: Buffer): void {
  orToldError(() => decodePageReply(bytes, POSITIONS));
  orToldError(() => decodeCountReply(bytes, POSITIONS));
  orToldError(() => queryErrorOf(bytes));
}

function queryBody(bytes: Buffer): void {
  orKvError(() => parseFind(bytes));
  orKvError(() => parseCount(bytes));
  orKvError(() => parseKeys(bytes));
}

function subjects(bytes: Buffer): void {
  const subject = bytes.toString();
  const ring = names.parseRingSubject(subject);
  if (ring !== undefined) same(names.ring(ring.position, ring.verb, ring.key), subject, "ring");
  const verb = names.parseVerbSubject(subject);
  if (verb !== undefined) same(names.verb(verb.verb, verb.key), subject, "verb");
  const shard = names.parseShardSubject(subject);
  if (shard !== undefined) same(names.shard(shard.shard, shard.verb), subject, "shard");
  const log = names.parseLogStream(subject);
  if (log !== undefined) same(names.logStream(log.shard, log.logId), subject, "log");
}

const bodies = [
  '\x01{"key":"a","value":{"n":1},"ttl":"1h","if_revision":3,"request_id":"r","return":"previous"}',
  '\x00{"key":"a","value":"\\u00e9","content_type":"text/plain","value_base64":null}',
  '\x03{"key":"a","patch":{"n":null}}',
  '\x04{"key":"a","by":-1.5,"path":"a.b"}',
  '\x01{"key":"a","read":"session","min_revision":7}',
  '\x05{"key":"{t}a","ttl":"never"}',
].map(utf8);

const packedSet = encode({ key: "a", value: Buffer.from("1"), ttl: 5_000, if_revision: 0 });
const packedGet = encode({ key: "a", read: "session", min_revision: 9, accept: 1, hops: 2 });

export const wireDecoders: readonly Decoder[] = [
  {
    name: "request-text",
    seeds: ['\x00a.b\0{"n":1}', "\x01city.delhi", '\x04a\0{"by":2,"path":"x"}', "\x02é"].map(utf8),
    run: requestText,
  },
  {
    name: "request-headers",
    seeds: [
      "NATS/1.0\r\nKv-If-Revision: 5\r\nKv-TTL: 1h\r\nKv-Return: previous\r\n\r\n",
      "NATS/1.0\r\nKv-Read: session\r\nKv-Min-Revision: 7\r\nAccept: */*\r\n\r\n",
      "NATS/1.0 503\r\ncontent-type: text/plain; x=y\r\nkv-request-id: r\r\nKv-Read: a\r\n\r\n",
    ].map(utf8),
    run: requestHeaders,
  },
  { name: "request-body", seeds: bodies, run: requestBody },
  {
    name: "request-batch",
    seeds: [
      utf8('{"ops":[{"op":"set","key":"{t}a","value":1}],"atomic":true}'),
      utf8('{"ops":[{"op":"check","key":"{t}b","if_revision":0}],"atomic":true}'),
      utf8('{"ops":[{"op":"get","key":"a","read":"stale"},{"op":"del","key":"b"},{"op":"x"}]}'),
    ],
    run: (bytes) => checkBatch(orKvError(() => parseBatchRequest(bytes, undefined, POSITIONS))),
  },
  {
    name: "request-packed",
    seeds: [
      Buffer.concat([Buffer.of(0), packedSet]),
      Buffer.concat([Buffer.of(1), packedGet]),
      Buffer.concat([Buffer.of(4), encode({ key: "a", by: 1.5, path: "a.b", request_id: "r" })]),
    ],
    run: requestPacked,
  },
  {
    name: "request-packed-batch",
    seeds: [
      encode({
        ops: [
          { op: "set", key: "a", value: Buffer.from("1") },
          { op: "get", key: "b" },
        ],
      }),
      encode({ ops: [{ op: "check", key: "a", if_revision: 1 }], atomic: true, hops: 1 }),
    ],
    run: (bytes) => checkBatch(orKvError(() => parsePackedBatch(bytes, POSITIONS))),
  },
  {
    name: "reply-packed",
    seeds: [
      encode({ verb: "set", key: "a", revision: 1, position: 5, created: true }),
      encode({ value: Buffer.from("1"), revision: 1, position: 5, updated_at: 9, content_type: 1 }),
      encode({ error: new KvError("conflict", "x", { revision: 1 }).toBody() }),
      encode({ outcomes: [{ error: { name: "x" } }, { verb: "del", revision: 0, position: 1 }] }),
    ],
    run: replyPacked,
  },
  {
    name: "query-message",
    seeds: [
      encode({ where: [["n", "gt", 5]], driver: 0, limit: 10, bytes_max: 100, select: ["a"] }),
      encode({
        where: [["$key", "prefix", "a"]],
        limit: 5,
        bytes_max: 9,
        after: [Buffer.of(), "k"],
      }),
      encode({ where: [["a", "in", [1, null]]], level: "stale", positions: ["0-5", "9"] }),
    ].map((bytes, index) => Buffer.concat([Buffer.of([0, 2, 1][index] ?? 0), bytes])),
    run: queryMessage,
  },
  {
    name: "query-reply",
    seeds: [
      encode({
        rows: [[Buffer.of(1), "k", 1, Buffer.from("1"), 0]],
        positions: ["0-5"],
        epoch: 1,
        sequence: 2,
      }),
      encode({ count: 5, positions: [], epoch: 1, sequence: 2 }),
      encode({ error: new KvError("overloaded", "x").toBody() }),
    ],
    run: queryReply,
  },
  {
    name: "query-body",
    seeds: [
      utf8(
        '{"where":{"a":1},"select":["a.b"],"limit":10,"cursor":null,"partial":true,"scan":false}',
      ),
      utf8('{"prefix":"a","limit":1000,"cursor":"AQID"}'),
    ],
    run: queryBody,
  },
  {
    name: "subjects",
    seeds: [
      names.ring(5 as Position, "set", "a.b"),
      names.verb("get", "é"),
      names.shard("s1" as ShardId, "find"),
      "kv-log-s1-0123456789abcdef",
    ].map(utf8),
    run: subjects,
  },
];
