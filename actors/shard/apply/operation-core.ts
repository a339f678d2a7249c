/**
 * Operation core: applies one operation to one record, and returns the outcome.
 *
 * It is a pure function of the operation, the record before it and the circumstances from the log,
 * so every replica computes the same result (rule L5). A client's mistake ends as a KvError, which
 * is an outcome like any other. The border has already checked form and limits; the core checks
 * them again, because only the core knows the result of a patch, and because an older or a hostile
 * proposer may have written the log.
 */
import { assert } from "../../../protocol/assert.js";
import { KvError } from "../../../protocol/errors.js";
import type { Revision, TimeMs } from "../../../protocol/ids.js";
import { TTL_MAX_MS } from "../../../protocol/limits.js";
import type {
  ContentType,
  Done,
  IncrOperation,
  Operation,
  PatchOperation,
  StoredRecord,
  Ttl,
} from "../../../protocol/operation.js";
import type { Attribute } from "../../../protocol/value/attributes.js";
import { decodeValue, encodeValue, isExact, type Plain } from "../../../protocol/value/content.js";
import { increment } from "../../../protocol/value/increment.js";
import { mergePatch } from "../../../protocol/value/merge-patch.js";
import { indexedAttributes, type Indexing } from "../state/indexing.js";

/** The circumstances that the log gives for an operation. */
export interface Circumstances extends Indexing {
  readonly logTime: TimeMs;
  /** The position's next revision; taken only by a change. */
  readonly revisionNext: Revision;
}

/** What an operation does to its record; the first stage of its outcome. */
export type Evaluation =
  | { readonly kind: "unchanged"; readonly done: Done }
  | {
      readonly kind: "put";
      readonly done: Done;
      readonly record: StoredRecord;
      readonly attributes: readonly Attribute[];
    }
  | { readonly kind: "del"; readonly done: Done };

/** Throws KvError: the operation is refused and changes nothing. */
export function evaluate(
  operation: Operation,
  record: StoredRecord | undefined,
  circumstances: Circumstances,
): Evaluation {
  checkCondition(operation, record);
  const done = doneOf(operation, record);
  switch (operation.verb) {
    case "check":
      return { kind: "unchanged", done };
    case "del":
      if (record === undefined) return { kind: "unchanged", done };
      return { kind: "del", done: { ...done, revision: circumstances.revisionNext } };
    case "set": {
      const value = decodeValue(operation.value, operation.contentType);
      return put(done, circumstances, operation, operation.contentType, value, operation.value);
    }
    case "touch": {
      if (record === undefined) throw new KvError("not-found", "no record to touch");
      const value = decodeValue(record.value, record.contentType);
      return put(done, circumstances, operation, record.contentType, value, record.value, record);
    }
    case "patch":
      return patch(operation, record, circumstances, done);
    case "incr":
      return incr(operation, record, circumstances, done);
  }
}

function checkCondition(operation: Operation, record: StoredRecord | undefined): void {
  const revision = record?.revision ?? 0;
  if (operation.ifRevision === undefined || operation.ifRevision === revision) return;
  const found = revision === 0 ? "the key is absent" : `the key is at revision ${revision}`;
  const wanted =
    operation.ifRevision === 0 ? "that it is absent" : `revision ${operation.ifRevision}`;
  throw new KvError("conflict", `${found}, the condition was ${wanted}`, { revision });
}

function doneOf(operation: Operation, record: StoredRecord | undefined): Done {
  return {
    verb: operation.verb,
    revision: operation.verb === "del" ? (0 as Revision) : (record?.revision ?? (0 as Revision)),
    created: record === undefined,
    existed: record !== undefined,
    number: undefined,
    expiresAt: record?.expiresAt ?? (0 as TimeMs),
    previous: operation.returnPrevious ? record : undefined,
  };
}

function patch(
  operation: PatchOperation,
  record: StoredRecord | undefined,
  circumstances: Circumstances,
  done: Done,
): Evaluation {
  const before = record === undefined ? {} : readExactly(record, "patch");
  const change = decodeValue(operation.value, operation.contentType);
  assert(change !== undefined, `${operation.contentType} decodes to a value`);
  if (!isExact(operation.value, operation.contentType)) {
    throw new KvError(
      "unsupported",
      "the patch holds a number that a 64-bit float cannot keep, or a member twice; set the " +
        "record whole",
    );
  }
  const contentType = record?.contentType ?? "application/json";
  const after = mergePatch(before, change);
  const bytes = encodeValue(after, contentType);
  return put(done, circumstances, operation, contentType, after, bytes, record);
}

function incr(
  operation: IncrOperation,
  record: StoredRecord | undefined,
  circumstances: Circumstances,
  done: Done,
): Evaluation {
  if (!Number.isFinite(operation.by)) {
    throw new KvError("bad-request", `"by" is a finite number; received ${operation.by}`);
  }
  const before = record === undefined ? undefined : readExactly(record, "incr");
  const { value, number } = increment(before, operation.path, operation.by);
  const contentType = record?.contentType ?? "application/json";
  const bytes = encodeValue(value, contentType);
  return put({ ...done, number }, circumstances, operation, contentType, value, bytes, record);
}

/** The record's value, if it can be changed and written again without harm. */
function readExactly(record: StoredRecord, verb: string): Plain {
  const value = decodeValue(record.value, record.contentType);
  if (value === undefined) {
    throw new KvError(
      "unsupported",
      `${verb} needs a JSON or MessagePack record, this one is ${record.contentType}`,
    );
  }
  if (!isExact(record.value, record.contentType)) {
    throw new KvError(
      "unsupported",
      `${verb} would change a number that this record holds, because a 64-bit float cannot ` +
        "keep it; read the record and set it whole",
    );
  }
  return value;
}

function put(
  done: Done,
  circumstances: Circumstances,
  operation: { readonly ttl: Ttl },
  contentType: ContentType,
  value: Plain | undefined,
  bytes: Uint8Array,
  before?: StoredRecord,
): Evaluation {
  const { logTime, revisionNext, limits } = circumstances;
  if (bytes.length > limits.valueBytesMax) {
    const size = `the value would have ${bytes.length} bytes`;
    throw new KvError("too-large", `${size}, the limit is ${limits.valueBytesMax}`, {
      field: "value",
      limit: limits.valueBytesMax,
      size: bytes.length,
    });
  }
  const attributes = indexedAttributes(value, circumstances);
  const expiresAt = expiry(operation.ttl, logTime, before);
  const record = {
    revision: revisionNext,
    updatedAt: logTime,
    expiresAt,
    contentType,
    value: bytes,
  };
  return {
    kind: "put",
    done: { ...done, revision: revisionNext, expiresAt },
    record,
    attributes,
  };
}

function expiry(ttl: Ttl, logTime: TimeMs, before: StoredRecord | undefined): TimeMs {
  if (ttl === "never") return 0 as TimeMs;
  if (ttl === "keep") return before?.expiresAt ?? (0 as TimeMs);
  if (ttl > TTL_MAX_MS) {
    const text = `"ttl" is at most ${TTL_MAX_MS} ms; received ${ttl}`;
    throw new KvError("bad-request", text, { limit: "ttl", max: TTL_MAX_MS });
  }
  return (logTime + ttl) as TimeMs;
}
