/**
 * Incidents: a request that fails because of a bug gets the answer `internal` with a number; the
 * node's log has the error under that number.
 */
import type { Logger } from "../infra/logger.js";
import { KvError } from "../protocol/errors.js";

let incidentCount = 0;

/** Errors caused by a client or the network stay; a bug is logged and becomes `internal`. */
export function asKvError(error: unknown, logger: Logger): KvError {
  if (error instanceof KvError) return error;
  incidentCount += 1;
  const incident = incidentCount;
  logger.error("a request failed because of a bug", { incident, error });
  const text = `a bug; the node that answered logged it as incident ${incident}`;
  return new KvError("internal", text, { incident }, { cause: error });
}
