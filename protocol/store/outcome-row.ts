/**
 * Outcome row: what one entry did, kept in the store under its sequence (`q` rows).
 *
 * Two read it. A repeated request finds its first outcome here (rule L4). The relay finds here what
 * the log alone does not tell: revisions, which operations changed something, and what a patch,
 * increment or touch left. It is MessagePack in arrays, because there is one for each operation of
 * every entry, followed by its xxhash32 so that damage is noticed:
 *
 *   row      [log time, chain as 8 bytes, [expired …], [operation …]]
 *   expired  [position, revision, key]
 *   operation, done      [position, verb, flags, revision, expires at, number, result, request]
 *   operation, refused   [position, verb, flags, error, description, details, retryable, request]
 *   result   [content type, value]     of patch, incr and touch; null else
 *   request  [id, index, hash as 8 bytes]   null if it had none or this is a repeat
 */
import { Encoder } from "@msgpack/msgpack";
import { assert } from "../assert.js";
import { DamagedError } from "../damaged.js";
import { hash32 } from "../digest.js";
import { KvError, type ErrorDetails, type ErrorName } from "../errors.js";
import type { Position, Revision, TimeMs } from "../ids.js";
import {
  contentTypes,
  verbCode,
  verbOfCode,
  type ContentType,
  type Done,
  type Outcome,
} from "../operation.js";
import { decodeMsgpack } from "../value/msgpack.js";

export interface OutcomeRow {
  readonly logTime: TimeMs;
  /** The chain after this entry. Rule L1. */
  readonly chain: bigint;
  /** Records that were due and went, in the order of their going. */
  readonly expired: readonly Expired[];
  /** One for each operation of the entry, in its order; none if the entry was skipped. */
  readonly operations: readonly StoredOutcome[];
}

export interface Expired {
  readonly position: Position;
  readonly revision: Revision;
  readonly key: string;
}

/** An outcome as it is kept, with what a repeat and the relay need beside it. */
export interface StoredOutcome {
  readonly position: Position;
  readonly outcome: Outcome;
  /** True if the operation took a revision, and so is an event. */
  readonly changed: boolean;
  /** What a patch, increment or touch left; a set's value stands in the log. */
  readonly result: { readonly contentType: ContentType; readonly value: Uint8Array } | undefined;
  /** The outcome record: only the first of several equal requests has one. */
  readonly request: RequestRecord | undefined;
}

export interface RequestRecord {
  readonly id: string;
  readonly index: number;
  /** Of the operation, so that an id used for something else is noticed. */
  readonly hash: bigint;
}

const CHECKSUM_BYTES = 4;
const FLAG_OK = 1;
const FLAG_CREATED = 2;
const FLAG_EXISTED = 4;
const FLAG_CHANGED = 8;

const encoder = new Encoder();

export function encodeOutcomeRow(row: OutcomeRow): Uint8Array {
  const body = encoder.encodeSharedRef([
    row.logTime,
    bytes8(row.chain),
    row.expired.map((expired) => [expired.position, expired.revision, expired.key]),
    row.operations.map(packOperation),
  ]);
  const bytes = Buffer.allocUnsafe(body.length + CHECKSUM_BYTES);
  bytes.set(body);
  bytes.writeUInt32BE(hash32(body), body.length);
  return bytes;
}

/** Throws DamagedError. */
export function decodeOutcomeRow(data: Uint8Array): OutcomeRow {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const end = bytes.length - CHECKSUM_BYTES;
  if (end < 0 || hash32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) {
    throw new DamagedError("damaged outcome row (what an entry did)");
  }
  try {
    return unpackRow(bytes.subarray(0, end));
  } catch (cause) {
    // The checksum fits: a program with other rows wrote this one.
    throw new DamagedError("damaged outcome row: it has an unknown form", { cause });
  }
}

/** Throws whatever comes of taking other bytes apart. */
function unpackRow(body: Uint8Array): OutcomeRow {
  const [logTime, chain, expired, operations] = decodeMsgpack(body) as [
    TimeMs,
    Uint8Array,
    [Position, Revision, string][],
    unknown[][],
  ];
  return {
    logTime,
    chain: number64(chain),
    expired: expired.map(([position, revision, key]) => ({ position, revision, key })),
    operations: operations.map(unpackOperation),
  };
}

function packOperation(operation: StoredOutcome): unknown[] {
  const { position, outcome, result } = operation;
  const changed = operation.changed ? FLAG_CHANGED : 0;
  const request = operation.request === undefined ? null : packRequest(operation.request);
  if (!outcome.ok) {
    const { kind, message, details, retryable } = outcome.error;
    return [position, 0, changed, kind, message, details, retryable, request];
  }
  const { verb, created, existed, revision, expiresAt, number } = outcome.done;
  const flags = FLAG_OK | changed | (created ? FLAG_CREATED : 0) | (existed ? FLAG_EXISTED : 0);
  const packedResult =
    result === undefined ? null : [contentTypes.indexOf(result.contentType), result.value];
  return [
    position,
    verbCode(verb),
    flags,
    revision,
    expiresAt,
    number ?? null,
    packedResult,
    request,
  ];
}

function packRequest({ id, index, hash }: RequestRecord): unknown[] {
  return [id, index, bytes8(hash)];
}

function unpackOperation(packed: unknown[]): StoredOutcome {
  const flags = packed[2] as number;
  const packedRequest = packed[7] as [string, number, Uint8Array] | null;
  const [id, index, hash] = packedRequest ?? [];
  const request =
    id === undefined || index === undefined || hash === undefined
      ? undefined
      : { id, index, hash: number64(hash) };
  const position = packed[0] as Position;
  const changed = (flags & FLAG_CHANGED) !== 0;
  if ((flags & FLAG_OK) === 0) {
    const [, , , kind, description, details, retryable] = packed;
    const error = new KvError(kind as ErrorName, String(description), details as ErrorDetails, {
      retryable: retryable === true,
    });
    return { position, outcome: { ok: false, error }, changed, result: undefined, request };
  }
  const packedResult = packed[6] as [number, Uint8Array] | null;
  const result = packedResult === null ? undefined : unpackResult(packedResult);
  return { position, outcome: { ok: true, done: unpackDone(packed) }, changed, result, request };
}

function unpackDone(packed: unknown[]): Done {
  const verb = verbOfCode(packed[1] as number);
  assert(verb !== undefined, `verb ${String(packed[1])} of an outcome row is one we wrote`);
  const flags = packed[2] as number;
  return {
    verb,
    revision: packed[3] as Revision,
    created: (flags & FLAG_CREATED) !== 0,
    existed: (flags & FLAG_EXISTED) !== 0,
    number: (packed[5] as number | null) ?? undefined,
    expiresAt: packed[4] as TimeMs,
    previous: undefined,
  };
}

function unpackResult([type, value]: [number, Uint8Array]): StoredOutcome["result"] {
  const contentType = contentTypes[type];
  assert(contentType !== undefined, `content type ${type} of an outcome row is one we wrote`);
  return { contentType, value };
}

function bytes8(value: bigint): Uint8Array {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

function number64(bytes: Uint8Array): bigint {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readBigUInt64BE();
}
