/**
 * The data folder of `ringdex up`: who uses it, and what it was made with.
 *
 *   ringdex.json      format, store, nodes, replicas, positions, created: written once
 *   lock              pid and command line of the supervisor that uses it, where its nats-server
 *                     listens and what the store is called; so commands find it
 *   ringdex.log       what a supervisor in the background has to say
 *   nats/             nats.conf (written at each start), jetstream/, nats-server.pid, .log
 *   nodes/<name>/     one folder a node, which the node alone writes
 *
 * The holder of the lock is alive if a process of that pid has that command line; so a lock left
 * by a killed supervisor does not stop the next one, even if its pid was given out again.
 */
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { readFileSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { POSITION_COUNT } from "../../../protocol/limits.js";
import { writeDurably } from "../../files/durable-file.js";
import { makeFolder, unwritable } from "../../files/make-folder.js";
import { commandLine } from "../../nats-server/nats-server.js";
import type { Settings } from "../../settings/config.js";

const DATA_FORMAT = 1;

/** Why `up` or `down` does not do it, and what to do. Not a bug and not a failure. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}

export interface DataPaths {
  readonly root: string;
  readonly description: string;
  readonly lock: string;
  readonly log: string;
  readonly nats: string;
  readonly natsConf: string;
  readonly natsPid: string;
  readonly natsLog: string;
  readonly jetstream: string;
  node(name: string): string;
}

export function dataPaths(folder: string): DataPaths {
  const root = resolve(folder);
  const nats = join(root, "nats");
  return {
    root,
    description: join(root, "ringdex.json"),
    lock: join(root, "lock"),
    log: join(root, "ringdex.log"),
    nats,
    natsConf: join(nats, "nats.conf"),
    natsPid: join(nats, "nats-server.pid"),
    natsLog: join(nats, "nats-server.log"),
    jetstream: join(nats, "jetstream"),
    node: (name) => join(root, "nodes", name),
  };
}

/** What the data were made with. */
export interface DataDescription {
  readonly format: number;
  readonly store: string;
  readonly nodes: number;
  readonly replicas: number;
  readonly positions: number;
  readonly created: string;
}

/**
 * What the folder was made with, or is to be made with if it is new: that becomes so only with
 * keepDescription(). Refuses if something else was asked for; what was not asked for is taken from
 * the folder. Call it under the lock.
 */
export async function describeData(paths: DataPaths, settings: Settings): Promise<DataDescription> {
  const found = await readDescription(paths);
  if (found === undefined) {
    const { store, nodeCount: nodes } = settings;
    const replicas = replicasThatFit(settings);
    const created = new Date().toISOString();
    return { format: DATA_FORMAT, store, nodes, replicas, positions: POSITION_COUNT, created };
  }
  refuseOther(paths, "RINGDEX_STORE", found.store, settings.store, settings.asked.has("store"));
  const { nodeCount, replicaCount, asked } = settings;
  refuseOther(paths, "RINGDEX_NODES", found.nodes, nodeCount, asked.has("nodeCount"));
  refuseOther(paths, "RINGDEX_REPLICAS", found.replicas, replicaCount, asked.has("replicaCount"));
  return found;
}

/**
 * Writes it down for all later starts, unless it is there. To be called when nothing stands in the
 * way of making the ring, and before it may be made: a start that was refused binds nobody.
 */
export async function keepDescription(paths: DataPaths, made: DataDescription): Promise<void> {
  if ((await readIfThere(paths.description)) !== "") return;
  await writeDurably(paths.description, JSON.stringify(made, null, 2) + "\n");
}

/** A node holds one copy of a shard at most: the default gives way to that, a wish is refused. */
function replicasThatFit({ replicaCount, nodeCount, asked }: Settings): number {
  if (replicaCount <= nodeCount) return replicaCount;
  if (!asked.has("replicaCount")) return nodeCount;
  throw new Refusal(
    `RINGDEX_REPLICAS is ${replicaCount}, but RINGDEX_NODES is ${nodeCount}, and a node holds ` +
      `one copy of a shard at most; ask for fewer replicas or set RINGDEX_NODES higher`,
  );
}

async function readDescription(paths: DataPaths): Promise<DataDescription | undefined> {
  let text: string;
  try {
    text = await readFile(paths.description, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  let found: Partial<DataDescription>;
  try {
    found = JSON.parse(text) as Partial<DataDescription>;
  } catch (error) {
    throw new Refusal(
      `${paths.description} is not JSON; restore it, or set RINGDEX_DATA to another folder`,
      { cause: error },
    );
  }
  if (found.format !== DATA_FORMAT) {
    throw new Refusal(
      `${paths.root} has data of format ${found.format}, and this version reads format ` +
        `${DATA_FORMAT}; start the version that made it, or set RINGDEX_DATA to another folder`,
    );
  }
  if (found.positions !== POSITION_COUNT) {
    throw new Refusal(
      `${paths.root} has a ring of ${found.positions} positions, and this version has ` +
        `${POSITION_COUNT}; set RINGDEX_DATA to another folder`,
    );
  }
  return found as DataDescription;
}

function refuseOther(
  paths: DataPaths,
  variable: string,
  has: string | number,
  wanted: string | number,
  isAsked: boolean,
): void {
  if (!isAsked || has === wanted) return;
  throw new Refusal(
    `${variable} is ${wanted}, but ${paths.root} was made with ${has}; ` +
      `set ${variable}=${has}, or RINGDEX_DATA to another folder`,
  );
}

/** Where a cluster is to be found. */
export interface Address {
  readonly url: string;
  readonly store: string;
}

/** Who holds the lock, and from when its nats-server serves on, its address. */
export interface Holder extends Partial<Address> {
  readonly pid: number;
  readonly command: string;
}

export interface Lock {
  /** Writes the address into the lock, for commands that look for it. */
  tell(address: Address): Promise<void>;
  /** Gives the lock back. Throws nothing. */
  release(): void;
}

/** The live holder of the folder's lock, if there is one. */
export async function lockHolder(paths: DataPaths): Promise<Holder | undefined> {
  const holder = parseHolder(await readIfThere(paths.lock));
  return holder !== undefined && (await isAlive(holder)) ? holder : undefined;
}

/** The address of the live cluster of the folder, if there is one and its nats-server serves. */
export async function liveAddress(paths: DataPaths): Promise<Address | undefined> {
  const { url, store } = (await lockHolder(paths)) ?? {};
  return url === undefined || store === undefined ? undefined : { url, store };
}

/** Takes the lock, or refuses: the folder is in use, or nothing can be written in it. */
export async function takeLock(paths: DataPaths): Promise<Lock> {
  try {
    await makeFolder(paths.root);
    return await takeLockIn(paths);
  } catch (error) {
    throw asRefusal(paths.root, error);
  }
}

/** A Refusal if nothing can be written in the folder, else the error itself. */
export function asRefusal(folder: string, error: unknown): unknown {
  if (error instanceof Refusal) return error;
  const text = unwritable(folder, error);
  return text === undefined ? error : new Refusal(text, { cause: error });
}

async function takeLockIn(paths: DataPaths): Promise<Lock> {
  const holder: Holder = { pid: process.pid, command: await commandLine(process.pid) };
  const draft = `${paths.lock}.${process.pid}`;
  // Written first and linked then: a lock that is there is whole.
  await writeFile(draft, JSON.stringify(holder) + "\n");
  try {
    await linkLock(draft, paths);
  } finally {
    await rm(draft, { force: true });
  }
  return {
    tell: async (address) => {
      await writeFile(draft, JSON.stringify({ ...holder, ...address }) + "\n");
      await rename(draft, paths.lock);
    },
    release: () => releaseLock(paths, holder),
  };
}

/** Resolves when the draft has become the lock. */
async function linkLock(draft: string, paths: DataPaths): Promise<void> {
  for (;;) {
    try {
      await link(draft, paths.lock);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const text = await readIfThere(paths.lock);
    const holder = parseHolder(text);
    if (holder !== undefined && (await isAlive(holder))) {
      const { pid, command, url } = holder;
      throw new Refusal(
        `${paths.root} is in use by process ${pid} (${command})` +
          `${url === undefined ? "" : `, which serves at ${url}`}; ` +
          `stop it with "ringdex down", or set RINGDEX_DATA to another folder`,
      );
    }
    removeStale(paths, text);
  }
}

/**
 * Another starter may have replaced the stale lock since we read it, so it is looked at once more
 * in the same breath; and if somebody comes in between all the same, it is put back.
 */
function removeStale(paths: DataPaths, stale: string): void {
  const aside = `${paths.lock}.stale.${process.pid}`;
  try {
    if (readFileSync(paths.lock, "utf8") !== stale) return;
    renameSync(paths.lock, aside);
    if (readFileSync(aside, "utf8") === stale) rmSync(aside);
    else renameSync(aside, paths.lock);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function releaseLock(paths: DataPaths, { pid }: Holder): void {
  try {
    if (parseHolder(readFileSync(paths.lock, "utf8"))?.pid === pid) rmSync(paths.lock);
  } catch {
    // The folder was removed under us: then there is no lock to give back.
  }
}

async function isAlive(holder: Holder): Promise<boolean> {
  return (await commandLine(holder.pid)) === holder.command;
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, command, url, store } = JSON.parse(text) as Partial<Holder>;
    if (typeof pid !== "number" || typeof command !== "string") return undefined;
    if (typeof url !== "string" || typeof store !== "string") return { pid, command };
    return { pid, command, url, store };
  } catch {
    // Not ours, or half written by a machine that went down: nobody holds it.
  }
  return undefined;
}

async function readIfThere(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
