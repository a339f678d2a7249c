/**
 * What is wrong with a command as typed, in one line: commander's message, what may have happened
 * to the text on its way through the shell, and the help that says more.
 */
import type { Command } from "commander";

/** Where too many arguments most often come from: a value that the shell has taken apart. */
const adviceByCommand: Readonly<Record<string, string>> = {
  find: `put the filter in single quotes, like '{"country":"IN","size":1}'`,
  count: `put the filter in single quotes, like '{"country":"IN","size":1}'`,
  set: `put the whole value in single quotes, like '{"a":1,"b":2}' or --text 'two words'`,
  patch: `put the whole patch in single quotes, like '{"a":1,"b":null}'`,
};

/** For the program and all its commands, which are to be registered before. */
export function tellUsageErrors(command: Command): void {
  command.configureOutput({
    outputError: (message, write) => write(`${usageError(command, message)}\n`),
  });
  for (const each of command.commands) tellUsageErrors(each);
}

function usageError(command: Command, message: string): string {
  // A suggestion stands on a line of its own.
  const text = message
    .replace(/^error: /, "")
    .trim()
    .replaceAll(/\s*\n\s*/g, " ");
  const name = fullNameOf(command);
  const advice = text.startsWith("too many arguments")
    ? adviceByCommand[command.name()]
    : undefined;
  const told = advice === undefined ? text : `${text.replace(/\.$/, "")}: ${advice}`;
  return `ringdex: ${told} (see "${name} --help")`;
}

/** With the names of the groups that it stands in: `ringdex node start`. */
function fullNameOf(command: Command): string {
  const { parent } = command;
  return parent === null ? command.name() : `${fullNameOf(parent)} ${command.name()}`;
}
