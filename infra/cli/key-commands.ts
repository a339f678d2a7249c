/**
 * Commands on one key: set, get, del, patch, incr, touch.
 *
 * Values go through as bytes: what stands between the quotes, or comes from stdin, is what is
 * stored, and get writes what was stored. Only a terminal gets a line end added.
 */
import type { Command } from "commander";
import type { ContentType } from "../../protocol/operation.js";
import { spliceJson } from "../../protocol/value/content.js";
import type { Entry, ReadLevel } from "../client/options.js";
import type { CliContext } from "./context.js";
import { deleteMany, type DeleteManyFlags } from "./delete-many.js";
import { CommandFailed } from "./exit-codes.js";
import {
  adviseOnPrefix,
  contentTypeOption,
  filterOf,
  finiteNumber,
  hasLostQuotes,
  ifRevisionOption,
  jsonOption,
  quoted,
  readOption,
  readStdin,
  ttlOption,
} from "./option-values.js";
import { addStoreOptions, openStore } from "./store-access.js";
import { printable } from "./table.js";

export function registerKeyCommands(root: Command, context: CliContext): void {
  registerSet(root, context);
  registerGet(root, context);
  registerDel(root, context);
  registerPatch(root, context);
  registerIncr(root, context);
  registerTouch(root, context);
}

interface WriteFlags {
  readonly ifRevision?: number;
  readonly create?: true;
  readonly ttl?: string;
  readonly json?: true;
}

interface SetFlags extends WriteFlags {
  readonly text?: true;
  readonly contentType?: ContentType;
}

function registerSet(root: Command, context: CliContext): void {
  const command = root
    .command("set")
    .description("store a value: JSON unless --text or --content-type says otherwise")
    .argument("<key>")
    .argument("[value]", 'the value; "-" or nothing = all of stdin, byte for byte', "-")
    .option("--text", "the value is plain text (the same as --content-type text)")
    .addOption(contentTypeOption())
    .addOption(ttlOption("time to live"))
    .addOption(ifRevisionOption())
    .option("--create", "only if the key is absent (the same as --if-revision 0)")
    .addOption(jsonOption("print the reply as JSON"))
    .addHelpText("after", setExamples);
  addStoreOptions(command).action(async (key: string, value: string, flags: SetFlags) => {
    const contentType = flags.text === true ? "text/plain" : flags.contentType;
    const typed = await valueOf(context, key, value, contentType ?? "application/json");
    const { db } = await openStore(context, command);
    const options = {
      ...conditionOf(flags),
      contentType: contentType ?? ("application/json" as const),
    };
    const result = await db.set(key, typed, options);
    const what = result.created ? "created" : "replaced";
    await say(context, flags, result, `${what} at revision ${result.revision}`);
  });
}

const setExamples = `
Examples:
  ringdex set city.delhi '{"country":"IN","population":32900000}'
  ringdex set greeting --text hello
  ringdex set photo - --content-type bytes < photo.jpg
  ringdex set lock '"mine"' --create --ttl 30s
`;

/** What is to be stored, checked here if it is JSON: the usual mistake deserves usual advice. */
async function valueOf(
  context: CliContext,
  key: string,
  value: string,
  contentType: ContentType,
): Promise<unknown> {
  if (value === "-") {
    const bytes = await readStdin(context, "the value");
    if (contentType === "application/json") {
      parseJson(Buffer.from(bytes).toString(), () => notJson(key, "what came on stdin"));
    }
    return bytes;
  }
  if (contentType === "application/msgpack") {
    return parseJson(
      value,
      () => `a MessagePack value is typed as JSON; received ${quoted(value)}`,
    );
  }
  if (contentType === "application/json") parseJson(value, () => notJson(key, value));
  return Buffer.from(value);
}

