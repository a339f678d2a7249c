/**
 * A node keeps its name and store in its data folder and refuses others: two nodes on one folder,
 * or a folder moved to another cluster, would mix stores of different logs.
 */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Layout of a node's folder. */
export const NODE_FORMAT = 1;

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
  await mkdir(folder, { recursive: true });
  const found = await readIdentity(file);
  if (found === undefined) {
    const temporary = `${file}.new`;
    const identity: Identity = { format: NODE_FORMAT, name, store };
    await writeFile(temporary, `${JSON.stringify(identity)}\n`);
    await rename(temporary, file);
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

async function readIdentity(file: string): Promise<Identity | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as Identity;
  } catch {
    throw new NodeRefused(`${file} is damaged: it is not JSON`);
  }
}
