/**
 * Plain: a JSON or MessagePack value after decoding.
 *
 * Objects are ordinary JavaScript objects, so a member may be called `__proto__`: it is an own
 * property when JSON.parse makes it, but `object[name] = …` would set the prototype and
 * `object[name]` would read it. Members are therefore read and set by name only through the
 * functions here.
 *
 * A bigint is a 64-bit integer of MessagePack; no other format makes one. There is no NaN (content
 * refuses it) and no text with a lone surrogate.
 */
export type Plain =
  null | boolean | number | bigint | string | Uint8Array | Plain[] | { [name: string]: Plain };

export type PlainObject = { [name: string]: Plain };

/** True for a map of members; false for null, arrays and bytes. */
export function isPlainObject(value: Plain | undefined): value is PlainObject {
  if (typeof value !== "object" || value === null) return false;
  return !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** The object's own member, or undefined. */
export function memberOf(object: PlainObject, name: string): Plain | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** Sets an own member, whatever its name. */
export function setMember(object: PlainObject, name: string, value: Plain): void {
  if (name !== "__proto__") {
    object[name] = value;
    return;
  }
  const own = { value, writable: true, enumerable: true, configurable: true };
  Object.defineProperty(object, name, own);
}

/** What a person calls the value's type, for error texts. */
export function typeName(value: Plain): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (value instanceof Uint8Array) return "bytes";
  if (typeof value === "string") return "text";
  return typeof value === "bigint" ? "number" : typeof value;
}
