/**
 * Crashed stores, in memory and on RocksDB: there the files are copied while the store is open,
 * and its log is cut where a disk that had not written all of it would end.
 */
import { cp, mkdtemp, readdir, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRocksStore } from "../../infra/rocks-store.js";
import type { Store, StoreWrite } from "../../infra/store.js";
import { Disk } from "../support/memory-store.js";
import { storeFaultsContract, type FaultyFolder } from "./store-faults-contract.js";

describe("a store in memory that crashes", () => {
  storeFaultsContract(() => {
    const disk = new Disk();
    let unsynced = 0;
    const done = Promise.resolve();
    return Promise.resolve({
      open: () => {
        const store = disk.open();
        const write = store.write.bind(store);
        store.write = (batch: readonly StoreWrite[], options: { readonly sync: boolean }) => {
          unsynced = options.sync ? 0 : unsynced + 1;
          return write(batch, options);
        };
        return Promise.resolve(store);
      },
      crash: (share) => {
        disk.crash({ loseUnsynced: true, batchesKept: Math.floor(unsynced * share) });
        return done;
      },
      remove: () => done,
    });
  });
});

describe("a RocksDB that crashes", function () {
  this.timeout(30_000);
  storeFaultsContract(() => RocksFolder.make());
});

class RocksFolder implements FaultyFolder {
  #folder: string;
  #open: Store | undefined;
  #syncedBytes = 0;

  private constructor(
    private readonly parent: string,
    private copies = 0,
  ) {
    this.#folder = join(parent, "0");
  }

  static async make(): Promise<RocksFolder> {
    return new RocksFolder(await mkdtemp(join(tmpdir(), "ringdex-crash-")));
  }

  async open(): Promise<Store> {
    const store = await openRocksStore(this.#folder);
    this.#open = store;
    const write = store.write.bind(store);
    store.write = async (batch: readonly StoreWrite[], options: { readonly sync: boolean }) => {
      await write(batch, options);
      if (options.sync) this.#syncedBytes = (await this.#log()).bytes;
    };
    return store;
  }

  async crash(share: number): Promise<void> {
    const { file, bytes } = await this.#log();
    this.copies += 1;
    const copy = join(this.parent, `${this.copies}`);
    await cp(this.#folder, copy, { recursive: true });
    const kept = this.#syncedBytes + Math.floor((bytes - this.#syncedBytes) * share);
    await truncate(join(copy, file), kept);
    await this.#open?.close();
    this.#folder = copy;
  }

  remove(): Promise<void> {
    return rm(this.parent, { recursive: true, force: true });
  }

  /** What RocksDB writes batches to, the newest of them. */
  async #log(): Promise<{ file: string; bytes: number }> {
    const files = (await readdir(this.#folder)).filter((name) => /^\d+\.log$/.test(name));
    const file = files.toSorted().at(-1) ?? "";
    return { file, bytes: (await stat(join(this.#folder, file))).size };
  }
}
