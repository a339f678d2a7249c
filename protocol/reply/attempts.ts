/**
 * Attempts: what a refusal means to a process that may send the request again.
 *
 * An attempt without an answer may still take effect, at any time. From then on only an outcome of
 * the same request id counts; that another attempt was not taken (`unavailable`, `overloaded`) says
 * nothing about the first. So the process asks on, and in the end the caller gets `in-doubt`.
 */
import { KvError } from "../errors.js";

/** `isDoubtful`: an earlier attempt of this write had no answer. */
export function isWorthAnother(error: KvError, isDoubtful: boolean): boolean {
  if (!error.retryable) return false;
  if (error.kind === "unavailable" || error.kind === "in-doubt") return true;
  // Whoever is too busy is not asked again at once, unless there is a doubt to be resolved.
  return isDoubtful && error.kind === "overloaded";
}

/** What the caller is told when no further attempt is made. */
export function finalError(error: KvError, isDoubtful: boolean): KvError {
  // A full log ends the attempts, but has not looked for the outcome of an earlier one.
  const isOfNow = isWorthAnother(error, true) || error.kind === "overloaded";
  if (!isDoubtful || error.written !== "no" || !isOfNow) return error;
  const text = `an attempt had no answer, and then: ${error.message}`;
  return new KvError("in-doubt", text, {}, { cause: error });
}

/** A read that got no answer has changed nothing, whatever its attempts did. */
export function readError(error: KvError): KvError {
  if (error.kind !== "in-doubt") return error;
  return new KvError("unavailable", error.message, error.details, { cause: error });
}
