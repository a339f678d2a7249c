/**
 * JSON Merge Patch (RFC 7396): null removes a member, an object is merged, all else replaces.
 *
 * Neither argument is changed; the result shares what was not touched. Recursion is bounded by
 * the patch's nesting, which decodeValue bounds by DECODE_DEPTH_MAX, and the result is nested no
 * deeper than the deeper of the two.
 */
import { isPlainObject, memberOf, setMember, type Plain, type PlainObject } from "./plain.js";

/** The target patched; undefined = there is none, which an object patch takes for `{}`. */
export function mergePatch(target: Plain | undefined, patch: Plain): Plain {
  if (!isPlainObject(patch)) return patch;
  // Spreading copies a member `__proto__` as a member.
  const result: PlainObject = isPlainObject(target) ? { ...target } : {};
  for (const name of Object.keys(patch)) {
    const change = patch[name]!;
    if (change === null) delete result[name];
    else setMember(result, name, mergePatch(memberOf(result, name), change));
  }
  return result;
}
