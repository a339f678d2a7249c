/**
 * A node keeps its name and store in its data folder and refuses others: two nodes on one folder,
 * or a folder moved to another cluster, would mix stores of different logs. For the same reason it
 * refuses a ring to which none of its stores belongs.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RingTable } from "../../protocol/ring/ring.js";
import { writeDurably } from "../files/durable-file.js";
import { makeFolder, unwritable } from "../files/make-folder.js";
import { knownNames, storesInUse } from "./store-folders.js";

/** Layout of a node's folder. */
const NODE_FORMAT = 1;

export class NodeRefused extends Error {
  override readonly name = "NodeRefused";
}

interface Identity {
  readonly format: number;
  readonly name: string;
  readonly store: string;
}

/** Creates the folder and its `node.json`, or compares with the one there. Throws NodeRefused. */
export async function claimFolder(folder: string, name: string, store: string): Promise<void> {
  const file = join(folder, "node.json");
  const found = await readIdentity(file);
  if (found === undefined) {
    try {
      await makeFolder(folder);
      const identity: Identity = { format: NODE_FORMAT, name, store };
      await writeDurably(file, `${JSON.stringify(identity)}\n`);
    } catch (error) {
      const text = unwritable(folder, error);
      throw text === undefined ? error : new NodeRefused(text, { cause: error });
    }
    return;
  }
  if (found.format !== NODE_FORMAT) {
    const text = `${folder} has format ${found.format}, this version reads ${NODE_FORMAT}`;
    throw new NodeRefused(`${text}: use the version it was made with`);
  }
  if (found.name !== name || found.store !== store) {
    const text = `${folder} belongs to node ${found.name} of store ${found.store}`;
    throw new NodeRefused(`${text}, not to ${name} of ${store}: give another --data`);
  }
}

/**
 * Throws NodeRefused if the folder has stores and the ring (undefined = there is none) knows none
 * of them. Then JetStream's folder is gone or it is another server: a new ring, or that one, would
 * serve an empty store in place of the data that lie here.
 */
export async function refuseOtherRing(folder: string, ring: RingTable | undefined): Promise<void> {
  const stores = await storesInUse(folder);
  const known = new Set(ring?.shards.flatMap(knownNames));
  if (stores.length === 0 || stores.some((name) => known.has(name))) return;
  throw new NodeRefused(
    `nats-server has ${ring === undefined ? "no ring" : "another ring"}, but ${folder} has the ` +
      `stores ${stores.join(", ")}, which still hold their data: JetStream's folder ` +
      `was removed or replaced, or this is another server. Put the folder back, or start on ` +
      `another data folder`,
  );
}

async function readIdentity(file: string): Promise<Identity | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const identity = parseIdentity(text);
  if (identity !== undefined) return identity;
  const advice = "if the folder is this node's, remove that file and start again";
  throw new NodeRefused(`${file} is damaged: ${advice}`);
}

function parseIdentity(text: string): Identity | undefined {
  let json: Partial<Identity> | null;
  try {
    json = JSON.parse(text) as Partial<Identity> | null;
  } catch {
    return undefined; // the caller says so
  }
  const isWhole =
    typeof json?.format === "number" &&
    typeof json.name === "string" &&
    typeof json.store === "string";
  return isWhole ? (json as Identity) : undefined;
}
