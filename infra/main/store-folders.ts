/**
 * Store folders: where a node keeps the stores of a shard.
 *
 *   stores/<shard>-<log-id>                    in use; of the log of that id, or one that goes on
 *                                              from it (`ringdex repair`)
 *   stores/<shard>-<log-id>.draft              being filled from another node; may be removed
 *   stores/<shard>-<log-id>.aside-<log-id>     did not fit the log of the second id; kept
 *
 * A folder keeps its name when its store goes on with another log: what it holds says of which log
 * it is, and is compared with that before anything is served (rule L1).
 */
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { RingShard } from "../../protocol/ring/ring.js";
import { syncNames } from "../files/durable-file.js";
import type { StoreShelf } from "../store-shelf.js";
import type { Store } from "../store.js";

const IN_USE = /^(s[0-9]+)-([0-9a-f]{16})$/;

export function storesFolder(folder: string): string {
  return join(folder, "stores");
}

/**
 * Names of the stores in use, of all shards or one. Empty if the folder is not there. A folder in
 * which there is nothing is no store: a power cut may leave one under a name that was given up.
 */
export async function storesInUse(folder: string, shard?: string): Promise<string[]> {
  const names = await namesIn(storesFolder(folder));
  const wanted = names.filter((name) => {
    const match = IN_USE.exec(name);
    return match !== null && (shard === undefined || match[1] === shard);
  });
  const contents = await Promise.all(
    wanted.map((each) => namesIn(join(storesFolder(folder), each))),
  );
  return wanted.filter((_, index) => contents[index]?.length !== 0).toSorted();
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
}

export function storeName({ shard, logId }: Pick<RingShard, "shard" | "logId">): string {
  return `${shard}-${logId}`;
}

/** Names that the store of a shard may have: of its log, and of those that it goes on from. */
export function knownNames({ shard, logId, logIdsBefore = [] }: RingShard): string[] {
  return [logId, ...logIdsBefore].map((each) => storeName({ shard, logId: each }));
}

/**
 * The folder of a shard's store: the one of its log; else one of a log before; else whichever is
 * there: it will not fit, and its replica stops and says so, rather than that an empty store is
 * served beside it.
 */
export async function storeFolder(folder: string, shard: RingShard): Promise<string> {
  const there = await storesInUse(folder, shard.shard);
  const known = knownNames(shard).find((name) => there.includes(name));
  return join(storesFolder(folder), known ?? there[0] ?? storeName(shard));
}

export class StoreFolders implements StoreShelf {
  readonly #folder: string;
  readonly #draft: string;

  constructor(
    private readonly nodeFolder: string,
    private readonly shard: RingShard,
    private readonly open: (folder: string) => Promise<Store>,
  ) {
    this.#folder = join(storesFolder(nodeFolder), storeName(shard));
    this.#draft = `${this.#folder}.draft`;
  }

  async openDraft(): Promise<Store> {
    await rm(this.#draft, { recursive: true, force: true });
    return this.open(this.#draft);
  }

  async useDraft(): Promise<readonly string[]> {
    const kept: string[] = [];
    for (const name of await storesInUse(this.nodeFolder, this.shard.shard)) {
      const aside = await this.#freeName(`${name}.aside-${this.shard.logId}`);
      await rename(join(storesFolder(this.nodeFolder), name), aside);
      kept.push(aside);
    }
    await rename(this.#draft, this.#folder);
    // Else a power cut may bring the old store back beside the new one, under a name in use.
    await syncNames(storesFolder(this.nodeFolder));
    return kept;
  }

  async #freeName(wanted: string): Promise<string> {
    const names = await readdir(storesFolder(this.nodeFolder));
    for (let number = 1; ; number += 1) {
      const name = number === 1 ? wanted : `${wanted}-${number}`;
      if (!names.includes(name)) return join(storesFolder(this.nodeFolder), name);
    }
  }
}
