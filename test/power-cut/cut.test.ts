/**
 * What a trace tells of a disk whose processes were killed in the middle of what they did.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { diskAt, untraced } from "./cut.js";
import type { Image } from "./disk.js";

const none: Image = { files: new Map(), folders: new Set() };
const before: Image = { files: new Map([["a", Buffer.from("old ")]]), folders: new Set() };

/** What was under way, and what may be found then of the folder that held `a` only. */
const cases: readonly {
  readonly line: string;
  readonly may: readonly Record<string, string>[];
  readonly mayNot: readonly Record<string, string>[];
}[] = [
  {
    line: 'pwrite64(3</d/a>, "ab", 2, 4) = ?',
    may: [{ a: "old " }, { a: "old a" }, { a: "old ab" }],
    mayNot: [{ a: "ol" }, { a: "old abc" }, { a: "old x" }, { a: "odd ab" }, {}],
  },
  {
    line: 'openat(AT_FDCWD</w>, "/d/b", O_WRONLY|O_CREAT, 0600 <unfinished ...>',
    may: [{ a: "old " }, { a: "old ", b: "" }],
    mayNot: [
      { a: "old ", b: "x" },
      { a: "old ", c: "" },
    ],
  },
  {
    line: 'unlink("/d/a" <unfinished ...>',
    may: [{ a: "old " }, {}],
    mayNot: [{ a: "" }, { a: "other" }],
  },
  {
    line: 'rename("/d/a", "/d/b") = ?',
    may: [{ a: "old " }, { b: "old " }],
    mayNot: [{ b: "other" }, { a: "other" }],
  },
];

describe("a disk whose processes were killed", () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "ringdex-cut-"))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  for (const { line, may, mayNot } of cases) {
    it(`may hold what was under way, or not: ${line}`, () => {
      for (const found of may) expect(differing(line, found), shown(found)).to.deep.equal([]);
      for (const found of mayNot) expect(differing(line, found), shown(found)).to.not.be.empty;
    });
  }

  it("holds nothing that was not asked for", () => {
    expect(differing("", { a: "old " })).to.deep.equal([]);
    expect(differing("", { a: "old ", b: "" })).to.deep.equal(["b"]);
    expect(differing("", {})).to.deep.equal(["a"]);
    expect(untraced(before, none, none)).to.deep.equal(["a"]);
  });

  function differing(line: string, found: Record<string, string>): string[] {
    const traceFile = join(folder, "trace");
    writeFileSync(traceFile, `7 100.1 ${line}\n`);
    const [least, most] = [false, true].map((underWay) =>
      diskAt({ root: "/d", base: before, traceFile, underWay }).now(),
    );
    const files = new Map(Object.entries(found).map(([path, text]) => [path, Buffer.from(text)]));
    return untraced({ files, folders: new Set() }, least ?? none, most ?? none);
  }
});

function shown(found: Record<string, string>): string {
  return JSON.stringify(found);
}
