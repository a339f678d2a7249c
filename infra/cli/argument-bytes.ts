/**
 * Arguments that are not UTF-8: refused, as two different ones would become the same key.
 *
 * Node decodes arguments before a program sees them, and every byte that it cannot read becomes
 * U+FFFD. Where the system shows the bytes (/proc) it is looked whether they really were U+FFFD;
 * where it does not, an argument that has one is refused too.
 */
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { CommandFailed } from "./exit-codes.js";

const UNREADABLE = "\ufffd";
const NUL = 0;

/**
 * Throws CommandFailed for the first argument that is not UTF-8. `commandLine`: the bytes of the
 * process's whole command line, each argument ended by a zero byte; undefined = not known.
 */
export function checkArguments(
  argumentList: readonly string[],
  commandLine: () => Uint8Array | undefined,
): void {
  if (!argumentList.some((argument) => argument.includes(UNREADABLE))) return;
  const bytes = lastArguments(commandLine(), argumentList.length);
  for (const [index, argument] of argumentList.entries()) {
    if (!argument.includes(UNREADABLE)) continue;
    const own = bytes?.[index];
    // What is at its place decodes to it, so the list is ours and not cut off.
    const isOurs = own !== undefined && Buffer.from(own).toString() === argument;
    if (isOurs && isUtf8(own)) continue;
    const what = `argument ${index + 1} (${JSON.stringify(argument)})`;
    const found = isOurs ? "is not UTF-8" : "has U+FFFD, which stands for bytes that are not UTF-8";
    throw new CommandFailed(
      "usage",
      `${what} ${found}: keys are UTF-8, so write it in UTF-8 (is the terminal set to another ` +
        `encoding?); a value or a file of other bytes can come on stdin`,
    );
  }
}

/** The bytes of this process's command line, where the system shows them. */
export function processCommandLine(): Uint8Array | undefined {
  try {
    return readFileSync("/proc/self/cmdline");
  } catch {
    return undefined; // a system without /proc
  }
}

function lastArguments(
  commandLine: Uint8Array | undefined,
  count: number,
): readonly Uint8Array[] | undefined {
  if (commandLine === undefined) return undefined;
  const found: Uint8Array[] = [];
  let start = 0;
  for (const [index, byte] of commandLine.entries()) {
    if (byte !== NUL) continue;
    found.push(commandLine.subarray(start, index));
    start = index + 1;
  }
  return found.length < count ? undefined : found.slice(found.length - count);
}
