/**
 * `node store-program.js <folder> <batches>`: writes batches to a RocksStore, every few of them
 * with `sync`, and notes in the file `told`, one line each, which it has been told are durable.
 *
 * Batch n puts n under a key that comes around again and again, and under `last`. The write buffer
 * is small, so that RocksDB writes data files, drops logs and merges while it goes.
 */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { openRocksStore } from "../../infra/rocksdb/rocks-store.js";
import { LAST_KEY, storeKey, storeValue, STORE_FOLDER, TOLD_FILE } from "./store-batches.js";

const SYNC_EVERY = 5;
const WRITE_BUFFER_BYTES = 64 * 1_024;

const [folder = "", batches = "0"] = process.argv.slice(2);
const store = await openRocksStore(join(folder, STORE_FOLDER), {
  writeBufferBytes: WRITE_BUFFER_BYTES,
});
for (let number = 1; number <= Number(batches); number += 1) {
  const sync = number % SYNC_EVERY === 0;
  const value = storeValue(number);
  await store.write(
    [
      { type: "put", key: storeKey(number), value },
      { type: "put", key: LAST_KEY, value },
    ],
    { sync },
  );
  if (sync) appendFileSync(join(folder, TOLD_FILE), `${number}\n`);
}
process.kill(process.pid, "SIGKILL");
