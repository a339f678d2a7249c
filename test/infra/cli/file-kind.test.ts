/**
 * What is said of files that are no files of records, and that records are taken for these.
 */
import { expect } from "chai";
import { HEAD_BYTES, reasonAgainst } from "../../../infra/cli/file-kind.js";

describe("kind of a file", () => {
  const utf16 = Buffer.from('\ufeff{"id":"a"}\n', "utf16le");
  const many = Array.from({ length: 9_999 }, (_, id) => `{"id":${id}}`).join(",");
  const refused: [string, string | Uint8Array, RegExp][] = [
    ["zip", Buffer.from("PK\u0003\u0004rest", "latin1"), /unzip -p FILE \| ringdex load -$/],
    ["zstd", new Uint8Array([0x28, 0xb5, 0x2f, 0xfd, 1]), /zstd -dc/],
    ["xz", new Uint8Array([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), /xz -dc/],
    ["bzip2", "BZh91AY", /bzip2 -dc/],
    ["UTF-16 with a mark", utf16, /iconv -f UTF-16 -t UTF-8/],
    ["UTF-16 without", utf16.subarray(2), /iconv/],
    ["CSV", "id,name\n1,a\n", /looks like CSV/],
    ["CSV with quotes and a mark", '\ufeff"id";"name"\n1;a\n', /looks like CSV/],
    ["pretty JSON", '{\n  "id": "a"\n}\n{\n  "id": "b"\n}\n', /several lines.*jq -c/],
    ["JSON with a line end in it", '{"id":"a",\n"n":1}\n', /several lines/],
    ["an array in an object", '{"type":"F","features":[{"id":1}]}', /--path features$/],
    ["one over lines", '{\n"a.b": [\n {"n":1}]}', /--path a\\\.b$/],
    ["a large one", `{"list":[${many}]}`, /--path list$/],
  ];
  for (const [name, content, reason] of refused) {
    it(`is ${name}: refused in one line with a remedy`, () => {
      expect(reasonOf(content)).to.match(reason).and.not.contain("\n");
    });
  }

  it("is records, whatever they hold", () => {
    for (const text of [
      "",
      " \n",
      "oops\n",
      '"a,b"\n',
      '[{"id":1}]',
      '{"id":"a","list":[{"x":1}]}',
      '{"list":[{"x":1}],"id":"a"}',
      '{"list":[{"x":1}]}\n{"id":"a"}\n',
      '{"id":"a"},\n{"id":"b"},\n',
      '{"broken\n{"id":"a"}\n',
      `{"id":1,"list":[${many}]}\n`,
    ]) {
      expect(reasonOf(text), text.slice(0, 40)).to.equal(undefined);
    }
  });

  it("does not matter around an array that is named, unless it is packed", () => {
    const wanted = { file: "FILE", keyName: "id", hasPath: true };
    const pretty = Buffer.from('{\n"a":[]}');
    expect(reasonAgainst({ bytes: pretty, isWhole: true }, wanted)).to.equal(undefined);
    expect(reasonAgainst({ bytes: utf16, isWhole: true }, wanted)).to.match(/iconv/);
  });
});

function reasonOf(content: string | Uint8Array): string | undefined {
  const all = Buffer.from(content as string);
  const head = { bytes: all.subarray(0, HEAD_BYTES), isWhole: all.length <= HEAD_BYTES };
  return reasonAgainst(head, { file: "FILE", keyName: "id", hasPath: false });
}
