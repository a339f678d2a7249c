/**
 * What errors show of what was received: short, and on one line.
 */
import { expect } from "chai";
import { quote, quoteBytes, shown } from "../../../protocol/value/shown.js";

describe("what an error shows", () => {
  it("of a text is its beginning, escaped, and how long it is", () => {
    expect(quote("a\nb\u001b")).to.equal('"a\\nb\\u001b"');
    expect(quote("x".repeat(48))).to.equal(`"${"x".repeat(48)}"`);
    expect(quote("x".repeat(49))).to.equal(`"${"x".repeat(48)}"… (49 characters)`);
  });

  it("of bytes is their beginning as text, and how many they are", () => {
    expect(quoteBytes(Buffer.alloc(0))).to.equal("nothing");
    expect(quoteBytes(Buffer.from("a\n"))).to.equal('"a\\n"');
    expect(quoteBytes(Buffer.alloc(100, "x"))).to.equal(`"${"x".repeat(48)}"… (100 bytes)`);
  });

  it("of a value is itself if it is small, and else what it is", () => {
    const values = [1, true, 7n, null, undefined, "a", Buffer.from("b"), [1], { a: 1 }];
    expect(values.map(shown)).to.deep.equal([
      "1",
      "true",
      "7",
      "null",
      "nothing",
      '"a"',
      "bytes",
      "an array",
      "an object",
    ]);
  });

  it("of an object asks it nothing", () => {
    const hostile = {
      toString: () => {
        throw new Error("asked");
      },
    };
    expect(shown(hostile)).to.equal("an object");
  });
});
