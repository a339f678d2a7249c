/**
 * Runs a nats-server as a child process: starts it, waits until it serves, stops it.
 *
 * It does not read its stdin, so it outlives a parent that is killed. Such a leftover is known by
 * its pid file: if that names a process that is a nats-server started with a file of our folder,
 * it is ours, and is stopped before the next one starts (two servers on one JetStream folder would
 * destroy it). A pid alone proves nothing, since pids are given out again.
 *
 * Ready means: it has written its ports file (only then is a random port known), accepts
 * connections, and says in its INFO that JetStream is on.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const POLL_MS = 10;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const LOG_TAIL_LINES = 5;

export interface StartOptions {
  readonly binary: string;
  readonly configFile: string;
  readonly pidFile: string;
  readonly logFile: string;
  /** Overrides the file's; -1 = any free port. */
  readonly port?: number;
  /** Overrides the file's. */
  readonly host?: string;
  /** JetStream's folder; overrides the file's. */
  readonly storeFolder?: string;
  /** In a process group of its own: Ctrl-C does not reach it. Default true. */
  readonly detached?: boolean;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface NatsServer {
  readonly pid: number;
  readonly port: number;
  readonly version: string;
  /** Bytes of the largest message it takes. */
  readonly maxPayload: number;
  /** Resolves when the process has ended, however. */
  readonly exited: Promise<Exit>;
  /** Ends it (SIGTERM), by force after 20 s, and resolves when it has ended. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
}

/** What a server tells each connection about itself. */
export interface ServerInfo {
  readonly version: string;
  readonly maxPayload: number;
  readonly jetstream: boolean;
}

/** Starts a server and resolves when it serves; rejects with the end of its log if it ends. */
export async function startNatsServer(options: StartOptions): Promise<NatsServer> {
  const portsFolder = join(dirname(options.pidFile), "ports");
  rmSync(portsFolder, { recursive: true, force: true });
  mkdirSync(portsFolder, { recursive: true });
  mkdirSync(dirname(options.logFile), { recursive: true });

  const argumentList = [
    "-c",
    options.configFile,
    "--pid",
    options.pidFile,
    "--log",
    options.logFile,
  ];
  argumentList.push("--ports_file_dir", portsFolder);
  if (options.host !== undefined) argumentList.push("-a", options.host);
  if (options.port !== undefined) argumentList.push("-p", String(options.port));
  if (options.storeFolder !== undefined) argumentList.push("-js", "-sd", options.storeFolder);
  // What it prints before its log is open goes to the same file: a pipe of ours would break, and
  // end it, when we are killed.
  const log = openSync(options.logFile, "a");
  const detached = options.detached ?? true;
  const child = spawn(options.binary, argumentList, { stdio: ["ignore", log, log], detached });
  closeSync(log);
  const exited = exitOf(child);
  const ended = new AbortController();
  void exited.then(
    () => ended.abort(),
    () => ended.abort(),
  );
  const signals = [ended.signal, AbortSignal.timeout(options.timeoutMs ?? START_TIMEOUT_MS)];
  if (options.signal !== undefined) signals.push(options.signal);
  const stop = (signal: NodeJS.Signals = "SIGTERM"): Promise<Exit> =>
    stopChild(child, exited, signal);
  try {
    const port = await portOf(portsFolder, child.pid ?? 0, AbortSignal.any(signals));
    const host = options.host === undefined || options.host === "0.0.0.0" ? "" : options.host;
    const info = await readServerInfo(host === "" ? "127.0.0.1" : host, port);
    if (!info.jetstream) throw new Error("its JetStream is not on");
    const { version, maxPayload } = info;
    return { pid: child.pid ?? 0, port, version, maxPayload, exited, stop };
  } catch (error) {
    const wasEnded = ended.signal.aborted;
    if (child.pid === undefined) await exited; // rejects with the reason it could not be spawned
    await stop("SIGKILL");
    const why = wasEnded ? "it ended" : messageOf(error);
    const tail = logTail(options.logFile);
    throw new Error(`nats-server did not start: ${why}\n${tail}`, { cause: error });
  }
}

/** Connects, reads the INFO line and leaves. */
export function readServerInfo(host: string, port: number, timeoutMs = 5_000): Promise<ServerInfo> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    let text = "";
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(timeoutMs, () => fail(new Error(`no INFO from ${host}:${port}`)));
    socket.once("error", fail);
    socket.once("end", () => fail(new Error(`${host}:${port} closed the connection`)));
    socket.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      const end = text.indexOf("\r\n");
      if (end < 0 && text.length < 65_536) return;
      socket.destroy();
      const line = text.slice(0, end);
      if (!line.startsWith("INFO ")) return fail(new Error(`${host}:${port} is no NATS server`));
      const info = JSON.parse(line.slice("INFO ".length)) as Record<string, unknown>;
      resolve({
        version: String(info["version"]),
        maxPayload: Number(info["max_payload"]),
        jetstream: info["jetstream"] === true,
      });
    });
  });
}

