/**
 * Entry: one message of a shard's log, and its bytes.
 *
 * Every entry begins with the same head, whatever its version, and ends with a checksum:
 *
 *   offset  bytes  what
 *        0      1  0x52, "R"
 *        1      1  behaviour version the proposer wrote it for (now 1)
 *        2      1  kind: index in entryKinds + 1
 *        3     16  origin: the proposer, 128 random bits a process start (rule L2)
 *       19      6  number: the origin's entries, 1, 2, 3, …
 *       25      6  basis: the sequence the proposer had applied (rule L1)
 *       31      8  basis: the proposer's chain at that sequence
 *       39      …  body, by kind
 *     last      4  xxhash32 of everything before it, seed 0
 *
 * Numbers are unsigned and big-endian. Bodies:
 *   genesis     MessagePack map, see Genesis
 *   open, fence, barrier   empty
 *   operations  u16 how many, then each operation:
 *     u8 verb (code in operation.ts)  u8 flags (FLAG_…)   u16 position
 *     u16 length, key as UTF-8
 *     if FLAG_CONDITION: u48 revision
 *     if FLAG_REQUEST:   u8 length, id as UTF-8, u16 index
 *     u8 ttl: 0 keep, 1 never, 2 followed by u48 milliseconds
 *     set, patch: u8 content type, u32 length, value
 *     incr:       f64 by, u16 length, NUL and the path as UTF-8 (length 0: the record itself)
 *   FLAG_MORE says that this operation and the next are of one atomic group.
 *
 * The reader checks magic and checksum first: bytes that fail are no entry, are skipped by all
 * replicas alike and raise an alarm (rule L5). The values are views into the message, not copies.
 * entry-bytes.ts reads and writes the single numbers and texts.
 */
import { encode } from "@msgpack/msgpack";
import { assert } from "../assert.js";
import { hash32 } from "../digest.js";
import type { LogId, Origin, Position, Revision, Sequence } from "../ids.js";
import {
  contentTypes,
  verbCode,
  verbOfCode,
  type Operation,
  type RequestRef,
  type WriteVerb,
} from "../operation.js";
import type { IndexPolicy } from "../value/attributes.js";
import { decodeMsgpack } from "../value/msgpack.js";
import { EntryReader, EntryWriter, MalformedEntry } from "./entry-bytes.js";

export const BEHAVIOUR_VERSION = 1;

const MAGIC = 0x52;
const HEAD_BYTES = 39;
const CHECKSUM_BYTES = 4;

/** A `barrier` changes nothing: it proves where the log ends, and moves log time on. */
const entryKinds = ["genesis", "open", "fence", "operations", "barrier"] as const;
export type EntryKind = (typeof entryKinds)[number];

const FLAG_CONDITION = 1;
const FLAG_REQUEST = 2;
const FLAG_PREVIOUS = 4;
const FLAG_MORE = 8;

/** The first entry of a log: who it is, and what all replicas must agree on for good. */
export interface Genesis {
  readonly store: string;
  readonly shard: string;
  readonly logId: LogId;
  readonly positionCount: number;
  /** Positions owned from the start. */
  readonly positions: readonly Position[];
  readonly limits: LoggedLimits;
  readonly indexPolicy: IndexPolicy;
  readonly behaviourVersion: number;
  /** Where the log goes on from another one (`ringdex repair`). Left out = of a new store. */
  readonly parent?: LogParent;
}

/** Where a log's past ends that stands in another log, or in no log any more. Rule L1. */
export interface LogParent {
  readonly logId: LogId;
  /** The last entry that counts. The genesis stands at the sequence after it. */
  readonly sequence: Sequence;
  /** The chain there as 16 hexadecimal digits, because MessagePack has no such number. */
  readonly chain: string;
}

/** The limits that decide what an entry does. Rule L5. */
export interface LoggedLimits {
  readonly valueBytesMax: number;
  readonly depthMax: number;
  readonly indexEntriesMax: number;
  readonly pathBytesMax: number;
  readonly outcomesMax: number;
}

export interface EntryHead {
  readonly kind: EntryKind;
  readonly version: number;
  readonly origin: Origin;
  readonly number: number;
  readonly basisSequence: Sequence;
  readonly basisChain: bigint;
}

/** Operations that stand or fall together; a single operation is a group of one. */
export type Group = readonly Operation[];

export type EntryBody =
  | { readonly kind: "genesis"; readonly genesis: Genesis }
  | { readonly kind: "operations"; readonly groups: readonly Group[] }
  | { readonly kind: "open" | "fence" | "barrier" };

export type Entry = Omit<EntryHead, "kind"> & EntryBody;

