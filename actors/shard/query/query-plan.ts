/**
 * Query plan: chooses the index rows that a shard reads for a filter.
 *
 * protocol/query/driver.ts fixes the order of a query's rows. Each shard chooses the rest for
 * itself, because that changes the cost and never the rows.
 */
import { assert } from "../../../protocol/assert.js";
import {
  checkDriver,
  chooseDriver,
  isEquality,
  isLowerBound,
  rangeOf,
} from "../../../protocol/query/driver.js";
import type { Condition, FilterValue } from "../../../protocol/query/filter.js";
import type { QueryRequest } from "../../../protocol/query/messages.js";
import { indexRange, type KeyRange } from "../../../protocol/store/store-keys.js";
import { KEY_PATH } from "../../../protocol/value/attribute-path.js";
import {
  type IndexPolicy,
  canonicalPath,
  joinPath,
  splitPath,
} from "../../../protocol/value/attributes.js";
import { bytesAfter, typedRangeEqual } from "../../../protocol/value/typed-range.js";
import { ARRAY, type TypedRange } from "../../../protocol/value/typed-value.js";

/** Something to read, of which each row names a key that may match. */
export type Source =
  /** Keys that the filter names itself. Ascending, none twice. */
  | { readonly kind: "points"; readonly keys: readonly Buffer[] }
  /** All keys with `from` ≤ key < `to`; `to` undefined = to the end. */
  | { readonly kind: "keys"; readonly from: Buffer; readonly to: Buffer | undefined }
  /** Rows of a few typed values, merged by key. */
  | {
      readonly kind: "values";
      readonly path: string;
      readonly ranges: readonly TypedRange[];
      readonly condition: Condition;
    }
  /** Rows between two typed values, by value and key. */
  | {
      readonly kind: "range";
      readonly path: string;
      readonly range: TypedRange;
      readonly condition: Condition;
    };

/** The rows to read, decided before a view is opened. */
export interface QueryPlan {
  readonly driver: Condition | undefined;
  readonly sources: readonly Source[];
  /** Narrower rows of the only source, if no record has an array on its path. */
  readonly ifSingle: Source | undefined;
  /** Rows of ARRAY markers that would tell of arrays on the driver's path. */
  readonly arrayRanges: readonly KeyRange[];
  /** No index on the driver's path: candidates come by key and are sorted afterwards. */
  readonly isUnindexed: boolean;
}

/** Throws KvError `bad-request` for a driver that its conditions do not have. */
export function planOf(request: QueryRequest, policy: IndexPolicy): QueryPlan {
  const { conditions } = request;
  const excluded = new Set(policy.excluded.map(canonicalPath));
  const isIndexed = (path: string): boolean => !ancestors(path).some((each) => excluded.has(each));
  const driver = request.verb === "count" ? chooseDriver(conditions) : request.driver;
  checkDriver(driver, conditions);
  const condition = driver === "key" ? undefined : conditions[driver];
  const byKey = { ifSingle: undefined, arrayRanges: [] };
  if (condition === undefined || driver === "key" || !isIndexed(condition.path)) {
    const isUnindexed = condition !== undefined;
    const sources = keySources(conditions, isIndexed);
    return { ...byKey, driver: condition, sources, isUnindexed };
  }
  const source = rangeSource(driver, conditions, false);
  const base = { driver: condition, sources: [source], isUnindexed: false };
  if (!hasSeveralBounds(driver, conditions)) return { ...base, ...byKey };
  // An array anywhere above a path makes several elements of it as well.
  const arrays = ancestors(condition.path).map((path) => indexRange(path, typedRangeEqual(ARRAY)));
  return { ...base, ifSingle: rangeSource(driver, conditions, true), arrayRanges: arrays };
}

/** The path and the paths of all objects it lies in. */
function ancestors(path: string): string[] {
  if (path === KEY_PATH) return [];
  const names = splitPath(path);
  return names.map((_name, index) => joinPath(names.slice(0, index + 1)));
}

/** True if each row of the plan's sources is a match, and no key has two. */
export function isExactFor(conditions: readonly Condition[], plan: QueryPlan): boolean {
  if (plan.driver !== undefined) return false;
  const [source] = plan.sources;
  if (plan.sources.length !== 1 || source === undefined) return false;
  if (source.kind === "points") return false;
  const onKey = conditions.every(({ path }) => path === KEY_PATH);
  if (source.kind === "keys") return onKey && conditions.every(isWholeInterval);
  return conditions.length === 1 && source.kind === "values" && source.ranges.every((r) => r.exact);
}

/** Conditions on `$key` that query-plan's interval of keys tells without loss. */
function isWholeInterval({ operator }: Condition): boolean {
  return operator === "prefix" || operator === "gte";
}

/** True if no condition narrows the rows to look at. */
export function isWholeScan({ sources }: QueryPlan, conditions: readonly Condition[]): boolean {
  return (
    conditions.length > 0 &&
    sources.some(
      (source) => source.kind === "keys" && source.from.length === 0 && source.to === undefined,
    )
  );
}

