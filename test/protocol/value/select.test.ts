/**
 * Select: parts of JSON come as they are stored, and keep their places.
 */
import { decode, encode } from "@msgpack/msgpack";
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import { compileSelect } from "../../../protocol/value/select.js";

const json = "application/json";

describe("select", () => {
  const cases: readonly [what: string, paths: string[], stored: string, selected: string][] = [
    ["numbers as they are written", ["a"], '{"a":9007199254740993}', '{"a":9007199254740993}'],
    ["zeros at the end", ["p"], '{"p":1.50}', '{"p":1.50}'],
    ["the sign of zero", ["z"], '{"z":-0}', '{"z":-0}'],
    ["numbers beyond every double", ["h"], '{"b":1,"h":1e400}', '{"h":1e400}'],
    ["texts with their escapes", ["t"], '{"t":"\\u0041\\n"}', '{"t":"\\u0041\\n"}'],
    ["objects within", ["geo.lat"], ' {"geo" : {"lat":1.0, "lon":2}} ', '{"geo":{"lat":1.0}}'],
    ["whole objects with their spaces", ["g"], '{"g": { "a" : [ 1 ] } }', '{"g":{ "a" : [ 1 ] }}'],
    ["elements that are objects", ["a.n"], '{"a":[{"n":1.0},2,{"m":3}]}', '{"a":[{"n":1.0},{}]}'],
    ["the last of a repeated member", ["a"], '{"a":1,"a":2.0}', '{"a":2.0}'],
    ["members in the order asked for", ["b", "a"], '{"a":1,"b":2}', '{"b":2,"a":1}'],
    [
      "the whole where a part is asked too",
      ["a", "a.b"],
      '{"a":{"b":1,"c":2}}',
      '{"a":{"b":1,"c":2}}',
    ],
    ["names that need escapes", ['a\\.b"'], '{"a.b\\"":1}', '{"a.b\\"":1}'],
    ["a member called __proto__", ["__proto__"], '{"__proto__":{"a":1}}', '{"__proto__":{"a":1}}'],
    ["nothing of what is missing", ["x", "a.x"], '{"a":1}', "{}"],
    ["nothing of an array", ["a"], '[{"a":1}]', "{}"],
    ["nothing of a text", ["a"], '"a"', "{}"],
  ];
  for (const [what, paths, stored, selected] of cases) {
    it(`keeps ${what}`, () => {
      const { value, contentType } = compileSelect(paths)(Buffer.from(stored), json);
      expect(Buffer.from(value).toString()).to.equal(selected);
      expect(contentType).to.equal(json);
    });
  }

  it("keeps 64-bit integers of MessagePack", () => {
    const stored = encode({ a: 9007199254740993n, b: 1 }, { useBigInt64: true });
    const { value, contentType } = compileSelect(["a"])(stored, "application/msgpack");
    expect(contentType).to.equal("application/msgpack");
    expect(decode(value, { useBigInt64: true })).to.deep.equal({ a: 9007199254740993n });
  });

  it("gives {} of text and raw bytes", () => {
    for (const type of ["text/plain", "application/octet-stream"] as const) {
      const { value } = compileSelect(["a"])(Buffer.from('{"a":1}'), type);
      expect(Buffer.from(value).toString()).to.equal("{}");
    }
  });

  it("refuses a path that is none, before any value is seen", () => {
    expect(() => compileSelect(["a.$b"])).to.throw(KvError);
  });
});
