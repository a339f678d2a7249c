/**
 * Tables that fit the terminal, and text that it shows and does not obey.
 */
import { expect } from "chai";
import fc from "fast-check";
import {
  cutTo,
  displayWidth,
  fitted,
  lineFor,
  printable,
  renderTable,
  shownBytes,
  shownValue,
} from "../../../infra/cli/table.js";

const heads = [{ head: "key" }, { head: "count", isNumber: true }, { head: "value" }];
const rows = [
  ["city.delhi", 12, '{"country":"IN","population":32900000}'],
  ["x", 3_456, null],
];

describe("table", () => {
  it("stands in columns, numbers at the right", () => {
    expect(renderTable(heads, rows, undefined).split("\n")).to.deep.equal([
      "key         count  value",
      'city.delhi     12  {"country":"IN","population":32900000}',
      "x            3456",
      "",
    ]);
  });

  it("is cut to the terminal where it is widest", () => {
    expect(renderTable(heads, rows, 40).split("\n")).to.deep.equal([
      "key         count  value",
      'city.delhi     12  {"country":"IN","pop…',
      "x            3456",
      "",
    ]);
  });

  it("is never cut within a number, but in its head", () => {
    const columns = [{ head: "state" }, { head: "positions", isNumber: true }];
    const lines = renderTable(columns, [["serving", 1_336_581]], 13).split("\n");
    expect(lines).to.deep.equal(["sta…  positi…", "ser…  1336581", ""]);
  });

  it("lines up beside names of any script", () => {
    const names = ["दिल्ली", "東京", "Zürich", "e\u0301"].map((name) => [name, 1, "x"]);
    const lines = renderTable(heads, names, 80).trimEnd().split("\n");
    expect(new Set(lines.slice(1).map((line) => displayWidth(line))).size).to.equal(1);
  });

  it("has only its heads without rows", () => {
    expect(renderTable(heads, [], 80)).to.equal("key  count  value\n");
  });

  it("never has a line wider than the terminal, if each column can have its least", () => {
    const row = fc.tuple(fc.string({ unit: "grapheme" }), fc.integer(), fc.string());
    fc.assert(
      fc.property(
        fc.array(row, { maxLength: 5 }),
        // Two of the least, a number of eleven characters, and the gaps.
        fc.integer({ min: 23, max: 90 }),
        (list, wide) => {
          const lines = renderTable(heads, list, wide).split("\n");
          expect(lines).to.have.length(list.length + 2);
          for (const line of lines) expect(displayWidth(line)).to.be.at.most(wide);
        },
      ),
    );
  });

  it("takes room from the widest columns first", () => {
    expect(fitted([10, 5, 30], 49)).to.deep.equal([10, 5, 30]);
    expect(fitted([10, 5, 30], 40)).to.deep.equal([10, 5, 21]);
    expect(fitted([10, 5, 30], 23)).to.deep.equal([7, 5, 7]);
    expect(fitted([10, 5, 30], 5)).to.deep.equal([4, 4, 4]);
    expect(fitted([10, 5, 30], 5, [9, 4, 4])).to.deep.equal([9, 4, 4]);
    expect(fitted([10, 5, 30], 25, [10, 5, 4])).to.deep.equal([10, 5, 6]);
  });
});

describe("a line for the terminal", () => {
  it("escapes what a terminal would obey", () => {
    expect(printable("a\u001b[31mb\nc\t\u009b\u202e")).to.equal(
      "a\\u001b[31mb\\nc\\t\\u009b\\u202e",
    );
    expect(printable("दिल्ली 東京 🌆")).to.equal("दिल्ली 東京 🌆");
  });

  it("is cut by places, not by characters", () => {
    expect(cutTo("東京都", 6)).to.equal("東京都");
    expect(cutTo("東京都", 5)).to.equal("東京…");
    expect(cutTo("東京都", 4)).to.equal("東…");
    expect(cutTo("abc", 3)).to.equal("abc");
    expect(cutTo("abcd", 3)).to.equal("ab…");
    expect(cutTo("abcd", 0)).to.equal("");
  });

  it("is not cut where no terminal looks", () => {
    expect(lineFor("x".repeat(500), undefined)).to.have.length(500);
    expect(lineFor("x".repeat(500), 80)).to.have.length(80);
  });
});

describe("shown values", () => {
  it("are text as it is, JSON for the rest, and the size of bytes", () => {
    expect(shownValue("a")).to.equal("a");
    expect(shownValue({ a: [1, null] })).to.equal('{"a":[1,null]}');
    expect(shownValue(new Uint8Array(7))).to.equal("(7 bytes)");
    expect(shownValue(undefined)).to.equal("");
  });

  it("have sizes in the largest unit that leaves a digit", () => {
    expect([0, 1_023, 1_024, 1_500_000, 3 * 1_024 ** 4].map(shownBytes)).to.deep.equal([
      "0 B",
      "1023 B",
      "1.0 KiB",
      "1.4 MiB",
      "3.0 TiB",
    ]);
  });
});
