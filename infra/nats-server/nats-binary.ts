/**
 * Finds a nats-server that is new enough, and gets one if there is none.
 *
 * In this order: the one that RINGDEX_NATS_SERVER names, the one on PATH, the one built before,
 * one built now with Go, one downloaded from the official release and checked against its
 * checksums. The cache folder belongs to the project (`.cache/bin`) or, where Ringdex is installed
 * as a package and its folder is not ours to write to, to the user (`~/.cache/ringdex/bin`).
 *
 * A binary comes into the cache by one rename, so two processes that build at once do not see
 * each other's half-written file.
 */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join, sep } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { packageFolder } from "../files/package-version.js";

/** Older servers lose data (nats-server #6888, #7594). */
export const NATS_SERVER_VERSION_MIN = "2.12.3";
/** What is built or downloaded where there is none. */
export const NATS_SERVER_VERSION_PINNED = "2.14.5";

const RELEASE_URL = "https://github.com/nats-io/nats-server/releases/download";
const DOWNLOAD_TIMEOUT_MS = 300_000;

export interface FindOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Where `.cache` is; default: the folder of Ringdex's own package.json. */
  readonly projectFolder?: string;
  /** One short line at a time, while something takes long. */
  readonly onProgress?: (line: string) => void;
  /** Where releases lie: `<url>/v<version>/<asset>`. */
  readonly releaseUrl?: string;
}

/**
 * The path of a nats-server of version NATS_SERVER_VERSION_MIN or newer. Takes seconds to minutes
 * the first time where it must be built; then milliseconds. Throws an Error that says what to do.
 */
export async function findNatsServer(options: FindOptions = {}): Promise<string> {
  const env = options.env ?? process.env;
  const onProgress = options.onProgress ?? (() => undefined);
  const named = env["RINGDEX_NATS_SERVER"];
  if (named !== undefined && named !== "") {
    const problem = await problemOf(named);
    if (problem === undefined) return named;
    throw new Error(`RINGDEX_NATS_SERVER: ${problem}`);
  }
  const reasons: string[] = [];
  const onPath = whichOnPath("nats-server", env);
  if (onPath === undefined) reasons.push("there is no nats-server on PATH");
  else {
    const problem = await problemOf(onPath);
    if (problem === undefined) return onPath;
    reasons.push(problem);
  }
  const folder = cacheFolder(env, options.projectFolder);
  const cached = join(folder, executable("nats-server"));
  if (existsSync(cached) && (await problemOf(cached)) === undefined) return cached;

  await mkdir(folder, { recursive: true });
  const scratch = await mkdtemp(join(folder, "new-"));
  try {
    for (const get of [build, download]) {
      try {
        const made = await get({ scratch, env, onProgress, releaseUrl: options.releaseUrl });
        const problem = await problemOf(made);
        if (problem !== undefined) throw new Error(problem);
        await rename(made, cached);
        onProgress(`nats-server v${NATS_SERVER_VERSION_PINNED} is in ${cached}`);
        return cached;
      } catch (error) {
        reasons.push(messageOf(error));
        onProgress(messageOf(error));
      }
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  throw new Error(
    `Ringdex needs nats-server ${NATS_SERVER_VERSION_MIN} or newer, and found none:\n` +
      reasons.map((reason) => `  - ${reason}\n`).join("") +
      `Do one of these:\n` +
      `  - install nats-server v${NATS_SERVER_VERSION_PINNED} and put it on PATH\n` +
      `  - install Go and run this again (it is then built)\n` +
      `  - set RINGDEX_NATS_SERVER to the path of a nats-server\n` +
      `  - set RINGDEX_NATS_URL to the address of a running one`,
  );
}

/** "2.14.5" of the binary at `path`; throws if it does not run or says no version. */
export async function natsServerVersion(path: string): Promise<string> {
  const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: 10_000 });
  const version = /v?(\d+\.\d+\.\d+(?:-[\w.]+)?)/.exec(stdout)?.[1];
  if (version === undefined) throw new Error(`${path} --version says ${JSON.stringify(stdout)}`);
  return version;
}

/** < 0, 0, > 0 as `a` is older than, as old as, newer than `b`. A pre-release ("2.12.3-RC.1") is
 * older than its release. */
