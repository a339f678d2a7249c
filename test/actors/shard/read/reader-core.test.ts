/**
 * Reader core: what a record says to a get, before and after it is due.
 */
import { expect } from "chai";
import { isDoubtful, needsTail, resultOf } from "../../../../actors/shard/read/reader-core.js";
import type { Revision, TimeMs } from "../../../../protocol/ids.js";
import type { StoredRecord } from "../../../../protocol/operation.js";
import { getOf } from "../../../support/memory-shard.js";

describe("reader core", () => {
  const at = (ms: number): TimeMs => ms as TimeMs;
  const record = (expiresAt: number): StoredRecord => ({
    revision: 3 as Revision,
    updatedAt: at(1),
    expiresAt: at(expiresAt),
    contentType: "text/plain",
    value: Buffer.from("v"),
  });

  it("needs the log's end for linearizable gets only", () => {
    const levels = ["linearizable", "session", "stale"] as const;
    const needing = levels.filter((level) => needsTail(getOf("a", level)));
    expect(needing).to.deep.equal(["linearizable"]);
  });

  it("reads a record until it is due by log time, from then on nothing", () => {
    const get = getOf("a", "stale");
    const kindAt = (ms: number): string => resultOf(get, record(100), at(ms)).kind;
    expect([kindAt(99), kindAt(100)]).to.deep.equal(["read", "refused"]);
    const never = resultOf(get, record(0), at(Number.MAX_SAFE_INTEGER));
    expect(never).to.deep.include({ kind: "read", key: "a", record: record(0) });
    expect(resultOf(get, undefined, at(0))).to.have.nested.property("error.kind", "not-found");
  });

  it("is in doubt of what is due by our clock and not by the log's", () => {
    expect(isDoubtful(record(100), at(99), at(100))).to.equal(true);
    expect(isDoubtful(record(100), at(99), at(99))).to.equal(false);
    expect(isDoubtful(record(100), at(100), at(100))).to.equal(false);
    expect(isDoubtful(record(0), at(0), at(1_000))).to.equal(false);
    expect(isDoubtful(undefined, at(0), at(1_000))).to.equal(false);
  });
});
