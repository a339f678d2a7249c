/**
 * The faults of stores, in memory and on RocksDB. A crash there: the files are copied while the
 * store is open, and its log is cut where a disk that had not written all of it would end.
 */
import { execFileSync } from "node:child_process";
import { cp, mkdtemp, readdir, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRocksStore } from "../../infra/rocksdb/rocks-store.js";
import { StoreError } from "../../infra/store-error.js";
import type { Store, StoreWrite } from "../../infra/store.js";
import { Disk, type StoreCall } from "../support/memory-store.js";
import { storeFaultsContract, type FaultyFolder } from "./store-faults-contract.js";

for (const lands of [false, true]) {
  describe(`a store in memory with faults, a failed batch ${lands ? "lands" : "is lost"}`, () => {
    storeFaultsContract(() => Promise.resolve(memoryFolder(lands)));
  });
}

/** Of a batch, written before the disk fails. */
const TORN_BYTES = 1_000;

describe("a RocksDB with faults", function () {
  this.timeout(30_000);
  storeFaultsContract(() => RocksFolder.make());
});

function memoryFolder(lands: boolean): FaultyFolder {
  let calls = Infinity;
  const pause = async (call: StoreCall): Promise<void> => {
    if (call === "write" && --calls < 0) throw new StoreError("full", "as the test has it");
  };
  const disk = new Disk(pause);
  let unsynced = 0;
  const done = Promise.resolve();
  return {
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
    failWrite: async (store, batch) => {
      calls = lands ? 1 : 0;
      try {
        await store.write(batch, { sync: true });
      } finally {
        calls = Infinity;
      }
    },
    remove: () => done,
  };
}

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

  /** What the disk takes of the batch are its first bytes: no file may become longer than that. */
  readonly failWrite =
    fileBytesMax() === undefined
      ? undefined
      : async (store: Store, batch: readonly StoreWrite[]): Promise<void> => {
          const { bytes } = await this.#log();
          const before = fileBytesMax() ?? "unlimited";
          const onLimit = (): void => undefined;
          process.on("SIGXFSZ", onLimit);
          limitFiles(`--fsize=${bytes + TORN_BYTES}:`);
          try {
            await store.write(batch, { sync: true });
          } finally {
            limitFiles(`--fsize=${before}:`);
            process.off("SIGXFSZ", onLimit);
          }
        };

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

/** With Linux's prlimit a process may limit itself, and lift it again. */
function limitFiles(...options: readonly string[]): string {
  const asked = ["--pid", String(process.pid), ...options];
  return execFileSync("prlimit", asked, { stdio: ["ignore", "pipe", "ignore"] }).toString();
}

/** As it is now; undefined where there is no prlimit: told by the contract, which skips. */
function fileBytesMax(): string | undefined {
  try {
    return limitFiles("--fsize", "--output=SOFT", "--noheadings").trim();
  } catch {
    return undefined;
  }
}
