/**
 * MadeData: the data folder of a cluster of one shard with two copies, as two nodes would leave it,
 * made without them. Records go through the applier's own ChangeSet, so that their rows are those
 * of a replica; each put is a batch of its own.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ChangeSet } from "../../../actors/shard/apply/change-set.js";
import { Ownership } from "../../../actors/shard/state/ownership.js";
import { PositionTable } from "../../../actors/shard/state/position-table.js";
import { openRocksStore } from "../../../infra/rocksdb/rocks-store.js";
import type { Store, StoreWrite } from "../../../infra/store.js";
import type { LogId, Position, Sequence, TimeMs } from "../../../protocol/ids.js";
import * as limits from "../../../protocol/limits.js";
import { BEHAVIOUR_VERSION, type Genesis } from "../../../protocol/log/entry.js";
import type { StoredRecord } from "../../../protocol/operation.js";
import { positionOf } from "../../../protocol/position.js";
import { encodeAppliedRow, STORE_FORMAT } from "../../../protocol/store/applied-row.js";
import { appliedKey } from "../../../protocol/store/store-keys.js";
import { attributesOf } from "../../../protocol/value/attributes.js";
import { decodeValue, encodeValue, type Plain } from "../../../protocol/value/content.js";

const POSITIONS = 4;
export const LOG_ID = "00112233445566ff" as LogId;
const LOG_TIME = 1_700_000_000_000 as TimeMs;

export interface MadeRecord {
  readonly key: string;
  readonly value: Plain;
  readonly expiresAt?: number;
}

export class MadeData {
  constructor(readonly folder: string) {}

  /** The same records in both copies. */
  static async write(folder: string, records: readonly MadeRecord[]): Promise<MadeData> {
    const data = new MadeData(folder);
    const description = { format: 1, store: "kv", nodes: 2, replicas: 2, positions: POSITIONS };
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "ringdex.json"), JSON.stringify(description));
    for (const node of ["n1", "n2"]) {
      await data.open(node, (store) => writeReplica(store, records));
    }
    return data;
  }

  /** `ending`: of a store that is not in use, or of one that has the name of another log. */
  storeFolder(node: string, ending = LOG_ID as string): string {
    return join(this.folder, "nodes", node, "stores", `s1-${ending}`);
  }

  /** Does something to the store of a node. */
  async open(node: string, work: (store: Store) => Promise<void>): Promise<void> {
    const store = await openRocksStore(this.storeFolder(node));
    try {
      await work(store);
    } finally {
      await store.close();
    }
  }

  /** Changes one byte of the node's data file or write-ahead log, in the middle of `text`. */
  changeByte(node: string, file: ".sst" | ".log", text: string): void {
    const folder = this.storeFolder(node);
    for (const name of readdirSync(folder)) {
      if (!name.endsWith(file)) continue;
      const bytes = readFileSync(join(folder, name));
      const at = bytes.indexOf(text);
      if (at < 0) continue;
      const middle = at + Math.floor(text.length / 2);
      bytes[middle] = (bytes[middle] ?? 0) ^ 1;
      writeFileSync(join(folder, name), bytes);
      return;
    }
    throw new Error(`no ${file} of ${node} holds ${JSON.stringify(text)}`);
  }
}

const genesis: Genesis = {
  store: "kv",
  shard: "s1",
  logId: LOG_ID,
  positionCount: POSITIONS,
  positions: Array.from({ length: POSITIONS }, (_, index) => index as Position),
  limits: {
    valueBytesMax: limits.VALUE_BYTES_MAX,
    depthMax: limits.DEPTH_MAX,
    indexEntriesMax: limits.INDEX_ENTRIES_MAX,
    pathBytesMax: limits.PATH_BYTES_MAX,
    outcomesMax: limits.OUTCOMES_MAX,
  },
  indexPolicy: { excluded: [] },
  behaviourVersion: BEHAVIOUR_VERSION,
};

async function writeReplica(store: Store, records: readonly MadeRecord[]): Promise<void> {
  const ownership = new Ownership(POSITIONS);
  const table = new PositionTable(POSITIONS);
  const indexing = { policy: genesis.indexPolicy, limits: genesis.limits };
  let sequence = 0;
  const apply = async (work: (changes: ChangeSet) => void): Promise<void> => {
    const changes = new ChangeSet(ownership, table, () => indexing);
    work(changes);
    changes.writePositions();
    sequence += 1;
    await store.write([...changes.writes, appliedRow(sequence)], { sync: false });
    changes.publish();
  };
  await apply((changes) => {
    for (const position of genesis.positions) changes.position(position).state = "owned";
  });
  for (const record of records) await apply((changes) => put(changes, record));
}

function put(changes: ChangeSet, { key, value, expiresAt = 0 }: MadeRecord): void {
  const position = positionOf(key, POSITIONS);
  changes.read(key, undefined);
  const record: StoredRecord = {
    revision: changes.takeRevision(position),
    updatedAt: LOG_TIME,
    expiresAt: expiresAt as TimeMs,
    contentType: "application/json",
    value: encodeValue(value, "application/json"),
  };
  const { depthMax, indexEntriesMax: entriesMax, pathBytesMax } = genesis.limits;
  const plain = decodeValue(record.value, record.contentType);
  const bounds = { depthMax, entriesMax, pathBytesMax };
  changes.replace(position, key, record, attributesOf(plain, genesis.indexPolicy, bounds));
}

function appliedRow(sequence: number): StoreWrite {
  const row = {
    format: STORE_FORMAT,
    logId: LOG_ID,
    sequence: sequence as Sequence,
    logTime: LOG_TIME,
    chain: BigInt(sequence),
    messageHash: 0n,
    genesis,
  } as const;
  return { type: "put", key: appliedKey, value: encodeAppliedRow(row) };
}

/** Where a key stands in made stores. */
export function madePosition(key: string): Position {
  return positionOf(key, POSITIONS);
}
