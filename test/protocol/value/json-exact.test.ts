/**
 * Exactness: which JSON and MessagePack a program can read and write again without loss.
 */
import { encode } from "@msgpack/msgpack";
import { expect } from "chai";
import { isExact } from "../../../protocol/value/content.js";

const json = "application/json";

const msgpack = "application/msgpack";

describe("exactness", () => {
  it("holds for numbers that come back the same, however they are spelt", () => {
    const exact = [
      "1",
      "-1.50",
      "1.0",
      "1e2",
      "1E+2",
      "100e-2",
      "0.1",
      "-0",
      "0.0",
      "0e99",
      "5e-324",
    ];
    exact.push("9007199254740992", "1e21", "123456789012345680000", '{ "a" : [0.10, "\\u0041"] }');
    exact.push(
      '{"2":1,"1":2}',
      '"1e400"',
      '{"1e400":"9007199254740993"}',
      '{"a:b":1, "c":"\\"d:"}',
    );
    for (const value of exact) expect(isExact(utf8(value), json), value).to.equal(true);
  });

  it("does not hold for numbers that would change", () => {
    const inexact = ["9007199254740993", "12345678901234567890", "0.1000000000000000055", "1e400"];
    inexact.push("-1e400", "1e-400", "3.14159265358979323846", '{"a":[{"b":9007199254740993}]}');
    for (const value of inexact) expect(isExact(utf8(value), json), value).to.equal(false);
  });

  it("does not hold where a member stands twice", () => {
    expect(isExact(utf8('{"a":1,"a":1}'), json)).to.equal(false);
    expect(isExact(utf8('[{"b":{"a":{"c":1},"\\u0061":{"d":1}}}]'), json)).to.equal(false);
    expect(isExact(utf8('[{"a":1},{"a":1}]'), json)).to.equal(true);
    expect(isExact(hex("82 a161 01 a161 02"), msgpack)).to.equal(false);
    expect(isExact(hex("82 a161 01 a162 02"), msgpack)).to.equal(true);
  });

  it("holds for MessagePack numbers, text and raw bytes", () => {
    expect(isExact(encode([0.1, 1e300]), msgpack)).to.equal(true);
    expect(isExact(hex("cf ffffffffffffffff"), msgpack)).to.equal(true);
    expect(isExact(utf8("9007199254740993"), "text/plain")).to.equal(true);
  });
});

function utf8(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value, "utf8"));
}

function hex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits.replaceAll(" ", ""), "hex"));
}
