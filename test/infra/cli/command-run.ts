/**
 * A command, run as typed, against the store at a URL; and what came of it.
 */
import { Readable } from "node:stream";
import { runCli } from "../../../infra/cli/program.js";

export interface Run {
  readonly code: number;
  readonly out: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string | Uint8Array | Readable;
  /** A terminal of this width. */
  readonly columns?: number;
  readonly stopping?: AbortSignal;
  /** Called with all of the output so far; the command waits for what it gives. */
  readonly onOut?: (all: string) => void | Promise<void>;
  readonly env?: NodeJS.ProcessEnv;
}

export async function runCommand(
  url: string,
  argumentList: readonly string[],
  options: RunOptions = {},
): Promise<Run> {
  let [out, stderr] = ["", ""];
  const { stdin = "" } = options;
  const code = await runCli(argumentList, {
    env: { RINGDEX_NATS_URL: url, ...options.env },
    stdin: stdin instanceof Readable ? stdin : Readable.from([Buffer.from(stdin as string)]),
    out: (text) => {
      out += Buffer.from(text as string).toString();
      return options.onOut?.(out);
    },
    stderr: (text) => void (stderr += text),
    isTerminal: options.columns !== undefined,
    columns: options.columns,
    stopping: options.stopping ?? new AbortController().signal,
  });
  return { code, out, stderr };
}

/** What a command without complaint gives. */
export function ok(out: string): Run {
  return { code: 0, out, stderr: "" };
}
