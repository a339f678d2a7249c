/**
 * Fuzz targets: what logs, stores, the ring's bucket and the events stream hold. Checksums are put
 * right after each mutation, as only they stand between a decoder and what somebody wrote.
 */
import { readMarker } from "../../actors/relay/relay-core.js";
import { PositionDigest } from "../../protocol/digest.js";
import { KvError } from "../../protocol/errors.js";
import type {
  Epoch,
  LogId,
  NodeName,
  Origin,
  Position,
  Revision,
  Sequence,
  ShardId,
  TimeMs,
} from "../../protocol/ids.js";
import {
  decodeEntry,
  encodeEntry,
  isEntry,
  type Entry,
  type Genesis,
} from "../../protocol/log/entry.js";
import type { Done, Operation } from "../../protocol/operation.js";
import { decodeRing } from "../../protocol/ring/ring-bytes.js";
import { encodeRing, parseRing } from "../../protocol/ring/ring.js";
import { decodeAppliedRow, encodeAppliedRow } from "../../protocol/store/applied-row.js";
import { decodeOriginRow, encodeOriginRow } from "../../protocol/store/origin-row.js";
import { decodeOutcomeRow, encodeOutcomeRow } from "../../protocol/store/outcome-row.js";
import { decodePositionRow, encodePositionRow } from "../../protocol/store/position-row.js";
import { decodeRecord, encodeRecord } from "../../protocol/store/record.js";
import * as storeKeys from "../../protocol/store/store-keys.js";
import { orDamaged, orKvError, same, utf8, withChecksum, type Decoder } from "./decoder.js";

const head = {
  version: 1,
  origin: "0123456789abcdef0123456789abcdef" as Origin,
  number: 7,
  basisSequence: 3 as Sequence,
  basisChain: 5n,
};

const genesis: Genesis = {
  store: "kv",
  shard: "s1",
  logId: "0123456789abcdef" as LogId,
  positionCount: 4,
  positions: [0, 1] as Position[],
  limits: {
    valueBytesMax: 262_144,
    depthMax: 8,
    indexEntriesMax: 256,
    pathBytesMax: 512,
    outcomesMax: 1_000,
  },
  indexPolicy: { excluded: ["a.b"] },
  behaviourVersion: 1,
};

const common = { key: "a", position: 1 as Position, ifRevision: undefined, request: undefined };
const value = Buffer.from('{"n":1}');
const operations: Operation[] = [
  {
    ...common,
    verb: "set",
    returnPrevious: true,
    value,
    contentType: "application/json",
    ttl: 5_000,
    request: { id: "r", index: 2 },
  },
  { ...common, verb: "incr", returnPrevious: false, by: -1.5, path: "a.b", ttl: "keep" },
  { ...common, verb: "check", returnPrevious: false, ifRevision: 3 as Revision },
];

const entries: Entry[] = [
  { ...head, kind: "open" },
  { ...head, kind: "operations", groups: [operations.slice(0, 2), operations.slice(2)] },
];

function unsummed(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.subarray(0, bytes.length - 4));
}

function entry(bytes: Buffer): void {
  decodeEntry(bytes);
  const found = decodeEntry(withChecksum(bytes));
  if (!isEntry(found)) return;
  // Text that was no UTF-8 is longer when it is written again.
  if (bytes.includes(0x80) || bytes.some((byte) => byte > 0x7f)) return;
  same(decodeEntry(encodeEntry(found)), found, "an entry");
}

function record(bytes: Buffer): void {
  orDamaged(() => decodeRecord(bytes));
  const summed = Buffer.concat([
    bytes.subarray(0, 1),
    withChecksum(bytes.subarray(5), 1).subarray(-4),
    bytes.subarray(5),
  ]);
  const found = orDamaged(() => decodeRecord(summed));
  if (found !== undefined) same(encodeRecord(found), summed, "a record");
}

function appliedRow(bytes: Buffer): void {
  orDamaged(() => decodeAppliedRow(bytes));
  const found = orDamaged(() => decodeAppliedRow(withChecksum(bytes)));
  if (found !== undefined) same(decodeAppliedRow(encodeAppliedRow(found)), found, "the row");
}

function outcomeRow(bytes: Buffer): void {
  orDamaged(() => decodeOutcomeRow(bytes));
  const found = orDamaged(() => decodeOutcomeRow(withChecksum(bytes)));
  if (found === undefined) return;
  const again = decodeOutcomeRow(encodeOutcomeRow(found));
  same(again.operations.length, found.operations.length, "outcomes");
}

function positionRow(bytes: Buffer): void {
  orDamaged(() => decodePositionRow(bytes));
  const summed = withChecksum(bytes);
  const found = orDamaged(() => decodePositionRow(summed));
  if (found !== undefined) same(encodePositionRow(found), summed, "a position's row");
}

