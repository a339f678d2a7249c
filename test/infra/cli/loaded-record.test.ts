/**
 * Elements of a records file as records: keys, values as their source text, and what is refused.
 */
import { expect } from "chai";
import { exportLine } from "../../../infra/cli/export-command.js";
import { recordOf, type LoadedRecord } from "../../../infra/cli/loaded-record.js";
import type { TimeMs } from "../../../protocol/ids.js";
import { VALUE_BYTES_MAX } from "../../../protocol/limits.js";
import type { ContentType } from "../../../protocol/operation.js";

const nowMs = Date.parse("2026-01-02T03:04:05Z") as TimeMs;

describe("loaded record", () => {
  it("has the key in a member, and the source text as its value", () => {
    const text = '{ "id":"delhi", "n":12345678901234567890 }';
    expect(shown(record(text, "id", "city."))).to.deep.equal({
      key: "city.delhi",
      value: text,
      contentType: "application/json",
    });
    expect(record('{"id":42}', "id")?.key).to.equal("42");
  });

  const keys: [string, string, string][] = [
    ['{"id":9007199254740993}', "id", "9007199254740993"],
    ['{"id":-18446744073709551616123}', "id", "-18446744073709551616123"],
    ['{"id":1}', "id", "1"],
    ['{"id":1.0}', "id", "1"],
    ['{"id":1e0}', "id", "1"],
    ['{"_id":{"$oid":"5f"},"n":1}', "_id.$oid", "5f"],
    ['{"properties":{"x":1,"id":7}}', "properties.id", "7"],
    ['{"a.b":"dot","a":{"b":"deep"}}', "a.b", "deep"],
    ['{"a.b":"dot","a":{"b":"deep"}}', "a\\.b", "dot"],
    ['{"id":"first","id":"last"}', "id", "last"],
  ];
  for (const [text, path, key] of keys) {
    it(`has ${key} as its key, at ${path} of ${text}`, () => {
      expect(record(text, path)).to.include({ key });
      expect(shown(record(text, path))).to.include({ value: text });
    });
  }

  const refused: [string, string | undefined, RegExp][] = [
    ["{oops", "id", /no JSON/],
    ["[1]", "id", /no object.*"id"/],
    ["{}", "id", /"id" must be text or a whole number; there is none/],
    ['{"id":1.5}', "id", /received 1\.5/],
    ['{"id":1e300}', "id", /received 1e300/],
    ['{"id":1.50000000000000000001}', "id", /received 1\.50000000000000000001/],
    ['{"id":true}', "id", /received true/],
    ['{"a":1}', "a.b", /there is none/],
    ['{"a":[{"b":1}]}', "a.b", /there is none/],
    ['\ufeff{"id":1}', "id", /byte order mark/],
    ['\ufeff{"key":"a","value":1}', undefined, /byte order mark/],
    ['{"__proto__":"x"}', "toString", /there is none/],
    ['{"id":""}', "id", /key/],
    ['{"value":1}', undefined, /"key".*--key FIELD/],
    ['{"key":"a"}', undefined, /"value" or "value_base64"/],
    ['{"key":"a","value":1,"value_base64":"AA=="}', undefined, /"value" or "value_base64"/],
    ['{"key":"a","value_base64":"A"}', undefined, /base64/],
    ['{"key":"a","value":1,"ttl":"soon"}', undefined, /ttl/],
    ['{"key":"a","value":1,"ttl":{}}', undefined, /"ttl" is a duration/],
    ['{"key":"a","value":1,"expires_at":"soon"}', undefined, /"expires_at" is a time/],
    ['{"key":"a","value":1,"content_type":"text/plain"}', undefined, /JSON string/],
    [`{"key":"a","value":"${"x".repeat(VALUE_BYTES_MAX)}"}`, undefined, /at most/],
  ];
  for (const [text, keyField, reason] of refused) {
    it(`refuses ${text.slice(0, 50)} with ${keyField ?? "no"} key field`, () => {
      expect(() => record(text, keyField)).to.throw(reason);
    });
  }

  it("keeps what is left of its time, and is none when nothing is", () => {
    const line = (time: string): string => `{"key":"a","value":1,"expires_at":"${time}"}`;
    expect(record(line("2026-01-02T03:04:07.500Z"))).to.include({ ttl: "2500ms" });
    expect(record(line("2026-01-02T03:04:05.500Z"))).to.equal(undefined);
    expect(record(line("2025-01-01T00:00:00Z"))).to.equal(undefined);
    expect(record('{"key":"a","value":1,"ttl":90}', undefined, "", "1h")).to.include({ ttl: "90" });
    expect(record('{"key":"a","value":1}', undefined, "", "1h")).to.include({ ttl: "1h" });
  });

  const values: [string, ContentType, string | Uint8Array][] = [
    ["JSON", "application/json", '{"n":12345678901234567890,"m":1.0}'],
    ["JSON over two lines", "application/json", '{"n":\n1}'],
    ["JSON with white space around", "application/json", " 1 "],
    ["text", "text/plain", 'say "hi"\nand go\u2028'],
    ["no text at all", "text/plain", ""],
    ["MessagePack", "application/msgpack", new Uint8Array([0x81, 0xa1, 0x61, 1])],
    ["bytes", "application/octet-stream", new Uint8Array([0, 10, 255])],
  ];
  for (const [name, contentType, value] of values) {
    it(`is what was exported: ${name}`, () => {
      const bytes = new Uint8Array(Buffer.from(value as string));
      const base = { key: "a b", revision: 3, position: 7, updatedAt: new Date(nowMs) };
      const line = exportLine({ ...base, value: bytes, contentType });
      expect(line).not.to.match(/[\r\n]/);
      const loaded = record(line);
      expect(loaded).to.include({ key: "a b", contentType });
      expect(new Uint8Array(loaded?.value ?? [])).to.deep.equal(bytes);
    });
  }
});

function record(
  text: string,
  keyField?: string,
  prefix = "",
  ttl?: string,
): LoadedRecord | undefined {
  return recordOf(Buffer.from(text), { keyField, prefix, ttl }, nowMs);
}

function shown(loaded: LoadedRecord | undefined): object {
  return { ...loaded, value: Buffer.from(loaded?.value ?? []).toString() };
}
