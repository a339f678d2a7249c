/**
 * Replica state: the applier's knowledge beside the store, and how it comes back from the store.
 *
 * All of it follows from the log and is in the store's rows, so a replica that starts again decides
 * as if it had never stopped. The other loops share `ownership` and `table`, which change only when
 * a batch is written; the rest is the applier's own.
 */
import { assert } from "../../../protocol/assert.js";
import type { LogId, Sequence, TimeMs } from "../../../protocol/ids.js";
import type { Genesis } from "../../../protocol/log/entry.js";
import { Chains } from "./chains.js";
import type { Indexing } from "./indexing.js";
import { Origins } from "./origins.js";
import { Outcomes } from "./outcomes.js";
import type { Ownership } from "./ownership.js";
import type { PositionTable } from "./position-table.js";
import { RowTimes } from "./row-times.js";

export class ReplicaState {
  /** Last entry decided; 0 = none. It is applied (applied.ts) once its batch is written. */
  decidedSequence = 0 as Sequence;
  decidedLogTime = 0 as TimeMs;
  chain = 0n;
  /** The hash of the message at `decidedSequence`. */
  messageHash = 0n;
  /** Rows before this may be forgotten as far as the relay is concerned. */
  relayFloor = 0 as Sequence;
  readonly outcomes = new Outcomes();
  readonly origins = new Origins();
  readonly chains = new Chains();
  readonly rowTimes = new RowTimes();
  #genesis: Genesis | undefined;

  constructor(
    /** The log that is applied from now on. */
    readonly logId: LogId,
    readonly ownership: Ownership,
    readonly table: PositionTable,
  ) {
    this.chains.add(0 as Sequence, 0n);
  }

  get genesis(): Genesis {
    assert(this.#genesis !== undefined, "the first entry is the log's genesis");
    return this.#genesis;
  }

  /** How values are indexed in this log. */
  get indexing(): Indexing {
    return { policy: this.genesis.indexPolicy, limits: this.genesis.limits };
  }

  /**
   * The log of the last entry applied; undefined = none was. Differs from `logId` until the genesis
   * of the log that continues it is applied.
   */
  get appliedLogId(): LogId | undefined {
    return this.#genesis?.logId;
  }

  /** The log's own first entry has been applied. */
  get hasBegun(): boolean {
    return this.appliedLogId === this.logId;
  }

  begin(genesis: Genesis): void {
    this.#genesis = genesis;
  }
}
