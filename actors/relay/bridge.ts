/**
 * Bridge: the changes between a relay's place in one log and the log that continues it.
 *
 * The relay reads them from the outcome rows, which the store keeps until the relay has passed
 * them. The log may have lost the entries themselves (rule L3).
 */
import type { Store } from "../../infra/store.js";
import type { Position, Revision, Sequence } from "../../protocol/ids.js";
import { decodeOutcomeRow, type OutcomeRow } from "../../protocol/store/outcome-row.js";
import { outcomeRange, parseOutcomeKey } from "../../protocol/store/store-keys.js";

const ROWS_PER_READ = 256;

/** The changes of one position. */
export interface BridgeChanges {
  /** Its revision counter at the end. */
  readonly revision: Revision;
  /** Revisions between the place and the end, ascending. */
  readonly revisions: readonly Revision[];
}

/**
 * The positions that changed after `place`, up to `applied`; undefined if a row is missing. A
 * position that changed only after `end` is there too, because its counter has gone on since.
 */
export async function readBridge(
  store: Store,
  place: Sequence,
  end: Sequence,
  applied: Sequence,
): Promise<ReadonlyMap<Position, BridgeChanges> | undefined> {
  const changes = new Map<Position, { revision: Revision; revisions: Revision[] }>();
  const range = outcomeRange((place + 1) as Sequence, (applied + 1) as Sequence);
  const iterator = store.iterate(range);
  let rowCount = 0;
  try {
    for (;;) {
      const rows = await iterator.next(ROWS_PER_READ);
      if (rows.length === 0) return rowCount === applied - place ? changes : undefined;
      rowCount += rows.length;
      for (const { key, value } of rows) {
        const sequence = parseOutcomeKey(key);
        for (const [position, revision] of changesOf(decodeOutcomeRow(value))) {
          const found = changes.get(position);
          if (sequence > end) {
            const before = (revision - 1) as Revision;
            if (found === undefined) changes.set(position, { revision: before, revisions: [] });
          } else if (found === undefined) {
            changes.set(position, { revision, revisions: [revision] });
          } else {
            found.revisions.push(revision);
            found.revision = Math.max(found.revision, revision) as Revision;
          }
        }
      }
    }
  } finally {
    await iterator.close();
  }
}

/** Ascending in each position. */
function changesOf({ expired, operations }: OutcomeRow): [Position, Revision][] {
  const changes = expired.map(({ position, revision }): [Position, Revision] => {
    return [position, revision];
  });
  for (const { position, outcome, changed } of operations) {
    if (changed && outcome.ok) changes.push([position, outcome.done.revision]);
  }
  return changes.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
}
