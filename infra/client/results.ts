/**
 * Results: what a packed reply says, in the client's words.
 */
import { KvError } from "../../protocol/errors.js";
import type { Done, StoredRecord } from "../../protocol/operation.js";
import type { Result } from "../../protocol/reply/result.js";
import type {
  CheckResult,
  DelResult,
  Entry,
  GetOptions,
  IncrResult,
  SetResult,
  TouchResult,
} from "./options.js";
import { valueAs } from "./values.js";

/** Undefined = not found. Throws the reply's other errors. */
export function entryOf<Value>(result: Result, as: GetOptions["as"]): Entry<Value> | undefined {
  if (result.kind === "read") return toEntry(result.key, result.position, result.record, as);
  if (result.kind === "refused" && result.error.kind === "not-found") return undefined;
  throw result.kind === "refused" ? result.error : unfit("a get", result);
}

export function writtenResult<Answer>(
  result: Result,
  finish: (key: string, position: number, done: Done) => Answer,
): Answer {
  if (result.kind === "written") return finish(result.key, result.position, result.done);
  throw result.kind === "refused" ? result.error : unfit("a write", result);
}

export function setResult<Value>(key: string, position: number, done: Done): SetResult<Value> {
  const { revision, created } = done;
  return { key, revision, position, created, ...previousOf<Value>(key, position, done) };
}

export function delResult<Value>(key: string, position: number, done: Done): DelResult<Value> {
  const { existed } = done;
  const revision = existed ? done.revision : null;
  return { key, revision, position, existed, ...previousOf<Value>(key, position, done) };
}

export function incrResult<Value>(key: string, position: number, done: Done): IncrResult<Value> {
  const { revision, number: value } = done;
  if (value === undefined) throw new KvError("internal", "the reply to an incr has no number");
  return { key, revision, position, value, ...previousOf<Value>(key, position, done) };
}

export function touchResult<Value>(key: string, position: number, done: Done): TouchResult<Value> {
  const expires = expiryOf(done.expiresAt);
  const previous = previousOf<Value>(key, position, done);
  return { key, revision: done.revision, position, ...expires, ...previous };
}

export function checkResult(key: string, position: number, done: Done): CheckResult {
  return { key, position, revision: done.revision };
}

function previousOf<Value>(
  key: string,
  position: number,
  done: Done,
): { readonly previous?: Entry<Value> } {
  if (done.previous === undefined) return {};
  return { previous: toEntry(key, position, done.previous, undefined) };
}

function toEntry<Value>(
  key: string,
  position: number,
  record: StoredRecord,
  as: GetOptions["as"],
): Entry<Value> {
  const { revision, contentType } = record;
  return {
    key,
    // The caller says what its values are; nothing here could check it.
    value: valueAs(record.value, contentType, as) as Value,
    revision,
    position,
    updatedAt: new Date(record.updatedAt),
    ...expiryOf(record.expiresAt),
    contentType,
  };
}

function expiryOf(expiresAtMs: number): { readonly expiresAt?: Date } {
  return expiresAtMs === 0 ? {} : { expiresAt: new Date(expiresAtMs) };
}

function unfit(asked: string, result: Result): KvError {
  return new KvError("internal", `the reply to ${asked} is of kind ${result.kind}`);
}
