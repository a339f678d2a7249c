/**
 * Query driver: what gives a query's rows their order, on all pages and shards.
 *
 *   "key"      by key. Rows with one typed value are in key order by themselves, so a shard may
 *              scan whichever equality it finds shortest, or all keys: the order is the same.
 *   condition  by the typed value of the smallest element that meets this condition, then by key:
 *              how the rows of a range lie in the index. Every shard scans this range.
 *
 * The coordinator decides it with `chooseDriver`, from the filter alone, and the cursor keeps it.
 */
import { KvError } from "../errors.js";
import { KEY_PATH } from "../value/attribute-path.js";
import { typedRangeAll, typedRangeCompare, typedRangePrefix } from "../value/typed-range.js";
import type { TypedRange } from "../value/typed-value.js";
import type { Driver } from "./cursor.js";
import type { Condition } from "./filter.js";

/** The order of a query's rows. Called once a query, for its first page. */
export function chooseDriver(conditions: readonly Condition[]): Driver {
  const isByKey = (each: Condition): boolean => each.path === KEY_PATH || isEquality(each);
  if (conditions.some(isByKey)) return "key";
  let best: { rank: number; index: number } | undefined;
  for (const [index, condition] of conditions.entries()) {
    const rank = rangeRank(condition, conditions);
    if (rank !== undefined && (best === undefined || rank < best.rank)) best = { rank, index };
  }
  return best?.index ?? "key";
}

/** Throws KvError `bad-request` if the driver (out of a cursor) is none for these conditions. */
export function checkDriver(driver: Driver, conditions: readonly Condition[]): void {
  if (driver === "key") return;
  const condition = conditions[driver];
  if (condition !== undefined && rangeOf(condition) !== undefined) return;
  throw new KvError("bad-request", `condition ${driver} cannot give a query its order`);
}

/** An equality that finds its records by index rows; null also matches what has no row. */
export function isEquality(condition: Condition): boolean {
  if (condition.path === KEY_PATH) return false;
  if (condition.operator === "eq") return condition.value !== null;
  return condition.operator === "in" && !condition.values.includes(null);
}

/** Prefix 0, two-sided range 1, one-sided 2, exists 3; undefined for other conditions. */
function rangeRank(condition: Condition, all: readonly Condition[]): number | undefined {
  const { path, operator } = condition;
  switch (operator) {
    case "prefix":
      return 0;
    case "gt":
    case "gte":
    case "lt":
    case "lte": {
      const isLower = isLowerBound(condition);
      const isOther = (each: Condition): boolean =>
        each.path === path && (isLower ? isUpperBound(each) : isLowerBound(each));
      return all.some(isOther) ? 1 : 2;
    }
    case "exists":
      return condition.exists ? 3 : undefined;
    case "eq":
    case "in":
      return undefined;
  }
}

export function isLowerBound({ operator }: Condition): boolean {
  return operator === "gt" || operator === "gte";
}
function isUpperBound({ operator }: Condition): boolean {
  return operator === "lt" || operator === "lte";
}

/** Where its elements lie in the index; undefined for what gives no range of them. */
export function rangeOf(condition: Condition): TypedRange | undefined {
  if (condition.path === KEY_PATH) return undefined;
  switch (condition.operator) {
    case "prefix":
      return typedRangePrefix(condition.prefix);
    case "gt":
      return typedRangeCompare(">", condition.value);
    case "gte":
      return typedRangeCompare(">=", condition.value);
    case "lt":
      return typedRangeCompare("<", condition.value);
    case "lte":
      return typedRangeCompare("<=", condition.value);
    case "exists":
      return condition.exists ? typedRangeAll() : undefined;
    case "eq":
    case "in":
      return undefined;
  }
}
