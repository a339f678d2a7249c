/**
 * Entry of a log's message, decoded once for all who look at a log when a run has ended.
 */
import { decodeEntry, isEntry, type Entry } from "../../protocol/log/entry.js";

const known = new WeakMap<Uint8Array, { readonly entry: Entry | undefined }>();

/** Undefined = it is no entry. */
export function entryOf(data: Uint8Array): Entry | undefined {
  const before = known.get(data);
  if (before !== undefined) return before.entry;
  const decoded = decodeEntry(data);
  const entry = isEntry(decoded) ? decoded : undefined;
  known.set(data, { entry });
  return entry;
}
