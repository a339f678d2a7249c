/**
 * Values that a format cannot tell, each refused with the path to it; and those that it can.
 */
import { expect } from "chai";
import { tellable } from "../../../infra/client/tellable.js";
import { refusalNow } from "../../support/failure.js";

class City {
  constructor(readonly name: string) {}
}

class Celsius {
  constructor(readonly degrees: number) {}
  toJSON(): unknown {
    return { degrees: this.degrees, since: new Date(0) };
  }
}

describe("a value as JSON", () => {
  const untold: readonly (readonly [string, unknown])[] = [
    ["NaN", NaN],
    ["Infinity", Infinity],
    ["-Infinity", -Infinity],
    ["undefined", undefined],
    ["the bigint 9007199254740993n", 9_007_199_254_740_993n],
    ["a function", () => 1],
    ["a symbol", Symbol("s")],
    ["an invalid Date", new Date(NaN)],
    ["a Map", new Map([["a", 1]])],
    ["a Set", new Set([1])],
    ["a WeakMap", new WeakMap()],
    ["a RegExp", /a/],
    ["a TypeError", new TypeError("t")],
    ["a Promise", Promise.resolve(1)],
    ["an ArrayBuffer", new ArrayBuffer(2)],
    ["a DataView", new DataView(new ArrayBuffer(2))],
    ["a Uint8Array", new Uint8Array(2)],
    ["a Buffer", Buffer.from("a")],
    ["a Float64Array", new Float64Array(2)],
    ["a City", new City("Pune")],
    ["a Number", Object(1)],
  ];

  for (const [name, value] of untold) {
    it(`is refused with ${name} in it, at its place`, () => {
      const root = { stock: [{}, null, { price: value }] };
      if (value !== undefined) {
        const error = refusalNow(() => tellable(root, "JSON", "value"));
        const place = "value.stock[2].price";
        expect(error.kind).to.equal("bad-request");
        expect(error.message).to.match(new RegExp(`^${place.replace(/[.[\]]/g, "\\$&")} is `));
        expect(error.message).to.include(` is ${name}, which JSON cannot tell; `);
        expect(error.details).to.include({ field: place });
      }
      const error = refusalNow(() => tellable([value], "JSON", "value"));
      expect(error.message).to.match(/^value\[0\] is /);
      expect(refusalNow(() => tellable(value, "JSON", "patch")).message).to.match(/^patch is /);
    });
  }

  it("is refused with a hole in an array", () => {
    const list = [1, 2];
    list[3] = 4;
    expect(refusalNow(() => tellable(list, "JSON", "value")).message).to.match(/^value\[2\] is un/);
  });

  it("names members that are no identifiers in quotes", () => {
    const error = refusalNow(() => tellable({ "a.b": { "": [NaN] } }, "JSON", "value"));
    expect(error.message).to.match(/^value\["a\.b"\]\[""\]\[0\] is NaN/);
  });

  it("is returned as it is where nothing has to be replaced", () => {
    const value = { a: [1, "x", null, true, { b: -0 }], left: undefined };
    expect(tellable(value, "JSON", "value")).to.equal(value);
    const bare = Object.assign(Object.create(null) as object, { a: 1 });
    expect(tellable(bare, "JSON", "value")).to.equal(bare);
  });

  it("has the results of toJSON in their places, and leaves the original alone", () => {
    const when = new Date("2026-01-02T03:04:05.678Z");
    const value = { when, all: [when, 1], other: 1, now: new Celsius(21) };
    const told = tellable(value, "JSON", "value");
    expect(told).to.deep.equal({
      when: "2026-01-02T03:04:05.678Z",
      all: ["2026-01-02T03:04:05.678Z", 1],
      other: 1,
      now: { degrees: 21, since: "1970-01-01T00:00:00.000Z" },
    });
    expect(value.when).to.equal(when);
    expect(JSON.stringify(told)).to.equal(JSON.stringify(value));
  });

  it("is refused where a toJSON gives what cannot be told, or throws", () => {
    const hot = { now: new Celsius(Infinity) };
    const at = refusalNow(() => tellable(hot, "JSON", "value")).message;
    expect(at).to.match(/^value\.now\.degrees is Infinity/);
    const broken = {
      toJSON(): unknown {
        throw new Error("no");
      },
    };
    const error = refusalNow(() => tellable([broken], "JSON", "value"));
    expect(error.message).to.match(/^value\[0\] cannot be read \(Error: no\)/);
  });

  it("may have undefined members, unless they are refused", () => {
    const value = { a: { b: undefined } };
    expect(tellable(value, "JSON", "value")).to.equal(value);
    const error = refusalNow(() => tellable(value, "JSON", "where", "refused"));
    expect(error.message).to.match(/^where\.a\.b is undefined.*leave the member out/);
  });

  it("is refused where it holds itself or is nested too deep, without an end of the stack", () => {
    const self: { inner?: unknown } = {};
    self.inner = [self];
    const cyclic = refusalNow(() => tellable(self, "JSON", "value"));
    expect(cyclic).to.include({ kind: "bad-request" });
    expect(cyclic.message).to.include("holds itself");
    let deep: unknown = 1;
    for (let depth = 0; depth < 100; depth += 1) deep = [deep];
    expect(tellable(deep, "JSON", "value")).to.equal(deep);
    expect(refusalNow(() => tellable([deep], "JSON", "value")).kind).to.equal("limit-exceeded");
  });

  it("keeps a member called __proto__", () => {
    const value = JSON.parse('{"__proto__":{"a":1},"b":2}') as object;
    const told = tellable({ value, at: new Date(0) }, "JSON", "value");
    expect(JSON.stringify(told)).to.include('"__proto__":{"a":1}');
  });
});

describe("a value as MessagePack", () => {
  it("may have bytes and Infinity", () => {
    const value = { raw: new Uint8Array([1]), most: Infinity };
    expect(tellable(value, "MessagePack", "value")).to.equal(value);
  });

  it("is refused with NaN, other typed arrays, maps, bigints and half a surrogate pair", () => {
    const values = [NaN, new Float32Array(1), new ArrayBuffer(1), new Map(), 1n, new City("x")];
    for (const value of [...values, undefined, "\ud800"]) {
      const error = refusalNow(() => tellable([value], "MessagePack", "value"));
      expect(error.message).to.match(/^value\[0\] (is|has) /);
    }
    expect(refusalNow(() => tellable({ "\udfff": 1 }, "MessagePack", "value")).kind).to.equal(
      "bad-request",
    );
  });

  it("has a Date as its text, as JSON has", () => {
    expect(tellable([new Date(0)], "MessagePack", "value")).to.deep.equal([
      "1970-01-01T00:00:00.000Z",
    ]);
  });
});
