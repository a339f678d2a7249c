/**
 * Missing log: how an error says that a log is not there at all, rather than that it does not
 * answer. Rule L3.
 */
import type { KvError } from "../errors.js";

/** Details of KvError `unavailable`, by which the log's server says that there is no such log. */
export const missingLog = { log: "missing" } as const;

export function isMissingLog({ details }: KvError): boolean {
  return details["log"] === missingLog.log;
}
