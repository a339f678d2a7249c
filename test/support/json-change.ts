/**
 * JSON change: applies a merge patch or an increment to a JSON value; written a second time, for
 * the models that tests compare the store with.
 */

type Members = Record<string, unknown>;

export function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** RFC 7396, order of members included: what is there stays in its place. */
export function merged(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const members = new Map(Object.entries(isObject(target) ? target : {}));
  for (const [name, member] of Object.entries(patch)) {
    if (member === null) members.delete(name);
    else members.set(name, merged(members.get(name), member));
  }
  return Object.fromEntries(members);
}

/** Undefined = there is something else than a number, or an object on the way to it. */
export function incremented(target: unknown, path: readonly string[], by: number): unknown {
  const [name, ...rest] = path;
  if (name === undefined) {
    return target === undefined || typeof target === "number" ? (target ?? 0) + by : undefined;
  }
  if (target !== undefined && !isObject(target)) return undefined;
  const members = new Map(Object.entries(target ?? {}));
  const member = incremented(members.get(name), rest, by);
  if (member === undefined) return undefined;
  members.set(name, member);
  return Object.fromEntries(members);
}
