/**
 * One node as a child process: started, watched until it says it serves, ended.
 *
 * The node ends when its stdin closes (--end-with-stdin), so no node outlives a supervisor that is
 * killed. On stdout it writes one line `{"ready":true,"node":"n1"}` when its replicas serve (again
 * if it likes), and its log if that is wanted there. What it writes before its own log is open goes
 * to stderr.log in its folder.
 */
import { spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { LOG_FILE_BYTES_MAX, LOG_FILES_MAX, rotateIfLarger } from "../../files/log-file.js";
import { makeFolder, unwritable } from "../../files/make-folder.js";
import { exitOf, stopChild, type Exit } from "../../nats-server/nats-server.js";

export interface NodeCommand {
  readonly file: string;
  readonly argumentList: readonly string[];
}

export interface NodeProcessOptions {
  readonly name: string;
  readonly folder: string;
  readonly command: NodeCommand;
  readonly env: NodeJS.ProcessEnv;
  readonly stopping: AbortSignal;
  readonly onReady: () => void;
  /** A line of the node's log, if it writes that to stdout. */
  readonly onLogLine?: (line: string) => void;
  /** The node says that it must not run like this (exit code 2): a start again will not help. */
  readonly onRefused: (reason: string) => void;
  readonly stopTimeoutMs?: number;
}

/** A node's exit code for "refused": its settings or its data folder are wrong. */
export const EXIT_REFUSED = 2;

/** Starts the node and resolves with how it ended. */
export async function runNodeProcess(options: NodeProcessOptions): Promise<string> {
  const { name, folder, command, stopping } = options;
  const stderrFile = join(folder, "stderr.log");
  let stderr: number;
  try {
    await makeFolder(folder);
    rotateIfLarger(stderrFile, LOG_FILE_BYTES_MAX, LOG_FILES_MAX);
    stderr = openSync(stderrFile, "a");
  } catch (error) {
    const text = unwritable(folder, error);
    if (text !== undefined) options.onRefused(`${name}: ${text}`);
    throw error;
  }
  const stderrStart = fstatSync(stderr).size;
  const child = spawn(command.file, command.argumentList, {
    stdio: ["pipe", "pipe", stderr],
    env: options.env,
    detached: true,
  });
  closeSync(stderr);
  // A node that ended closes its end first; the write side then fails, which we know already.
  child.stdin?.on("error", () => undefined);
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (isReadyLine(line, name)) options.onReady();
      else options.onLogLine?.(line);
    });
  }
  const exited = exitOf(child);
  const stop = (): void => void stopChild(child, exited, "SIGTERM", options.stopTimeoutMs);
  stopping.addEventListener("abort", stop, { once: true });
  try {
    if (stopping.aborted) stop();
    const exit = await exited;
    const ending = `${describeExit(exit)}${lastWords(stderrFile, stderrStart)}`;
    if (exit.code === EXIT_REFUSED) options.onRefused(`${name}: ${ending}`);
    return ending;
  } finally {
    stopping.removeEventListener("abort", stop);
  }
}

/** "ended with code 1", "was ended by SIGKILL". */
export function describeExit(exit: Exit): string {
  if (exit.signal !== null) return `was ended by ${exit.signal}`;
  return `ended with code ${exit.code}`;
}

function isReadyLine(line: string, name: string): boolean {
  try {
    const message = JSON.parse(line) as { ready?: unknown; node?: unknown };
    return message.ready === true && message.node === name;
  } catch {
    return false; // not for us
  }
}

/** The last line that is neither of a stack nor what Node writes under one. */
function lastWords(file: string, start: number): string {
  const lines = readFileSync(file).subarray(start).toString("utf8").split("\n");
  const line = lines.filter((one) => !/^\s*$|^\s+at |^Node\.js v|^}$/.test(one)).at(-1);
  return line === undefined ? "" : ` (${line.trim()})`;
}
