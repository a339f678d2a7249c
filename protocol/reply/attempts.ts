/**
 * Attempts: what a refusal means to a sender that may send the request again.
 *
 * An attempt without an answer may still take effect, at any time. From then on only an outcome of
 * the same request id counts: the refusal of a later attempt (`unavailable`, `overloaded`) says
 * nothing about the first. So the sender keeps asking, and reports `in-doubt` if no outcome comes.
 */
import { KvError } from "../errors.js";

/** `isDoubtful`: an earlier attempt of this write had no answer. */
export function isWorthAnother(error: KvError, isDoubtful: boolean): boolean {
  if (!error.retryable) return false;
  if (error.kind === "unavailable" || error.kind === "in-doubt") return true;
  // Do not ask a busy shard again at once, unless there is a doubt to resolve.
  return isDoubtful && error.kind === "overloaded";
}

/** The caller's error when no further attempt follows. */
export function finalError(error: KvError, isDoubtful: boolean): KvError {
  // A full log ends the attempts, but has not looked for the outcome of an earlier one.
  const isOfNow = isWorthAnother(error, true) || error.kind === "overloaded";
  if (!isDoubtful || error.written !== "no" || !isOfNow) return error;
  const text = `an earlier attempt got no answer; the last: ${error.message}`;
  return new KvError("in-doubt", text, {}, { cause: error });
}

/** A read that got no answer has changed nothing, whatever its attempts did. */
export function readError(error: KvError): KvError {
  if (error.kind !== "in-doubt") return error;
  return new KvError("unavailable", error.message, error.details, { cause: error });
}
