/**
 * Node logs: reads the log files of a cluster's nodes from their folders.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { dataPaths } from "../../infra/main/server/data-folder.js";
import type { Cluster } from "./cluster.js";

/** Of all nodes, those of rotated logs too. */
export function linesLogged(cluster: Cluster): string[] {
  return nodeFolders(cluster).flatMap((folder) => {
    const files = readdirSync(folder).filter((file) => /^node(\.\d+)?\.log$/.test(file));
    return files.flatMap((file) => readFileSync(join(folder, file), "utf8").split("\n"));
  });
}

export function nodeFolders(cluster: Cluster): string[] {
  const nodes = dirname(dataPaths(cluster.dataFolder).node("n1"));
  return readdirSync(nodes).map((node) => join(nodes, node));
}