export function compareVersions(a: string, b: string): number {
  const [numbersA = "", preA] = a.split(/-(.*)/s);
  const [numbersB = "", preB] = b.split(/-(.*)/s);
  const partsA = numbersA.split(".").map(Number);
  const partsB = numbersB.split(".").map(Number);
  for (let index = 0; index < Math.max(partsA.length, partsB.length); index += 1) {
    const difference = (partsA[index] ?? 0) - (partsB[index] ?? 0);
    if (difference !== 0) return difference;
  }
  if (preA === preB) return 0;
  if (preA === undefined) return 1;
  if (preB === undefined) return -1;
  return preA < preB ? -1 : 1;
}

/** Where a nats-server that we got is kept. */
export function cacheFolder(env: NodeJS.ProcessEnv, projectFolder = packageFolder()): string {
  const isInstalled = projectFolder.split(sep).includes("node_modules");
  if (!isInstalled) return join(projectFolder, ".cache", "bin");
  const cache = env["XDG_CACHE_HOME"];
  const home = cache !== undefined && cache !== "" ? cache : join(homedir(), ".cache");
  return join(home, "ringdex", "bin");
}

/** Why the binary at `path` will not do; undefined if it will. */
async function problemOf(path: string): Promise<string | undefined> {
  let version: string;
  try {
    version = await natsServerVersion(path);
  } catch (error) {
    return `${path} is no nats-server that runs here (${messageOf(error)})`;
  }
  if (compareVersions(version, NATS_SERVER_VERSION_MIN) >= 0) return undefined;
  return (
    `${path} is version ${version}; versions before ${NATS_SERVER_VERSION_MIN} lose data. ` +
    `Install ${NATS_SERVER_VERSION_PINNED}`
  );
}

interface GetOptions {
  readonly scratch: string;
  readonly env: NodeJS.ProcessEnv;
  readonly onProgress: (line: string) => void;
  readonly releaseUrl: string | undefined;
}

async function build({ scratch, env, onProgress }: GetOptions): Promise<string> {
  const go = whichOnPath("go", env);
  if (go === undefined) throw new Error("there is no Go on PATH to build nats-server with");
  const target = `github.com/nats-io/nats-server/v2@v${NATS_SERVER_VERSION_PINNED}`;
  onProgress(`building nats-server v${NATS_SERVER_VERSION_PINNED} with Go (about half a minute)`);
  const child = spawn(go, ["install", target], {
    env: { ...env, GOBIN: scratch },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let lineLast = "";
  createInterface({ input: child.stderr }).on("line", (line) => {
    lineLast = line;
    onProgress(line);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0) throw new Error(`go install ${target} failed (${code}): ${lineLast}`);
  return join(scratch, executable("nats-server"));
}

async function download({ scratch, onProgress, releaseUrl }: GetOptions): Promise<string> {
  const version = `v${NATS_SERVER_VERSION_PINNED}`;
  const os = process.platform === "win32" ? "windows" : process.platform;
  const cpu = process.arch === "x64" ? "amd64" : process.arch;
  const suffix = os === "windows" ? "zip" : "tar.gz";
  const name = `nats-server-${version}-${os}-${cpu}`;
  const asset = `${name}.${suffix}`;
  const base = `${releaseUrl ?? RELEASE_URL}/${version}`;
  onProgress(`downloading ${base}/${asset}`);
  const sums = (await fetchBytes(`${base}/SHA256SUMS`)).toString("utf8");
  const row = sums.split("\n").find((line) => line.trim().split(/\s+\*?/)[1] === asset);
  const sumExpected = row?.trim().split(/\s+/)[0]?.toLowerCase();
  if (sumExpected === undefined) throw new Error(`${base}/SHA256SUMS does not name ${asset}`);
  const bytes = await fetchBytes(`${base}/${asset}`);
  const sum = createHash("sha256").update(bytes).digest("hex");
  if (sum !== sumExpected) {
    throw new Error(`${base}/${asset} has SHA-256 ${sum}, but SHA256SUMS says ${sumExpected}`);
  }
  const archive = join(scratch, asset);
  await writeFile(archive, bytes);
  // Both formats are read by the tar that Windows has; elsewhere the asset is a tar.
  await promisify(execFile)("tar", ["-xf", archive, "-C", scratch]);
  const binary = join(scratch, name, executable("nats-server"));
  await stat(binary);
  await chmod(binary, 0o755);
  return binary;
}

async function fetchBytes(url: string): Promise<Buffer> {
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS) });
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    throw new Error(`${url}: ${messageOf(cause ?? error)}`, { cause: error });
  }
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

function whichOnPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  const folders = (env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, executable(name))).find((path) => existsSync(path));
}

function executable(name: string): string {
  return process.platform === "win32" ? `${name}.exe` : name;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error);
}