/** The pid of a running nats-server that was started with files in `folder`, if the pid file
 * names one. */
export async function findLeftover(pidFile: string, folder: string): Promise<number | undefined> {
  const pid = readPid(pidFile);
  if (pid === undefined) return undefined;
  return (await isNatsServerOf(pid, folder)) ? pid : undefined;
}

/** Ends the leftover by its id, by force after 20 s, and resolves when it is gone. */
export async function stopLeftover(pid: number, folder: string): Promise<void> {
  const deadline = performance.now() + STOP_TIMEOUT_MS;
  signalTo(pid, "SIGTERM");
  while (await isNatsServerOf(pid, folder)) {
    if (performance.now() > deadline) signalTo(pid, "SIGKILL");
    await delay(POLL_MS);
  }
}

/** A process's command line, "" if there is no such process (or it is dead and not yet reaped). */
export async function commandLine(pid: number): Promise<string> {
  if (process.platform === "linux") {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    } catch {
      return ""; // no such process
    }
  }
  try {
    const { stdout } = await promisify(execFile)("ps", ["-o", "command=", "-p", String(pid)]);
    return /<defunct>\s*$/.test(stdout) ? "" : stdout.trim();
  } catch {
    return ""; // ps answers 1 for a process that is not there
  }
}

/** The number in a pid file; undefined if there is no file or no number. */
export function readPid(pidFile: string): number | undefined {
  try {
    const pid = Number(readFileSync(pidFile, "utf8").trim());
    return Number.isInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined; // no file: nothing was started, or it was stopped in order
  }
}

/** Sends a signal; a process that is gone already is none to complain about. */
export function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** How a child ended. Rejects if it could not be started at all. */
export function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
}

/** Ends a child, by force after `timeoutMs`. */
export async function stopChild(
  child: ChildProcess,
  exited: Promise<Exit>,
  signal: NodeJS.Signals,
  timeoutMs = STOP_TIMEOUT_MS,
): Promise<Exit> {
  child.kill(signal);
  const force = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  try {
    return await exited;
  } finally {
    clearTimeout(force);
  }
}

async function isNatsServerOf(pid: number, folder: string): Promise<boolean> {
  const line = await commandLine(pid);
  const [program = ""] = line.split(" -");
  return basename(program).startsWith("nats-server") && line.includes(folder);
}

async function portOf(folder: string, pid: number, signal: AbortSignal): Promise<number> {
  for (;;) {
    signal.throwIfAborted();
    const file = readdirSync(folder).find((name) => name.endsWith(`_${pid}.ports`));
    const text = file === undefined ? "" : readFileSync(join(folder, file), "utf8");
    const port = /(?:nats|tls):\/\/[^"]*:(\d+)"/.exec(text)?.[1];
    if (port !== undefined) return Number(port);
    await delay(POLL_MS);
  }
}

function logTail(logFile: string): string {
  try {
    const lines = readFileSync(logFile, "utf8").trimEnd().split("\n");
    return lines.slice(-LOG_TAIL_LINES).join("\n");
  } catch {
    return `(no log at ${logFile})`;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
