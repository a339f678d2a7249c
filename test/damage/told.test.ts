/**
 * What `make damage` takes for told, and what not.
 */
import { expect } from "chai";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "../../infra/files/package-version.js";
import { storeError } from "../../infra/rocksdb/rocks-store.js";
import { documented, isDocumented } from "./told.js";

describe("what is said of a damage", () => {
  it("is told by words that stand in docs/operations.md", () => {
    const docs = readFileSync(join(packageFolder(), "docs/operations.md"), "utf8");
    for (const word of documented.flatMap(({ named }) => named)) expect(docs).to.contain(word);
  });

  it("is told by a store's own error of each kind that a person can mend", () => {
    const causes = {
      damaged: "Corruption: 000014.sst is damaged",
      full: "IO error: No space left on device",
      "not-writable": "IO error: Permission denied",
    };
    for (const [kind, cause] of Object.entries(causes)) {
      const error = storeError("opening", "/data/nodes/n1/stores/s1-00", new Error(cause));
      expect(error.kind).to.equal(kind);
      expect(isDocumented(error.message), error.message).to.equal(true);
    }
  });

  it("is not told by a time-out, a node that is away, or a reason without a way out", () => {
    for (const text of [
      "",
      "n1 is away",
      "the ready line does not hold after 60000 ms",
      "could not read the log's end: no connection",
      "the node is filling its store of s1 from another node's",
      "log-missing: ",
      "log-missing: log 00a1 no longer exists",
      "opening the store in /data: damaged: Corruption",
      "TypeError: rows is not iterable",
    ]) {
      expect(isDocumented(text), text).to.equal(false);
    }
  });
});
