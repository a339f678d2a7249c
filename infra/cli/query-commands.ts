/**
 * Commands on many keys by what they are: find, count, keys.
 */
import { Option, type Command } from "commander";
import { PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX } from "../../protocol/limits.js";
import { operatorNames } from "../../protocol/query/filter.js";
import type { FindOptions, ReadLevel } from "../client/options.js";
import type { CliContext } from "./context.js";
import { CommandFailed } from "./exit-codes.js";
import { foundPages, type FoundItem, type FoundOptions, type FoundPage } from "./found-pages.js";
import {
  adviseOnPrefix,
  filterOf,
  jsonOption,
  pathList,
  readOption,
  wholeNumber,
} from "./option-values.js";
import { rowsOf, separatedOf, type RowsFlags } from "./separated-rows.js";
import { addStoreOptions, openStore } from "./store-access.js";
import { printable, renderTable } from "./table.js";

export function registerQueryCommands(root: Command, context: CliContext): void {
  registerFind(root, context);
  registerCount(root, context);
  registerKeys(root, context);
}

interface QueryFlags {
  readonly read?: ReadLevel;
  readonly scan?: true;
  readonly partial?: true;
  readonly json?: true;
}

interface FindFlags extends QueryFlags, RowsFlags {
  readonly limit?: number;
  readonly all?: true;
  readonly select?: readonly string[];
  readonly order?: readonly string[];
}

const whereHelp = 'filter as a JSON object, as in MongoDB: {"country":"IN"}; without it all keys';

function registerFind(root: Command, context: CliContext): void {
  const command = root
    .command("find")
    .description("find keys by the attributes of their values")
    .argument("[where]", whereHelp)
    .option("--limit <n>", `rows in all (default: ${PAGE_ROWS_DEFAULT})`, wholeNumber)
    .option("--all", "every row, page by page")
    .option("--select <paths>", "a,b.c: only these attributes; '' = keys only", pathList)
    .option("--csv", "print comma-separated values, one row a key")
    .option("--tsv", "print tab-separated values; tab, line end and \\ as \\t, \\n, \\\\")
    .option("--no-headers", "leave out the line with the columns' names")
    // Refused by the store, as not built yet; so it is told why.
    .addOption(new Option("--order <paths>").argParser(pathList).hideHelp())
    .addHelpText("after", findExamples);
  addQueryOptions(command, "print each item as a line of JSON");
  addStoreOptions(command).action(async (where: string | undefined, flags: FindFlags) => {
    const filter = filterOf(where);
    if (flags.all === true && flags.limit !== undefined) {
      throw new CommandFailed("usage", "--all and --limit exclude each other: leave one out");
    }
    const forms = [flags.json, flags.csv, flags.tsv].filter((form) => form === true);
    if (forms.length > 1) {
      throw new CommandFailed("usage", "--json, --csv and --tsv exclude each other: leave one");
    }
    const { askText } = await openStore(context, command);
    const limit = flags.all === true ? undefined : (flags.limit ?? PAGE_ROWS_DEFAULT);
    const pages = foundPages(askText, filter, findOptions(flags, limit));
    await writePages(pages, limit, flags, context);
  });
}

const findExamples = `
Examples:
  ringdex find '{"country":"IN","population":{"$gt":1000000}}' --select name,population
  ringdex find '{"$key":{"$prefix":"city."}}' --all --json > cities.ndjson
Single quotes keep the shell from taking the filter apart.
Operators: ${operatorNames.join(" ")}.
"$key" in place of a path is the key itself.
`;

function findOptions(flags: FindFlags, limit: number | undefined): FoundOptions {
  const { select, order } = flags;
  return {
    ...queryOptions(flags),
    ...(limit === undefined ? {} : { limit }),
    ...(select === undefined ? {} : { select }),
    ...(order === undefined ? {} : { order }),
  };
}

