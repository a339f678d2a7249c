/**
 * JetStream's own requests (`$JS.API.…`), as JSON over a Bus.
 *
 * nats.js wraps these too, but through its slower request(), without cancelling, and without the
 * newer fields. Only what the logs, the events and the ring's bucket need is here.
 */
import { KvError } from "../../protocol/errors.js";
import type { Sequence, TimeMs } from "../../protocol/ids.js";
import { ATTEMPT_TIMEOUT_MS } from "../../protocol/limits.js";
import type { Bus } from "../bus.js";

/** `err_code` of JetStream's errors that something is decided by (nats-server, errors.json). */
export const errorCodes = {
  accountResourcesExceeded: 10_002,
  insufficientResources: 10_023,
  messageNotFound: 10_037,
  notEnabledForAccount: 10_039,
  storageResourcesExceeded: 10_047,
  messageTooLarge: 10_054,
  streamNameInUse: 10_058,
  streamNotFound: 10_059,
  notEnabled: 10_076,
  storeFailed: 10_077,
  wrongLastSequence: 10_071,
  headersTooLarge: 10_097,
  streamSealed: 10_109,
  streamMaxBytesExceeded: 10_122,
  wrongLastSequenceConstant: 10_164,
  tooManyRequests: 10_167,
} as const;

/** JetStream said no. */
export class JetstreamError extends Error {
  override readonly name = "JetstreamError";

  constructor(
    /** What was asked, such as `STREAM.CREATE.kv-ring`. */
    readonly asked: string,
    /** As in HTTP. */
    readonly code: number,
    /** One of JetStream's closed list; 0 if it told none. */
    readonly errorCode: number,
    readonly description: string,
  ) {
    super(`${asked}: ${description} (${code}, ${errorCode})`);
  }
}

/** True if `error` is JetStream's, with one of these codes. */
export function hasErrorCode(error: unknown, ...codes: readonly number[]): boolean {
  return error instanceof JetstreamError && codes.includes(error.errorCode);
}

/** True if a message was refused because the stream, or its subject, has a later one by now. */
export function isOutdated(error: unknown): boolean {
  const { wrongLastSequence, wrongLastSequenceConstant } = errorCodes;
  return hasErrorCode(error, wrongLastSequence, wrongLastSequenceConstant);
}

/** There is no room for `max_bytes`, which JetStream reserves: ask for less. */
export class InsufficientStorage extends JetstreamError {}

export type JsonObject = Readonly<Record<string, unknown>>;

/** A stream that is made or changed is several files, each synced: a slow disk takes seconds. */
const STREAM_CHANGE_TIMEOUT_MS = 10_000;
const streamChange = /^STREAM\.(CREATE|UPDATE|DELETE|PURGE)\./;

/**
 * Sends `body` to `$JS.API.<asked>`. Rejects with JetstreamError if JetStream says no, with KvError
 * `unavailable` or `in-doubt` as Bus.request does.
 */
export async function askJetstream(
  bus: Bus,
  asked: string,
  body?: JsonObject,
): Promise<JsonObject> {
  const timeoutMs = streamChange.test(asked) ? STREAM_CHANGE_TIMEOUT_MS : ATTEMPT_TIMEOUT_MS;
  const data = Buffer.from(body === undefined ? "" : JSON.stringify(body));
  const reply = await bus.request(`$JS.API.${asked}`, data, { timeoutMs });
  const answer = parseJson(asked, reply.data);
  const error = errorIn(asked, answer);
  if (error !== undefined) throw error;
  return answer;
}

/** The `error` member of an answer, if there is one. */
export function errorIn(asked: string, answer: JsonObject): JetstreamError | undefined {
  if (answer.error === undefined) return undefined;
  const { code, err_code, description } = objectIn(answer, "error");
  const errorCode = typeof err_code === "number" ? err_code : 0;
  const exceeded =
    errorCode === errorCodes.storageResourcesExceeded ||
    errorCode === errorCodes.insufficientResources ||
    errorCode === errorCodes.accountResourcesExceeded ||
    errorCode === errorCodes.streamMaxBytesExceeded;
  const Class = exceeded ? InsufficientStorage : JetstreamError;
  return new Class(asked, typeof code === "number" ? code : 0, errorCode, String(description));
}

