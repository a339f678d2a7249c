/**
 * Stopped: the reasons why a replica stops for good and does not start again. It would be wrong to
 * continue, and only a person can mend it. `status` shows the text.
 */
export type StopReason =
  /** The log ends before what this replica has applied: the log lost writes. Rule L3. */
  | "log-shorter"
  /** The log holds another past than this replica has applied. Rule L1. */
  | "log-diverged"
  /** The log begins after what this replica has applied. Rule L8. */
  | "log-trimmed"
  /** The log no longer exists. Rule L3. */
  | "log-missing"
  /** The log continues another store than this one: this one is set aside. Rule L3. */
  | "log-continued"
  /** The first entry is not this log's genesis, or the store is of another log. */
  | "log-unknown"
  /** An entry of a version that this program does not know. Rule L5. */
  | "upgrade-needed";

/** Ends a description: what a person is to do. The command's output says the rest. */
export const REPAIR = '. "ringdex repair" shows what the stores have';

export class ReplicaStopped extends Error {
  override readonly name = "ReplicaStopped";

  constructor(
    readonly reason: StopReason,
    description: string,
    options?: { cause?: unknown },
  ) {
    super(description, options);
  }
}
