/**
 * The logs command: what the nodes have logged.
 *
 * Two sources, for two questions. Without -f it reads the nodes' log files in the data folder:
 * what happened until now, at every level, also when nothing runs any more. With -f it listens on
 * kv.node.*.log.* : what happens from now on, at `info` and above, from any machine.
 */
import { open, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Option, type Command } from "commander";
import { Names } from "../../protocol/nats/subjects.js";
import { dataPaths } from "../main/server/data-folder.js";
import { logLevels, type LogLevel } from "../settings/config.js";
import { shownUrl, type CliContext } from "./context.js";
import { CommandFailed } from "./exit-codes.js";
import { jsonOption, wholeNumber } from "./option-values.js";
import { addStoreOptions } from "./store-access.js";
import { lineFor, shownValue } from "./table.js";

const LINES_DEFAULT = 50;
/** Read from the end of each file; lines before it are not shown. */
const TAIL_BYTES_MAX = 4 * 1_024 * 1_024;

interface LogFlags {
  readonly follow?: true;
  readonly node?: string;
  readonly level: LogLevel;
  readonly lines: number;
  readonly json?: true;
}

export function registerLogsCommand(root: Command, context: CliContext): void {
  const command = root
    .command("logs")
    .description(
      "print the last lines of the nodes' log files in the data folder, or with -f what the " +
        "nodes of a running store log from now on (info and above)",
    )
    .option("-f, --follow", "follow a running store, on whatever machines its nodes are")
    .option("-n, --lines <count>", "lines in all, without -f", wholeNumber, LINES_DEFAULT)
    .option("--node <name>", "only this node")
    .addOption(
      new Option("--level <level>", "only lines at this level or above")
        .choices(logLevels)
        .default("info"),
    )
    .addOption(jsonOption("print the lines as they were logged"));
  addStoreOptions(command).action(async (flags: LogFlags) => {
    if (flags.follow === true) return follow(command, context, flags);
    const { dataFolder } = context.settings(command);
    for (const line of await lastLines(dataFolder, flags)) await print(line, flags, context);
  });
}

async function follow(command: Command, context: CliContext, flags: LogFlags): Promise<void> {
  // Whether a node answers is not asked: one that is about to start is worth following.
  const { nats, store, url } = await context.connect(command);
  const subscription = nats.subscribe(new Names(store).nodeLogWildcard);
  await nats.flush();
  const where = `store "${store}" at ${shownUrl(url)}`;
  context.stderr(`following what the nodes of ${where} log from now on; Ctrl-C ends it\n`);
  for (const signal of [context.stopping, context.outFailed]) {
    signal?.addEventListener("abort", () => subscription.unsubscribe(), { once: true });
  }
  for await (const message of subscription) {
    const line = message.string();
    if (isWanted(line, flags)) await print(line, flags, context);
  }
  if (context.stopping.aborted || context.outFailed?.aborted === true) return;
  throw new CommandFailed("unavailable", "the connection to NATS ended; start the command again");
}

/** The newest wanted lines of all nodes' files, in order of time. */
async function lastLines(
  dataFolder: string,
  flags: Pick<LogFlags, "node" | "level" | "lines">,
): Promise<string[]> {
  const nodes = join(dataPaths(dataFolder).root, "nodes");
  let found: string[];
  try {
    found = await readdir(nodes);
  } catch (cause) {
    const text = `no node has logged in ${resolve(dataFolder)}; name the folder with --data, or`;
    throw new CommandFailed("no", `${text} follow a running store with -f`, { cause });
  }
  const names = flags.node === undefined ? found : found.filter((name) => name === flags.node);
  if (names.length === 0) {
    throw new CommandFailed("no", `no such node; the folder has ${found.toSorted().join(", ")}`);
  }
  const tails = await Promise.all(names.map((name) => tailOf(dataPaths(dataFolder).node(name))));
  const wanted = tails.flat().filter((line) => isWanted(line, flags));
  const timed = wanted.map((line) => ({ line, time: shownText(fieldsOf(line)?.["time"]) }));
  timed.sort((left, right) => (left.time < right.time ? -1 : Number(left.time > right.time)));
  return flags.lines === 0 ? [] : timed.slice(-flags.lines).map(({ line }) => line);
}

/** The last lines of a node's file, and of the one rotated away before it. */
async function tailOf(folder: string): Promise<string[]> {
  const files = ["node.1.log", "node.log"].map((name) => join(folder, name));
  const tails = await Promise.all(files.map(tailOfFile));
  return tails.flat();
}

async function tailOfFile(path: string): Promise<string[]> {
  let file;
  try {
    file = await open(path);
  } catch (error) {
    // A node that has not logged yet, or has not filled a file.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  try {
    const { size } = await file.stat();
    const start = Math.max(size - TAIL_BYTES_MAX, 0);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, null, start);
    const lines = buffer.subarray(0, bytesRead).toString().split("\n");
    // The first is a part of a line, unless it is the file's first.
    return (start > 0 ? lines.slice(1) : lines).filter((line) => line !== "");
  } finally {
    await file.close();
  }
}

function isWanted(line: string, flags: Pick<LogFlags, "node" | "level">): boolean {
  const fields = fieldsOf(line);
  // Whatever is no line of a logger is something that went wrong, and worth showing.
  if (fields === undefined) return true;
  if (flags.node !== undefined && fields["node"] !== flags.node) return false;
  const level = logLevels.indexOf(fields["level"] as LogLevel);
  return level <= logLevels.indexOf(flags.level);
}

function print(line: string, flags: LogFlags, context: CliContext): Promise<void> {
  return context.out(`${flags.json === true ? line : logLine(line, context.columns)}\n`);
}

/** `time level node message name=value …` */
function logLine(line: string, columns: number | undefined): string {
  const fields = fieldsOf(line);
  if (fields === undefined) return lineFor(line, columns);
  const { time, level, node, message, ...others } = fields;
  const head = [time, shownText(level).padEnd(5), node, message].map(shownText);
  const tail = Object.entries(others).map(([name, value]) => `${name}=${shownValue(value)}`);
  return lineFor([...head, ...tail].join(" "), columns);
}

function shownText(value: unknown): string {
  return typeof value === "string" ? value : shownValue(value);
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const fields = JSON.parse(line) as unknown;
    if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return undefined;
    return fields as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
