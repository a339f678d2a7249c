/**
 * Members by name: those of the object itself, whatever they are called.
 */
import { expect } from "chai";
import {
  isPlainObject,
  memberOf,
  setMember,
  typeName,
  type PlainObject,
} from "../../../protocol/value/plain.js";

describe("plain values", () => {
  it("have the members that were put there, and no others", () => {
    const object = JSON.parse('{"__proto__":1,"a":2}') as PlainObject;
    expect(memberOf(object, "__proto__")).to.equal(1);
    expect(memberOf(object, "a")).to.equal(2);
    expect(memberOf({}, "__proto__")).to.equal(undefined);
    expect(memberOf({}, "toString")).to.equal(undefined);
  });

  it("take a member called __proto__ like any other", () => {
    const object: PlainObject = {};
    setMember(object, "__proto__", { admin: true });
    expect(JSON.stringify(object)).to.equal('{"__proto__":{"admin":true}}');
    expect(Object.getPrototypeOf(object)).to.equal(Object.prototype);
    expect(memberOf(object, "admin")).to.equal(undefined);
    setMember(object, "__proto__", 2);
    expect(JSON.stringify(object)).to.equal('{"__proto__":2}');
  });

  it("are objects only if they have members by name", () => {
    expect([{}, [], null, "a", undefined, Buffer.from("a")].map(isPlainObject)).to.deep.equal([
      true,
      false,
      false,
      false,
      false,
      false,
    ]);
  });

  it("have the type that a person calls them by", () => {
    const names = [null, [], Buffer.from("a"), "a", 1, 1n, true, {}].map(typeName);
    const wanted = ["null", "array", "bytes", "text", "number", "number", "boolean", "object"];
    expect(names).to.deep.equal(wanted);
  });
});
