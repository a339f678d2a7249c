/**
 * The hash of an operation: fixed for good, and different for whatever makes it another one.
 */
import { expect } from "chai";
import type { Position, Revision } from "../../../protocol/ids.js";
import { operationHash } from "../../../protocol/log/operation-hash.js";
import type { IncrOperation, Operation, SetOperation } from "../../../protocol/operation.js";

const base = {
  key: "delhi",
  position: 1 as Position,
  ifRevision: undefined,
  request: undefined,
  returnPrevious: false,
};
const set: SetOperation = {
  ...base,
  verb: "set",
  value: Buffer.from("1"),
  contentType: "application/json",
  ttl: "never",
};
const incr: IncrOperation = { ...base, verb: "incr", path: undefined, by: 1, ttl: "keep" };

describe("operation hash", () => {
  it("is what it was when it was first stored", () => {
    expect(operationHash(set).toString(16)).to.equal("6447b4f096b48d77");
    expect(operationHash(incr).toString(16)).to.equal("cf8daccf5d1bf862");
  });

  it("differs for everything that makes it another operation", () => {
    const others: Operation[] = [
      set,
      incr,
      { ...set, key: "delh" },
      { ...set, value: Buffer.from("2") },
      { ...set, value: Buffer.alloc(0) },
      // The same bytes, cut otherwise.
      { ...set, key: "delh", value: Buffer.from("i1") },
      { ...set, contentType: "text/plain" },
      { ...set, ttl: 1_000 },
      { ...set, ttl: 2_000 },
      { ...set, ifRevision: 0 as Revision },
      { ...set, ifRevision: 1 as Revision },
      { ...set, verb: "patch", contentType: "application/json" },
      { ...set, verb: "patch", contentType: "application/json", ttl: "keep" },
      { ...base, verb: "del" },
      { ...base, verb: "check" },
      { ...base, verb: "touch", ttl: "never" },
      { ...incr, by: -1 },
      { ...incr, by: 1.5 },
      { ...incr, path: "stock" },
      { ...incr, path: "stoc" },
      { ...incr, key: "delhistock" },
      { ...incr, ttl: "never" },
    ];
    expect(new Set(others.map(operationHash)).size).to.equal(others.length);
  });

  it("does not look at what is asked back, nor at who asks", () => {
    const other = { ...set, returnPrevious: true, request: { id: "r", index: 3 } };
    expect(operationHash(other)).to.equal(operationHash(set));
    expect(operationHash({ ...incr, by: -0 })).to.equal(operationHash({ ...incr, by: 0 }));
  });

  it("does not depend on what was hashed before", () => {
    const before = operationHash(set);
    operationHash({ ...set, value: Buffer.alloc(100_000, 7) });
    expect(operationHash(set)).to.equal(before);
  });
});
