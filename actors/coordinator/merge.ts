/**
 * Merge: one page out of the answers of many shards.
 *
 * Each answer has its rows in the same order, and all of its rows up to a place; beyond that
 * place it may have more. So the page ends where the first answer that has more ends: a row after
 * that place might have a predecessor that we do not know. The next page begins there.
 *
 * A page may so be shorter than its limit, even empty, and have a successor all the same.
 *
 * Invariant: the pages of a query, one after another, name each place at most once, in order.
 */
import { assert } from "../../protocol/assert.js";
import type { Place } from "../../protocol/query/cursor.js";
import { compareText } from "../../protocol/value/typed-value.js";

/** The part of an answer that merging needs. */
export interface SortedRows<Row extends Place> {
  readonly rows: readonly Row[];
  readonly more: boolean;
  readonly reached: Place | undefined;
}

export interface Page<Row extends Place> {
  readonly rows: readonly Row[];
  /** Where the next page begins; undefined = this is the last. */
  readonly next: Place | undefined;
}

/** The order of rows: order bytes, then key, both as unsigned bytes. */
export function comparePlaces(left: Place, right: Place): number {
  return Buffer.compare(left.order, right.order) || compareText(left.key, right.key);
}

/** The first `limit` rows of all answers. Cost: O(rows × log answers) comparisons. */
export function mergePage<Row extends Place>(
  answers: readonly SortedRows<Row>[],
  limit: number,
): Page<Row> {
  const frontier = frontierOf(answers);
  // Answers are sorted runs, which is what the engine's merge sort looks for.
  const rows = answers.flatMap((answer) => answer.rows).sort(comparePlaces);
  for (let index = 1; index < rows.length; index += 1) {
    const isAfter = comparePlaces(rows[index - 1] as Row, rows[index] as Row) < 0;
    assert(isAfter, "a key has one position, which one answer covers: no place occurs twice");
  }
  let end = rows.length;
  if (frontier !== undefined) {
    while (end > 0 && comparePlaces(rows[end - 1] as Row, frontier) > 0) end -= 1;
  }
  if (end > limit) return cutPage(rows, limit);
  return { rows: rows.slice(0, end), next: frontier };
}

/** The page's first `count` rows (at least one); the next page begins after the last of them. */
export function cutPage<Row extends Place>(rows: readonly Row[], count: number): Page<Row> {
  const kept = rows.slice(0, count);
  const last = kept.at(-1);
  assert(last !== undefined, `a page is cut to one row at least, not to ${count}`);
  return { rows: kept, next: { order: last.order, key: last.key } };
}

/** The place up to which all answers are known; undefined = all of them to their ends. */
function frontierOf(answers: readonly SortedRows<Place>[]): Place | undefined {
  let frontier: Place | undefined;
  for (const { more, reached } of answers) {
    if (!more) continue;
    assert(reached !== undefined, "an answer with more to come says how far it came");
    if (frontier === undefined || comparePlaces(reached, frontier) < 0) frontier = reached;
  }
  return frontier;
}
