/**
 * Filter match: a filter as a function of a record's attributes and its key.
 *
 * It is defined over the same attributes that are indexed (attributes.ts, with nothing excluded),
 * so that a query by index and a scan cannot disagree: an array stands for its elements, each
 * condition is met by any one of them, and a path that has no attribute is missing.
 */
import { KEY_PATH } from "../value/attribute-path.js";
import type { Attribute } from "../value/attributes.js";
import { compareAttributeValues, type AttributeValue } from "../value/typed-value.js";
import type { Condition, Filter, FilterValue } from "./filter.js";

export type Match = (attributes: readonly Attribute[], key: string) => boolean;
export type ValueTest = (value: AttributeValue) => boolean;

/** True for records that meet all conditions. Cost: conditions × attributes, until one fails. */
export function compileFilter(filter: Filter): Match {
  const tests = filter.conditions.map(compileCondition);
  const [only] = tests;
  if (only === undefined) return () => true;
  if (tests.length === 1) return only;
  return (attributes, key) => {
    for (const test of tests) if (!test(attributes, key)) return false;
    return true;
  };
}

function compileCondition(condition: Condition): Match {
  const { path } = condition;
  const test = valueTest(condition);
  if (path === KEY_PATH) {
    const ifThere = condition.operator === "exists" ? condition.exists : undefined;
    return (_attributes, key) => ifThere ?? test(key);
  }
  if (condition.operator === "exists" && !condition.exists) {
    return (attributes) => !hasPath(attributes, path);
  }
  if (!matchesMissing(condition)) return (attributes) => hasMatch(attributes, path, test);
  return (attributes) => hasMatch(attributes, path, test) || !hasPath(attributes, path);
}

/** True if the condition is met by a record that lacks the path. */
function matchesMissing(condition: Condition): boolean {
  switch (condition.operator) {
    case "eq":
      return condition.value === null;
    case "in":
      return condition.values.includes(null);
    case "exists":
      return !condition.exists;
    case "prefix":
    case "gt":
    case "gte":
    case "lt":
    case "lte":
      return false;
  }
}

/** Whether one element meets the condition; of `$exists: false`, none does. */
export function valueTest(condition: Condition): ValueTest {
  switch (condition.operator) {
    case "eq": {
      const { value } = condition;
      return (element) => isEqual(element, value);
    }
    case "in":
      return inTest(condition.values);
    case "exists":
      return () => condition.exists;
    case "prefix": {
      const { prefix } = condition;
      return (element) => typeof element === "string" && element.startsWith(prefix);
    }
    case "gt":
      return rangeTest(condition.value, (order) => order > 0);
    case "gte":
      return rangeTest(condition.value, (order) => order >= 0);
    case "lt":
      return rangeTest(condition.value, (order) => order < 0);
    case "lte":
      return rangeTest(condition.value, (order) => order <= 0);
  }
}

function hasPath(attributes: readonly Attribute[], path: string): boolean {
  for (const attribute of attributes) if (attribute.path === path) return true;
  return false;
}

function hasMatch(attributes: readonly Attribute[], path: string, test: ValueTest): boolean {
  for (const attribute of attributes) {
    if (attribute.path === path && test(attribute.value)) return true;
  }
  return false;
}

function isEqual(element: AttributeValue, value: FilterValue): boolean {
  if (element === value) return true;
  // 5n is 5: a 64-bit integer of MessagePack beside a number of JSON.
  return typeof element === "bigint" && compareAttributeValues(element, value) === 0;
}

function inTest(values: readonly FilterValue[]): ValueTest {
  const set = new Set<AttributeValue>(values);
  const numbers = values.filter((value) => typeof value === "number");
  return (element) => {
    if (typeof element === "bigint") return numbers.some((value) => isEqual(element, value));
    return set.has(element);
  };
}

function rangeTest(value: FilterValue, isWanted: (order: number) => boolean): ValueTest {
  const type = typeOf(value);
  return (element) => typeOf(element) === type && isWanted(compareAttributeValues(element, value));
}

function typeOf(value: AttributeValue): string {
  return typeof value === "bigint" ? "number" : typeof value;
}
