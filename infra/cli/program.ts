/**
 * The command line as a whole: puts the groups of commands together, runs one, and turns what it
 * threw into a line on stderr and an exit code.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command, CommanderError } from "commander";
import { packageFolder } from "../files/package-version.js";
import { checkArguments } from "./argument-bytes.js";
import { registerBatchCommand } from "./batch-command.js";
import { registerClusterCommands } from "./cluster-commands.js";
import { RunContext, type CliContext, type CliIo } from "./context.js";
import { exitCodes, exitCodesHelp, exitOfError, type ExitName } from "./exit-codes.js";
import { registerExportCommand } from "./export-command.js";
import { registerKeyCommands } from "./key-commands.js";
import { registerLoadCommand } from "./load-command.js";
import { registerLogsCommand } from "./logs-command.js";
import { OutputFailed } from "./output.js";
import { registerQueryCommands } from "./query-commands.js";
import { registerRepairCommand } from "./repair-command.js";
import { registerStatusCommands } from "./status-commands.js";
import { addStoreOptionsBefore, registerConnectionHelp } from "./store-access.js";
import { tellUsageErrors } from "./usage-errors.js";
import { registerWatchCommand } from "./watch-command.js";

/** Adds a group of commands to the program. One file a group. */
type Register = (program: Command, context: CliContext) => void;

const groups: readonly Register[] = [
  registerClusterCommands,
  registerKeyCommands,
  registerBatchCommand,
  registerQueryCommands,
  registerWatchCommand,
  registerStatusCommands,
  registerRepairCommand,
  registerLogsCommand,
  registerLoadCommand,
  registerExportCommand,
];

/** Runs the command that the arguments (without node and script) name; gives the exit code. */
export async function runCli(argumentList: readonly string[], io: CliIo): Promise<number> {
  const context = new RunContext(io);
  try {
    const exitName = await run(context, argumentList, io);
    // What could not be written is no less missing because the command has ended.
    await io.outEnd?.();
    return exitCodes[exitName].code;
  } catch (error) {
    if (error instanceof OutputFailed && error.isClosed) return exitCodes.ok.code;
    context.stderr(`ringdex: ${error instanceof Error ? error.message : String(error)}\n`);
    return exitCodes[exitOfError(error)].code;
  } finally {
    await context.close();
  }
}

async function run(
  context: RunContext,
  argumentList: readonly string[],
  io: CliIo,
): Promise<ExitName> {
  try {
    checkArguments(argumentList, io.commandLine ?? (() => undefined));
    await programOf(context).parseAsync(argumentList, { from: "user" });
    return context.exitName;
  } catch (error) {
    // Commander has written its message or the help already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? "ok" : "usage";
    throw error;
  }
}

const connectionHint = `Options that say how to connect stand before the command or behind it:
  ringdex -s nats://127.0.0.1:4222 get a    "ringdex help connection" lists them.`;

function programOf(context: CliContext): Command {
  // Commander does not wait; what fails here is met again when the output ends.
  const writeOut = (text: string): void => void context.out(text).catch(() => undefined);
  const program = new Command("ringdex")
    .description("A sharded, replicated key-value store on NATS, indexed on every attribute.")
    .version(versionOfPackage(), "-V, --version", "print the version")
    .addHelpText("after", () => `\n${exitCodesHelp()}\n\n${connectionHint}`)
    // Subcommands are made from the program and take these over.
    .exitOverride()
    .configureOutput({ writeOut, writeErr: context.stderr });
  addStoreOptionsBefore(program);
  for (const register of groups) register(program, context);
  registerConnectionHelp(program);
  tellUsageErrors(program);
  return program;
}

function versionOfPackage(): string {
  const text = readFileSync(join(packageFolder(), "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
