/**
 * What is said of a file that a command was given and cannot read.
 */
import { CommandFailed } from "./exit-codes.js";

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "you may not read it",
};

/** For what opening or reading `file` threw. */
export function unreadableFile(file: string, cause: unknown): CommandFailed {
  const code = (cause as NodeJS.ErrnoException).code ?? "";
  const why = reasons[code] ?? (cause instanceof Error ? cause.message : String(cause));
  return new CommandFailed("usage", `cannot read ${file}: ${why}`, { cause });
}
