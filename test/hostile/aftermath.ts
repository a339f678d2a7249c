/**
 * What a campaign may leave behind in a cluster's folders, and what it must: no error that nobody
 * expected, an alarm for each entry above its log's version, and every store where it was.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { storesFolder } from "../../infra/main/store-folders.js";
import { BEHAVIOUR_VERSION, decodeEntry, isEntry } from "../../protocol/log/entry.js";
import type { Cluster } from "../support/cluster.js";
import { linesLogged, nodeFolders } from "../support/node-logs.js";
import type { Target } from "./target.js";

/** Errors that a person is to look at, and that garbage in a log or in the bucket is to make. */
const expected = [
  "skipped a log message that is not a valid entry",
  "watching the ring failed",
  "ignored the bucket's ring: it has another store's name or size",
];

/** Lines of the nodes' logs that say that something else than a sender went wrong. */
export function faultsLogged(cluster: Cluster): string[] {
  return linesLogged(cluster).filter((line) => {
    if (line.includes('"status":"disconnected"')) return true;
    return line.includes('"level":"error"') && !expected.some((text) => line.includes(text));
  });
}

/** Folders of stores that were set aside, or are being filled. */
export function storesMoved(cluster: Cluster): string[] {
  const moved: string[] = [];
  for (const folder of nodeFolders(cluster)) {
    const names = readdirSync(storesFolder(folder)).filter((name) => name.includes("."));
    moved.push(...names.map((name) => join(folder, name)));
  }
  return moved;
}

/** Entries above their log's version that logs have taken. All replicas must alarm, and go on. */
export class NewerEntries {
  /** By version: how many alarms are to be heard. */
  readonly #alarms = new Map<number, number>();

  constructor(private readonly target: Target) {}

  get count(): number {
    return [...this.#alarms.values()].reduce((sum, each) => sum + each, 0);
  }

  /** What a log has acknowledged. */
  add(subject: string, data: Buffer): void {
    const entry = decodeEntry(data);
    const version = isEntry(entry) || entry.kind === "newer" ? entry.version : 0;
    if (version <= BEHAVIOUR_VERSION) return;
    const shard = this.target.shards.find(({ logSubject }) => logSubject === subject);
    this.#alarms.set(version, (this.#alarms.get(version) ?? 0) + (shard?.nodes.length ?? 0));
  }

  /** What is wrong; once all replicas have applied their logs. */
  problems(cluster: Cluster): string[] {
    const lines = linesLogged(cluster);
    return [...this.#alarms].flatMap(([version, wanted]) => {
      const heard = lines.filter((line) => line.includes(`version ${version} is above the log's`));
      if (heard.length >= wanted) return [];
      return [`${heard.length} of ${wanted} alarms for entries of version ${version}`];
    });
  }
}
