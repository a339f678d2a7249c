/**
 * Readers of options and arguments: text as typed → what commands work with. What is wrong is said
 * by commander, with the option's name, and ends with the exit code for usage.
 */
import type { Readable } from "node:stream";
import type { ReadStream } from "node:tty";
import { InvalidArgumentError, Option } from "commander";
import { VALUE_BYTES_MAX } from "../../protocol/limits.js";
import type { ContentType } from "../../protocol/operation.js";
import { parseTtl, withoutDays } from "../../protocol/value/ttl.js";
import type { Filter, ReadLevel } from "../client/options.js";
import type { CliContext } from "./context.js";
import { CommandFailed } from "./exit-codes.js";

/** More than this on stdin can be no value in any form; read no further. */
const STDIN_BYTES_MAX = 8 * VALUE_BYTES_MAX;

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("It must be a whole number.");
}

export function finiteNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("It must be a number.");
}

/**
 * Paths separated by commas, without the white space around them; "" = none. Names with a comma,
 * with white space at an end, or without a character are told in a JSON list: `["a,b"," c",""]`.
 */
export function pathList(text: string): readonly string[] {
  if (text === "") return [];
  if (text.startsWith("[")) return pathsInJson(text);
  const paths = text.split(",").map((path) => path.trim());
  if (!paths.includes("")) return paths;
  throw new InvalidArgumentError(
    `A path is empty. For the name that has no character write a list: '["a",""]'.`,
  );
}

function pathsInJson(text: string): readonly string[] {
  try {
    const paths = JSON.parse(text) as unknown;
    if (Array.isArray(paths) && paths.every((path) => typeof path === "string")) return paths;
  } catch {
    // The one message below says all that is allowed.
  }
  throw new InvalidArgumentError(`It begins like a list, which is JSON: '["a.b","c,d"]'.`);
}

/** Tells who typed a wildcard that a prefix is text. */
export function adviseOnPrefix(
  prefix: string | undefined,
  { stderr }: Pick<CliContext, "stderr">,
): void {
  if (prefix === undefined || !/[*>]$/.test(prefix)) return;
  const without = JSON.stringify(prefix.replace(/[*>]+$/, ""));
  stderr(`a prefix is text: only keys that begin with ${quoted(prefix)}; or is it ${without}?\n`);
}

/**
 * The names of members from outside inwards: `properties.id`, `_id.$oid`. A dot or backslash that
 * belongs to a name has a backslash before it. Paths of attributes are stricter about `$`.
 */
export function memberNames(path: string): readonly string[] {
  if (!/[.\\]/.test(path)) return [path];
  const names: string[] = [];
  let name = "";
  for (const [token] of path.matchAll(/\\[.\\]|[^]/gu)) {
    if (token === ".") {
      names.push(name);
      name = "";
    } else name += /^\\[.\\]$/.test(token) ? token.slice(1) : token;
  }
  return [...names, name];
}

function ttlText(text: string): string {
  const known = withoutDays(text);
  try {
    parseTtl(known);
    return known;
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? `${error.message}.` : "");
  }
}

const contentTypeNames: Readonly<Record<string, ContentType>> = {
  json: "application/json",
  msgpack: "application/msgpack",
  text: "text/plain",
  bytes: "application/octet-stream",
};

/** json, msgpack, text, bytes, or the content type's own name. */
function contentTypeOf(text: string): ContentType {
  const type = contentTypeNames[text] ?? Object.values(contentTypeNames).find((it) => it === text);
  if (type !== undefined) return type;
  throw new InvalidArgumentError("It must be json, msgpack, text, bytes, or the type's full name.");
}

export function readOption(): Option {
  return new Option("--read <level>", "how fresh: linearizable (the default) or stale").choices([
    "linearizable",
    "stale",
  ] satisfies ReadLevel[]);
}

export function jsonOption(about: string): Option {
  return new Option("--json", about);
}

export function contentTypeOption(): Option {
  const option = new Option("--content-type <type>", "json (default), msgpack, text or bytes");
  return option.argParser(contentTypeOf);
}

export function ttlOption(about: string): Option {
  return new Option("--ttl <duration>", `${about}: seconds, 90m, 1d12h, 2w, …, or never`).argParser(
    ttlText,
  );
}

export function ifRevisionOption(): Option {
  return new Option(
    "--if-revision <n>",
    "only if the key is at this revision; 0 = only if it is absent",
  ).argParser(wholeNumber);
}

/** A JSON object as typed on the command line. */
export function filterOf(text: string | undefined): Filter {
  if (text === undefined) return {};
  let filter: unknown;
  try {
    filter = JSON.parse(text);
  } catch (cause) {
    throw new CommandFailed("usage", notFilter(text), { cause });
  }
  if (typeof filter === "object" && filter !== null && !Array.isArray(filter)) {
    return filter as Filter;
  }
  throw new CommandFailed("usage", notFilter(text));
}

function notFilter(text: string): string {
  const example = `'{"country":"IN","population":{"$gt":1000000}}'`;
  return `WHERE is a JSON object in single quotes, like ${example}; received ${quoted(text)}`;
}

/** True for JSON without its quotes, which a shell takes off where nothing protects them. */
export function hasLostQuotes(text: string): boolean {
  return /^\s*[[{]/.test(text) && !text.includes('"');
}

/** What was typed, short enough for an error's one line. */
export function quoted(text: string): string {
  return text.length <= 60 ? JSON.stringify(text) : `${JSON.stringify(text.slice(0, 60))}…`;
}

/** Who sits at a terminal is told that a command waits for what is typed. */
export function announceStdin(
  { stdin, stderr }: Pick<CliContext, "stdin" | "stderr">,
  what: string,
): void {
  const isTyped = (stdin as Partial<ReadStream>).isTTY === true;
  if (isTyped) stderr(`reading ${what} from the keyboard; Ctrl-D on a new line ends it\n`);
}

/** All of stdin; `what` it is, for a person who is to type it. */
export async function readStdin(
  context: Pick<CliContext, "stdin" | "stderr">,
  what: string,
): Promise<Uint8Array> {
  announceStdin(context, what);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of context.stdin as Readable) {
    const bytes = Buffer.from(chunk as Buffer | string);
    size += bytes.length;
    if (size > STDIN_BYTES_MAX) {
      const text = `stdin has more than ${STDIN_BYTES_MAX} bytes, values at most`;
      throw new CommandFailed("failed", `${text} ${VALUE_BYTES_MAX}`);
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}
