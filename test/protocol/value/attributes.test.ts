/**
 * Attributes of values, excluded paths, and the limits at their edges.
 */
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import { DEPTH_MAX, INDEX_ENTRIES_MAX, PATH_BYTES_MAX } from "../../../protocol/limits.js";
import {
  ARRAY,
  attributesOf,
  OBJECT,
  type IndexLimits,
} from "../../../protocol/value/attributes.js";
import type { Plain } from "../../../protocol/value/plain.js";

const limits: IndexLimits = {
  depthMax: DEPTH_MAX,
  entriesMax: INDEX_ENTRIES_MAX,
  pathBytesMax: PATH_BYTES_MAX,
};

describe("attributes", () => {
  it("are the members of an object, at every depth", () => {
    expect(of({ country: "IN", geo: { lat: 28.6, ok: true }, none: null })).to.deep.equal([
      ["country", "IN"],
      ["geo", OBJECT],
      ["geo.lat", 28.6],
      ["geo.ok", true],
      ["none", null],
    ]);
  });

  it("are none where the root is no object", () => {
    const roots = [undefined, null, 1, "a", true, [{ a: 1 }], new Uint8Array(1)];
    for (const root of roots) expect(of(root)).to.deep.equal([]);
  });

  it("share the path of their array, each value once", () => {
    expect(of({ tags: ["a", "b", "a", 1, true, "1"] })).to.deep.equal([
      ["tags", ARRAY],
      ["tags", "a"],
      ["tags", "b"],
      ["tags", 1],
      ["tags", true],
      ["tags", "1"],
    ]);
    expect(of({ list: [{ a: 1, b: [1, 2] }, { a: 1 }, { b: [2] }, "x"] })).to.deep.equal([
      ["list", ARRAY],
      ["list", OBJECT],
      ["list.a", 1],
      ["list.b", ARRAY],
      ["list.b", 1],
      ["list.b", 2],
      ["list", "x"],
    ]);
    expect(of({ empty: [], none: {} })).to.deep.equal([
      ["empty", ARRAY],
      ["none", OBJECT],
    ]);
  });

  it("do not reach into an array directly inside an array", () => {
    expect(of({ grid: [[1, { a: 2 }], 3] })).to.deep.equal([
      ["grid", ARRAY],
      ["grid", 3],
    ]);
  });

  it("take equal numbers and equal bytes for one value, and text for another", () => {
    const bytes = new Uint8Array([0x61]);
    expect(of({ a: [5n, 5, -0, 0, 2n ** 60n, 2 ** 60, 2n ** 60n + 1n] })).to.deep.equal([
      ["a", ARRAY],
      ["a", 5],
      ["a", 0],
      ["a", 2 ** 60],
      ["a", 2n ** 60n + 1n],
    ]);
    expect(of({ a: [bytes, new Uint8Array([0x61]), "a"] })).to.have.length(3);
  });

  it("leave out excluded paths with all below them, however they are spelt", () => {
    const value = { a: { b: 1, bc: 2, "b.c": 3 }, $x: 1, list: [{ no: 1, yes: 2 }] };
    expect(of(value, ["a.b", "\\$x", "list.no"])).to.deep.equal([
      ["a", OBJECT],
      ["a.bc", 2],
      ["a.b\\.c", 3],
      ["list", ARRAY],
      ["list", OBJECT],
      ["list.yes", 2],
    ]);
    expect(of(value, ["a", "list", "\\$x"])).to.deep.equal([]);
    expect(of({ a$b: 1 }, ["a\\$b"])).to.deep.equal([]);
  });

  it("take a member called __proto__", () => {
    expect(of(JSON.parse('{"__proto__":{"x":1}}') as Plain)).to.deep.equal([
      ["__proto__", OBJECT],
      ["__proto__.x", 1],
    ]);
  });

  it("may be as deep as the limit", () => {
    expect(of(nested(DEPTH_MAX))).to.have.length(DEPTH_MAX);
    const path = Array.from({ length: DEPTH_MAX + 1 }, () => "a").join(".");
    refuses(nested(DEPTH_MAX + 1), [], { limit: "depth", path, max: 8, received: 9 });
    refuses({ a: [nested(DEPTH_MAX)] }, [], { limit: "depth", path, max: 8, received: 9 });
    expect(of(nested(DEPTH_MAX + 1), ["a.a.a"])).to.have.length(2);
  });

  it("may be as many as the limit, duplicates and excluded ones not counted", () => {
    const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
    const most = numbers(INDEX_ENTRIES_MAX - 1);
    expect(of({ a: most })).to.have.length(INDEX_ENTRIES_MAX);
    expect(of({ a: [...most, 0, 1, 2] })).to.have.length(INDEX_ENTRIES_MAX);
    expect(of({ a: most, b: most }, ["b"])).to.have.length(INDEX_ENTRIES_MAX);
    const details = { limit: "index_entries", path: "a", max: 256, received: 257 };
    refuses({ a: [...most, -1] }, [], details);
  });

  it("may have paths as long as the limit, counted in bytes", () => {
    const name = `${"é".repeat(255)}a`;
    expect(of({ [`${name}b`]: 1 })).to.have.length(1);
    expect(() => of({ [`${name}bc`]: 1 })).to.throw(KvError, "513 bytes of path");
    refuses({ a: { [name]: 1 } }, [], {
      limit: "path_bytes",
      path: `a.${"é".repeat(78)}…`,
      max: 512,
      received: 513,
    });
    expect(of({ [`${name}bc`]: 1 }, [`${name}bc`])).to.deep.equal([]);
  });
});

function of(value: Plain | undefined, excluded: string[] = []): unknown[][] {
  const attributes = attributesOf(value, { excluded }, limits);
  return attributes.map((attribute) => [attribute.path, attribute.value]);
}

function nested(depth: number): Plain {
  let value: Plain = 1;
  for (let level = 0; level < depth; level += 1) value = { a: value };
  return value;
}

function refuses(value: Plain, excluded: string[], details: object): void {
  let thrown: unknown;
  try {
    of(value, excluded);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).to.be.instanceOf(KvError);
  expect((thrown as KvError).kind).to.equal("limit-exceeded");
  expect((thrown as KvError).details).to.deep.equal(details);
}
