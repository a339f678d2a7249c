/**
 * Record cost: how many bytes of log, events, store and memory a record takes, by its shape.
 *
 * Each row is a cluster of its own, one node with one replica, into which COUNT records of one
 * shape are loaded by setMany (which packs them into large entries). Log, events and store are
 * bytes of files; memory is what the process has more afterwards than before. docs/operations.md
 * has the formula that these figures gave.
 *
 *   make record-cost           100,000 records of each shape, some minutes
 *   RINGDEX_COST_RECORDS       how many records
 */
import { createHash } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { renderTable } from "../../../infra/cli/table.js";
import { connect } from "../../../infra/client/client.js";
import { startCluster, type Cluster } from "../../support/cluster.js";
import { until } from "../../support/until.js";
import { processesOf, SERVER_NAME, watchMemory } from "../../support/watch-memory.js";

const COUNT = Number(process.env["RINGDEX_COST_RECORDS"] ?? 100_000);
const CHUNK = 500;
const SETTLED_MS = 120_000;

interface Shape {
  readonly name: string;
  readonly contentType?: "text/plain";
  readonly valueOf: (index: number) => unknown;
}

/** Text that RocksDB cannot compress: of the same index and place always the same. */
function textOf(index: number, place: number, length: number): string {
  let text = "";
  for (let part = 0; text.length < length; part += 1) {
    text += createHash("sha256").update(`${index} ${place} ${part}`).digest("base64");
  }
  return text.slice(0, length);
}

const attributes = (index: number, count: number, bytes: number): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, place) => [`a${place}`, textOf(index, place, bytes)]),
  );

const shapes: readonly Shape[] = [
  { name: "text, 100 B", contentType: "text/plain", valueOf: (index) => textOf(index, 0, 100) },
  { name: "text, 1,000 B", contentType: "text/plain", valueOf: (index) => textOf(index, 0, 1_000) },
  { name: "1 attribute of 10 B", valueOf: (index) => attributes(index, 1, 10) },
  { name: "5 attributes of 10 B", valueOf: (index) => attributes(index, 5, 10) },
  { name: "20 attributes of 10 B", valueOf: (index) => attributes(index, 20, 10) },
  { name: "5 attributes of 100 B", valueOf: (index) => attributes(index, 5, 100) },
];

async function costOf(shape: Shape): Promise<(string | number)[]> {
  const cluster = await startCluster({ nodes: 1, replicas: 1 });
  try {
    const before = bytesOf(cluster);
    const memory = watchMemory(await processesOf(cluster));
    const db = await connect<unknown>({ servers: cluster.url });
    let valueBytes = 0;
    for (let from = 0; from < COUNT; from += CHUNK) {
      const items = Array.from({ length: Math.min(CHUNK, COUNT - from) }, (_, place) => {
        const value = shape.valueOf(from + place);
        valueBytes += typeof value === "string" ? value.length : JSON.stringify(value).length;
        const { contentType } = shape;
        return { key: keyOf(from + place), value, ...(contentType && { contentType }) };
      });
      await db.setMany(items);
    }
    await db.close();
    await until(
      () => hasAll(cluster),
      SETTLED_MS,
      "all records in the store, and their events out",
    );
    const grown = memory.stop();
    const after = bytesOf(cluster);
    const each = (bytes: number): number => Math.round(bytes / COUNT);
    const of = (wanted: (name: string) => boolean): number =>
      each(grown.find(({ name }) => wanted(name))?.growth ?? 0);
    return [
      shape.name,
      each(valueBytes),
      each(after.log - before.log),
      each(after.events - before.events),
      each(after.store - before.store),
      of((name) => name !== SERVER_NAME),
      of((name) => name === SERVER_NAME),
    ];
  } finally {
    await cluster.stop();
  }
}

const keyOf = (index: number): string => `record.${String(index).padStart(8, "0")}`;

async function hasAll(cluster: Cluster): Promise<boolean> {
  const [replica] = (await cluster.status()).replicas;
  if (replica === undefined) return false;
  return replica.keys === COUNT && replica.relay.sequence >= replica.sequence_applied;
}

function bytesOf(cluster: Cluster): { log: number; events: number; store: number } {
  const files = readdirSync(cluster.dataFolder, { recursive: true, encoding: "utf8" });
  const sum = (isWanted: (file: string) => boolean): number =>
    files.filter(isWanted).reduce((total, file) => total + sizeOf(cluster, file), 0);
  return {
    log: sum((file) => file.includes("kv-log-") && file.endsWith(".blk")),
    events: sum((file) => file.includes("kv-events") && file.endsWith(".blk")),
    store: sum((file) => file.includes(`stores/`)),
  };
}

/** 0 for what a compaction has just removed. */
function sizeOf(cluster: Cluster, file: string): number {
  const found = statSync(join(cluster.dataFolder, file), { throwIfNoEntry: false });
  return found?.isFile() === true ? found.size : 0;
}

const heads = ["value", "log", "events", "store", "node's memory", "nats-server's memory"];
const rows = [];
for (const shape of shapes) {
  process.stderr.write(`loading ${COUNT} records: ${shape.name}\n`);
  rows.push(await costOf(shape));
}
const columns = [{ head: "bytes a record" }, ...heads.map((head) => ({ head, isNumber: true }))];
process.stdout.write(renderTable(columns, rows, undefined));
