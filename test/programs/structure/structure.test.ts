/**
 * Structure of small made-up folders: rooms, floors, imports and circles are counted right.
 */
import { expect } from "chai";
import { arrowsOf, fileCircles, structureOf } from "./structure.js";

describe("structure", () => {
  it("finds imports, re-exports and dynamic imports of our own files", () => {
    const text = [
      'import { a } from "../e/f.js";',
      'import type {\n  B,\n} from "./b.js";',
      'export { c } from "./c.js";',
      'import "./d.js";',
      ' * import { no } from "./comment.js";',
      'const g = await import("./g.js");',
      'import { readFileSync } from "node:fs";',
    ].join("\n");
    const targets = arrowsOf("x/y/z.ts", text).map(({ to }) => to);
    expect(targets).to.deep.equal(["x/e/f", "x/y/b", "x/y/c", "x/y/d", "x/y/g"]);
  });

  it("takes a folder within a folder as one room", () => {
    const files = ["a/top.ts", "a/low/one.ts", "a/low/two.ts"];
    const arrows = [
      { from: "a/top", to: "a/low/one" },
      { from: "a/top", to: "a/low/two" },
      { from: "a/low/one", to: "a/low/two" },
    ];
    const [whole, low] = structureOf(files, arrows);
    const none = { backwardsCount: 0, importCount: 1, floorCount: 2, roomCount: 2 };
    expect(whole).to.deep.equal({ folder: "a", ...none });
    expect(low).to.deep.equal({ folder: "a/low", ...none });
  });

  it("counts what leads backwards, between files and between folders", () => {
    const files = ["a/x/one.ts", "a/y/two.ts", "a/x/three.ts"];
    const arrows = [
      { from: "a/x/one", to: "a/y/two" },
      { from: "a/y/two", to: "a/x/three" },
    ];
    expect(structureOf(files, arrows)[0]?.backwardsCount).to.equal(2);
    expect(fileCircles(arrows)).to.deep.equal([]);
    const closed = [...arrows, { from: "a/x/three", to: "a/x/one" }];
    expect(fileCircles(closed)).to.deep.equal([["a/x/one", "a/x/three", "a/y/two"]]);
  });
});
