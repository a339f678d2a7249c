/**
 * The bytes of a records file, packed or not, from any place on.
 */
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { openRecords, type RecordsInput } from "../../../infra/cli/records-input.js";
import { failureText } from "../../support/failure.js";

describe("records input", () => {
  const text = Array.from({ length: 50_000 }, (_, id) => `{"id":${id}}`).join("\n");

  it("is what stands in the file from a place on, packed or not", async () => {
    for (const content of [Buffer.from(text), gzipSync(text)]) {
      for (const bytes of [undefined, 0, 5, 70_000, text.length]) {
        const input = await open(content, bytes);
        expect((await allOf(input)).equals(Buffer.from(text.slice(bytes)))).to.equal(true);
      }
    }
  });

  it("has several packed files one after another", async () => {
    const input = await open(Buffer.concat([gzipSync("{}\n"), gzipSync("{}\n")]));
    expect(String(await allOf(input))).to.equal("{}\n{}\n");
    expect(input.isPacked).to.equal(true);
  });

  it("fails where packed data are cut, after all that stands before", async () => {
    const packed = gzipSync(text);
    const input = await open(packed.subarray(0, packed.length / 2));
    expect(await failureText(allOf(input))).to.match(/FILE cannot be unpacked/);
  });
});

function open(content: Uint8Array, bytes?: number): Promise<RecordsInput> {
  return openRecords({
    file: "FILE",
    keyName: "id",
    hasPath: false,
    open: (offset) => pieces(content.subarray(offset)),
    from: bytes === undefined ? undefined : { form: "lines", bytes, line: 1 },
  });
}

async function* pieces(content: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < content.length; at += 10_000) {
    yield await Promise.resolve(content.subarray(at, at + 10_000));
  }
}

async function allOf({ bytes }: RecordsInput): Promise<Buffer> {
  const list: Uint8Array[] = [];
  for await (const piece of bytes) list.push(piece);
  return Buffer.concat(list);
}
