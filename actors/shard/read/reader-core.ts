/**
 * Reader core: what a get must wait for, and the reply that a record gives. No I/O.
 */
import { KvError } from "../../../protocol/errors.js";
import type { TimeMs } from "../../../protocol/ids.js";
import { isDue, type StoredRecord } from "../../../protocol/operation.js";
import type { Result } from "../../../protocol/reply/result.js";
import type { GetRequest } from "../../../protocol/request/request.js";

/** True if the get is to see every write acknowledged before it. */
export function needsTail(request: GetRequest): boolean {
  return request.level === "linearizable";
}

/**
 * The record's answer to a get. `logTime` is that of an applied state not later than the one in
 * which the record was read.
 */
export function resultOf(
  { key, position }: GetRequest,
  record: StoredRecord | undefined,
  logTime: TimeMs,
): Result {
  if (record === undefined || isDue(record, logTime)) {
    const error = new KvError("not-found", `no record under key ${JSON.stringify(key)}`, { key });
    return { kind: "refused", error };
  }
  return { kind: "read", key, position, record };
}

/** True if only the log can tell whether the record is still there: due by our clock alone. */
export function isDoubtful(
  record: StoredRecord | undefined,
  logTime: TimeMs,
  now: TimeMs,
): boolean {
  return record !== undefined && !isDue(record, logTime) && isDue(record, now);
}
