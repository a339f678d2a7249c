/**
 * The numbers of verbs and content types: they stand in logs and stores, so none may ever change.
 */
import { expect } from "chai";
import type { Origin, Position, Revision, Sequence, TimeMs } from "../../protocol/ids.js";
import { encodeEntry } from "../../protocol/log/entry.js";
import { operationHash } from "../../protocol/log/operation-hash.js";
import {
  contentTypes,
  isVerb,
  isWriteVerb,
  subjectVerbs,
  verbCode,
  verbOfCode,
  verbs,
  writeVerbs,
  type Done,
  type Operation,
  type WriteVerb,
} from "../../protocol/operation.js";
import { encodeOutcomeRow } from "../../protocol/store/outcome-row.js";

/** As version 1 of the log stores them. A new verb gets a new line; no line ever changes. */
const codes: Readonly<Record<WriteVerb, number>> = {
  set: 0,
  del: 1,
  patch: 2,
  incr: 3,
  touch: 4,
  check: 5,
};
const hashes: Readonly<Record<WriteVerb, string>> = {
  set: "b672c4041851d31b",
  del: "e7a6b62bc45d3e12",
  patch: "cf974ce964a44221",
  incr: "9b9a8fe3db4fba9",
  touch: "4c4393097a475cf2",
  check: "15486a402339d7c1",
};

const base = {
  key: "k",
  position: 1 as Position,
  ifRevision: undefined,
  request: undefined,
  returnPrevious: false,
};
const text = { value: Buffer.from("1"), contentType: "application/json" } as const;
const operations: Readonly<Record<WriteVerb, Operation>> = {
  set: { ...base, verb: "set", ...text, ttl: "never" },
  del: { ...base, verb: "del" },
  patch: { ...base, verb: "patch", ...text, ttl: "keep" },
  incr: { ...base, verb: "incr", by: 1, path: undefined, ttl: "keep" },
  touch: { ...base, verb: "touch", ttl: 1_000 },
  check: { ...base, verb: "check" },
};

describe("verbs", () => {
  it("have the codes that logs and stores have", () => {
    expect(Object.fromEntries(writeVerbs.map((verb) => [verb, verbCode(verb)]))).to.deep.equal(
      codes,
    );
    for (const verb of writeVerbs) expect(verbOfCode(codes[verb])).to.equal(verb);
    expect(verbOfCode(writeVerbs.length)).to.equal(undefined);
  });

  for (const verb of writeVerbs) {
    it(`stand by their code in entries, outcome rows and hashes: ${verb}`, () => {
      const operation = operations[verb];
      const head = { version: 1, origin: "00".repeat(16) as Origin, number: 1 };
      const basis = { basisSequence: 0 as Sequence, basisChain: 0n };
      const entry = { ...head, ...basis, kind: "operations" as const, groups: [[operation]] };
      // 39 bytes of head, and two that count the operations.
      expect(encodeEntry(entry)[41]).to.equal(codes[verb]);
      expect(operationHash(operation).toString(16)).to.equal(hashes[verb]);
      // Where the verb stands among arrays of fixed size and numbers of one byte.
      expect(rowOf(verb)[16]).to.equal(codes[verb]);
    });
  }

  it("are read by their words, and nothing else is", () => {
    expect(verbs.filter((verb) => !isWriteVerb(verb))).to.deep.equal(["get"]);
    expect(verbs.filter((verb) => !(subjectVerbs as string[]).includes(verb))).to.deep.equal([
      "check",
    ]);
    expect(verbs.every(isVerb)).to.equal(true);
    for (const word of ["", "SET", "batch", "toString", "__proto__", 0, undefined]) {
      expect(isVerb(word), String(word)).to.equal(false);
      expect(isWriteVerb(word), String(word)).to.equal(false);
    }
  });
});

describe("content types", () => {
  it("stand in the order of the numbers that records and entries have", () => {
    expect(contentTypes).to.deep.equal([
      "application/json",
      "application/msgpack",
      "text/plain",
      "application/octet-stream",
    ]);
  });
});

function rowOf(verb: WriteVerb): Uint8Array {
  const done: Done = {
    verb,
    revision: 1 as Revision,
    created: false,
    existed: false,
    number: undefined,
    expiresAt: 0 as TimeMs,
    previous: undefined,
  };
  return encodeOutcomeRow({
    logTime: 0 as TimeMs,
    chain: 0n,
    expired: [],
    operations: [
      {
        position: 1 as Position,
        outcome: { ok: true, done },
        changed: false,
        result: undefined,
        request: undefined,
      },
    ],
  });
}
