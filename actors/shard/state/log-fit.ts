/**
 * Log fit: decides whether a store can continue with a log that begins at its end. No I/O.
 *
 * A log's genesis says what came before it: nothing, or another log up to a sequence, with the
 * chain there (rule L1). A store fits if it has applied exactly that. If it has applied more, or
 * other entries, no log has those any longer; if it has applied less, this log lacks the entries
 * between. The node sets such a store aside and fills a new one from one that fits (rule L3).
 */
import type { LogId, Sequence } from "../../../protocol/ids.js";
import { chainHex, type Genesis } from "../../../protocol/log/entry.js";

/** Where a store is in its log. */
export interface StorePlace {
  /** Undefined = nothing was applied yet. */
  readonly logId: LogId | undefined;
  readonly sequence: Sequence;
  readonly chain: bigint;
}

/**
 *   continues   the genesis is the store's next entry
 *   empty       the store has applied nothing, and the log does not begin with the shard
 *   behind      entries between the store and the genesis are missing
 *   past        the store has applied more of the parent than the log continues
 *   other-past  the store has applied something else up to the same sequence
 *   other-log   the log does not continue the store's log at all
 */
export type Fit = "continues" | "empty" | "behind" | "past" | "other-past" | "other-log";

export function fitOf(store: StorePlace, genesis: Genesis): Fit {
  const { parent } = genesis;
  const parentSequence = parent?.sequence ?? 0;
  if (store.sequence === 0) return parentSequence === 0 ? "continues" : "empty";
  if (parent === undefined || parent.logId !== store.logId) return "other-log";
  if (store.sequence < parentSequence) return "behind";
  if (store.sequence > parentSequence) return "past";
  return parent.chain === chainHex(store.chain) ? "continues" : "other-past";
}

/** Why the store is set aside, as a sentence's end. */
export function unfitReason(fit: Fit, store: StorePlace, genesis: Genesis): string {
  const place = `this store has applied ${store.sequence} entries of log ${store.logId}`;
  const { parent } = genesis;
  if (parent === undefined) return `${place}, and log ${genesis.logId} begins with none`;
  const goesOn = `log ${genesis.logId} continues after entry ${parent.sequence} of ${parent.logId}`;
  switch (fit) {
    case "behind":
      return `${goesOn}, ${place}: no log has the entries between`;
    case "past":
      return `${goesOn}, ${place}: its later entries are no longer the shard's`;
    case "other-past":
      return `${goesOn}, ${place}, but different ones`;
    case "continues":
    case "empty":
    case "other-log":
      return `${goesOn}, ${place}`;
  }
}
