/**
 * Trace: which system calls strace is to write down, and what they did to a disk.
 *
 * strace is used because nats-server is a static Go program: nothing can be put between it and the
 * system by LD_PRELOAD. It follows all processes that the traced one starts, and writes each string
 * in full, so that a trace says not only how long a file was at its last sync but also what a file
 * held that was replaced or removed later. It slows the traced programs down by about ten times.
 */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readSync } from "node:fs";
import { isAbsolute, relative, resolve } from "node:path";
import type { DiskChange } from "./disk.js";
import { CallReader, decodeText, type SystemCall } from "./system-call.js";

/** Longer than any message or batch of ours. */
const STRING_BYTES_MAX = 64 * 1_024 * 1_024;
const CHUNK_BYTES = 1_024 * 1_024;

/** Calls whose first argument is the descriptor of what they change. */
const byDescriptor = [
  ["write", "pwrite64", "writev", "pwritev", "pwritev2", "lseek", "ftruncate", "fallocate"],
  ["fsync", "fdatasync", "sync_file_range", "syncfs"],
].flat();
/** Calls that name it; those with `at` name the folder before. */
const byPath = [
  ["open", "openat", "creat", "truncate", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat"],
  ["link", "linkat", "rename", "renameat", "renameat2"],
].flat();

/** What goes before a program and its arguments to have it traced, with all that it starts. */
export function straceCommand(traceFile: string): string[] {
  // -D: the tracer is nobody's parent, so that the program is a child of whoever started it.
  const how = ["-D", "-f", "--seccomp-bpf", "-A", "-q", "-y", "-ttt", "-T"];
  const what = ["-e", `trace=${[...byDescriptor, ...byPath].join(",")}`, "-e", "signal=none"];
  return ["strace", ...how, "-s", String(STRING_BYTES_MAX), ...what, "-o", traceFile];
}

const howToGet = "get it from your system's packages, such as apt-get install strace";

/** Why nothing can be traced here; undefined = it can. */
export function traceProblem(): string | undefined {
  if (process.platform !== "linux") return "system calls are traced by strace, on Linux only";
  const command = [...straceCommand("/dev/null"), "true"].filter((one) => one !== "-D");
  const { error, status, stderr } = spawnSync(command[0] ?? "", command.slice(1), {
    encoding: "utf8",
  });
  if (error !== undefined) return `strace cannot be started (${error.message}); ${howToGet}`;
  if (status === 0) return undefined;
  return `strace may not trace here: ${stderr.trim().split("\n").at(-1) ?? `code ${status}`}`;
}

export interface TracedChange {
  readonly change: DiskChange;
  /** Number of the line on which it was done; grows. */
  readonly at: number;
  /** Wall clock, in seconds. */
  readonly atSeconds: number;
}

/**
 * What was done to the disk that is mounted at `root`, in order; with `underWay` also what may have
 * been done by calls that were under way when their processes were killed.
 */
export function* changesOf(
  traceFile: string,
  root: string,
  underWay = false,
): Generator<TracedChange> {
  const folder = resolve(root);
  const reader = new CallReader();
  const isWanted = (text: string): boolean => text.includes(folder);
  for (const line of linesOf(traceFile)) {
    const call = reader.read(line, isWanted);
    if (call === undefined || call.result < 0) continue;
    const change = changeOf(call, folder);
    if (change !== undefined)
      yield { change, at: call.endedAtLine, atSeconds: call.endedAtSeconds };
  }
  for (const call of underWay ? reader.underWay : []) {
    const change = changeOf(call, folder);
    if (change === undefined || change.kind === "sync" || change.kind === "seek") continue;
    yield { change, at: Infinity, atSeconds: Infinity };
  }
}

/** Undefined if it changes nothing on the disk. */
export function changeOf(call: SystemCall, root: string): DiskChange | undefined {
  const { name, result, beganAtLine } = call;
  const named = byDescriptor.includes(name) ? describedPath(call) : namedPaths(call);
  const [path, to] = named.map((one) => within(root, one));
  if (path === undefined) return undefined;
  const first = call.arguments[0];
  const fd = first?.kind === "descriptor" ? first.fd : -1;
  switch (name) {
    case "open":
    case "openat":
    case "creat":
      return opened(call, path, name === "creat" ? "O_CREAT|O_TRUNC" : flagsOf(call));
    case "write":
    case "writev":
      return { kind: "write", path, fd, offset: undefined, data: dataOf(call) };
    case "pwrite64":
      return { kind: "write", path, fd, offset: numberAt(call, -1), data: dataOf(call) };
    case "lseek":
      return { kind: "seek", path, fd, offset: result };
    case "truncate":
    case "ftruncate":
      return { kind: "resize", path, length: numberAt(call, -1) };
    case "fsync":
    case "fdatasync":
      return { kind: "sync", path, beganAt: beganAtLine };
    case "mkdir":
    case "mkdirat":
      return { kind: "folder", path };
    case "rmdir":
    case "unlink":
    case "unlinkat":
      return { kind: "remove", path };
    case "rename":
    case "renameat":
    case "renameat2":
      return to === undefined ? undefined : { kind: "rename", path, to };
    case "link":
    case "linkat":
      return to === undefined ? undefined : { kind: "link", path, to };
    case "fallocate":
      // Room on the disk, which is no length.
      if (wordsOf(call).some((word) => word.includes("FALLOC_FL_KEEP_SIZE"))) return undefined;
      throw new Error(`fallocate changes ${path}: this trace cannot be followed`);
    case "sync_file_range":
      return undefined; // promises nothing
    default:
      throw new Error(`${name} changes ${path}: this trace cannot be followed`);
  }
}

function opened(call: SystemCall, path: string, flags: string): DiskChange {
  return {
    kind: "open",
    path,
    fd: call.result,
    creates: flags.includes("O_CREAT"),
    truncates: flags.includes("O_TRUNC"),
    appends: flags.includes("O_APPEND"),
    syncs: /\bO_D?SYNC\b/.test(flags),
  };
}

/** None for a file that was removed, whose name may by now be another one's. */
function describedPath({ arguments: [first, second] }: SystemCall): string[] {
  if (first?.kind !== "descriptor") return [];
  const isRemoved = second?.kind === "word" && second.word === "(deleted)";
  return isRemoved ? [] : [first.path];
}

function namedPaths({ arguments: given }: SystemCall): string[] {
  return given.flatMap((one, index) => {
    if (one.kind !== "text") return [];
    const before = given[index - 1];
    const folder = before?.kind === "descriptor" ? before.path : ".";
    return [resolve(folder, decodeText(one.escaped).toString("utf8"))];
  });
}

/** Undefined if the path is not below the root; "" is the root itself. */
function within(root: string, path: string): string | undefined {
  if (!isAbsolute(path)) return undefined; // a socket, a pipe
  const below = relative(root, path);
  return below === ".." || below.startsWith("../") ? undefined : below;
}

function flagsOf(call: SystemCall): string {
  return wordsOf(call).find((word) => word.startsWith("O_")) ?? "";
}

function wordsOf({ arguments: given }: SystemCall): string[] {
  return given.flatMap((one) => (one.kind === "word" ? [one.word] : []));
}

/** As many bytes as were taken: a write may do less than it was asked for. All if under way. */
function dataOf({ arguments: given, result }: SystemCall): Buffer {
  const texts = given.flatMap((one) => (one.kind === "text" ? [decodeText(one.escaped)] : []));
  const data = Buffer.concat(texts);
  return Number.isNaN(result) ? data : data.subarray(0, result);
}

function numberAt({ arguments: given }: SystemCall, index: number): number {
  const argument = given.at(index);
  return argument?.kind === "word" ? Number(argument.word) : Number.NaN;
}

/** Bytes as characters of the same number: a trace is longer than one string may be. */
function* linesOf(file: string): Generator<string> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const fd = openSync(file, "r");
  try {
    let rest = "";
    for (;;) {
      const count = readSync(fd, chunk, 0, chunk.length, null);
      if (count === 0) break;
      const lines = (rest + chunk.toString("latin1", 0, count)).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } finally {
    closeSync(fd);
  }
}
