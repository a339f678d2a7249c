/**
 * Attributes: what of a value stands in the index. As MongoDB does it:
 *
 *   - The members of the root, if it is an object; any other root has no attributes.
 *   - A scalar is one entry at its path.
 *   - An object is an OBJECT marker at its path, and its members below it.
 *   - An array is an ARRAY marker at its path, and each element shares the path: a scalar is an
 *     entry, an object a marker and its members at path.member. An array directly inside an array
 *     is only a marker, and its elements are not looked at.
 *   - The same value at the same path is one entry, however often it stands there.
 *
 * Excluded paths are skipped with all below them and count for no limit. A value beyond a limit is
 * refused, never indexed in part. Whole bigints are numbers where a double holds them, so 5 and 5n
 * are one value.
 *
 * Recursion is bounded by the depth limit: nothing below it is entered.
 */
import { KvError } from "../errors.js";
import { escapeMember, canonicalPath } from "./attribute-path.js";
import { isPlainObject, type Plain, type PlainObject } from "./plain.js";
import { ARRAY, OBJECT, type AttributeValue } from "./typed-value.js";

export { canonicalPath, escapeMember, joinPath, splitPath } from "./attribute-path.js";
export { ARRAY, OBJECT, type AttributeValue } from "./typed-value.js";

export interface IndexPolicy {
  /** Paths that are not indexed, nor anything below them. */
  readonly excluded: readonly string[];
}

export interface IndexLimits {
  /** Names in a path. */
  readonly depthMax: number;
  /** Attributes of one value. */
  readonly entriesMax: number;
  /** UTF-8 bytes of a path. */
  readonly pathBytesMax: number;
}

export interface Attribute {
  /** As joinPath writes it. */
  readonly path: string;
  readonly value: AttributeValue;
}

/** Policies are few and live long; their paths are made canonical once. */
const excludedPaths = new WeakMap<IndexPolicy, ReadonlySet<string>>();

/**
 * The attributes of a value (undefined = text or raw bytes: none), none twice, each object's in
 * its order. Throws KvError `limit-exceeded` with `limit` = `depth`, `index_entries` or
 * `path_bytes`, and `path`, `max`, `received`.
 */
export function attributesOf(
  value: Plain | undefined,
  policy: IndexPolicy,
  limits: IndexLimits,
): Attribute[] {
  if (!isPlainObject(value)) return [];
  const collector = new Collector(excludedOf(policy), limits);
  collector.members(value, "", 1, false);
  return collector.finish();
}

function excludedOf(policy: IndexPolicy): ReadonlySet<string> {
  let paths = excludedPaths.get(policy);
  if (paths === undefined) {
    paths = new Set(policy.excluded.map(canonicalPath));
    excludedPaths.set(policy, paths);
  }
  return paths;
}

class Collector {
  readonly #attributes: Attribute[] = [];
  /** By path: what stands there already. Only paths inside arrays can meet a value twice. */
  #seen: Map<string, Set<unknown>> | undefined;

  constructor(
    private readonly excluded: ReadonlySet<string>,
    private readonly limits: IndexLimits,
  ) {}

  /** `depth` is that of the members; `repeats`: other objects may have the same paths. */
  members(object: PlainObject, parent: string, depth: number, repeats: boolean): void {
    for (const name of Object.keys(object)) {
      const escaped = escapeMember(name);
      const path = depth === 1 ? escaped : `${parent}.${escaped}`;
      if (this.excluded.size > 0 && this.excluded.has(path)) continue;
      this.checkPath(path, depth);
      const value = object[name]!;
      if (Array.isArray(value)) this.array(value, path, depth, repeats);
      else this.value(value, path, depth, repeats);
    }
  }

  finish(): Attribute[] {
    const { entriesMax } = this.limits;
    const received = this.#attributes.length;
    if (received <= entriesMax) return this.#attributes;
    const path = this.#attributes[entriesMax]!.path;
    throw exceeded("index_entries", path, entriesMax, received, "index entries");
  }

  private value(value: Exclude<Plain, Plain[]>, path: string, depth: number, r: boolean): void {
    if (isPlainObject(value)) {
      this.add(path, OBJECT, r);
      this.members(value, path, depth + 1, r);
    } else this.add(path, normalized(value), r);
  }

  private array(array: readonly Plain[], path: string, depth: number, repeats: boolean): void {
    this.add(path, ARRAY, repeats);
    for (const element of array) {
      // An array directly inside an array: its marker would be the one that stands here already.
      if (!Array.isArray(element)) this.value(element, path, depth, true);
    }
  }

  private add(path: string, value: AttributeValue, repeats: boolean): void {
    if (repeats && this.isKnown(path, value)) return;
    this.#attributes.push({ path, value });
  }

  private isKnown(path: string, value: AttributeValue): boolean {
    this.#seen ??= new Map();
    let values = this.#seen.get(path);
    if (values === undefined) this.#seen.set(path, (values = new Set()));
    const identity = value instanceof Uint8Array ? bytesIdentity(value) : textIdentity(value);
    if (values.has(identity)) return true;
    values.add(identity);
    return false;
  }

  private checkPath(path: string, depth: number): void {
    const { depthMax, pathBytesMax } = this.limits;
    if (depth > depthMax) throw exceeded("depth", path, depthMax, depth, "levels of members");
    // UTF-8 takes at most three bytes a code unit.
    if (path.length * 3 <= pathBytesMax) return;
    const received = Buffer.byteLength(path);
    if (received <= pathBytesMax) return;
    throw exceeded("path_bytes", path, pathBytesMax, received, "bytes of path");
  }
}

/** Whole bigints that a double holds become numbers, and −0 becomes 0. */
function normalized(value: Exclude<AttributeValue, symbol>): AttributeValue {
  if (typeof value === "number") return value + 0;
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return BigInt(number) === value ? number : value;
}

function bytesIdentity(bytes: Uint8Array): string {
  return `b${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1")}`;
}

/** Text is told from bytes by its first letter; all else is itself. */
function textIdentity(value: AttributeValue): unknown {
  return typeof value === "string" ? `t${value}` : value;
}

function exceeded(
  limit: string,
  path: string,
  max: number,
  received: number,
  what: string,
): KvError {
  // The path may itself be what is too long.
  const shown = path.length > 80 ? `${path.slice(0, 80)}…` : path;
  const where = `at ${JSON.stringify(shown)}`;
  return new KvError(
    "limit-exceeded",
    `the value has ${received} ${what} ${where}; the limit ${limit} is ${max}. Exclude the path ` +
      `from the index, or set the value as text or raw bytes`,
    { limit, path: shown, max, received },
  );
}
