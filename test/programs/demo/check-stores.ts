/**
 * Check of all stores of a cluster that has been stopped: each by itself (check-store.ts), the
 * copies of a shard against each other, and all of them against the ring and the records that are
 * to be there.
 *
 * It opens copies. Opening a RocksDB replays its write-ahead log, and where that is damaged cuts it
 * off without a word: the store then is whole, but has applied less than its twin. So data files,
 * which never change, are linked, and all else is copied.
 */
import { constants } from "node:fs";
import { copyFile, link, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  dataPaths,
  lockHolder,
  type DataDescription,
} from "../../../infra/main/server/data-folder.js";
import { storesFolder, storesInUse } from "../../../infra/main/store-folders.js";
import { openRocksStore } from "../../../infra/rocksdb/rocks-store.js";
import { StoreError } from "../../../infra/store-error.js";
import { checkStore, type ExpectedRecords, type StoreFacts } from "./check-store.js";
import { Problems } from "./problems.js";

export interface CheckedStore {
  readonly node: string;
  readonly shard: string;
  /** Undefined if it could not be read. */
  readonly facts: StoreFacts | undefined;
}

export interface StoresReport {
  readonly stores: readonly CheckedStore[];
  readonly problems: Problems;
  /** Of all stores together. */
  readonly recordCount: number;
  readonly indexRowCount: number;
}

interface StoreFolder {
  readonly node: string;
  readonly shard: string;
  readonly path: string;
}

/**
 * `dataFolder` is that of `ringdex up`. Throws if it is in use or holds no stores; whatever is
 * wrong with the stores is told in the report. `onChecked` is told of each store, when it has been
 * read, how many records it has.
 */
export async function checkStores(
  dataFolder: string,
  expected?: ExpectedRecords,
  onChecked: (recordCount: number) => void = () => undefined,
): Promise<StoresReport> {
  const paths = dataPaths(dataFolder);
  const holder = await lockHolder(paths);
  if (holder !== undefined) {
    throw new Error(`${paths.root} is in use by process ${holder.pid}: stop the cluster first`);
  }
  const description = JSON.parse(await readFile(paths.description, "utf8")) as DataDescription;
  const problems = new Problems();
  const stores: CheckedStore[] = [];
  for (const folder of await storeFolders(join(paths.root, "nodes"))) {
    const facts = await checkCopy(folder, paths.root, problems, expected);
    stores.push({ ...folder, facts });
    onChecked(facts?.records.size ?? 0);
  }
  if (stores.length === 0) throw new Error(`${paths.root} holds no stores`);
  compareCopies(stores, description.replicas, problems);
  checkRing(stores, description.positions, problems);
  const sum = (count: (facts: StoreFacts) => number): number =>
    stores.reduce((total, { facts }) => total + (facts === undefined ? 0 : count(facts)), 0);
  return {
    stores,
    problems,
    recordCount: sum(({ records }) => records.size),
    indexRowCount: sum(({ indexRowCount }) => indexRowCount),
  };
}

/** The stores in use, in the order of their names: none that was set aside or is being filled. */
async function storeFolders(nodesFolder: string): Promise<StoreFolder[]> {
  const found: StoreFolder[] = [];
  for (const node of (await readdir(nodesFolder)).toSorted()) {
    const folder = join(nodesFolder, node);
    for (const name of await storesInUse(folder)) {
      const shard = name.slice(0, name.lastIndexOf("-"));
      found.push({ node, shard, path: join(storesFolder(folder), name) });
    }
  }
  return found;
}

async function checkCopy(
  { node, shard, path }: StoreFolder,
  root: string,
  problems: Problems,
  expected: ExpectedRecords | undefined,
): Promise<StoreFacts | undefined> {
  const copy = await mkdtemp(join(root, "check-"));
  const ofStore = new Problems();
  try {
    await copyStore(path, copy);
    const store = await openRocksStore(copy);
    try {
      return await checkStore(store, ofStore, expected);
    } finally {
      await store.close();
    }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    ofStore.add(error.message.replaceAll(copy, path));
    return undefined;
  } finally {
    await rm(copy, { recursive: true, force: true });
    for (const line of ofStore.lines()) problems.add(`${shard} on ${node}: ${line}`);
  }
}

async function copyStore(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const name of await readdir(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    if (name.endsWith(".sst")) await link(source, target);
    else await copyFile(source, target, constants.COPYFILE_FICLONE);
  }
}

/** Copies of a shard that have applied equally much are equal. */
function compareCopies(
  stores: readonly CheckedStore[],
  replicaCount: number,
  problems: Problems,
): void {
  for (const shard of new Set(stores.map((store) => store.shard))) {
    const copies = stores.filter((store) => store.shard === shard);
    if (copies.length !== replicaCount) {
      problems.add(`${shard} has ${copies.length} stores, not ${replicaCount}`);
    }
    const [first, ...others] = copies.filter(({ facts }) => facts !== undefined);
    for (const other of others) if (first !== undefined) comparePair(first, other, problems);
  }
}

function comparePair(one: CheckedStore, other: CheckedStore, problems: Problems): void {
  const { shard } = one;
  if (one.facts === undefined || other.facts === undefined) return;
  const [oneApplied, otherApplied] = [one.facts.applied, other.facts.applied];
  const names = `${shard} on ${one.node} and ${other.node}`;
  // Not by their folders: a store that goes on in another log keeps its name.
  if (oneApplied.logId !== otherApplied.logId) {
    return problems.add(`${names}: of logs ${oneApplied.logId} and ${otherApplied.logId}`);
  }
  if (oneApplied.sequence !== otherApplied.sequence) {
    const { sequence } = otherApplied;
    return problems.add(`${names}: have applied ${oneApplied.sequence} and ${sequence} entries`);
  }
  if (oneApplied.chain !== otherApplied.chain || oneApplied.logTime !== otherApplied.logTime) {
    problems.add(`${names}: have applied different entries`);
  }
  for (const [key, hash] of one.facts.records) {
    const otherHash = other.facts.records.get(key);
    const record = `record ${JSON.stringify(key)}`;
    if (otherHash === undefined) problems.add(`${names}: only the first has ${record}`);
    else if (otherHash !== hash) problems.add(`${names}: ${record} differs`);
  }
  for (const key of other.facts.records.keys()) {
    if (one.facts.records.has(key)) continue;
    problems.add(`${names}: only the second has record ${JSON.stringify(key)}`);
  }
}

/** Each position is owned by one shard. */
function checkRing(
  stores: readonly CheckedStore[],
  positionCount: number,
  problems: Problems,
): void {
  const owners = Array.from({ length: positionCount }, () => new Set<string>());
  for (const { shard, facts } of stores) {
    for (const position of facts?.owned ?? []) owners[position]?.add(shard);
  }
  for (const [position, shards] of owners.entries()) {
    if (shards.size === 1) continue;
    const by = shards.size === 0 ? "no shard" : [...shards].join(" and ");
    problems.add(`position ${position} is owned by ${by}`);
  }
}
