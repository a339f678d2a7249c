/**
 * Results to be replied, for the tests of each form of a reply.
 */
import type { Position, Revision, TimeMs } from "../../../protocol/ids.js";
import type { Done, StoredRecord } from "../../../protocol/operation.js";
import type { Result } from "../../../protocol/reply/result.js";

export const TIME = 1_700_000_000_000 as TimeMs;

export function record(members: Partial<StoredRecord>): StoredRecord {
  return {
    revision: 2 as Revision,
    updatedAt: TIME,
    expiresAt: 0 as TimeMs,
    contentType: "application/json",
    value: Buffer.from('{"a": 1.0}'),
    ...members,
  };
}

export function read(members: Partial<StoredRecord>): Result {
  return { kind: "read", key: "k", position: 5 as Position, record: record(members) };
}

export function written(members: Partial<Done>): Result & { kind: "written" } {
  const done: Done = {
    verb: "set",
    revision: 3 as Revision,
    created: false,
    existed: false,
    number: undefined,
    expiresAt: 0 as TimeMs,
    previous: undefined,
    ...members,
  };
  return { kind: "written", key: "k", position: 5 as Position, done };
}

export function type(verb: string): string {
  return `"type":"io.ringdex.v1.${verb}_response"`;
}
