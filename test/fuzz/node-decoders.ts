/**
 * Fuzz targets: what nodes say to each other about repairs and seeds, and what nats-server says.
 */
import { numberIn, objectIn, parseJson } from "../../infra/jetstream/jetstream-api.js";
import { parseAckSubject } from "../../infra/nats/ack-subject.js";
import { DamagedError } from "../../protocol/damaged.js";
import { KvError } from "../../protocol/errors.js";
import {
  decodeRepairReply,
  encodeRepairError,
  parseRepairRequest,
  parseReportRequest,
} from "../../protocol/node/repair.js";
import {
  decodeSeedReply,
  encodeSeedReply,
  encodeSeedRow,
  parseSeedRequest,
  SeedRows,
  type SeedRow,
} from "../../protocol/node/seed.js";
import { orKvError, orToldError, same, utf8, type Decoder } from "./decoder.js";

function repairRequest(bytes: Buffer): void {
  const repair = orKvError(() => parseRepairRequest(bytes));
  if (repair !== undefined) again(parseRepairRequest, repair);
  const report = orKvError(() => parseReportRequest(bytes));
  if (report !== undefined) again(parseReportRequest, report);
}

function repairReply(bytes: Buffer): void {
  const reply = orToldError(() => decodeRepairReply<object>(bytes));
  if (typeof reply !== "object" && reply !== undefined)
    throw new Error("a reply that is no object");
}

function seedRequest(bytes: Buffer): void {
  const request = orKvError(() => parseSeedRequest(bytes));
  if (request !== undefined) again(parseSeedRequest, request);
}

function seedReply(bytes: Buffer): void {
  const reply = orToldError(() => decodeSeedReply(bytes));
  if (reply !== undefined) same(encodeSeedReply(reply), bytes, "a part of a seed");
}

/** The first byte says where the rest is cut in two. */
function seedRows(bytes: Buffer): void {
  const body = bytes.subarray(1);
  const cut = (bytes[0] ?? 0) % (body.length + 1);
  const rows = new SeedRows();
  const found = [...rows.take(body.subarray(0, cut)), ...rows.take(body.subarray(cut))];
  const written = Buffer.concat(found.map(encodeSeedRow));
  same(written, body.subarray(0, written.length), "rows");
  try {
    rows.end();
    same(written.length, body.length, "all rows");
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
  }
}

function ackSubject(bytes: Buffer): void {
  const subject = bytes.toString();
  const place = parseAckSubject(subject);
  if (place === undefined) return;
  for (const number of Object.values(place) as unknown[]) {
    if (!Number.isSafeInteger(number) || (number as number) < 0) throw new Error("a wrong place");
  }
  const numbers = subject
    .split(".")
    .slice(2)
    .filter((token) => Number(token) === place.sequence);
  if (numbers.length === 0) throw new Error("a sequence that the subject does not have");
}

function jetstreamAnswer(bytes: Buffer): void {
  const answer = orKvError(() => parseJson("STREAM.INFO.x", bytes));
  if (answer === undefined) return;
  const state = orKvError(() => objectIn(answer, "state"));
  if (state !== undefined) orKvError(() => numberIn(state, "last_seq"));
}

/** What was read is read again from what it is written as; −0 is written as 0. */
function again<Request extends object>(parse: (bytes: Buffer) => Request, request: Request): void {
  const text = JSON.stringify(request);
  same(parse(Buffer.from(text)), JSON.parse(text), "a request");
}

const rows: readonly SeedRow[] = [
  { key: Buffer.from("d1"), value: Buffer.from("value") },
  { key: Buffer.from("i"), value: new Uint8Array(0) },
];
const rowBytes = Buffer.concat(rows.map(encodeSeedRow));
const refusal = new KvError("overloaded", "busy", { limit: "seed_sessions", max: 2 });

export const nodeDecoders: readonly Decoder[] = [
  {
    name: "repair-request",
    seeds: [
      '{"shard":"s1","abandon":["n1"],"token":"0123456789abcdef log 5"}',
      '{"shard":"s1","chains_at":[5,7]}',
    ].map(utf8),
    run: repairRequest,
  },
  {
    name: "repair-reply",
    seeds: [
      utf8(
        '{"shard":"s1","kind":"nothing","replicas":[{"node":"n1","sequence":null}],"done":false}',
      ),
      encodeRepairError(refusal),
    ],
    run: repairReply,
  },
  {
    name: "seed-request",
    seeds: [utf8('{"shard":"s1","log_id":"0123456789abcdef","session":"a","part":0}')],
    run: seedRequest,
  },
  {
    name: "seed-reply",
    seeds: [encodeSeedReply({ isLast: true, bytes: rowBytes }), encodeSeedReply(refusal)],
    run: seedReply,
  },
  {
    name: "seed-rows",
    seeds: [Buffer.of(3, ...rowBytes), Buffer.of(20, ...rowBytes, ...rowBytes)],
    run: seedRows,
  },
  {
    name: "ack-subject",
    seeds: [
      "$JS.ACK.kv-log-s1.c.1.57.3.1700000000123456789.0",
      "$JS.ACK.hub.account.kv-log-s1.c.1.57.3.1700000000123456789.0.random",
    ].map(utf8),
    run: ackSubject,
  },
  {
    name: "jetstream-answer",
    seeds: [
      utf8('{"config":{"first_seq":5},"state":{"last_seq":7}}'),
      utf8('{"error":{"code":404,"err_code":10059,"description":"stream not found"}}'),
    ],
    run: jetstreamAnswer,
  },
];
