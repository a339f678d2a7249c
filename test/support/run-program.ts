/**
 * Runs a program as a process of its own, from its start to its end.
 */
import { spawn } from "node:child_process";

export interface Ran {
  /** Null if it was ended by a signal. */
  readonly code: number | null;
  readonly out: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** All of stdin; default: nothing. */
  readonly stdin?: string | Uint8Array;
  /** Added to the test runner's own, without its RINGDEX_ settings. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Ended by SIGKILL after so long. Default 30 s. */
  readonly timeoutMs?: number;
  /** Ends it by SIGTERM. */
  readonly signal?: AbortSignal;
  /** Called with all of stdout so far, whenever there is more. */
  readonly onOut?: (out: string) => void;
}

/** Rejects only if it cannot be started. */
export function runProgram(
  file: string,
  argumentList: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("RINGDEX_"));
  const env = { ...Object.fromEntries(inherited), ...options.env };
  const child = spawn(file, [...argumentList], {
    env,
    stdio: ["pipe", "pipe", "pipe"],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let [out, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    options.onOut?.(out);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.on("error", () => undefined); // one that does not read its stdin may close it
  child.stdin.end(options.stdin ?? "");
  const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? 30_000);
  options.signal?.addEventListener("abort", () => child.kill("SIGTERM"), { once: true });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code, out, stderr });
    });
  });
}
