/**
 * Finding an array by its path in documents of any form.
 */
import { expect } from "chai";
import fc from "fast-check";
import { ArrayFinder } from "../../../infra/cli/array-finder.js";

describe("array finder", () => {
  it("finds an array wherever it stands in a document", () => {
    const json = fc.jsonValue({ maxDepth: 3 });
    const around = fc.dictionary(fc.constantFrom("b", "c", "\u00e9", 'q"]'), json);
    fc.assert(
      fc.property(around, around, fc.array(json), (outer, inner, list) => {
        const text = JSON.stringify({ ...outer, a: { ...inner, list }, z: outer }, null, 1);
        const rest = afterOpening(text, ["a", "list"]);
        const own = JSON.stringify({ list }, null, 1)
          .replace(/\s/g, "")
          .slice('{"list":['.length, -2);
        expect(rest?.replace(/\s/g, "").startsWith(own)).to.equal(true);
      }),
    );
  });

  it("reads names as JSON does, and takes none that is a value or stands deeper", () => {
    expect(afterOpening('{"x":"a","\\u0061":[1', ["a"])).to.equal("1");
    expect(afterOpening('{"x":{"a":[0]},"y":[{"a":[0]}],"a":[1', ["a"])).to.equal("1");
    expect(afterOpening('{"x":["a",[0]],"a":{"a":[1', ["a", "a"])).to.equal("1");
    for (const text of ['{"a":{"b":[1]}}', '[{"a":[1]}]', '{"a":1,"b":[1]}', '{"b":["a",[1]]}']) {
      expect(afterOpening(text, ["a"]), text).to.equal(undefined);
    }
  });
});

/** What stands behind the array's opening bracket; undefined = none was found. */
function afterOpening(text: string, path: readonly string[]): string | undefined {
  const finder = new ArrayFinder(path);
  const bytes = Buffer.from(text);
  const at = bytes.findIndex((byte) => finder.push(byte));
  return at < 0 ? undefined : bytes.toString("utf8", at + 1);
}
