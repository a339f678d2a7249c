/**
 * Cutting JSON: what is printed is what stands there, whatever it is.
 */
import { expect } from "chai";
import fc from "fast-check";
import { JsonText } from "../../../infra/cli/json-text.js";

describe("JSON text", () => {
  const text = of(' {"a":[{"b":1.0},{"b":"x"},{"c":0},2],"t":"q\\n","o":{"n":1e400}} ');

  it("shows what stands at a path, as it stands", () => {
    const shown = (path: string): string | undefined => text.attribute(path.split("."))?.shown;
    expect(shown("o.n")).to.equal("1e400");
    expect(shown("a.b")).to.equal('[1.0,"x"]');
    expect(shown("t")).to.equal("q\n");
    expect(shown("o")).to.equal('{"n":1e400}');
    expect(shown("t.n")).to.equal(undefined);
    expect(shown("none")).to.equal(undefined);
  });

  it("is the same JSON on one line", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const { line } = of(JSON.stringify(value, null, 2).replace(/\n/g, "\r\n"));
        expect(line).not.to.match(/[\r\n]/);
        expect(JSON.parse(line)).to.deep.equal(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("has no members and elements where there are none", () => {
    for (const json of ["1", '"{}"', "null", "[]", "{}"]) {
      expect([...of(json).members(), ...of(json).elements()], json).to.deep.equal([]);
    }
  });
});

function of(json: string): JsonText {
  return JsonText.of(Buffer.from(json));
}
