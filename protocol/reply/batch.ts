/**
 * The JSON reply of kv.batch: `{"outcomes":[…]}`, for each operation in order what its verb would
 * have replied, a get with its value inside, or `{"error":{…}}`.
 *
 * One reply has a limit, and values share what the rest leaves: they are let in, in order, as long
 * as they fit. A get that does not is `too-large`; a write has been done all the same, so only its
 * `previous` says `too-large`. request/batch.ts saw to it that everything else fits.
 */
import { KvError } from "../errors.js";
import { REPLY_BYTES_MAX } from "../limits.js";
import type { StoredRecord } from "../operation.js";
import type { BatchRequest } from "../request/request.js";
import {
  errorMember,
  readMembers,
  replyTooLarge,
  shortened,
  typeMember,
  writtenMembers,
} from "./json.js";
import type { BatchResult, Reply, Result } from "./result.js";
import { errorReply } from "./subject.js";

/** With the `request` that it answers, a write can say that there was no record before it. */
export function batchReply(result: BatchResult, request?: BatchRequest): Reply {
  if (result instanceof KvError) return errorReply(result, "batch");
  const asked = (index: number): boolean => {
    const one = request?.requests[index];
    return one?.kind === "write" && one.operation.returnPrevious;
  };
  // First everything without values, so that what is left is known; then the values.
  const outcomes = result.map((one, index) => withoutValue(one, asked(index)));
  let size = frame.length;
  for (const outcome of outcomes) size += outcome.length + 1;
  for (const [index, one] of result.entries()) {
    const record = recordOf(one);
    if (record === undefined) continue;
    const others = size - (outcomes[index]?.length ?? 0);
    // What cannot fit is not even put into words.
    if (others + jsonBytesMin(record) > REPLY_BYTES_MAX) continue;
    const outcome = withValue(one, asked(index));
    if (others + outcome.length > REPLY_BYTES_MAX) continue;
    size = others + outcome.length;
    outcomes[index] = outcome;
  }
  return { headers: [], body: Buffer.concat(joined(outcomes)) };
}

const frame = `{${typeMember("batch")}"outcomes":[]}`;

function joined(outcomes: readonly Uint8Array[]): Uint8Array[] {
  const parts: Uint8Array[] = [Buffer.from(frame.slice(0, -2))];
  for (const [index, outcome] of outcomes.entries()) {
    if (index > 0) parts.push(comma);
    parts.push(outcome);
  }
  parts.push(Buffer.from("]}"));
  return parts;
}
const comma = Buffer.from(",");

/** Whose value the outcome may have inside. */
function recordOf(result: Result): StoredRecord | undefined {
  if (result.kind === "refused") return undefined;
  return result.kind === "read" ? result.record : result.done.previous;
}

/** JSON stays as it is, text and raw bytes only grow; MessagePack may shrink. */
function jsonBytesMin({ contentType, value }: StoredRecord): number {
  return contentType === "application/msgpack" ? 0 : value.length;
}

function withoutValue(result: Result, previousAsked: boolean): Buffer {
  switch (result.kind) {
    case "refused":
      return Buffer.from(`{${errorMember(shortened(result.error))}}`);
    case "read":
      return Buffer.from(`{${errorMember(replyTooLarge(result.record.value.length))}}`);
    case "written": {
      const members = writtenMembers(result, previousAsked, (record) =>
        errorMember(replyTooLarge(record.value.length)),
      );
      return Buffer.from(`{${members}}`);
    }
  }
}

function withValue(result: Result, previousAsked: boolean): Buffer {
  switch (result.kind) {
    case "refused":
      return withoutValue(result, previousAsked);
    case "read":
      return Buffer.from(`{${readMembers(result)}}`);
    case "written":
      return Buffer.from(`{${writtenMembers(result, previousAsked)}}`);
  }
}