/**
 * The sources of rows by key, best guess first; never empty. All but "keys" are as short as their
 * condition is rare, so the scan finds the shortest by reading them.
 */
function keySources(
  conditions: readonly Condition[],
  isIndexed: (path: string) => boolean,
): Source[] {
  const points = keyPoints(conditions);
  if (points !== undefined) return [{ kind: "points", keys: points }];
  const equalities: Source[] = [];
  const lists: Source[] = [];
  for (const condition of conditions) {
    const { path } = condition;
    if (!isEquality(condition) || !isIndexed(path)) continue;
    const ranges = valueRanges(condition);
    (ranges.length === 1 ? equalities : lists).push({ kind: "values", path, ranges, condition });
  }
  const sources = [...equalities, ...lists];
  const keys = keyInterval(conditions);
  const hasKeyBounds = keys.from.length > 0 || keys.to !== undefined;
  if (sources.length === 0 || hasKeyBounds) sources.push({ kind: "keys", ...keys });
  return sources;
}

/**
 * The rows of the condition that gives the order. `isSingle`: no record of this shard has an array
 * on the path, so that all bounds on it bind the same element and can be joined.
 */
function rangeSource(
  driver: number,
  conditions: readonly Condition[],
  isSingle: boolean,
): Source & { kind: "range" } {
  const condition = conditions[driver];
  const range = condition && rangeOf(condition);
  assert(condition && range, `checkDriver has seen to it that condition ${driver} has a range`);
  const { path } = condition;
  if (!isSingle) return { kind: "range", path, range, condition };
  let { from, to, exact } = range;
  for (const other of conditions) {
    const bound = other.path === path && other !== condition ? rangeOf(other) : undefined;
    if (bound === undefined) continue;
    if (Buffer.compare(bound.from, from) > 0) from = bound.from;
    if (Buffer.compare(bound.to, to) < 0) to = bound.to;
    exact &&= bound.exact;
  }
  return { kind: "range", path, range: { from, to, exact }, condition };
}

/** True if several bounds are on the driver's path, so that isSingle makes a difference. */
function hasSeveralBounds(driver: number, conditions: readonly Condition[]): boolean {
  const path = conditions[driver]?.path;
  return conditions.filter((each) => each.path === path && rangeOf(each)).length > 1;
}

/** The encodings of an equality's values, each once: long texts may share one. */
function valueRanges(condition: Condition): TypedRange[] {
  const ranges = new Map<string, TypedRange>();
  for (const value of equalValues(condition)) {
    const range = typedRangeEqual(value);
    ranges.set(range.from.toString("latin1"), range);
  }
  return [...ranges.values()];
}

function equalValues(condition: Condition): readonly FilterValue[] {
  if (condition.operator === "eq") return [condition.value];
  return condition.operator === "in" ? condition.values : [];
}

/** The keys that `$key` conditions name one by one; undefined if none does. */
function keyPoints(conditions: readonly Condition[]): Buffer[] | undefined {
  let best: readonly FilterValue[] | undefined;
  for (const condition of conditions) {
    if (condition.path !== KEY_PATH) continue;
    if (condition.operator !== "eq" && condition.operator !== "in") continue;
    const values = equalValues(condition);
    if (best === undefined || values.length < best.length) best = values;
  }
  // An equality with a value that is not text names no key; nor does the empty text.
  const texts = best?.filter((value) => typeof value === "string" && value !== "");
  if (texts === undefined) return undefined;
  return [...new Set(texts)]
    .map((text) => Buffer.from(text as string))
    .sort((a, b) => a.compare(b));
}

/** The smallest interval of keys that holds all that `$key` conditions let through. */
function keyInterval(conditions: readonly Condition[]): { from: Buffer; to: Buffer | undefined } {
  let from = Buffer.alloc(0);
  let to: Buffer | undefined;
  for (const condition of conditions) {
    if (condition.path !== KEY_PATH) continue;
    const interval = intervalOf(condition);
    if (Buffer.compare(interval.from, from) > 0) from = interval.from;
    if (interval.to !== undefined && (to === undefined || Buffer.compare(interval.to, to) < 0)) {
      to = interval.to;
    }
  }
  return { from, to };
}

const nothing = Buffer.alloc(0);

function intervalOf(condition: Condition): { from: Buffer<ArrayBuffer>; to: Buffer | undefined } {
  const all = { from: nothing, to: undefined };
  switch (condition.operator) {
    case "prefix": {
      const from = Buffer.from(condition.prefix);
      return { from, to: from.length === 0 ? undefined : bytesAfter(from) };
    }
    case "exists":
      return condition.exists ? all : { from: nothing, to: nothing };
    case "gt":
    case "gte":
    case "lt":
    case "lte": {
      if (typeof condition.value !== "string") return { from: nothing, to: nothing };
      const at = Buffer.from(condition.value);
      if (isLowerBound(condition)) return { from: at, to: undefined };
      // The bound itself may be wanted: up to its successor, its value followed by a zero byte.
      return { from: nothing, to: Buffer.concat([at, Buffer.of(0)]) };
    }
    case "eq":
    case "in":
      return all;
  }
}
