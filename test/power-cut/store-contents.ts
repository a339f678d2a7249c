/**
 * What the stores of a cluster that has been stopped hold, read from copies: opening a store
 * changes it.
 */
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { openRocksStore } from "../../infra/rocksdb/rocks-store.js";
import { decodeValue } from "../../protocol/value/content.js";
import { appliedRow, checkStore } from "../support/store-check.js";
import type { LookUp } from "./witness.js";

export interface StoreContents {
  readonly node: string;
  readonly shard: string;
  readonly logId: string;
  /** How far its log is applied here; 0 = not at all. */
  readonly sequence: number;
  readonly records: ReadonlyMap<string, { readonly value: unknown; readonly revision: number }>;
}

/** Without those that were set aside. Rejects if an index is not what the records make it. */
export async function storeContents(dataFolder: string): Promise<StoreContents[]> {
  const found: StoreContents[] = [];
  const nodes = join(dataFolder, "nodes");
  for (const node of (await readdir(nodes)).toSorted()) {
    const stores = join(nodes, node, "stores");
    const names = await readdir(stores).catch((): string[] => []); // none: it lost them
    for (const name of names.toSorted()) {
      const [, shard, logId] = /^([^-]+)-([0-9a-f]{16})$/.exec(name) ?? [];
      if (shard === undefined || logId === undefined) continue;
      found.push({ node, shard, logId, ...(await contentsOf(join(stores, name), dataFolder)) });
    }
  }
  return found;
}

async function contentsOf(
  folder: string,
  dataFolder: string,
): Promise<Pick<StoreContents, "sequence" | "records">> {
  const copy = await mkdtemp(join(dataFolder, "copy-"));
  try {
    await cp(folder, copy, { recursive: true });
    const store = await openRocksStore(copy);
    try {
      const records = new Map<string, { value: unknown; revision: number }>();
      for (const [key, record] of await checkStore(store)) {
        const value = decodeValue(record.value, record.contentType);
        records.set(key, { value, revision: record.revision });
      }
      return { sequence: (await appliedRow(store))?.sequence ?? 0, records };
    } finally {
      await store.close();
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

/** Of each shard the store that has applied most. */
export function furthest(stores: readonly StoreContents[]): Map<string, StoreContents> {
  const best = new Map<string, StoreContents>();
  for (const store of stores) {
    if (store.sequence > (best.get(store.shard)?.sequence ?? -1)) best.set(store.shard, store);
  }
  return best;
}

/** A look into the furthest stores. */
export function lookUpIn(stores: readonly StoreContents[]): LookUp {
  const best = [...furthest(stores).values()];
  return (key) => best.map(({ records }) => records.get(key)).find((one) => one !== undefined);
}