function notJson(key: string, value: string): string {
  const what = `${quoted(value)} is not JSON, so ${quoted(key)} was not set`;
  if (hasLostQuotes(value)) {
    return `${what}: the shell took its quotes; put the whole value in single quotes: '{"a":1}'`;
  }
  const advice = `'${JSON.stringify(value)}'`;
  const isWord = value.length <= 40 && !/^\s*[[{]|'/.test(value);
  const quote = isWord ? `quote it for JSON and shell (${advice})` : "make it JSON";
  return `${what}: ${quote}, or pass --text`;
}

function parseJson(text: string, message: () => string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new CommandFailed("usage", message(), { cause });
  }
}

function registerGet(root: Command, context: CliContext): void {
  const command = root
    .command("get")
    .description("write a key's value to stdout, byte for byte")
    .argument("<key>")
    .addOption(readOption())
    .addOption(jsonOption("print key, value, revision and times as JSON"));
  addStoreOptions(command).action(
    async (key: string, flags: { readonly read?: ReadLevel; readonly json?: true }) => {
      const { db } = await openStore(context, command);
      const read = flags.read === undefined ? {} : { read: flags.read };
      const entry = await db.get(key, { ...read, as: "bytes" });
      if (entry === undefined) throw new CommandFailed("no", `there is no key ${quoted(key)}`);
      if (flags.json === true) await context.out(`${entryJson(entry)}\n`);
      else await writeValue(context, entry);
    },
  );
}

/** The reply's members as in a batch; JSON is put in as it was set. */
function entryJson(entry: Entry<Uint8Array>): string {
  const { key, value, contentType, revision, position, updatedAt, expiresAt } = entry;
  const expires = expiresAt === undefined ? "" : `,"expires_at":"${expiresAt.toISOString()}"`;
  return (
    `{"key":${JSON.stringify(key)},${spliceJson(value, contentType)},"revision":${revision},` +
    `"position":${position},"updated_at":"${updatedAt.toISOString()}"${expires}}`
  );
}

async function writeValue(
  context: CliContext,
  { value, contentType }: Entry<Uint8Array>,
): Promise<void> {
  if (!context.isTerminal) return context.out(value);
  if (contentType === "application/json" || contentType === "text/plain") {
    // Line by line: a terminal must not obey stored bytes.
    const lines = Buffer.from(value).toString().replace(/\n$/, "").split("\n");
    return context.out(lines.map((line) => `${printable(line)}\n`).join(""));
  }
  const about = `the value is ${value.length} bytes of ${contentType}`;
  throw new CommandFailed("usage", `${about}: send it to a file (> file), or pass --json`);
}

function registerDel(root: Command, context: CliContext): void {
  const command = root
    .command("del")
    .description("delete a key, or many; to delete what is not there is not an error")
    .argument("[key]")
    .option("--prefix <text>", "delete all keys that begin so, in place of one")
    .option("--where <filter>", "delete all keys that the filter matches, as in find")
    .option("--scan", "with --where: allow a query that no index serves")
    .option("--yes", "with --prefix and --where: do not ask")
    .addOption(ifRevisionOption())
    .addOption(jsonOption("print the reply as JSON"));
  addStoreOptions(command).action(async (key: string | undefined, flags: DelFlags) => {
    const many = manyOf(key, flags);
    if (many !== undefined) {
      adviseOnPrefix(many.prefix, context);
      return deleteMany((await openStore(context, command)).db, many, context);
    }
    if (key === undefined) throw new CommandFailed("usage", "del needs a KEY, --prefix or --where");
    const { db } = await openStore(context, command);
    const result = await db.del(key, conditionOf(flags));
    await say(context, flags, result, result.existed ? "deleted" : "was not there");
  });
}

interface DelFlags extends WriteFlags {
  readonly prefix?: string;
  readonly where?: string;
  readonly scan?: true;
  readonly yes?: true;
}

/** Undefined = one key is to be deleted. */
function manyOf(key: string | undefined, flags: DelFlags): DeleteManyFlags | undefined {
  const { prefix, where, scan, yes, json, ifRevision } = flags;
  const named = [key, prefix, where].filter((each) => each !== undefined);
  if (named.length > 1) {
    throw new CommandFailed("usage", "KEY, --prefix and --where exclude each other: leave one");
  }
  if (prefix === undefined && where === undefined) return undefined;
  if (ifRevision !== undefined) {
    throw new CommandFailed("usage", "--if-revision is for one KEY, not for --prefix or --where");
  }
  return {
    ...(prefix === undefined ? { where: filterOf(where) } : { prefix }),
    ...(scan === undefined ? {} : { scan }),
    ...(yes === undefined ? {} : { yes }),
    ...(json === undefined ? {} : { json }),
  };
}

function registerPatch(root: Command, context: CliContext): void {
  const command = root
    .command("patch")
    .description("change members of a JSON or MessagePack object (JSON Merge Patch, RFC 7396)")
    .argument("<key>")
    .argument("[patch]", 'a JSON object, null removes a member; "-" or nothing = stdin', "-")
    .addOption(ttlOption("new time to live; without it the old one stays"))
    .addOption(ifRevisionOption())
    .addOption(jsonOption("print the reply as JSON"))
    .addHelpText("after", `\nExample:\n  ringdex patch city.delhi '{"population":33800000}'\n`);
  addStoreOptions(command).action(async (key: string, patch: string, flags: WriteFlags) => {
    const typed = patch === "-" ? await readStdin(context, "the patch") : Buffer.from(patch);
    parseJson(Buffer.from(typed).toString(), () => {
      const form = `the patch is a JSON object in single quotes, like '{"population":33800000}'`;
      return `${form}; received ${patch === "-" ? "something else on stdin" : quoted(patch)}`;
    });
    const { db } = await openStore(context, command);
    const result = await db.patch(key, typed, conditionOf(flags));
    const what = result.created ? "created" : "patched";
    await say(context, flags, result, `${what} at revision ${result.revision}`);
  });
}

function registerIncr(root: Command, context: CliContext): void {
  const command = root
    .command("incr")
    .description("add to a number, and print what it is then; missing counts as 0")
    .argument("<key>")
    .argument("[by]", "how much; may be negative", finiteNumber, 1)
    .option("--path <path>", "the attribute to add to; without it the value itself is the number")
    .addOption(ttlOption("new time to live; without it the old one stays"))
    .addOption(ifRevisionOption())
    .addOption(jsonOption("print the reply as JSON"));
  addStoreOptions(command).action(
    async (key: string, by: number, flags: WriteFlags & { readonly path?: string }) => {
      const { db } = await openStore(context, command);
      const increment = flags.path === undefined ? { by } : { by, path: flags.path };
      const result = await db.incr(key, increment, conditionOf(flags));
      await say(context, flags, result, String(result.value));
    },
  );
}

function registerTouch(root: Command, context: CliContext): void {
  const command = root
    .command("touch")
    .description("give a key a new time to live")
    .argument("<key>")
    .addOption(ttlOption("new time to live").makeOptionMandatory())
    .addOption(ifRevisionOption())
    .addOption(jsonOption("print the reply as JSON"));
  addStoreOptions(command).action(
    async (key: string, flags: WriteFlags & { readonly ttl: string }) => {
      const { db } = await openStore(context, command);
      const { ttl, ...rest } = flags;
      const result = await db.touch(key, ttl, conditionOf(rest));
      const expires = result.expiresAt?.toISOString();
      await say(
        context,
        flags,
        result,
        expires === undefined ? "never expires" : `expires ${expires}`,
      );
    },
  );
}

function conditionOf(flags: WriteFlags): {
  readonly ttl?: string;
  readonly ifRevision?: number;
  readonly ifAbsent?: boolean;
} {
  const { ttl, ifRevision, create } = flags;
  return {
    ...(ttl === undefined ? {} : { ttl }),
    ...(ifRevision === undefined ? {} : { ifRevision }),
    ...(create === undefined ? {} : { ifAbsent: true }),
  };
}

/** A write's result: a line for people, or its members in the wire's words. */
function say(
  context: CliContext,
  flags: { readonly json?: true },
  result: { readonly key: string; readonly expiresAt?: Date },
  line: string,
): Promise<void> {
  const { expiresAt, ...members } = result;
  const expires = expiresAt === undefined ? {} : { expires_at: expiresAt.toISOString() };
  return context.out(
    flags.json === true ? `${JSON.stringify({ ...members, ...expires })}\n` : `${line}\n`,
  );
}