/** Bytes that `operation` takes in an entry at most. */
export function operationBytesMax(operation: Operation): number {
  // The numbers of an incr, which has the most of them; a UTF-16 unit is 3 bytes of UTF-8 at most.
  let bytes = 32 + 3 * operation.key.length;
  if (operation.request !== undefined) bytes += 4 + 3 * operation.request.id.length;
  if (operation.verb === "set" || operation.verb === "patch") bytes += operation.value.length;
  if (operation.verb === "incr") bytes += 3 * (operation.path?.length ?? 0);
  return bytes;
}

/** Cost: one pass; values are copied once. */
export function encodeEntry(entry: Entry): Uint8Array {
  const genesis = entry.kind === "genesis" ? encode(entry.genesis) : undefined;
  let bytes = HEAD_BYTES + CHECKSUM_BYTES + 2 + (genesis?.length ?? 0);
  if (entry.kind === "operations") {
    for (const group of entry.groups) {
      for (const operation of group) bytes += operationBytesMax(operation);
    }
  }
  const writer = new EntryWriter(Buffer.allocUnsafe(bytes));
  writer.u8(MAGIC);
  writer.u8(entry.version);
  writer.u8(entryKinds.indexOf(entry.kind) + 1);
  writer.raw(Buffer.from(entry.origin, "hex"));
  writer.u48(entry.number);
  writer.u48(entry.basisSequence);
  writer.u64(entry.basisChain);
  if (genesis !== undefined) writer.raw(genesis);
  if (entry.kind === "operations") writeOperations(writer, entry.groups);
  writer.u32(hash32(writer.written()));
  return writer.written();
}

function writeOperations(writer: EntryWriter, groups: readonly Group[]): void {
  writer.u16(groups.reduce((count, group) => count + group.length, 0));
  for (const group of groups) {
    assert(group.length > 0, "a group has an operation, or its end could not be marked");
    for (const [index, operation] of group.entries()) {
      writeOperation(writer, operation, index < group.length - 1);
    }
  }
}

function writeOperation(writer: EntryWriter, operation: Operation, more: boolean): void {
  const { ifRevision, request } = operation;
  writer.u8(verbCode(operation.verb));
  writer.u8(
    (ifRevision === undefined ? 0 : FLAG_CONDITION) |
      (request === undefined ? 0 : FLAG_REQUEST) |
      (operation.returnPrevious ? FLAG_PREVIOUS : 0) |
      (more ? FLAG_MORE : 0),
  );
  writer.u16(operation.position);
  writer.text(operation.key, 2);
  if (ifRevision !== undefined) writer.u48(ifRevision);
  if (request !== undefined) {
    writer.text(request.id, 1);
    writer.u16(request.index);
  }
  writer.ttl("ttl" in operation ? operation.ttl : "keep");
  if (operation.verb === "set" || operation.verb === "patch") {
    writer.u8(contentTypes.indexOf(operation.contentType));
    writer.u32(operation.value.length);
    writer.raw(operation.value);
  } else if (operation.verb === "incr") {
    writer.f64(operation.by);
    writer.optionalText(operation.path);
  }
}

/** Why bytes are not an entry that can be applied. */
export type EntryRefusal =
  | { readonly kind: "malformed"; readonly reason: string }
  /** Whole, but of a version that this program does not know. */
  | { readonly kind: "newer"; readonly version: number };

/**
 * Cost: one pass over the head and the operations; values are not copied. Never throws for any
 * bytes.
 */
export function decodeEntry(data: Uint8Array): Entry | EntryRefusal {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length < HEAD_BYTES + CHECKSUM_BYTES || bytes[0] !== MAGIC) {
    return { kind: "malformed", reason: `${bytes.length} bytes that do not begin like an entry` };
  }
  const end = bytes.length - CHECKSUM_BYTES;
  if (hash32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) {
    return { kind: "malformed", reason: "checksum does not match" };
  }
  const version = bytes[1] as number;
  if (version > BEHAVIOUR_VERSION) return { kind: "newer", version };
  const kind = entryKinds[(bytes[2] as number) - 1];
  if (kind === undefined) return { kind: "malformed", reason: `unknown entry kind ${bytes[2]}` };
  const origin = bytes.toString("hex", 3, 19) as Origin;
  const number = bytes.readUIntBE(19, 6);
  const basisSequence = bytes.readUIntBE(25, 6) as Sequence;
  const basisChain = bytes.readBigUInt64BE(31);
  try {
    const body = bytes.subarray(HEAD_BYTES, end);
    if (kind === "genesis") {
      const genesis = readGenesis(body);
      return { version, origin, number, basisSequence, basisChain, kind, genesis };
    }
    if (kind === "operations") {
      const groups = readOperations(new EntryReader(body));
      return { version, origin, number, basisSequence, basisChain, kind, groups };
    }
    return { version, origin, number, basisSequence, basisChain, kind };
  } catch (error) {
    if (
      error instanceof RangeError ||
      error instanceof TypeError ||
      error instanceof MalformedEntry
    ) {
      return { kind: "malformed", reason: `${kind} entry: ${error.message}` };
    }
    throw error;
  }
}

