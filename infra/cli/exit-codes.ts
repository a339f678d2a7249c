/**
 * What a command's exit code means, in one table; `ringdex --help` and the docs print it.
 *
 * Scripts ask three things of it: is it there (1), is it worth a retry (5), may it have happened
 * (6). Everything else is for people. 130 is what a shell says of a program ended by Ctrl-C.
 */
import { KvError } from "../../protocol/errors.js";
import { Refusal } from "../main/server/data-folder.js";
import { SettingError } from "../settings/config.js";
import { OutputFailed } from "./output.js";

export const exitCodes = {
  ok: { code: 0, about: "done" },
  no: { code: 1, about: "not found, or the answer is no" },
  usage: {
    code: 2,
    about: "wrong command, option or setting; or refused to start, with the reason",
  },
  failed: { code: 3, about: "the store refused it or failed" },
  conflict: { code: 4, about: "the condition was not met (--if-revision, --create)" },
  unavailable: { code: 5, about: "nothing answered or all were busy; nothing written, try again" },
  inDoubt: { code: 6, about: "sent but not answered; a write may have taken effect" },
  partial: { code: 7, about: "done in part: load or batch had some refused, and listed them" },
  output: { code: 8, about: "the output could not be written in full, as on a full disk" },
  warned: { code: 9, about: "status --check: every position is served, but there are warnings" },
  unserved: { code: 10, about: "status --check: some positions are served by no replica" },
  stopped: { code: 130, about: "load was stopped by Ctrl-C; what it has set stays" },
} as const;

export type ExitName = keyof typeof exitCodes;

/** A command that ends with this code has said on stderr why. */
export class CommandFailed extends Error {
  override readonly name = "CommandFailed";
  constructor(
    readonly exit: ExitName,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The exit for whatever a command threw. */
export function exitOfError(error: unknown): ExitName {
  if (error instanceof CommandFailed) return error.exit;
  if (error instanceof OutputFailed) return "output";
  if (error instanceof SettingError || error instanceof Refusal) return "usage";
  if (!(error instanceof KvError)) return "failed";
  switch (error.kind) {
    case "not-found":
      return "no";
    case "bad-request":
    case "unsupported":
      return "usage";
    case "conflict":
      return "conflict";
    case "overloaded":
    case "unavailable":
    case "incomplete":
      return "unavailable";
    case "in-doubt":
      return "inDoubt";
    case "cursor-expired":
    case "too-large":
    case "limit-exceeded":
    case "internal":
      return "failed";
  }
}

/** For `--help`. */
export function exitCodesHelp(): string {
  const rows = Object.values(exitCodes).map(({ code, about }) => `  ${code}  ${about}`);
  return ["Exit codes:", ...rows].join("\n");
}
