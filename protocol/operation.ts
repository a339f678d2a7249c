/**
 * Operations: what a client wants done to one key, and what came of it. The one form behind the
 * border; the wire's forms are in request.ts, the log's bytes in entry.ts.
 */
import type { KvError } from "./errors.js";
import type { Position, Revision, TimeMs } from "./ids.js";

/** How a value's bytes are to be read. The index here is the number in records and entries. */
export const contentTypes = [
  "application/json",
  "application/msgpack",
  "text/plain",
  "application/octet-stream",
] as const;
export type ContentType = (typeof contentTypes)[number];

/**
 * The verbs about one key. `code` stands for the verb in entries, outcome rows and hashes: it is
 * stored, so it never changes and is never used again. `subject`: the verb may stand in a subject,
 * not in a batch only.
 */
const verbTable = {
  set: { kind: "write", code: 0, subject: true },
  get: { kind: "read", code: undefined, subject: true },
  del: { kind: "write", code: 1, subject: true },
  patch: { kind: "write", code: 2, subject: true },
  incr: { kind: "write", code: 3, subject: true },
  touch: { kind: "write", code: 4, subject: true },
  check: { kind: "write", code: 5, subject: false },
} as const;

type VerbTable = typeof verbTable;
export type Verb = keyof VerbTable;
/** The verbs whose row in the table has these facts. */
type VerbWith<Facts> = {
  [Each in Verb]: VerbTable[Each] extends Facts ? Each : never;
}[Verb];
export type WriteVerb = VerbWith<{ readonly kind: "write" }>;
/** A verb that may stand in a subject. */
export type SubjectVerb = VerbWith<{ readonly subject: true }>;

export const verbs = Object.keys(verbTable) as readonly Verb[];
export const writeVerbs = verbs.filter(
  (verb): verb is WriteVerb => verbTable[verb].kind === "write",
);
export const subjectVerbs = verbs.filter((verb): verb is SubjectVerb => verbTable[verb].subject);

const verbSet: ReadonlySet<unknown> = new Set(verbs);
const writeVerbSet: ReadonlySet<unknown> = new Set(writeVerbs);
const writeVerbByCode: WriteVerb[] = [];
for (const verb of writeVerbs) writeVerbByCode[verbTable[verb].code] = verb;

export function isVerb(word: unknown): word is Verb {
  return verbSet.has(word);
}

export function isWriteVerb(word: unknown): word is WriteVerb {
  return writeVerbSet.has(word);
}

/** The number that stands for the verb wherever it is stored. */
export function verbCode(verb: WriteVerb): number {
  return verbTable[verb].code;
}

/** Undefined = no verb has this code. */
export function verbOfCode(code: number): WriteVerb | undefined {
  return writeVerbByCode[code];
}

/** A time to live in milliseconds; `never` takes an expiry away, `keep` leaves it as it is. */
export type Ttl = number | "never" | "keep";

interface OperationBase {
  readonly key: string;
  /** Always position(key): the maker of an operation checks it, and the applier again. */
  readonly position: Position;
  /** Only if the key is at this revision; 0 = only if absent; undefined = in any case. */
  readonly ifRevision: Revision | undefined;
  /** Undefined = the operation leaves no outcome record, and a repeat would be done again. */
  readonly request: RequestRef | undefined;
  /** The reply has the value before the write. Not part of what the operation *is* (its hash). */
  readonly returnPrevious: boolean;
}

/** Names one operation for the window of REQUEST_WINDOW_MS. Rule L4. */
export interface RequestRef {
  readonly id: string;
  /** Place in its batch, 0 for a single operation. */
  readonly index: number;
}

export interface SetOperation extends OperationBase {
  readonly verb: "set";
  readonly value: Uint8Array;
  readonly contentType: ContentType;
  /** `keep` does not occur: a set without a time to live clears it (`never`). */
  readonly ttl: Ttl;
}
export interface DelOperation extends OperationBase {
  readonly verb: "del";
}
export interface PatchOperation extends OperationBase {
  readonly verb: "patch";
  /** JSON Merge Patch (RFC 7396) as JSON or MessagePack bytes. */
  readonly value: Uint8Array;
  readonly contentType: "application/json" | "application/msgpack";
  readonly ttl: Ttl;
}
export interface IncrOperation extends OperationBase {
  readonly verb: "incr";
  /** Attribute path; undefined = the record itself is the number. */
  readonly path: string | undefined;
  /** Finite. */
  readonly by: number;
  readonly ttl: Ttl;
}
export interface TouchOperation extends OperationBase {
  readonly verb: "touch";
  readonly ttl: Ttl;
}
/** An operation without effect: succeeds if `ifRevision` holds. */
export interface CheckOperation extends OperationBase {
  readonly verb: "check";
}

export type Operation =
  SetOperation | DelOperation | PatchOperation | IncrOperation | TouchOperation | CheckOperation;

/** One record, as it stands in a store. */
export interface StoredRecord {
  readonly revision: Revision;
  readonly updatedAt: TimeMs;
  /** 0 = never. At this time of the log it is gone. */
  readonly expiresAt: TimeMs;
  readonly contentType: ContentType;
  readonly value: Uint8Array;
}

/** True if the record is past its expiry at `time`, and so counts as absent. Rule L6. */
export function isDue({ expiresAt }: StoredRecord, time: TimeMs): boolean {
  return expiresAt !== 0 && expiresAt <= time;
}

/** What came of an operation. Decided by the applier, the same on every replica. */
export type Outcome =
  { readonly ok: true; readonly done: Done } | { readonly ok: false; readonly error: KvError };

/** What an operation did that was not refused. */
export interface Done {
  readonly verb: WriteVerb;
  /** Of the key after the operation; 0 where there is none (del of nothing, check of absence). */
  readonly revision: Revision;
  /** set, patch: no record was there before. */
  readonly created: boolean;
  /** del: a record was there before. */
  readonly existed: boolean;
  /** incr: the number afterwards. */
  readonly number: number | undefined;
  /** touch, and whatever leaves a record: 0 = never. */
  readonly expiresAt: TimeMs;
  /** The record before, if the operation asked for it and this is not a repeat. */
  readonly previous: StoredRecord | undefined;
}
