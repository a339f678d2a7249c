/**
 * Attribute paths: `country`, `geo.lat`. Members' names joined by `.`, from the root inwards.
 *
 * In a name, `.` and `\` are written `\.` and `\\`, and a `$` at its beginning `\$` (so that no
 * path looks like an operator). Every name has so exactly one written form, and every path of
 * that form names one place. splitPath also takes `\$` inside a name; canonicalPath gives the one
 * form, by which paths are compared.
 */
import { KvError } from "../errors.js";

/** The path that stands for the key. Member names beginning with `$` are escaped, so it is free. */
export const KEY_PATH = "$key";

const DOT = 0x2e;
const BACKSLASH = 0x5c;
const DOLLAR = 0x24;

/** A member's name as it stands in a path. Cost: one look at each character. */
export function escapeMember(name: string): string {
  if (name.charCodeAt(0) === DOLLAR) return escapeAll(name);
  for (let index = 0; index < name.length; index += 1) {
    const code = name.charCodeAt(index);
    if (code === DOT || code === BACKSLASH) return escapeAll(name);
  }
  return name;
}

function escapeAll(name: string): string {
  return name.replace(/[.\\]|^\$/g, "\\$&");
}

export function joinPath(names: readonly string[]): string {
  return names.map(escapeMember).join(".");
}

/** The names in a path, at least one. Throws KvError `bad-request` that says what is wrong. */
export function splitPath(path: string): string[] {
  const names: string[] = [];
  let name = "";
  let start = 0;
  for (let at = 0; at < path.length; at += 1) {
    const code = path.charCodeAt(at);
    if (code === BACKSLASH) {
      at += 1;
      const escaped = path.charAt(at);
      if (escaped !== "." && escaped !== "\\" && escaped !== "$") {
        throw badPath(path, `\\ may stand only before ".", "\\" and "$"`);
      }
      name += escaped;
    } else if (code === DOT) {
      names.push(name);
      name = "";
      start = at + 1;
    } else {
      if (code === DOLLAR && at === start) {
        throw badPath(path, 'a "$" at the start of a name must be written "\\$"');
      }
      name += path.charAt(at);
    }
  }
  names.push(name);
  return names;
}

/** The one written form of a path. Throws as splitPath. */
export function canonicalPath(path: string): string {
  return joinPath(splitPath(path));
}

function badPath(path: string, why: string): KvError {
  return new KvError("bad-request", `path ${JSON.stringify(path)}: ${why}`, { path });
}
