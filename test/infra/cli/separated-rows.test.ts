/**
 * Separated values: every cell can be read back, whatever stands in it.
 */
import { expect } from "chai";
import fc from "fast-check";
import type { FoundItem } from "../../../infra/cli/found-pages.js";
import { JsonText } from "../../../infra/cli/json-text.js";
import { separatedOf } from "../../../infra/cli/separated-rows.js";

describe("separated rows", () => {
  it("have the columns' names once, and numbers as they are stored", () => {
    const items = [item("a", '{"n":1.50,"t":"x,\\"y\\""}'), item("b,", '{"n":null}')];
    const select = ["n", "t"];
    const csv = separatedOf(items, { csv: true, select }, true);
    expect(csv).to.equal('key,n,t\na,1.50,"x,""y"""\n"b,",null,\n');
    const rows = 'a,1.50,"x,""y"""\n"b,",null,\n';
    expect(separatedOf(items, { csv: true, select }, false)).to.equal(rows);
    expect(separatedOf(items, { csv: true, select, headers: false }, true)).to.equal(rows);
    expect(separatedOf([], { csv: true }, true)).to.equal("key,revision,value\n");
    expect(separatedOf(items, {}, true)).to.equal(undefined);
  });

  it("have raw bytes as base64", () => {
    const bytes = { ...item("a", "1"), value: undefined, base64: "AAE=" };
    expect(separatedOf([bytes], { tsv: true }, false)).to.equal("a\t1\tAAE=\n");
  });

  it("of tsv stand on one line each and can be read back", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string({ unit: fc.constantFrom("\t", "\n", "\\", "r", "n") }),
        (a, b) => {
          const line = separatedOf(
            [item(a, JSON.stringify({ b }))],
            { tsv: true, select: ["b"] },
            false,
          );
          const cells = line?.slice(0, -1).split("\t") ?? [];
          expect(cells.map(unescaped)).to.deep.equal([a, b]);
          expect(line?.slice(0, -1)).not.to.match(/[\r\n]/);
        },
      ),
    );
  });

  it("of csv can be read back", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string({ unit: fc.constantFrom(",", '"', "\n", "\r", "x") }),
        (a, b) => {
          const line = separatedOf(
            [item(a, JSON.stringify({ b }))],
            { csv: true, select: ["b"] },
            false,
          );
          const cells = [...(line ?? "").matchAll(/(?:"((?:[^"]|"")*)"|([^,"\n\r]*))[,\n]/g)];
          const read = cells.map(([, quotes, plain]) => quotes?.replaceAll('""', '"') ?? plain);
          expect(read).to.deep.equal([a, b]);
        },
      ),
    );
  });
});

function unescaped(cell: string): string {
  const characters: Record<string, string> = { t: "\t", n: "\n", r: "\r", "\\": "\\" };
  return cell.replace(/\\(.)/g, (_, character: string) => characters[character] ?? "");
}

function item(key: string, value: string): FoundItem {
  const text = JsonText.of(Buffer.from(value));
  return { key, revision: 1, text, value: text, base64: undefined };
}
