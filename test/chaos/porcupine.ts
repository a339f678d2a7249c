/**
 * The second checker: Porcupine (github.com/anishathalye/porcupine), in a small Go program that
 * reads rows of the history from files. It has its own model of a key (porcupine/main.go).
 */
import { join } from "node:path";
import { packageFolder } from "../../infra/files/package-version.js";
import { runProgram } from "../support/run-program.js";

export type Result = "Ok" | "Illegal" | "Unknown";

export interface PorcupineReport {
  readonly file: string;
  readonly result: Result;
  readonly operations: number;
  readonly ms: number;
  readonly keys: readonly {
    readonly key: string;
    readonly operations: number;
    readonly unanswered: number;
    readonly result: Result;
    readonly ms: number;
  }[];
}

/** It was not asked, and why. */
export interface NotAsked {
  readonly notAsked: string;
}

const BUILD_LIMIT_MS = 180_000;
/** Of each key of each file. */
const KEY_LIMIT_SECONDS = 60;
const KEYS_MAX = 8;

/** The compiled program, in `folder`; or why there is none. */
export async function buildPorcupine(folder: string): Promise<string | NotAsked> {
  const program = join(folder, "porcupine-check");
  const source = join(packageFolder(), "test", "chaos", "porcupine");
  try {
    const built = await runProgram("go", ["build", "-o", program, "."], {
      cwd: source,
      timeoutMs: BUILD_LIMIT_MS,
    });
    if (built.code === 0) return program;
    return { notAsked: `go build failed: ${built.stderr.trim().split("\n").at(-1) ?? ""}` };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return { notAsked: "there is no Go on PATH" };
  }
}

/** One report for each file, in their order. */
export async function askPorcupine(
  program: string,
  files: readonly string[],
): Promise<PorcupineReport[]> {
  const timeoutMs = files.length * KEYS_MAX * (KEY_LIMIT_SECONDS + 1) * 1_000;
  const argumentList = ["-timeout", `${KEY_LIMIT_SECONDS}s`, ...files];
  const ran = await runProgram(program, argumentList, { timeoutMs });
  if (ran.code !== 0) throw new Error(`Porcupine ended with ${ran.code}: ${ran.stderr}`);
  return ran.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as PorcupineReport);
}
