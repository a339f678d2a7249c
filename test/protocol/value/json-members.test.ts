/**
 * Places of members and elements in JSON bytes.
 */
import { expect } from "chai";
import fc from "fast-check";
import { KvError } from "../../../protocol/errors.js";
import { elementsOf, membersOf, sliceOf } from "../../../protocol/value/json-members.js";

describe("members of a JSON object", () => {
  it("are cut out byte for byte", () => {
    const json = utf8(' {"key" : "é}" ,\n"value":{ "a" : [1.0, "]\\""] }\t, "n":-1.5e3,"t":true} ');
    const found = [...membersOf(json)].map(([name, span]) => [name, text(sliceOf(json, span))]);
    expect(found).to.deep.equal([
      ["key", '"é}"'],
      ["value", '{ "a" : [1.0, "]\\""] }'],
      ["n", "-1.5e3"],
      ["t", "true"],
    ]);
  });

  it("are what JSON.parse finds, for any object", () => {
    const anyObject = fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue(), { maxKeys: 6 });
    fc.assert(
      fc.property(anyObject, fc.constantFrom(undefined, 1, "\t"), (object, indent) => {
        const json = utf8(JSON.stringify(object, undefined, indent));
        const parsed = JSON.parse(text(json)) as Record<string, unknown>;
        const members = membersOf(json);
        expect([...members.keys()]).to.have.members(Object.keys(parsed));
        for (const [name, span] of members) {
          const found = JSON.parse(text(sliceOf(json, span))) as unknown;
          expect(JSON.stringify(found)).to.equal(JSON.stringify(parsed[name]));
        }
      }),
    );
  });

  it("count by the last of the same name, also where it is escaped", () => {
    const json = utf8('{"a":1,"\\u0061":2,"__proto__":3}');
    const members = membersOf(json);
    expect([...members.keys()]).to.deep.equal(["a", "__proto__"]);
    expect(text(sliceOf(json, members.get("a")!))).to.equal("2");
  });

  it("are refused where the bytes are no JSON object", () => {
    expect(() => membersOf(utf8('{"a":1'))).to.throw(KvError, "not JSON");
    expect(() => membersOf(utf8(""))).to.throw(KvError, "not JSON");
    for (const [json, type] of [
      ["[]", "array"],
      [' "{}" ', "text"],
      ["null", "null"],
      ["12", "number"],
    ] as const) {
      const thrown = expect(() => membersOf(utf8(json)), json).to.throw(
        KvError,
        `received ${type}`,
      );
      thrown.with.property("kind", "bad-request");
    }
  });
});

describe("elements of a JSON array", () => {
  it("are found in a member, and their members in turn", () => {
    const json = utf8(
      '{"ops":[ {"op":"set","value": [1 ,2]} , {"op":"get"},[],"x" ],"atomic":true}',
    );
    const elements = elementsOf(json, membersOf(json).get("ops"));
    expect(elements.map((span) => text(sliceOf(json, span)))).to.deep.equal([
      '{"op":"set","value": [1 ,2]}',
      '{"op":"get"}',
      "[]",
      '"x"',
    ]);
    const value = membersOf(json, elements[0]).get("value")!;
    expect(text(sliceOf(json, value))).to.equal("[1 ,2]");
    expect(() => membersOf(json, elements[3])).to.throw(KvError, "received text");
    expect(elementsOf(json, elements[2])).to.deep.equal([]);
  });

  it("are found in a view at an offset", () => {
    const json = utf8('xx[1,"é"]').subarray(2);
    expect(elementsOf(json).map((span) => text(sliceOf(json, span)))).to.deep.equal(["1", '"é"']);
  });

  it("are refused where a member is no array", () => {
    const json = utf8('{"ops":{}}');
    const span = membersOf(json).get("ops")!;
    expect(() => elementsOf(json, span)).to.throw(KvError, "expected an array; received object");
  });
});

function utf8(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value, "utf8"));
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}
