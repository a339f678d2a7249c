/**
 * Store shelf: a node's stores of one shard, beside the one that is in use. In production folders
 * (main/store-folders.ts).
 *
 * A store that does not fit its log is never deleted: it is set aside under another name.
 */
import type { Store } from "./store.js";

export interface StoreShelf {
  /** A new, empty store beside the others; what an earlier attempt left there goes. */
  openDraft(): Promise<Store>;
  /**
   * Sets the shard's stores aside and puts the draft, which is closed, in their place. Resolves to
   * the names that they are kept under. Cut off half-way, the draft is made again.
   */
  useDraft(): Promise<readonly string[]>;
}
