/**
 * Store errors: their kind, by what RocksDB says.
 */
import { expect } from "chai";
import { storeError } from "../../infra/rocksdb/rocks-store.js";

describe("store errors", () => {
  const cases = [
    ["IO error: No space left on deviceWhile appending to file: /x/000004.log", "full"],
    ["IO error: While lock file: /x/LOCK: Resource temporarily unavailable", "in-use"],
    ["IO error: While lock file: /x/LOCK: Permission denied", "not-writable"],
    ["EACCES: permission denied, mkdir '/x'", "not-writable"],
    ["EROFS: read-only file system, mkdir '/x'", "not-writable"],
    ["Corruption: block checksum mismatch", "damaged"],
    ["IO error: While open a file for random read: /x/000009.sst: Too many open files", "failed"],
    ["IO error: While pread offset 0 len 4096: /x/000009.sst: Input/output error", "failed"],
  ] as const;
  for (const [text, kind] of cases) {
    it(`are ${kind} for "${text}", which they repeat, and say what to do`, () => {
      const cause = new Error(text);
      const error = storeError("opening", "/x", cause);
      expect(error).to.include({ kind, cause, name: "StoreError" });
      expect(error.message)
        .to.include(text)
        .and.match(/^opening the store in \/x: .*\. [A-Z].*\.$/);
    });
  }
});
