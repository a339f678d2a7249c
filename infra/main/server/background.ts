/**
 * `ringdex up --background` and `ringdex down`: a supervisor without a terminal.
 *
 * The supervisor's output goes to ringdex.log in the data folder, not through a pipe, which would
 * break when whoever started it returns. Starting waits for the ready line in that file. A line
 * there begins with its time, as it is read days later; passed on to a person it does not.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as delay } from "node:timers/promises";
import { LOG_FILE_BYTES_MAX, LOG_FILES_MAX, rotateIfLarger } from "../../files/log-file.js";
import { makeFolder } from "../../files/make-folder.js";
import { withoutTime } from "../../files/timed-lines.js";
import { exitOf, findLeftover, signalTo, stopLeftover } from "../../nats-server/nats-server.js";
import type { Settings } from "../../settings/config.js";
import { asRefusal, dataPaths, lockHolder, Refusal, type DataPaths } from "./data-folder.js";
import type { NodeCommand } from "./node-process.js";

const POLL_MS = 20;
const START_TIMEOUT_MS = 300_000;
const STOP_TIMEOUT_MS = 90_000;

interface BackgroundOptions {
  readonly settings: Settings;
  readonly env: NodeJS.ProcessEnv;
  /** The supervisor to run: `ringdex up` in the foreground, with or without times. */
  readonly command: NodeCommand;
  readonly say: (line: string) => void;
  readonly report: (line: string) => void;
  /** Fires when the starter is told to give up. */
  readonly stopping: AbortSignal;
}

/** Starts a supervisor and resolves when it serves, having passed its lines on. Throws Refusal
 * with what it said if it ends first, or if it does not serve within five minutes. */
export async function startInBackground(options: BackgroundOptions): Promise<void> {
  const { settings, env, command, say, report, stopping } = options;
  const paths = dataPaths(settings.dataFolder);
  const log = await openLog(paths);
  const lines = new LogReader(paths.log, statSync(paths.log).size);
  const stdio = ["ignore", log, log] as const;
  const child = spawn(command.file, command.argumentList, {
    stdio: [...stdio],
    env,
    detached: true,
  });
  closeSync(log);
  let ending: string | undefined;
  void exitOf(child).then(
    ({ code, signal }) => (ending = `ended with ${signal ?? `code ${code}`}`),
    (error: Error) => (ending = error.message),
  );
  const deadline = performance.now() + START_TIMEOUT_MS;
  const failure: string[] = [];
  for (;;) {
    const hasEnded = ending !== undefined; // asked before reading: what it wrote last is read
    for (const timed of lines.read()) {
      const line = withoutTime(timed);
      if (line.startsWith("ready ")) {
        say(line);
        child.unref();
        return;
      }
      // From its "ringdex: …" on it says why it ends.
      if (failure.length > 0 || line.startsWith("ringdex: ")) failure.push(line);
      else report(line);
    }
    if (hasEnded) {
      throw new Refusal(failure.join("\n").replace(/^ringdex: /, "") || `it ${ending}`);
    }
    if (stopping.aborted || performance.now() > deadline) {
      child.kill("SIGTERM");
      throw new Refusal(`it does not serve yet; stopped it again. See ${paths.log}`);
    }
    await delay(POLL_MS);
  }
}

async function openLog({ root, log }: DataPaths): Promise<number> {
  try {
    await makeFolder(root);
    rotateIfLarger(log, LOG_FILE_BYTES_MAX, LOG_FILES_MAX);
    return openSync(log, "a");
  } catch (error) {
    throw asRefusal(root, error);
  }
}

/** Stops the supervisor of the folder and waits until it is gone; then a nats-server that a killed
 * supervisor left there. False if there was neither. */
export async function stopCluster(
  folder: string,
  report: (line: string) => void,
): Promise<boolean> {
  const paths = dataPaths(folder);
  const wasSupervised = await stopSupervisor(paths, report);
  const leftover = await findLeftover(paths.natsPid, paths.nats);
  if (leftover === undefined) return wasSupervised;
  report(`stopping a nats-server that was left behind (process ${leftover})`);
  await stopLeftover(leftover, paths.nats);
  return true;
}

async function stopSupervisor(paths: DataPaths, report: (line: string) => void): Promise<boolean> {
  const holder = await lockHolder(paths);
  if (holder === undefined) return false;
  report(`stopping process ${holder.pid}`);
  signalTo(holder.pid, "SIGTERM");
  const deadline = performance.now() + STOP_TIMEOUT_MS;
  while ((await lockHolder(paths))?.pid === holder.pid) {
    if (performance.now() > deadline) {
      throw new Error(`process ${holder.pid} does not end; see ${paths.log}, or kill it`);
    }
    await delay(POLL_MS);
  }
  return true;
}

/** Reads a growing file by whole lines, from a place on. */
class LogReader {
  readonly #decoder = new StringDecoder("utf8");
  #rest = "";

  constructor(
    private readonly file: string,
    private offset: number,
  ) {}

  /** The lines that were completed since the last call. */
  read(): string[] {
    const bytes = Buffer.alloc(Math.max(0, statSync(this.file).size - this.offset));
    const fd = openSync(this.file, "r");
    const count = readSync(fd, bytes, 0, bytes.length, this.offset);
    closeSync(fd);
    this.offset += count;
    const lines = (this.#rest + this.#decoder.write(bytes.subarray(0, count))).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines;
  }
}
