/**
 * MessagePack is scanned before it is decoded, whoever decodes it.
 */
import { encode } from "@msgpack/msgpack";
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import { decodeMsgpack, decodeMsgpackExact } from "../../../protocol/value/msgpack.js";

const largest = 2n ** 64n - 1n;

describe("MessagePack", () => {
  it("is decoded", () => {
    const value = { a: [1, "x", null], b: { c: true } };
    expect(decodeMsgpack(encode(value))).to.deep.equal(value);
    expect(decodeMsgpackExact(encode(value))).to.deep.equal(value);
  });

  it("keeps integers of 64 bits where they are to be exact", () => {
    const bytes = encode(largest, { useBigInt64: true });
    expect(decodeMsgpackExact(bytes)).to.equal(largest);
    expect(decodeMsgpack(bytes)).to.equal(Number(largest));
  });

  for (const decode of [decodeMsgpack, decodeMsgpackExact]) {
    it(`is refused by ${decode.name} before the library can make room for a lie`, () => {
      // An array and a map of 2^32 - 1, a map whose key is a number, an extension type.
      for (const hex of ["ddffffffff", "dfffffffff", "810102", "d40001"]) {
        expect(() => decode(Buffer.from(hex, "hex")), hex).to.throw(KvError);
      }
    });
  }
});
