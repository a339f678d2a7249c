/**
 * Filter: what `where` of a query says, as a list of conditions that must all hold.
 *
 * The form is MongoDB's: `{"country": "IN", "population": {"$gt": 1000000}}`, `$and`, `$key` in
 * place of a path for the key itself, and `$prefix`, which is ours. Only what stands in the table
 * of operators below is let through; nothing of a filter is ever run as code. What the wire lists
 * but is not built yet is `unsupported`; what it does not list is `bad-request`.
 *
 * Conditions keep the order in which they stand in the text: a cursor names its driver by place.
 *
 * Meaning (filter-match.ts carries it out): a condition holds if one element of its path does;
 * each condition may be met by another element. Comparisons stay within one type. `null` is met
 * by a missing attribute too.
 */
import { KvError } from "../errors.js";
import { DECODE_DEPTH_MAX, FILTER_CONDITIONS_MAX, PATH_BYTES_MAX } from "../limits.js";
import { KEY_PATH, canonicalPath } from "../value/attribute-path.js";

/** What a filter may compare with: what JSON can say. */
export type FilterValue = null | boolean | number | string;

export type RangeOperator = "gt" | "gte" | "lt" | "lte";

export type Condition =
  | { readonly path: string; readonly operator: "eq"; readonly value: FilterValue }
  | { readonly path: string; readonly operator: "in"; readonly values: readonly FilterValue[] }
  | { readonly path: string; readonly operator: "exists"; readonly exists: boolean }
  | {
      readonly path: string;
      readonly operator: RangeOperator;
      readonly value: Exclude<FilterValue, null>;
    }
  | { readonly path: string; readonly operator: "prefix"; readonly prefix: string };

export interface Filter {
  /** All must hold; none = every record matches. */
  readonly conditions: readonly Condition[];
}

type Build = (path: string, operand: unknown) => Condition;

const operators = new Map<string, Build>([
  ["$eq", (path, operand) => ({ path, operator: "eq", value: scalar(path, "$eq", operand) })],
  ["$in", (path, operand) => inCondition(path, operand)],
  ["$exists", (path, operand) => existsCondition(path, operand)],
  ["$gt", (path, operand) => rangeCondition(path, "gt", operand)],
  ["$gte", (path, operand) => rangeCondition(path, "gte", operand)],
  ["$lt", (path, operand) => rangeCondition(path, "lt", operand)],
  ["$lte", (path, operand) => rangeCondition(path, "lte", operand)],
  ["$prefix", (path, operand) => prefixCondition(path, operand)],
]);

/** Operators that filters take, for help and for errors. */
export const operatorNames: readonly string[] = [...operators.keys(), "$and"];

const operatorsLater = new Set("$ne $nin $or $nor $not $all $size $elemMatch $regex".split(" "));

/**
 * The one condition that a filter says as `{[path]: {[operator]: operand}}`, from its parts. Throws
 * as parseFilter.
 */
export function conditionOf(path: string, operator: string, operand: unknown): Condition {
  return buildCondition(checkedPath(path), operator, operand);
}

/**
 * The filter that `where` (a JSON value; undefined = no filter) says. Throws KvError
 * `bad-request`, `unsupported` or `limit-exceeded`, naming the path and what was received.
 */
export function parseFilter(where: unknown): Filter {
  const parser = new FilterParser();
  parser.members(where ?? {}, "where", 0);
  return { conditions: parser.conditions };
}

class FilterParser {
  readonly conditions: Condition[] = [];
  #size = 0;

  members(where: unknown, at: string, depth: number): void {
    if (depth > DECODE_DEPTH_MAX) {
      throw new KvError("limit-exceeded", `$and is nested deeper than ${DECODE_DEPTH_MAX}`, {
        limit: "filter_depth",
        max: DECODE_DEPTH_MAX,
      });
    }
    if (!isPlainObject(where)) {
      throw badRequest(`"${at}" must be an object like {"country":"IN"}, not ${show(where)}`);
    }
    for (const [name, operand] of Object.entries(where)) {
      if (name === "$and") this.#and(operand, depth);
      else this.#path(name, operand);
    }
  }

  #and(operand: unknown, depth: number): void {
    if (!Array.isArray(operand) || operand.length === 0) {
      throw badRequest(`$and takes a list of at least one filter, not ${show(operand)}`);
    }
    for (const each of operand as unknown[]) this.members(each, "$and", depth + 1);
  }

  #path(name: string, operand: unknown): void {
    const path = checkedPath(name);
    if (Array.isArray(operand) || operand instanceof Uint8Array) {
      throw new KvError("unsupported", `${show(path)}: equality with a whole array is not built`);
    }
    if (!isPlainObject(operand)) {
      this.#add({ path, operator: "eq", value: scalar(path, "equality", operand) });
      return;
    }
    const members = Object.entries(operand);
    if (members.every(([name]) => !name.startsWith("$"))) {
      const meant = members.map(([name]) => meantHint(name)).find((hint) => hint !== "") ?? "";
      const instead = `compare its members, as in "${path}.member"`;
      throw new KvError(
        "unsupported",
        `${show(path)}: equality with a whole object is not built; ${instead}${meant}`,
      );
    }
    for (const [name, value] of members) {
      this.#add(buildCondition(path, name, value));
    }
  }

  #add(condition: Condition): void {
    this.#size += condition.operator === "in" ? Math.max(1, condition.values.length) : 1;
    if (this.#size > FILTER_CONDITIONS_MAX) {
      const max = FILTER_CONDITIONS_MAX;
      throw new KvError("limit-exceeded", `more than ${max} conditions, values of $in counted`, {
        limit: "filter_conditions",
        max,
      });
    }
    this.conditions.push(condition);
  }
}

