/**
 * Cutting NDJSON and JSON arrays into elements, wherever the pieces of the file are cut.
 */
import { expect } from "chai";
import fc from "fast-check";
import {
  ELEMENT_BYTES_MAX,
  ElementCutter,
  readElements,
  type FileElement,
  type Place,
} from "../../../infra/cli/records-file.js";
import { failureText } from "../../support/failure.js";

describe("records file", () => {
  it("takes lines, whatever ends them, and leaves empty ones out", () => {
    const elements = cut('{"a":1}\r\n\n  \n{"b":2}\n{"c":3}');
    expect(texts(elements)).to.deep.equal(['{"a":1}', '{"b":2}', '{"c":3}']);
    expect(elements.map(({ line }) => line)).to.deep.equal([1, 4, 5]);
  });

  it("takes the elements of an array, of any kind and over many lines", () => {
    const elements = cut('\n [ {"a":\n[1,2]} ,\n"x,]\\"y", 3,[[]]\n]\n');
    expect(texts(elements)).to.deep.equal(['{"a":\n[1,2]}', '"x,]\\"y"', "3", "[[]]"]);
    expect(elements.map(({ line }) => line)).to.deep.equal([2, 4, 4, 4]);
  });

  it("finds nothing in nothing, and in an empty array", () => {
    for (const text of ["", " \n\n", "[]", " [ ] \n"]) expect(cut(text), text).to.deep.equal([]);
  });

  it("passes over a byte order mark", () => {
    expect(texts(cut('\ufeff{"a":1}\n'))).to.deep.equal(['{"a":1}']);
    expect(texts(cut("\ufeff[1,2]"))).to.deep.equal(["1", "2"]);
  });

  it("hands on what is no JSON, for the reader to refuse", () => {
    expect(texts(cut("[1,,{} {},}]"))).to.deep.equal(["1", "", "{} {}", "}"]);
    expect(texts(cut("oops\n1\n"))).to.deep.equal(["oops", "1"]);
  });

  it("gives what stands before the cut of an array that has no end, then fails", async () => {
    const seen: string[] = [];
    let failure: unknown;
    try {
      for await (const elements of readElements(pieces("[1,\n2,\n{")))
        seen.push(...texts(elements));
    } catch (error) {
      failure = error;
    }
    expect(seen).to.deep.equal(["1", "2"]);
    expect(String(failure)).to.match(/ends at line 3 within its array/);
  });

  it("gives the elements before text after an array, however it is cut, then fails", async () => {
    for (const list of [["[1,2]\n[3]"], ["[1,", "2]\n", "[3]"]]) {
      const seen: string[] = [];
      const reading = (async () => {
        for await (const elements of readElements(pieces(...list))) seen.push(...texts(elements));
      })();
      expect(await failureText(reading)).to.match(/^line 2: text after.*one record a line/);
      expect(seen).to.deep.equal(["1", "2"]);
    }
  });

  it("takes records whose lines end in commas, and only these commas", () => {
    expect(texts(cut('{"a":1},\n{"b":2} , \r\n{"c":3}\n1,\n'))).to.deep.equal([
      '{"a":1}',
      '{"b":2}',
      '{"c":3}',
      "1,",
    ]);
  });

  const wrapped = '{ "type":"x","features]":[9], "skip":{"features":[1,"features"]},\n"a":\n';
  const document = `${wrapped} {"b":1,"features":[ {"n":"]"},\n[2] ],"c":[3]}, "features":4}\n`;

  it("takes the elements of an array at a path, and passes over what stands around it", () => {
    for (const size of [1, 7, Infinity]) {
      const elements = cut(document, size, undefined, ["a", "features"]);
      expect(texts(elements)).to.deep.equal(['{"n":"]"}', "[2]"]);
      expect(elements.map(({ line }) => line)).to.deep.equal([3, 4]);
      const [first, second] = elements;
      const rest = Buffer.from(document).subarray(first?.end.bytes);
      expect(cut(rest, size, first?.end, ["a", "features"])).to.deep.equal([second]);
    }
    expect(texts(cut(document, 3, undefined, ["skip", "features"]))).to.deep.equal([
      "1",
      '"features"',
    ]);
  });

  it("says that no array is at a path", () => {
    for (const path of [["none"], ["features"], ["a", "b"], ["a"], ["skip", "features", "x"]]) {
      expect(() => cut(document, 9, undefined, path)).to.throw(/no array at --path/);
    }
    expect(() => cut('{"a":[1', 9, undefined, ["a"])).to.throw(/"]" is missing/);
  });

  it("keeps nothing of an element that is too long, and goes on after it", () => {
    const long = `"${"x".repeat(ELEMENT_BYTES_MAX)}"`;
    for (const text of [`1\n${long}\n2\n`, `[1,${long},2]`]) {
      const elements = cut(text, 65_536);
      expect(elements.map(({ source }) => source?.length)).to.deep.equal([1, undefined, 1]);
    }
  });

  it("goes on at the place after any element, in both forms", () => {
    for (const text of ['{"a":1}\n\n{"b":2}\r\n3', '[ {"a":1}\n, 2 ,[3],\n"]" ]\n']) {
      const elements = cut(text);
      for (const [index, { end }] of elements.entries()) {
        const rest = cut(Buffer.from(text).subarray(end.bytes), 1, end);
        expect(rest).to.deep.equal(elements.slice(index + 1));
      }
    }
  });

  it("gives the same elements however the file is cut into pieces", () => {
    const json = fc.json({ maxDepth: 3 });
    const file = fc.oneof(
      fc.array(json).map((values) => `\n{}\n${values.join("\n")}`),
      fc.array(json).map((values) => `[${values.join(" ,\n")}]`),
    );
    fc.assert(
      fc.property(file, fc.integer({ min: 1, max: 9 }), (text, size) => {
        expect(cut(text, size)).to.deep.equal(cut(text));
      }),
    );
  });

  it("gives an array's elements as JSON.parse sees them", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.constantFrom(undefined, 2), (values, space) => {
        const elements = cut(JSON.stringify(values, null, space));
        const parsed = texts(elements).map((text) => JSON.parse(text) as unknown);
        expect(parsed).to.deep.equal(JSON.parse(JSON.stringify(values)));
      }),
    );
  });
});

/** In pieces of `size` bytes. */
function cut(
  text: string | Uint8Array,
  size = Infinity,
  from?: Place,
  path?: readonly string[],
): FileElement[] {
  const bytes = Buffer.from(text as string);
  const cutter = new ElementCutter(from, path);
  const elements: FileElement[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    elements.push(...cutter.push(bytes.subarray(at, Math.min(at + size, bytes.length))));
  }
  elements.push(...cutter.finish());
  return elements.map((element) => ({
    ...element,
    // Buffer or Uint8Array is the cutter's affair.
    source: element.source === undefined ? undefined : new Uint8Array(element.source),
  }));
}

function texts(elements: readonly FileElement[]): string[] {
  return elements.map(({ source }) => Buffer.from(source ?? []).toString());
}

async function* pieces(...list: string[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const text of list) yield await Promise.resolve(Buffer.from(text));
}
