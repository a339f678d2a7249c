/**
 * JSON Merge Patch: the test table of RFC 7396, appendix A, and members with awkward names.
 */
import { expect } from "chai";
import { mergePatch } from "../../../protocol/value/merge-patch.js";
import type { Plain } from "../../../protocol/value/plain.js";

const table: readonly (readonly [original: string, patch: string, result: string])[] = [
  ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
  ['{"a":"b"}', '{"a":null}', "{}"],
  ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
  ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
  ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
  ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
  ['["a","b"]', '["c","d"]', '["c","d"]'],
  ['{"a":"b"}', '["c"]', '["c"]'],
  ['{"a":"foo"}', "null", "null"],
  ['{"a":"foo"}', '"bar"', '"bar"'],
  ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
  ["[1,2]", '{"a":"b","c":null}', '{"a":"b"}'],
  ["{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
];

describe("merge patch", () => {
  for (const [original, patch, result] of table) {
    it(`makes ${result} of ${original} by ${patch}`, () => {
      const target = parse(original);
      expect(JSON.stringify(mergePatch(target, parse(patch)))).to.equal(result);
      expect(JSON.stringify(target), "the target is not changed").to.equal(original);
    });
  }

  it("takes a missing target for an empty object", () => {
    expect(mergePatch(undefined, parse('{"a":1,"b":null}'))).to.deep.equal({ a: 1 });
  });

  it("treats __proto__ as a member like any other", () => {
    const patched = mergePatch(parse('{"a":1}'), parse('{"__proto__":{"x":1},"toString":{"y":2}}'));
    expect(JSON.stringify(patched)).to.equal('{"a":1,"__proto__":{"x":1},"toString":{"y":2}}');
    expect(Object.getPrototypeOf(patched)).to.equal(Object.prototype);
    expect(JSON.stringify(mergePatch(patched, parse('{"__proto__":{"z":3}}')))).to.include(
      '"__proto__":{"x":1,"z":3}',
    );
    expect(JSON.stringify(mergePatch(patched, parse('{"__proto__":null}')))).to.equal(
      '{"a":1,"toString":{"y":2}}',
    );
    expect(({} as Record<string, unknown>)["x"]).to.equal(undefined);
  });
});

function parse(json: string): Plain {
  return JSON.parse(json) as Plain;
}