/** The path of a condition in its one form, or `$key`. */
function checkedPath(name: string): string {
  if (name === KEY_PATH) return name;
  if (name.startsWith("$")) throw operatorError(name, "at the top of a filter");
  return checkPath(name);
}

function buildCondition(path: string, operator: string, operand: unknown): Condition {
  const build = operators.get(operator);
  if (build === undefined) throw operatorError(operator, `on ${show(path)}`);
  return build(path, operand);
}

function inCondition(path: string, operand: unknown): Condition {
  if (!Array.isArray(operand)) {
    throw badRequest(`${show(path)}: $in takes a list of values, not ${show(operand)}`);
  }
  // Before the values are looked at one by one: a list may have as many as a payload holds.
  if (operand.length > FILTER_CONDITIONS_MAX) {
    const max = FILTER_CONDITIONS_MAX;
    throw new KvError("limit-exceeded", `${show(path)}: $in has ${operand.length} values`, {
      limit: "filter_conditions",
      max,
    });
  }
  const values = (operand as unknown[]).map((each) => scalar(path, "$in", each));
  return { path, operator: "in", values };
}

function existsCondition(path: string, operand: unknown): Condition {
  if (typeof operand !== "boolean") {
    throw badRequest(`${show(path)}: $exists takes true or false, not ${show(operand)}`);
  }
  return { path, operator: "exists", exists: operand };
}

function rangeCondition(path: string, operator: RangeOperator, operand: unknown): Condition {
  const value = scalar(path, `$${operator}`, operand);
  if (value !== null) return { path, operator, value };
  // Null is alone in its type: nothing is above or below it, and only itself is equal.
  if (operator === "gte" || operator === "lte") return { path, operator: "eq", value };
  return { path, operator: "in", values: [] };
}

function prefixCondition(path: string, operand: unknown): Condition {
  if (typeof operand !== "string") {
    throw badRequest(`${show(path)}: $prefix takes a text, not ${show(operand)}`);
  }
  return { path, operator: "prefix", prefix: wellFormed(path, "$prefix", operand) };
}

function scalar(path: string, operator: string, operand: unknown): FilterValue {
  if (operand === null || typeof operand === "boolean") return operand;
  if (typeof operand === "number" && Number.isFinite(operand)) return operand;
  if (typeof operand === "string") return wellFormed(path, operator, operand);
  if (typeof operand === "object") {
    throw new KvError(
      "unsupported",
      `${show(path)}: ${operator} compares with null, boolean, number or text only`,
    );
  }
  throw badRequest(`${show(path)}: ${operator} cannot compare with ${show(operand)}`);
}

/** Half a surrogate pair has no UTF-8 form: it would silently become U+FFFD in the index. */
function wellFormed(path: string, operator: string, text: string): string {
  if (/\p{Surrogate}/u.test(text)) {
    throw badRequest(
      `${show(path)}: ${operator} has half a surrogate pair, which is not valid text`,
    );
  }
  return text;
}

/** The path in its one form. Throws KvError unless it could be the path of an attribute. */
export function checkPath(path: string): string {
  const bytes = Buffer.byteLength(path);
  if (bytes > PATH_BYTES_MAX) {
    throw new KvError(
      "limit-exceeded",
      `a path has ${bytes} bytes; at most ${PATH_BYTES_MAX} are allowed`,
      {
        limit: "path_bytes",
        max: PATH_BYTES_MAX,
      },
    );
  }
  return canonicalPath(wellFormed(path, "the path", path));
}

function operatorError(name: string, where: string): KvError {
  if (operatorsLater.has(name)) {
    return new KvError("unsupported", `${name} (${where}) is not built yet`, {
      supported: operatorNames,
    });
  }
  const list = operatorNames.join(" ");
  if (!name.startsWith("$")) {
    const text = `${show(name)} (${where}) is not an operator; supported: ${list}`;
    return badRequest(`${text}${meantHint(name)}`);
  }
  const hint = `a member whose name begins with "$" must be written "\\${name}"`;
  return badRequest(`unknown operator ${show(name)} (${where}); supported: ${list}; ${hint}`);
}

/** For an operator that has lost its `$`, or all of its name, as in a shell's double quotes. */
function meantHint(name: string): string {
  const quoting = "a shell expands it in double quotes, so put the filter in single quotes";
  if (name === "") return `; or did you mean an operator such as "$gt"? ${quoting}`;
  const operator = `$${name}`;
  const isOne = operators.has(operator) || operatorsLater.has(operator);
  return isOne ? `; or did you mean "${operator}"? ${quoting}` : "";
}

function badRequest(description: string): KvError {
  return new KvError("bad-request", description);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  );
}

/** A value as errors show it: short, whatever it is. */
function show(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`;
}