function originRow(bytes: Buffer): void {
  orDamaged(() => decodeOriginRow(bytes));
  const summed = withChecksum(bytes);
  const found = orDamaged(() => decodeOriginRow(summed));
  if (found !== undefined) same(encodeOriginRow(found), summed, "an origin's row");
}

function ring(bytes: Buffer): void {
  const found = orKvError(() => decodeRing(bytes));
  if (found !== undefined) same(parseRing(encodeRing(found)), found, "a ring");
}

function storeKey(bytes: Buffer): void {
  const found = orDamaged(() => storeKeys.parseRecordKey(bytes));
  if (found !== undefined) same(storeKeys.recordKey(found.position, found.key), bytes, "a key");
  orDamaged(() => storeKeys.parseIndexKey(bytes));
  orDamaged(() => storeKeys.parsePositionKey(bytes));
  orDamaged(() => storeKeys.parseOutcomeKey(bytes));
  orDamaged(() => storeKeys.parseOriginKey(bytes));
  orDamaged(() => storeKeys.parseExpiryKey(bytes));
}

const done: Done = {
  verb: "set",
  revision: 1 as Revision,
  created: true,
  existed: false,
  number: undefined,
  expiresAt: 0 as TimeMs,
  previous: undefined,
};

const rowSeed = encodeOutcomeRow({
  logTime: 5 as TimeMs,
  chain: 9n,
  expired: [{ position: 1 as Position, revision: 2 as Revision, key: "k" }],
  operations: [
    {
      position: 1 as Position,
      outcome: { ok: true, done },
      changed: true,
      result: { contentType: "application/json", value },
      request: { id: "r", index: 0, hash: 3n },
    },
    {
      position: 1 as Position,
      outcome: { ok: false, error: new KvError("conflict", "x", { revision: 1 }) },
      changed: false,
      result: undefined,
      request: undefined,
    },
  ],
});

const applied = encodeAppliedRow({
  format: 1,
  logId: genesis.logId,
  sequence: 5 as Sequence,
  logTime: 9 as TimeMs,
  chain: 7n,
  messageHash: 8n,
  genesis,
});

const position = encodePositionRow({
  state: "owned",
  generation: 1,
  revision: 5 as Revision,
  keys: 3,
  bytes: 100,
  digest: new PositionDigest(),
});

const origin = encodeOriginRow({ number: 7, seenAt: 9 as TimeMs });

const table = {
  store: "kv",
  epoch: 1 as Epoch,
  positionCount: 4,
  shards: [
    {
      shard: "s1" as ShardId,
      logId: genesis.logId,
      nodes: ["n1"] as NodeName[],
      weight: 1,
      positions: [0, 1, 2, 3] as Position[],
    },
  ],
  nodes: [{ node: "n1" as NodeName, weight: 1, zone: "z" }],
};

const stored = encodeRecord({
  revision: 1 as Revision,
  updatedAt: 5 as TimeMs,
  expiresAt: 0 as TimeMs,
  contentType: "application/json",
  value,
});

export const storedDecoders: readonly Decoder[] = [
  { name: "entry", seeds: entries.map((each) => unsummed(encodeEntry(each))), run: entry },
  {
    name: "genesis",
    seeds: [unsummed(encodeEntry({ ...head, kind: "genesis", genesis }))],
    run: entry,
  },
  { name: "record", seeds: [stored], run: record },
  { name: "applied-row", seeds: [unsummed(applied)], run: appliedRow },
  { name: "outcome-row", seeds: [unsummed(rowSeed)], run: outcomeRow },
  { name: "position-row", seeds: [unsummed(position)], run: positionRow },
  { name: "origin-row", seeds: [unsummed(origin)], run: originRow },
  { name: "ring", seeds: [utf8(JSON.stringify(encodeRing(table)))], run: ring },
  {
    name: "store-keys",
    seeds: [
      storeKeys.recordKey(5 as Position, utf8("a")),
      storeKeys.indexKeyOf("a.b", "x", utf8("k")),
      storeKeys.expiryKey(1 as Position, 5 as TimeMs, utf8("k")),
      storeKeys.originKey(head.origin),
    ],
    run: storeKey,
  },
  {
    name: "relay-marker",
    seeds: [
      utf8('{"sequence":5,"since":null,"log_id":"0123456789abcdef","node":"n1","relay":"x"}'),
    ],
    run: (bytes) => {
      readMarker({
        sequence: 1 as Sequence,
        subject: "kv.relay.s1",
        headers: undefined,
        data: bytes,
      });
    },
  },
];
