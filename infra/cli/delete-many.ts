/**
 * `ringdex del --prefix` and `--where`: deletes all keys that a query finds, after a question.
 *
 * Nothing is deleted that nobody has seen counted: without --yes a person at a terminal is asked,
 * and a script is refused. A record that --where has found and that has changed since may not match
 * any more: each is deleted only at the revision that was found, and what has changed is left and
 * counted. With --prefix the key alone decides.
 */
import { createInterface } from "node:readline/promises";
import type { ReadStream } from "node:tty";
import { PAGE_ROWS_MAX } from "../../protocol/limits.js";
import { ops, type Ringdex } from "../client/client.js";
import type { Filter } from "../client/options.js";
import type { CliContext } from "./context.js";
import { CommandFailed } from "./exit-codes.js";
import { quoted } from "./option-values.js";

export interface DeleteManyFlags {
  readonly prefix?: string;
  readonly where?: Filter;
  readonly scan?: true;
  readonly yes?: true;
  readonly json?: true;
}

type DeleteStore = Pick<Ringdex<unknown>, "find" | "count" | "batch">;

export async function deleteMany(
  store: DeleteStore,
  flags: DeleteManyFlags,
  context: Pick<CliContext, "stdin" | "out" | "stderr" | "exit">,
): Promise<void> {
  const { prefix, where = {} } = flags;
  const hasPrefix = prefix !== undefined && prefix !== "";
  const filter: Filter = hasPrefix ? { $key: { $prefix: prefix } } : where;
  const scan = flags.scan === undefined ? {} : { scan: flags.scan };
  if (flags.yes !== true) await ask(await store.count(filter, scan), flags, context);
  let [deleted, changed] = [0, 0];
  const pages = store.find(filter, { ...scan, select: [], pageSize: PAGE_ROWS_MAX }).pages();
  for await (const { items } of pages) {
    const dels = items.map(({ key, revision }) =>
      ops.del(key, prefix === undefined ? { ifRevision: revision } : {}),
    );
    if (dels.length === 0) continue;
    for (const outcome of await store.batch(dels)) {
      if (outcome.ok) deleted += outcome.result.existed ? 1 : 0;
      else if (outcome.error.kind === "conflict") changed += 1;
      else {
        context.stderr(`stopped after ${deleted} deleted\n`);
        throw outcome.error;
      }
    }
  }
  const left = changed > 0 ? `, ${changed} left as they have changed meanwhile` : "";
  const line = `deleted ${deleted}${left}`;
  await context.out(`${flags.json === true ? JSON.stringify({ deleted, changed }) : line}\n`);
  if (changed > 0) context.exit("partial");
}

/** Resolves if a person says yes; else throws CommandFailed. */
async function ask(
  count: number,
  { prefix, where = {} }: DeleteManyFlags,
  { stdin, stderr }: Pick<CliContext, "stdin" | "stderr">,
): Promise<void> {
  const isAll = prefix === "" || (prefix === undefined && Object.keys(where).length === 0);
  const which =
    prefix === undefined
      ? `that match ${JSON.stringify(where)}`
      : `that begin with ${quoted(prefix)}`;
  const what = isAll ? `ALL ${count} keys of the store` : `${count} keys ${which}`;
  if ((stdin as Partial<ReadStream>).isTTY !== true) {
    throw new CommandFailed("usage", `this would delete ${what}; add --yes to do it`);
  }
  stderr(`delete ${what}? Type yes: `);
  const lines = createInterface({ input: stdin, terminal: false });
  const answer = await lines[Symbol.asyncIterator]().next();
  lines.close();
  const isYes = answer.done !== true && answer.value.trim().toLowerCase() === "yes";
  if (!isYes) throw new CommandFailed("no", "nothing was deleted");
}