export function isEntry(decoded: Entry | EntryRefusal): decoded is Entry {
  return decoded.kind !== "malformed" && decoded.kind !== "newer";
}

/** Throws MalformedEntry. */
export function readGenesis(body: Uint8Array): Genesis {
  let genesis: Genesis;
  try {
    genesis = decodeMsgpack(body) as Genesis;
  } catch (error) {
    throw new MalformedEntry(error instanceof Error ? error.message : String(error));
  }
  const { limits, positions, positionCount, parent } = genesis ?? {};
  const whole =
    typeof genesis?.store === "string" &&
    typeof genesis.logId === "string" &&
    Number.isSafeInteger(positionCount) &&
    Array.isArray(positions) &&
    positions.every((each) => Number.isSafeInteger(each) && each >= 0 && each < positionCount) &&
    typeof limits === "object" &&
    limitNames.every((name) => Number.isSafeInteger(limits?.[name])) &&
    Number.isSafeInteger(genesis.behaviourVersion) &&
    Array.isArray(genesis.indexPolicy?.excluded) &&
    genesis.indexPolicy.excluded.every((path: unknown) => typeof path === "string") &&
    (parent === undefined || isParent(parent));
  if (!whole) throw new MalformedEntry("members are missing");
  return genesis;
}

function isParent(parent: Partial<LogParent> | null): boolean {
  return (
    typeof parent?.logId === "string" &&
    Number.isSafeInteger(parent.sequence) &&
    /^[0-9a-f]{16}$/.test(String(parent.chain))
  );
}

/** The chain as a LogParent has it. */
export function chainHex(chain: bigint): string {
  return chain.toString(16).padStart(16, "0");
}

const limitNames = [
  "valueBytesMax",
  "depthMax",
  "indexEntriesMax",
  "pathBytesMax",
  "outcomesMax",
] as const satisfies readonly (keyof LoggedLimits)[];

function readOperations(reader: EntryReader): Group[] {
  const groups: Operation[][] = [];
  const count = reader.u16();
  let group: Operation[] = [];
  for (let index = 0; index < count; index += 1) {
    const { operation, more } = readOperation(reader);
    group.push(operation);
    if (!more) {
      groups.push(group);
      group = [];
    }
  }
  if (group.length > 0) throw new MalformedEntry("the last atomic group is cut off");
  if (!reader.isAtEnd) throw new MalformedEntry("bytes after the last operation");
  return groups;
}

function readOperation(reader: EntryReader): { operation: Operation; more: boolean } {
  const verb = verbOfCode(reader.u8());
  if (verb === undefined) throw new MalformedEntry("unknown verb");
  const flags = reader.u8();
  const position = reader.u16() as Position;
  const key = reader.text(reader.u16());
  const ifRevision = (flags & FLAG_CONDITION) === 0 ? undefined : (reader.u48() as Revision);
  const request = (flags & FLAG_REQUEST) === 0 ? undefined : readRequestRef(reader);
  const returnPrevious = (flags & FLAG_PREVIOUS) !== 0;
  const ttl = reader.ttl();
  const head: OperationHead = { verb, key, position, ifRevision, request, returnPrevious, ttl };
  return { operation: readRest(reader, head), more: (flags & FLAG_MORE) !== 0 };
}

function readRequestRef(reader: EntryReader): RequestRef {
  const id = reader.text(reader.u8());
  return { id, index: reader.u16() };
}

type OperationHead = Omit<Extract<Operation, { verb: "touch" }>, "verb"> & {
  readonly verb: WriteVerb;
};

/** Literals, not spreads: a spread of the head costs more than all else here. */
function readRest(reader: EntryReader, head: OperationHead): Operation {
  const { verb, key, position, ifRevision, request, returnPrevious, ttl } = head;
  switch (verb) {
    case "set": {
      const contentType = reader.contentType();
      const value = reader.value();
      return { verb, key, position, ifRevision, request, returnPrevious, contentType, value, ttl };
    }
    case "patch": {
      const contentType = reader.contentType();
      if (contentType !== "application/json" && contentType !== "application/msgpack") {
        throw new MalformedEntry(`a patch cannot be ${contentType}`);
      }
      const value = reader.value();
      return { verb, key, position, ifRevision, request, returnPrevious, contentType, value, ttl };
    }
    case "incr": {
      const by = reader.f64();
      const path = reader.optionalText();
      return { verb, key, position, ifRevision, request, returnPrevious, by, path, ttl };
    }
    case "touch":
      return { verb, key, position, ifRevision, request, returnPrevious, ttl };
    case "del":
    case "check":
      return { verb, key, position, ifRevision, request, returnPrevious };
  }
}
