/**
 * Select: the part of a value that a query asks for.
 *
 * A path keeps its place: `geo.lat` of {"geo":{"lat":1,"lon":2}} is {"geo":{"lat":1}}. Through an
 * array it selects from each element that is an object; other elements are left out, as MongoDB
 * does. A value without members gives {}.
 *
 * JSON is cut out of the stored text by its place, so numbers and texts come as they were written:
 * 9007199254740993, 1.50, 1e400. MessagePack is decoded and encoded again; its integers are exact.
 */
import type { ContentType } from "../operation.js";
import { splitPath } from "./attribute-path.js";
import { decodeValue, encodeValue, jsonOfText } from "./content.js";
import { elementsOf, membersOf, sliceOf, wholeSpan, type Span } from "./json-members.js";
import { isPlainObject, memberOf, setMember, type Plain, type PlainObject } from "./plain.js";

/** Names still to go into; undefined = the member as a whole. */
interface Branch {
  readonly members: Map<string, Branch | undefined>;
}

export interface Selected {
  readonly value: Uint8Array;
  readonly contentType: ContentType;
}

export type Select = (value: Uint8Array, contentType: ContentType) => Selected;

/** Throws KvError `bad-request` for a path that is none. */
export function compileSelect(paths: readonly string[]): Select {
  const root: Branch = { members: new Map() };
  for (const path of paths) addPath(root, splitPath(path));
  return (value, contentType) => {
    if (contentType === "application/msgpack") {
      const plain = decodeValue(value, contentType);
      const selected = isPlainObject(plain) ? ofObject(plain, root) : {};
      return { value: encodeValue(selected, contentType), contentType };
    }
    const json = contentType === "application/json" ? cutFrom(value, root) : "{}";
    return { value: Buffer.from(json), contentType: "application/json" };
  };
}

/** `json` was accepted as a value when it was set. */
function cutFrom(json: Uint8Array, root: Branch): string {
  return cutWithin(json, wholeSpan(json), root, "object") ?? "{}";
}

/** As `within`, on the text. Undefined for a value that has no such members. */
function cutWithin(
  json: Uint8Array,
  span: Span,
  branch: Branch,
  wanted?: "object",
): string | undefined {
  const head = String.fromCharCode(json[span.start] ?? 0);
  if (head === "{") return cutObject(json, span, branch);
  if (head !== "[" || wanted === "object") return undefined;
  const parts = elementsOf(json, span).map((each) => cutWithin(json, each, branch));
  return `[${parts.filter((part) => part !== undefined).join(",")}]`;
}

function cutObject(json: Uint8Array, span: Span, branch: Branch): string {
  const members = membersOf(json, span);
  let text = "";
  for (const [name, inner] of branch.members) {
    const place = members.get(name);
    if (place === undefined) continue;
    const part =
      inner === undefined
        ? Buffer.from(sliceOf(json, place)).toString("utf8")
        : cutWithin(json, place, inner);
    if (part === undefined) continue;
    text += `${text === "" ? "" : ","}${jsonOfText(name)}:${part}`;
  }
  return `{${text}}`;
}

function addPath(root: Branch, names: readonly string[]): void {
  let branch = root;
  for (const [index, name] of names.entries()) {
    const known = branch.members.get(name);
    // A path that begins like one that is taken whole adds nothing.
    if (branch.members.has(name) && known === undefined) return;
    if (index === names.length - 1) {
      branch.members.set(name, undefined);
      return;
    }
    const next = known ?? { members: new Map<string, Branch | undefined>() };
    branch.members.set(name, next);
    branch = next;
  }
}

function ofObject(object: PlainObject, branch: Branch): PlainObject {
  const selected: PlainObject = {};
  for (const [name, inner] of branch.members) {
    const value = memberOf(object, name);
    if (value === undefined) continue;
    const part = inner === undefined ? value : within(value, inner);
    if (part !== undefined) setMember(selected, name, part);
  }
  return selected;
}

/** Recursion is bounded by the path, and within arrays by the depth content.ts lets through. */
function within(value: Plain, branch: Branch): Plain | undefined {
  if (isPlainObject(value)) return ofObject(value, branch);
  if (!Array.isArray(value)) return undefined;
  return value.map((each) => within(each, branch)).filter((each) => each !== undefined);
}