/** Throws KvError `unavailable` for an answer that is not a JSON object: not JetStream's. */
export function parseJson(asked: string, data: Uint8Array): JsonObject {
  try {
    const value: unknown = JSON.parse(Buffer.from(data).toString());
    if (typeof value === "object" && value !== null) return value as JsonObject;
  } catch {
    // Told below, with what was received.
  }
  const received = JSON.stringify(Buffer.from(data.subarray(0, 80)).toString());
  throw new KvError("unavailable", `${asked}: not an answer of JetStream: ${received}`);
}

export function objectIn(parent: JsonObject, name: string): JsonObject {
  const value = parent[name];
  if (typeof value === "object" && value !== null) return value as JsonObject;
  throw new KvError("unavailable", `an answer of JetStream lacks ${name}`);
}

export function numberIn(parent: JsonObject, name: string): number {
  const value = parent[name];
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  throw new KvError("unavailable", `an answer of JetStream lacks the number ${name}`);
}

/** Whole milliseconds of a time such as `2026-01-31T12:00:00.123456789Z`, rounded down. */
export function timeMsIn(parent: JsonObject, name: string): number {
  const text = parent[name];
  // Date.parse reads any number of digits and drops those below a millisecond.
  const timeMs = typeof text === "string" ? Math.floor(Date.parse(text)) : Number.NaN;
  if (!Number.isNaN(timeMs)) return timeMs;
  throw new KvError("unavailable", `an answer of JetStream lacks the time ${name}`);
}

export interface StreamState {
  /** Sequence of the first message kept; last + 1 if none is. */
  readonly first: Sequence;
  readonly last: Sequence;
  readonly bytes: number;
  readonly bytesMax: number;
}

/** What an answer to `STREAM.INFO.<stream>` says of the stream's messages. */
export function streamStateIn(answer: JsonObject): StreamState {
  const state = objectIn(answer, "state");
  const last = numberIn(state, "last_seq");
  const isEmpty = numberIn(state, "messages") === 0;
  return {
    first: (isEmpty ? last + 1 : numberIn(state, "first_seq")) as Sequence,
    last: last as Sequence,
    bytes: numberIn(state, "bytes"),
    bytesMax: numberIn(objectIn(answer, "config"), "max_bytes"),
  };
}

/** The message with this sequence, or the last one on this subject. */
export type Which = { readonly seq: number } | { readonly last_by_subj: string };

export interface StreamMessage {
  readonly subject: string;
  readonly sequence: Sequence;
  /** When the stream took it. */
  readonly time: TimeMs;
  /** Its header bytes; none if it has none. */
  readonly headers: Uint8Array;
  readonly data: Uint8Array;
}

/**
 * One message, from the stream's leader; undefined = there is none such. Rejects as askJetstream
 * does.
 */
export async function readMessage(
  bus: Bus,
  stream: string,
  which: Which,
): Promise<StreamMessage | undefined> {
  let answer: JsonObject;
  try {
    answer = await askJetstream(bus, `STREAM.MSG.GET.${stream}`, which);
  } catch (error) {
    if (hasErrorCode(error, errorCodes.messageNotFound)) return undefined;
    throw error;
  }
  const message = objectIn(answer, "message");
  const text = (name: string): string => (typeof message[name] === "string" ? message[name] : "");
  return {
    subject: text("subject"),
    sequence: numberIn(message, "seq") as Sequence,
    time: timeMsIn(message, "time") as TimeMs,
    headers: new Uint8Array(Buffer.from(text("hdrs"), "base64")),
    data: new Uint8Array(Buffer.from(text("data"), "base64")),
  };
}

/** Streams with a subject that `subject` may meet, or is met by; all pages of the answer. */
export async function streamNames(bus: Bus, subject: string): Promise<string[]> {
  const names: string[] = [];
  for (;;) {
    const answer = await askJetstream(bus, "STREAM.NAMES", { subject, offset: names.length });
    const { streams } = answer;
    const page = Array.isArray(streams) ? streams : [];
    names.push(...page.map(String));
    if (page.length === 0 || names.length >= numberIn(answer, "total")) return names;
  }
}
