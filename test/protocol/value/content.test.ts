/**
 * Content read, written, converted and spliced, with everything a client might send instead.
 */
import { encode } from "@msgpack/msgpack";
import { expect } from "chai";
import fc from "fast-check";
import { KvError, type ErrorName } from "../../../protocol/errors.js";
import type { ContentType } from "../../../protocol/operation.js";
import {
  convertValue,
  decodeValue,
  encodeValue,
  parseContentType,
  spliceJson,
  type Plain,
} from "../../../protocol/value/content.js";

const json = "application/json";

const msgpack = "application/msgpack";

describe("content type", () => {
  it("is JSON when absent, raw bytes when unknown, and ignores parameters and case", () => {
    expect(parseContentType(undefined)).to.equal(json);
    expect(parseContentType("application/json")).to.equal(json);
    expect(parseContentType("Text/Plain; charset=utf-8")).to.equal("text/plain");
    expect(parseContentType(" application/msgpack ")).to.equal(msgpack);
    expect(parseContentType("image/png")).to.equal("application/octet-stream");
  });
});

describe("reading", () => {
  it("gives JSON and MessagePack, and nothing for text and raw bytes", () => {
    expect(decodeValue(utf8('{"a":[1,"é"]}'), json)).to.deep.equal({ a: [1, "é"] });
    expect(decodeValue(encode({ a: [1, "é"] }), msgpack)).to.deep.equal({ a: [1, "é"] });
    expect(decodeValue(utf8("hello"), "text/plain")).to.equal(undefined);
    expect(decodeValue(hex("ff"), "application/octet-stream")).to.equal(undefined);
    expect(decodeValue(hex("cf ffffffffffffffff"), msgpack)).to.equal(2n ** 64n - 1n);
  });

  it("tells who sent bare text to quote it or to say that it is text", () => {
    refuses("bad-request", () => decodeValue(utf8("hello"), json), 'Put text in quotes ("hello")');
    refuses("bad-request", () => decodeValue(utf8("hello"), json), "Content-Type: text/plain");
  });

  it("refuses JSON and text that is no UTF-8", () => {
    for (const bytes of ["22ff22", "22eda08022", "22c022"]) {
      refuses("bad-request", () => decodeValue(hex(bytes), json), "UTF-8");
      refuses("bad-request", () => decodeValue(hex(bytes), "text/plain"), "UTF-8");
    }
    refuses("bad-request", () => decodeValue(utf8("\ufeff1"), json), "not JSON");
  });

  it("refuses lone surrogates in values and names, but not pairs", () => {
    for (const text of ['"\\ud800"', '{"\\uDfFf":1}', '[{"a":["\\ud83dx"]}]']) {
      refuses("bad-request", () => decodeValue(utf8(text), json), "lone surrogate");
    }
    expect(decodeValue(utf8('"\\ud83d\\ude00"'), json)).to.equal("\u{1f600}");
    expect(decodeValue(utf8('"\\\\ud800"'), json)).to.equal("\\ud800");
  });

  it("does not take brackets in a string, or many side by side, for nesting", () => {
    const text = `["${'[{\\"'.repeat(300)}",${"[],".repeat(300)}{}]`;
    expect(decodeValue(utf8(text), json)).to.have.length(302);
  });

  it("ends in a value or a KvError, whatever the bytes", () => {
    const types = fc.constantFrom<ContentType>(json, msgpack, "text/plain");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), types, (bytes, type) => {
        try {
          decodeValue(bytes, type);
          spliceJson(bytes, type);
        } catch (error) {
          expect(error).to.be.instanceOf(KvError);
        }
      }),
      { numRuns: 5_000 },
    );
  });
});

