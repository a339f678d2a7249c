/**
 * Indexing: selects the attributes of a value for this log's index.
 *
 * Policy and limits come from the log's genesis, so all replicas index alike (rule L5), and an old
 * value gives the same rows today as when it was set.
 */
import type { LoggedLimits } from "../../../protocol/log/entry.js";
import {
  attributesOf,
  type Attribute,
  type IndexPolicy,
} from "../../../protocol/value/attributes.js";
import type { Plain } from "../../../protocol/value/content.js";

export interface Indexing {
  readonly policy: IndexPolicy;
  readonly limits: LoggedLimits;
}

/** Throws KvError `limit-exceeded`, naming the limit and the path. */
export function indexedAttributes(
  value: Plain | undefined,
  { policy, limits }: Indexing,
): Attribute[] {
  return attributesOf(value, policy, {
    depthMax: limits.depthMax,
    entriesMax: limits.indexEntriesMax,
    pathBytesMax: limits.pathBytesMax,
  });
}
