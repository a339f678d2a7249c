/**
 * Attempts: what a refusal means to a sender that may send the request again. No I/O.
 *
 * An attempt without an answer may still take effect, at any time. From then on only an outcome of
 * the same request id counts: the refusal of a later attempt (`unavailable`, `overloaded`) says
 * nothing about the first. So the sender keeps asking, and reports `in-doubt` if no outcome comes.
 */
import type { Chance } from "../../infra/clock.js";
import { KvError } from "../../protocol/errors.js";

/** Waits between attempts: the first, and the longest. */
export const AGAIN_FIRST_MS = 20;
export const AGAIN_MAX_MS = 500;

/**
 * Names a request of a client that gave it no id, so that it can be sent again (rule L4). No
 * UUIDv7: an applier refuses one whose time is far from the log's, and a node whose clock is wrong
 * would have its clients' writes refused. Attempts end long before such an id is forgotten.
 */
export function newRequestId(chance: Chance): string {
  return Buffer.from(chance.bytes(16)).toString("hex");
}

/** `isDoubtful`: an earlier attempt of this write had no answer. */
export function isWorthAnother(error: KvError, isDoubtful: boolean): boolean {
  if (!error.retryable) return false;
  if (error.kind === "unavailable" || error.kind === "in-doubt") return true;
  // Do not ask a busy shard again at once, unless there is a doubt to resolve.
  return isDoubtful && error.kind === "overloaded";
}

/** The caller's error when no further attempt follows. */
export function finalError(error: KvError, isDoubtful: boolean): KvError {
  if (!isDoubtful || error.written !== "no" || !isWorthAnother(error, true)) return error;
  const text = `an earlier attempt got no answer; the last: ${error.message}`;
  return new KvError("in-doubt", text, {}, { cause: error });
}

/** A read that got no answer has changed nothing, whatever its attempts did. */
export function readError(error: KvError): KvError {
  if (error.kind !== "in-doubt") return error;
  return new KvError("unavailable", error.message, error.details, { cause: error });
}
