/**
 * Damage: one changed byte in one store, by which a check shows that it can fail.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** In the middle of the write-ahead log of a store of the node; the cluster must be stopped. */
export function changeOneByte(dataFolder: string, node: string): void {
  const stores = join(dataFolder, "nodes", node, "stores");
  const [store = ""] = readdirSync(stores);
  const name = readdirSync(join(stores, store)).find((each) => each.endsWith(".log")) ?? "";
  const file = join(stores, store, name);
  const bytes = readFileSync(file);
  const middle = Math.floor(bytes.length / 2);
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}
