/**
 * Increment: adds to a number inside a value, or to the value itself.
 *
 * A missing number counts as 0, and missing objects on its path are created. Integers stay
 * exact: if the number and the step are both integers, the result must be a safe integer, or the
 * count would silently lose steps. The given value does not change; the result shares with it
 * everything that is not on the path.
 */
import { assert } from "../assert.js";
import { KvError } from "../errors.js";
import { DECODE_DEPTH_MAX } from "../limits.js";
import { splitPath } from "./attribute-path.js";
import {
  isPlainObject,
  memberOf,
  setMember,
  typeName,
  type Plain,
  type PlainObject,
} from "./plain.js";

export interface Incremented {
  /** The whole value afterwards. */
  readonly value: Plain;
  /** The number that was incremented, afterwards. */
  readonly number: number;
}

/**
 * `path` undefined: the target itself is the number. `by` is finite. Throws KvError `bad-request`
 * (not a number there, something on the way is no object, result out of range, a path that is
 * none) or `limit-exceeded` (a path deeper than any value may be).
 */
export function increment(
  target: Plain | undefined,
  path: string | undefined,
  by: number,
): Incremented {
  assert(Number.isFinite(by), `by is checked at the border: ${by}`);
  if (path === undefined) {
    const number = add(target, by, "the value");
    return { value: number, number };
  }
  const names = splitPath(path);
  if (names.length > DECODE_DEPTH_MAX) {
    const text = `path has ${names.length} names; values are at most ${DECODE_DEPTH_MAX} deep`;
    const details = { limit: "decode_depth", max: DECODE_DEPTH_MAX, received: names.length };
    throw new KvError("limit-exceeded", text, details);
  }
  const root = copyOf(target, path, "the value");
  let parent = root;
  for (const name of names.slice(0, -1)) {
    const child = copyOf(memberOf(parent, name), path, `its member ${JSON.stringify(name)}`);
    setMember(parent, name, child);
    parent = child;
  }
  const last = names.at(-1)!;
  const number = add(memberOf(parent, last), by, `path ${JSON.stringify(path)}`);
  setMember(parent, last, number);
  return { value: root, number };
}

function copyOf(value: Plain | undefined, path: string, what: string): PlainObject {
  if (value === undefined) return {};
  if (isPlainObject(value)) return { ...value };
  throw new KvError(
    "bad-request",
    `path ${JSON.stringify(path)} cannot be followed: ${what} is ${typeName(value)}, not an object`,
    { path, type: typeName(value) },
  );
}

function add(current: Plain | undefined, by: number, where: string): number {
  if (current !== undefined && typeof current !== "number" && typeof current !== "bigint") {
    const type = typeName(current);
    throw new KvError("bad-request", `${where} is ${type}, not a number`, { type });
  }
  const number = Number(current ?? 0);
  if (typeof current === "bigint" && !Number.isSafeInteger(number)) {
    throw outOfRange(where, `${current}`, by);
  }
  // Adding 0 makes −0 a 0.
  const sum = number + by + 0;
  const isCount = Number.isInteger(number) && Number.isInteger(by);
  if (!Number.isFinite(sum) || (isCount && !Number.isSafeInteger(sum))) {
    throw outOfRange(where, String(number), by);
  }
  return sum;
}

function outOfRange(where: string, current: string, by: number): KvError {
  return new KvError(
    "bad-request",
    `${where} is ${current}; adding ${by} leaves the range of exact counts ` +
      `(integers to ±${Number.MAX_SAFE_INTEGER}, others finite)`,
    { max: Number.MAX_SAFE_INTEGER },
  );
}
