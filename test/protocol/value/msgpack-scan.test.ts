/**
 * MessagePack scan: nesting, and what is malformed.
 */
import { expect } from "chai";
import { KvError, type ErrorName } from "../../../protocol/errors.js";
import { decodeValue, encodeValue } from "../../../protocol/value/content.js";

const json = "application/json";

const msgpack = "application/msgpack";

describe("scan of MessagePack", () => {
  it("takes the deepest nesting that is allowed, and no deeper, in both formats", () => {
    for (const [open, close, one] of [
      ["[", "]", "91"],
      ['{"a":', "}", "81a161"],
    ] as const) {
      const nested = (n: number): Uint8Array => utf8(`${open.repeat(n)}1${close.repeat(n)}`);
      const packed = (n: number): Uint8Array => hex(`${one.repeat(n)}01`);
      expect(encodeValue(decodeValue(nested(100), json)!, json)).to.deep.equal(nested(100));
      const read = decodeValue(packed(100), msgpack)!;
      expect(Buffer.compare(encodeValue(read, msgpack), packed(100))).to.equal(0);
      for (const n of [101, 100_000]) {
        refuses("limit-exceeded", () => decodeValue(nested(n), json), "100 levels");
        refuses("limit-exceeded", () => decodeValue(packed(n), msgpack), "100 levels");
      }
    }
    refuses("bad-request", () => decodeValue(utf8("[".repeat(100_000)), json), "not JSON");
  });

  it("refuses malformed MessagePack, each kind by what is wrong", () => {
    const cases: [bytes: string, kind: ErrorName, text: string][] = [
      ["", "bad-request", "ends after 0 bytes"],
      ["0101", "bad-request", "1 bytes follow the value"],
      ["92 01", "bad-request", "ends after"],
      ["dd ffffffff 01", "bad-request", "ends after"],
      ["df ffffffff 01", "bad-request", "ends after"],
      ["de ff", "bad-request", "ends after"],
      ["a5 6162", "bad-request", "ends after"],
      ["c4 05 01", "bad-request", "ends after"],
      ["cb 0000", "bad-request", "ends after"],
      ["81 01 02", "bad-request", "not text"],
      ["81 c0 02", "bad-request", "not text"],
      ["81 c401 61 02", "bad-request", "not text"],
      [`81 a9 ${Buffer.from("__proto__").toString("hex")} 80`, "bad-request", "__proto__"],
      ["c1", "bad-request", "0xc1"],
      ["a1 ff", "bad-request", "UTF-8"],
      ["a3 eda080", "bad-request", "UTF-8"],
      [`d9 40 ${"61".repeat(63)}ff`, "bad-request", "UTF-8"],
      ["cb 7ff8000000000000", "bad-request", "NaN"],
      ["ca 7fc00000", "bad-request", "NaN"],
      ["d4 01 02", "unsupported", "extension"],
      ["c7 01 02 03", "unsupported", "extension"],
      ["d6 ff 00000000", "unsupported", "extension"],
    ];
    for (const [bytes, kind, text] of cases) {
      refuses(kind, () => decodeValue(hex(bytes), msgpack), text, bytes);
    }
  });
});

function utf8(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value, "utf8"));
}

function hex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits.replaceAll(" ", ""), "hex"));
}

function refuses(kind: ErrorName, run: () => unknown, why: string, what?: string): void {
  expect(run, what).to.throw(KvError, why).with.property("kind", kind);
}