describe("writing", () => {
  it("gives back what is read, in both formats", () => {
    // MessagePack has no member __proto__ here, which has a case of its own below.
    const value = fc.jsonValue().filter((any) => !JSON.stringify(any).includes("__proto__"));
    fc.assert(
      fc.property(value, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (any, integer) => {
        const plain = any as Plain;
        expect(decodeValue(encodeValue(plain, json), json)).to.deep.equal(plain);
        // MessagePack writes a zero as an integer, which has no sign.
        const packed = { plain, integer, bytes: new Uint8Array([1, 0]) };
        const read = decodeValue(encodeValue(packed, msgpack), msgpack);
        expect(read).to.deep.equal({ ...packed, plain: normal(plain) });
      }),
    );
  });

  it("writes 64-bit integers to JSON as digits", () => {
    expect(text(encodeValue({ n: 2n ** 64n - 1n }, json))).to.equal('{"n":18446744073709551615}');
  });

  it("refuses what the format cannot tell", () => {
    refuses("unsupported", () => encodeValue({ a: new Uint8Array(1) }, json), "bytes");
    refuses("unsupported", () => encodeValue([Infinity], json), "Infinity");
    refuses("unsupported", () => encodeValue(1, "text/plain"), "text/plain");
    const proto = JSON.parse('{"a":{"__proto__":1}}') as Plain;
    refuses("unsupported", () => encodeValue(proto, msgpack), "__proto__");
    expect(text(encodeValue(proto, json))).to.equal('{"a":{"__proto__":1}}');
    expect(decodeValue(encodeValue("__proto__", msgpack), msgpack)).to.equal("__proto__");
  });
});

describe("splicing into a JSON reply", () => {
  it("puts JSON in byte for byte", () => {
    const sent = '{ "a" :1.0,\n"b":"\\u0041é", "a": 12345678901234567890 }';
    expect(spliceJson(utf8(sent), json)).to.equal(`"value":${sent}`);
  });

  it("makes text a string, with its type", () => {
    const spliced = spliceJson(utf8('\ufeffsay "hi"\n\u2028'), "text/plain");
    const parsed = JSON.parse(`{${spliced}}`) as Plain;
    expect(parsed).to.deep.equal({
      value: '\ufeffsay "hi"\n\u2028',
      content_type: "text/plain",
    });
  });

  it("converts MessagePack, and keeps as base64 what JSON cannot tell", () => {
    expect(spliceJson(encode({ a: [1, null] }), msgpack)).to.equal(
      '"value":{"a":[1,null]},"content_type":"application/msgpack"',
    );
    expect(spliceJson(hex("c4 01 ff"), msgpack)).to.equal(
      '"value_base64":"xAH/","content_type":"application/msgpack"',
    );
    expect(spliceJson(hex("00ff"), "application/octet-stream")).to.equal(
      '"value_base64":"AP8=","content_type":"application/octet-stream"',
    );
  });

  it("keeps the sign of a zero of MessagePack", () => {
    const spliced = spliceJson(hex("cb 80 00 00 00 00 00 00 00"), msgpack);
    expect(spliced).to.equal('"value":-0,"content_type":"application/msgpack"');
  });

  it("shows in base64 what escapes would make larger than a reply", () => {
    const sent = Buffer.alloc(172_100, 1);
    const spliced = spliceJson(sent, "text/plain");
    expect(spliced).to.equal(
      `"value_base64":"${sent.toString("base64")}","content_type":"text/plain"`,
    );
  });
});

describe("conversion for Accept", () => {
  it("turns JSON and MessagePack into each other, and leaves the same type alone", () => {
    const value = utf8('{ "a": 1 }');
    expect(convertValue(value, json, json)).to.equal(value);
    expect(decodeValue(convertValue(value, json, msgpack), msgpack)).to.deep.equal({ a: 1 });
    expect(text(convertValue(encode({ a: 1 }), msgpack, json))).to.equal('{"a":1}');
  });

  it("is unsupported for anything else", () => {
    refuses("unsupported", () => convertValue(utf8("1"), "text/plain", json), "text/plain");
    refuses("unsupported", () => convertValue(utf8("1"), json, "text/plain"), "text/plain");
    refuses("unsupported", () => convertValue(hex("c401ff"), msgpack, json), "bytes");
  });
});

function utf8(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value, "utf8"));
}

function hex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits.replaceAll(" ", ""), "hex"));
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}

function normal(plain: Plain): Plain {
  return JSON.parse(JSON.stringify(plain)) as Plain;
}

function refuses(kind: ErrorName, run: () => unknown, why: string, what?: string): void {
  expect(run, what).to.throw(KvError, why).with.property("kind", kind);
}
