/**
 * Positions of keys as text and as bytes, against FNV-1a written out plainly, and against the
 * vectors that other languages' clients are tested with. What is a key, and what fits a subject.
 */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import fc from "fast-check";
import { isSubjectKey } from "../../protocol/nats/subjects.js";
import { checkKey, positionOf, positionOfBytes } from "../../protocol/position.js";
import { refusalNow } from "../support/failure.js";

interface Vectors {
  readonly position_count: number;
  readonly keys: readonly { key: string; routed: string; position: number; subject: boolean }[];
}

// The compiled test is in a folder of its own; the vectors stay where they are.
const file = "test/protocol/position-vectors.json";
const vectors = JSON.parse(readFileSync(file, "utf8")) as Vectors;

const text = fc.string({ unit: "binary", maxLength: 40 });
const tagged = fc
  .tuple(text, fc.constantFrom("{", "}", "{}", "{a.b}", "..", "{é}", "}{x}"), text)
  .map((parts) => parts.join(""));
const anyKey = fc.oneof(text, tagged);

describe("position of a key", () => {
  it("is that of the vectors", () => {
    expect(vectors.keys.length).to.be.greaterThan(30);
    for (const { key, routed, position, subject } of vectors.keys) {
      expect(routedText(key), key).to.equal(routed);
      expect(positionOf(key, vectors.position_count), key).to.equal(position);
      expect(isSubjectKey(key), key).to.equal(subject);
    }
  });

  it("is FNV-1a 32 of the routed text modulo the count", () => {
    expect(positionOf("delhi", 2 ** 32)).to.equal(plainFnv("delhi"));
    expect(positionOf("", 2 ** 32)).to.equal(0x811c9dc5);
    expect(positionOf("foobar", 2 ** 32)).to.equal(0xbf9cf968);
    fc.assert(
      fc.property(anyKey, fc.integer({ min: 1, max: 65_536 }), (key, count) => {
        expect(positionOf(key, count)).to.equal(plainFnv(routedText(key)) % count);
      }),
      { numRuns: 2_000 },
    );
  });

  it("is the same for the key's bytes", () => {
    fc.assert(
      fc.property(anyKey, fc.integer({ min: 1, max: 65_536 }), (key, count) => {
        expect(positionOfBytes(Buffer.from(key), count)).to.equal(positionOf(key, count));
      }),
      { numRuns: 2_000 },
    );
  });

  it("does not depend on where the dots are", () => {
    expect(positionOf("a.bc")).to.equal(positionOf("ab.c"));
    expect(positionOf("a.bc")).to.equal(positionOf("abc"));
  });

  it("is that of the tag alone, if there is one", () => {
    expect(positionOf("{u1}.name")).to.equal(positionOf("{u1}.mail"));
    expect(positionOf("order.{u.1}.x", 2 ** 32)).to.equal(plainFnv("u.1"));
    expect(positionOf("a{b}{c}", 2 ** 32)).to.equal(plainFnv("b"));
  });

  it("is that of the whole key where the braces hold nothing or do not close", () => {
    expect(positionOf("a{}.b{c}", 2 ** 32)).to.equal(plainFnv("a{}b{c}"));
    expect(positionOf("a{b.c", 2 ** 32)).to.equal(plainFnv("a{bc"));
    expect(positionOf("}a.{", 2 ** 32)).to.equal(plainFnv("}a{"));
  });

  it("spreads keys evenly", () => {
    const counts = Array.from({ length: 64 }, () => 0);
    for (let key = 0; key < 64_000; key += 1) {
      const position = positionOf(`user.${key}`, 64);
      counts[position] = (counts[position] ?? 0) + 1;
    }
    expect(Math.max(...counts)).to.be.lessThan(1_200);
    expect(Math.min(...counts)).to.be.greaterThan(800);
  });
});

describe("key that fits a subject", () => {
  it("has no empty token, no white space or control character, and no wildcard", () => {
    for (const key of ["a", "a.b", "é.ü", "a-b_c/d", "{t}.x", "$x", "nbsp\u00a0x", "😀"]) {
      expect(isSubjectKey(key), key).to.equal(true);
    }
    for (const key of ["", ".", ".a", "a.", "a..b", "a b", "a\tb", "a\nb", "a\0", "a\u007f"]) {
      expect(isSubjectKey(key), JSON.stringify(key)).to.equal(false);
    }
    for (const key of ["*", ">", "a.*", "a.>", "*.a", "a*", "a.b>c", "**"]) {
      expect(isSubjectKey(key), key).to.equal(false);
    }
  });
});

describe("key check", () => {
  it("takes any Unicode text of up to 1,024 bytes", () => {
    for (const key of ["a", " ", "\0", "..", "é".repeat(512), "x".repeat(1_024), "😀"]) {
      expect(checkKey(key)).to.equal(key);
    }
  });

  it("refuses more bytes, with the limit and the size", () => {
    const error = refusalNow(() => checkKey("é".repeat(513)));
    expect(error.kind).to.equal("too-large");
    expect(error.details).to.include({ limit: 1_024, size: 1_026 });
    expect(refusalNow(() => checkKey("x".repeat(1_025))).details).to.include({ size: 1_025 });
  });

  it("refuses what is no text, empty, or half a surrogate pair", () => {
    for (const key of [undefined, null, 7, {}, ["a"], "", "\ud800", "a\udc00b", "\udc00\ud800"]) {
      expect(refusalNow(() => checkKey(key)).kind, JSON.stringify(key)).to.equal("bad-request");
    }
  });
});

/** What decides a key's position, as the header of position.ts defines it. */
function routedText(key: string): string {
  const open = key.indexOf("{");
  const close = open < 0 ? -1 : key.indexOf("}", open + 1);
  return close > open + 1 ? key.slice(open + 1, close) : key.replaceAll(".", "");
}

/** FNV-1a 32 as its authors write it, in whole numbers of any size. */
function plainFnv(routed: string): number {
  let hash = 2_166_136_261n;
  for (const byte of Buffer.from(routed)) hash = ((hash ^ BigInt(byte)) * 16_777_619n) % 2n ** 32n;
  return Number(hash);
}
