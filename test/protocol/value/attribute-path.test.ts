/**
 * Attribute path: names to text and back.
 */
import { expect } from "chai";
import fc from "fast-check";
import { KvError } from "../../../protocol/errors.js";
import { canonicalPath, joinPath, splitPath } from "../../../protocol/value/attributes.js";

describe("attribute path", () => {
  it("escapes dots, backslashes and a leading dollar", () => {
    expect(joinPath(["a.b", "c\\d", "$e", "f$"])).to.equal("a\\.b.c\\\\d.\\$e.f$");
  });

  it("is split as it was joined, for any names", () => {
    const name = fc.string({ unit: fc.constantFrom(".", "\\", "$", "a", "é") });
    fc.assert(
      fc.property(fc.array(name, { minLength: 1 }), (names) => {
        expect(splitPath(joinPath(names))).to.deep.equal(names);
        expect(canonicalPath(joinPath(names))).to.equal(joinPath(names));
      }),
    );
  });

  it("is refused with a bare dollar, a lone backslash or an unknown escape", () => {
    for (const path of ["$a", "a.$b", "a\\", "a\\b"]) {
      expect(() => splitPath(path), path)
        .to.throw(KvError)
        .with.property("kind", "bad-request");
    }
  });
});
