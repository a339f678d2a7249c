/**
 * Results: what came of a request, before it takes one of its wire forms.
 *   subject, keyless   JSON, or a get's bytes with headers   reply/subject.ts, reply/batch.ts
 *   packed             a MessagePack map                     reply/packed.ts
 */
import type { KvError } from "../errors.js";
import type { Position } from "../ids.js";
import type { ContentType, Done, StoredRecord } from "../operation.js";

export interface WrittenResult {
  readonly kind: "written";
  readonly key: string;
  readonly position: Position;
  readonly done: Done;
}
export interface ReadResult {
  readonly kind: "read";
  readonly key: string;
  readonly position: Position;
  readonly record: StoredRecord;
}
export interface RefusedResult {
  readonly kind: "refused";
  readonly error: KvError;
}
export type Result = WrittenResult | ReadResult | RefusedResult;

/** What came of a batch: a result for each request in order, or one error for all. */
export type BatchResult = readonly Result[] | KvError;

/** Names in the case they are to have on the wire, with their values. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[];

export interface Reply {
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
}

export interface ReplyOptions {
  /** A get's wanted form. */
  readonly accept?: ContentType | undefined;
  /** The write asked for the value before it (`Kv-Return: previous`). */
  readonly returnPrevious?: boolean;
}
