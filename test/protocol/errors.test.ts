/**
 * An error told by a reply's body, whatever stands there.
 */
import { expect } from "chai";
import { errorNames, KvError } from "../../protocol/errors.js";

describe("an error's body", () => {
  it("is the error again", () => {
    for (const name of errorNames) {
      const error = new KvError(name, "why", { limit: 5 });
      const again = KvError.fromBody(JSON.parse(JSON.stringify(error.toBody())));
      expect(again.toBody()).to.deep.equal(error.toBody());
    }
  });

  const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;

  const strange: readonly (readonly [what: string, body: unknown])[] = [
    ["nothing", null],
    ["a number", 5],
    ["a number that JSON does not have", 5n],
    ["no name", {}],
    ["a name of no error", { name: "toString" }],
    ["a list with a name of the list", { name: ["conflict"] }],
    ["a name that cannot be made text", { name: { toString: 1, valueOf: 1 } }],
    ["a name that is nested too deeply", JSON.parse(`{"name":${deep}}`)],
  ];

  for (const [what, body] of strange) {
    it(`becomes internal where it is or has ${what}`, () => {
      expect(KvError.fromBody(body).kind).to.equal("internal");
    });
  }

  it("says that it has no description where it has none that is text", () => {
    for (const description of [undefined, 5, { toString: 1, valueOf: 1 }, JSON.parse(deep)]) {
      const { kind, message } = KvError.fromBody({ name: "conflict", description });
      expect({ kind, message }).to.deep.equal({
        kind: "conflict",
        message: "conflict, without a description",
      });
    }
  });
});