/** Items as they come; a table for each page, since the next may be long in coming. */
async function writePages(
  pages: AsyncIterable<FoundPage>,
  limit: number | undefined,
  flags: Pick<FindFlags, "json" | "select" | keyof RowsFlags>,
  context: Pick<CliContext, "out" | "stderr" | "columns" | "exit">,
): Promise<void> {
  let count = 0;
  let isFirst = true;
  let last: FoundPage | undefined;
  for await (const page of pages) {
    count += page.items.length;
    last = page;
    const separated = separatedOf(page.items, flags, isFirst);
    isFirst = false;
    if (separated !== undefined) {
      await context.out(separated);
      continue;
    }
    if (page.items.length === 0) continue;
    await context.out(
      flags.json === true ? jsonLines(page.items) : tableOf(page.items, flags, context),
    );
  }
  if (last?.complete === false) {
    context.stderr("incomplete: some shards did not answer, and what they have is missing\n");
    context.exit("unavailable");
  } else if (count === 0 && limit !== 0 && flags.json !== true) context.stderr("no key matches\n");
  if (last?.hasMore === true && count > 0) {
    context.stderr(`there are more than these ${count}: --limit shows more, --all all of them\n`);
  }
}

function jsonLines(items: readonly FoundItem[]): string {
  return items.map(({ text }) => `${text.line}\n`).join("");
}

function tableOf(
  items: readonly FoundItem[],
  { select, headers }: Pick<FindFlags, "select" | "headers">,
  { columns }: Pick<CliContext, "columns">,
): string {
  const { heads, rows } = rowsOf(items, select);
  const table = renderTable(heads, rows, columns);
  return headers === false ? table.slice(table.indexOf("\n") + 1) : table;
}

function registerCount(root: Command, context: CliContext): void {
  const command = root
    .command("count")
    .description("count the keys that a filter matches")
    .argument("[where]", whereHelp);
  addQueryOptions(command, 'print {"count":…}');
  addStoreOptions(command).action(async (where: string | undefined, flags: QueryFlags) => {
    const filter = filterOf(where);
    const { db } = await openStore(context, command);
    const count = await db.count(filter, queryOptions(flags));
    await context.out(flags.json === true ? `${JSON.stringify({ count })}\n` : `${count}\n`);
  });
}

interface KeysFlags {
  readonly read?: ReadLevel;
  readonly limit?: number;
  readonly json?: true;
}

function registerKeys(root: Command, context: CliContext): void {
  const command = root
    .command("keys")
    .description("list keys in the order of their bytes, one a line")
    .argument("[prefix]", "only keys that begin so")
    .option("--limit <n>", "keys in all (default: every one)", wholeNumber)
    .addOption(readOption())
    .addOption(
      jsonOption("print each key as a line of JSON, exact for keys with control characters"),
    );
  addStoreOptions(command).action(async (prefix: string | undefined, flags: KeysFlags) => {
    const { db } = await openStore(context, command);
    const { limit, read } = flags;
    const keys = db.keys({
      pageSize: Math.min(Math.max(limit ?? PAGE_ROWS_MAX, 1), PAGE_ROWS_MAX),
      ...(prefix === undefined ? {} : { prefix }),
      ...(limit === undefined ? {} : { limit }),
      ...(read === undefined ? {} : { read }),
    });
    adviseOnPrefix(prefix, context);
    for await (const key of keys) {
      await context.out(flags.json === true ? `${JSON.stringify(key)}\n` : `${printable(key)}\n`);
    }
  });
}

function addQueryOptions(command: Command, aboutJson: string): void {
  command
    .option("--scan", "allow a query that no index serves")
    .option("--partial", "take what can be had when shards do not answer")
    .addOption(readOption())
    .addOption(jsonOption(aboutJson));
}

function queryOptions({
  read,
  scan,
  partial,
}: QueryFlags): Pick<FindOptions, "read" | "scan" | "partial"> {
  return {
    ...(read === undefined ? {} : { read }),
    ...(scan === undefined ? {} : { scan }),
    ...(partial === undefined ? {} : { partial }),
  };
}
