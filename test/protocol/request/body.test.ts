/**
 * The keyless form: options and values in a JSON body.
 */
import { expect } from "chai";
import type { Operation } from "../../../protocol/operation.js";
import type { Request } from "../../../protocol/request/request.js";
import { parseKeylessRequest } from "../../../protocol/request/text.js";
import { refusalNow } from "../../support/failure.js";

const POSITIONS = 1_024;

describe("a request without a key in its subject", () => {
  it("keeps a JSON value as its source bytes", () => {
    const set = operation(keyless("set", '{"key":"k","value": {"a": 1.0, "é":"\\u0041"} }'));
    expect(valueText(set)).to.equal('{"a": 1.0, "é":"\\u0041"}');
    expect(valueText(operation(keyless("patch", '{"patch":{"a":null },"key":"k"}')))).to.equal(
      '{"a":null }',
    );
  });

  it("takes every option from the body", () => {
    const options = `"if_revision":0,"ttl":"60","request_id":"r","return":"previous"`;
    const set = operation(keyless("set", `{"key":"a b","value":1,${options}}`));
    expect(set).to.include({ key: "a b", ifRevision: 0, ttl: 60_000, returnPrevious: true });
    expect(set.request).to.deep.equal({ id: "r", index: 0 });
    const get = keyless("get", '{"key":"a b","read":"session","min_revision":3}');
    expect(get).to.include({ level: "session", minRevision: 3 });
    expect(operation(keyless("incr", '{"key":"k","by":2,"path":"a.b"}'))).to.include({
      by: 2,
      path: "a.b",
    });
  });

  it("takes options from headers too, and both if they say the same", () => {
    const headers = { "kv-ttl": "1m", "kv-if-revision": "5" };
    const set = operation(keyless("set", '{"key":"k","value":1,"ttl":"60"}', headers));
    expect(set).to.include({ ttl: 60_000, ifRevision: 5 });
  });

  it("takes values of other types: text, base64 and MessagePack", () => {
    const text = '{"key":"k","value":"h\\u00e9","content_type":"text/plain"}';
    expect(valueText(operation(keyless("set", text)))).to.equal("hé");
    const raw = '{"key":"k","value_base64":"AP8=","content_type":"image/png"}';
    expect(operation(keyless("set", raw))).to.deep.include({
      value: Buffer.from([0, 255]),
      contentType: "application/octet-stream",
    });
    const packed = '{"key":"k","value":[1],"content_type":"application/msgpack"}';
    const set = operation(keyless("set", packed)) as { value: Uint8Array };
    expect([...set.value]).to.deep.equal([0x91, 1]);
  });

  it("refuses to make MessagePack of a number that it would change", () => {
    for (const value of ["9007199254740993", "1e400", '{"a":[0.10000000000000000001]}']) {
      const form = `{"key":"k","value":${value},"content_type":"application/msgpack"}`;
      const error = refusalNow(() => keyless("set", form));
      expect(error.kind, value).to.equal("unsupported");
      expect(error.message).to.match(/MessagePack would change.*value_base64/);
    }
  });

  it("takes the last of members with the same name, as JSON.parse does", () => {
    const set = operation(keyless("set", '{"key":"a","key":"b","value":1,"value":2}'));
    expect(set.key).to.equal("b");
    expect(valueText(set)).to.equal("2");
  });

  it("keeps __proto__ in a value and does not know it as a member", () => {
    const set = operation(keyless("set", '{"key":"__proto__","value":{"__proto__":1}}'));
    expect(set.key).to.equal("__proto__");
    expect(valueText(set)).to.equal('{"__proto__":1}');
    const error = refusalNow(() =>
      keyless("set", '{"key":"k","value":1,"__proto__":{"ttl":"1h"}}'),
    );
    expect(error.message).to.equal('unknown member "__proto__"');
  });

  const refused: [string, string, string, Record<string, string>, RegExp][] = [
    ["an empty payload", "set", "", {}, /payload of set.*received nothing/],
    ["an array", "get", "[]", {}, /payload of get must be a JSON object; received "\[\]"/],
    ["no key", "get", "{}", {}, /get needs "key"/],
    ["a key that is a number", "get", '{"key":1}', {}, /"key" must be text; received "1"/],
    ["an empty key", "get", '{"key":""}', {}, /key/],
    ["an unknown member", "set", '{"key":"k","value":1,"tll":"1h"}', {}, /unknown member "tll"/],
    ["op outside a batch", "get", '{"key":"k","op":"get"}', {}, /unknown member "op"/],
    ["a set without a value", "set", '{"key":"k"}', {}, /"value" or "value_base64"/],
    ["two values", "set", '{"key":"k","value":1,"value_base64":"AA=="}', {}, /both/],
    ["a value of get", "get", '{"key":"k","value":1}', {}, /"value" does not apply to get/],
    ["a patch of set", "set", '{"key":"k","patch":1}', {}, /"patch" does not apply to set/],
    ["a value of patch", "patch", '{"key":"k","value":1}', {}, /"value" does not apply to patch/],
    ["a patch without patch", "patch", '{"key":"k"}', {}, /"patch"/],
    [
      "a patch of a type",
      "patch",
      '{"key":"k","patch":1,"content_type":"text/plain"}',
      {},
      /content_type/,
    ],
    ["a type of del", "del", '{"key":"k","content_type":"text/plain"}', {}, /"content_type".*del/],
    ["sloppy base64", "set", '{"key":"k","value_base64":"AA"}', {}, /base64.*AA/],
    ["base64 that is no JSON", "set", '{"key":"k","value_base64":"AA=="}', {}, /not JSON/],
    [
      "text/plain that is a number",
      "set",
      '{"key":"k","value":1,"content_type":"text/plain"}',
      {},
      /string; received "1"/,
    ],
    ["raw bytes as JSON", "set", '{"key":"k","value":1,"content_type":"a/b"}', {}, /value_base64/],
    ["a by of set", "set", '{"key":"k","value":1,"by":1}', {}, /"by" does not apply to set/],
    [
      "a TTL that is a number",
      "touch",
      '{"key":"k","ttl":60}',
      {},
      /"ttl" must be text; received "60"/,
    ],
    ["a revision that is text", "del", '{"key":"k","if_revision":"1"}', {}, /if_revision.*"1"/],
    ["a revision with a fraction", "del", '{"key":"k","if_revision":1.5}', {}, /if_revision.*1\.5/],
    [
      "a revision that is a list",
      "del",
      '{"key":"k","if_revision":[]}',
      {},
      /if_revision.*an array/,
    ],
    [
      "a read of null",
      "get",
      '{"key":"k","read":null}',
      {},
      /"read" must be text; received "null"/,
    ],
    ["half a surrogate pair", "get", '{"key":"\\ud800"}', {}, /payload of get/],
    ["another payload type", "set", "{}", { "content-type": "text/plain" }, /"content_type"/],
    [
      "what is said twice and differs",
      "set",
      '{"key":"k","value":1,"ttl":"60"}',
      { "kv-ttl": "61" },
      /"ttl" and Kv-TTL differ: "60000" and "61000"/,
    ],
  ];
  for (const [what, verb, payload, headers, text] of refused) {
    it(`refuses ${what}`, () => {
      const error = refusalNow(() => keyless(verb, payload, headers));
      expect(error.kind).to.equal("bad-request");
      expect(error.message).to.match(text);
    });
  }
});

function headerMap(headers: Record<string, string>): Map<string, string[]> {
  return new Map(Object.entries(headers).map(([name, value]) => [name, [value]]));
}

function keyless(verb: string, body: string, headers: Record<string, string> = {}): Request {
  return parseKeylessRequest(verb, Buffer.from(body), headerMap(headers), POSITIONS);
}

function operation(request: Request): Operation {
  if (request.kind !== "write") throw new Error("not a write");
  return request.operation;
}

function valueText(set: Operation): string {
  if (!("value" in set)) throw new Error("no value");
  return Buffer.from(set.value).toString("utf8");
}
