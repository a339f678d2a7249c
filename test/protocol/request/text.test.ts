/**
 * Requests by subject and by JSON body: what becomes of each option, and what is refused.
 */
import { expect } from "chai";
import type { ErrorName } from "../../../protocol/errors.js";
import { VALUE_BYTES_MAX } from "../../../protocol/limits.js";
import type { Operation } from "../../../protocol/operation.js";
import { positionOf } from "../../../protocol/position.js";
import type { GetRequest, Request } from "../../../protocol/request/request.js";
import { parseKeylessRequest, parseSubjectRequest } from "../../../protocol/request/text.js";
import { refusalNow } from "../../support/failure.js";

const POSITIONS = 1_024;

describe("a request by subject", () => {
  it("is a set of the payload's bytes, in any state of the key, for ever", () => {
    expect(operation(subject("set", ' {"a": 1.0}'))).to.deep.equal({
      verb: "set",
      key: "delhi",
      position: positionOf("delhi", POSITIONS),
      value: Buffer.from(' {"a": 1.0}'),
      contentType: "application/json",
      ttl: "never",
      ifRevision: undefined,
      request: undefined,
      returnPrevious: false,
    });
  });

  it("takes every option of a set from headers", () => {
    const headers = {
      "kv-if-revision": "7",
      "kv-ttl": "1h30m",
      "kv-request-id": "r-1",
      "kv-return": "previous",
      "content-type": "text/plain; charset=utf-8",
      "nats-msg-id": "somebody else's",
      traceparent: "00-0-0-00",
    };
    expect(operation(subject("set", "hello", headers))).to.include({
      ifRevision: 7,
      ttl: 5_400_000,
      returnPrevious: true,
      contentType: "text/plain",
    });
    expect(operation(subject("set", "hello", headers)).request).to.deep.equal({
      id: "r-1",
      index: 0,
    });
  });

  it("is a linearizable get of the value as it is stored", () => {
    expect(subject("get")).to.deep.equal({
      kind: "get",
      key: "delhi",
      position: positionOf("delhi", POSITIONS),
      level: "linearizable",
      minRevision: undefined,
      accept: undefined,
      hops: 0,
    });
  });

  it("takes every option of a get from headers", () => {
    const headers = { "kv-read": "session", "kv-min-revision": "12" };
    const get = subject("get", "", { ...headers, accept: "application/msgpack" }) as GetRequest;
    expect(get).to.include({ level: "session", minRevision: 12, accept: "application/msgpack" });
    expect((subject("get", "", { accept: "*/*" }) as GetRequest).accept).to.equal(undefined);
  });

  it("increments by 1 unless it says by how much and where", () => {
    expect(operation(subject("incr"))).to.include({ by: 1, path: undefined, ttl: "keep" });
    expect(operation(subject("incr", '{"path":"stock","by":-1.5}'))).to.include({
      by: -1.5,
      path: "stock",
    });
    expect(Object.is((operation(subject("incr", '{"by":-0}')) as { by: number }).by, 0)).to.equal(
      true,
    );
    // {"by": 2} and {"by": 2n as int 64}
    const msgpack = { "content-type": "application/msgpack" };
    for (const bytes of ["81a2627902", "81a26279d30000000000000002"]) {
      const request = subject("incr", Buffer.from(bytes, "hex"), msgpack);
      expect(operation(request)).to.include({ by: 2 });
    }
  });

  it("keeps the time to live on a patch and an incr that name none, and sets it on others", () => {
    expect(operation(subject("patch", "{}"))).to.include({ ttl: "keep" });
    expect(operation(subject("patch", "{}", { "kv-ttl": "60" }))).to.include({ ttl: 60_000 });
    expect(operation(subject("incr", "", { "kv-ttl": "never" }))).to.include({ ttl: "never" });
    expect(operation(subject("touch", "", { "kv-ttl": "1s" }))).to.include({ ttl: 1_000 });
  });

  const refused: [string, string, string, Record<string, string>, ErrorName, RegExp][] = [
    ["text that is not JSON", "set", "hello", {}, "bad-request", /hello.*text\/plain/is],
    ["an empty value that is to be JSON", "set", "", {}, "bad-request", /not JSON/],
    [
      "broken MessagePack",
      "set",
      "\x92",
      { "content-type": "application/msgpack" },
      "bad-request",
      /./,
    ],
    ["a patch that is not JSON", "patch", "{", {}, "bad-request", /patch.*"\{"/],
    [
      "a patch as text",
      "patch",
      "x",
      { "content-type": "text/plain" },
      "bad-request",
      /text\/plain/,
    ],
    ["a payload of get", "get", "x", {}, "bad-request", /get takes no payload; received "x"/],
    ["a payload of del", "del", "{}", {}, "bad-request", /del takes no payload/],
    ["a payload of touch", "touch", "{}", { "kv-ttl": "1h" }, "bad-request", /no payload/],
    ["a touch without Kv-TTL", "touch", "", {}, "bad-request", /Kv-TTL/],
    ["Kv-TTL on get", "get", "", { "kv-ttl": "60" }, "bad-request", /Kv-TTL.*get/],
    ["Kv-TTL on del", "del", "", { "kv-ttl": "60" }, "bad-request", /Kv-TTL.*del/],
    ["Kv-If-Revision on get", "get", "", { "kv-if-revision": "1" }, "bad-request", /Kv-If-Rev/],
    ["Kv-Return on get", "get", "", { "kv-return": "previous" }, "bad-request", /Kv-Return/],
    ["Kv-Read on set", "set", "1", { "kv-read": "stale" }, "bad-request", /Kv-Read.*set/],
    ["Kv-Min-Revision on del", "del", "", { "kv-min-revision": "1" }, "bad-request", /Kv-Min-R/],
    [
      "a wait of a stale read",
      "get",
      "",
      { "kv-read": "stale", "kv-min-revision": "1" },
      "bad-request",
      /session/,
    ],
    [
      "another word in Kv-Return",
      "set",
      "1",
      { "kv-return": "old" },
      "bad-request",
      /"previous"; received "old"/,
    ],
    [
      "another word in Kv-Read",
      "get",
      "",
      { "kv-read": "fast" },
      "bad-request",
      /"stale"; received "fast"/,
    ],
    [
      "a negative revision",
      "set",
      "1",
      { "kv-if-revision": "-1" },
      "bad-request",
      /Kv-If-Revision is a whole.*"-1"/,
    ],
    [
      "a revision beyond 2^53",
      "set",
      "1",
      { "kv-if-revision": "9007199254740993" },
      "bad-request",
      /Kv-If-Revision/,
    ],
    ["an empty revision", "set", "1", { "kv-if-revision": "" }, "bad-request", /Kv-If-Revision/],
    ["a TTL below a second", "set", "1", { "kv-ttl": "999ms" }, "bad-request", /ttl.*1s.*999ms/],
    ["a TTL in days", "set", "1", { "kv-ttl": "2d" }, "bad-request", /ttl.*2d/],
    [
      "an unknown Kv- header",
      "set",
      "1",
      { "kv-if-revison": "1" },
      "bad-request",
      /kv-if-revison.*Kv-If-Revision/,
    ],
    ["an empty request id", "del", "", { "kv-request-id": "" }, "bad-request", /1 … 128.*0 bytes/],
    [
      "a long request id",
      "del",
      "",
      { "kv-request-id": "é".repeat(65) },
      "bad-request",
      /128.*130/,
    ],
    ["several types to accept", "get", "", { accept: "a/b, c/d" }, "bad-request", /one type.*a\/b/],
    [
      "a set answered in MessagePack",
      "set",
      "1",
      { accept: "application/msgpack" },
      "unsupported",
      /set is application\/json/,
    ],
    ["an incr by text", "incr", '{"by":"1"}', {}, "bad-request", /"by" is a number; received "1"/],
    ["an incr by infinity", "incr", '{"by":1e999}', {}, "bad-request", /finite.*Infinity/],
    ["an incr at a number", "incr", '{"path":1}', {}, "bad-request", /"path"/],
    ["an incr at nothing", "incr", '{"path":""}', {}, "bad-request", /"path"/],
    ["an incr that is a number", "incr", "1", {}, "bad-request", /payload of incr/],
    [
      "an incr of two members",
      "incr",
      '{"__proto__":1}',
      {},
      "bad-request",
      /unknown member "__proto__"/,
    ],
    [
      "an incr at a long path",
      "incr",
      `{"path":"${"é".repeat(257)}"}`,
      {},
      "limit-exceeded",
      /512.*514/,
    ],
    ["a large value", "set", `"${"x".repeat(VALUE_BYTES_MAX)}"`, {}, "too-large", /262144.*262146/],
    [
      "a large patch",
      "patch",
      `"${"x".repeat(VALUE_BYTES_MAX)}"`,
      {},
      "too-large",
      /patch.*262144/,
    ],
    ["a verb that is none", "put", "1", {}, "unsupported", /"put"/],
    ["check, which exists in batches", "check", "", {}, "unsupported", /"check"/],
  ];
  for (const [what, verb, payload, headers, name, text] of refused) {
    it(`refuses ${what}`, () => {
      const error = refusalNow(() => subject(verb, payload, headers));
      expect([error.kind, error.message]).to.satisfy(
        () => error.kind === name && text.test(error.message),
        `${error.kind}: ${error.message}`,
      );
    });
  }

  it("refuses a header given twice, whichever of ours it is", () => {
    const names = ["kv-if-revision", "kv-ttl", "kv-request-id", "kv-read", "kv-min-revision"];
    for (const name of [...names, "kv-return", "content-type", "accept"]) {
      const twice = new Map([[name, ["1", "1"]]]);
      const error = refusalNow(() =>
        parseSubjectRequest("set", "k", Buffer.from("1"), twice, POSITIONS),
      );
      expect(error.message.toLowerCase()).to.match(
        new RegExp(`^${name} is given once; received 2`),
      );
    }
    const others = new Map([["nats-trace", ["1", "1"]]]);
    parseSubjectRequest("set", "k", Buffer.from("1"), others, POSITIONS);
  });

  it("takes a value and a request id of exactly the limit", () => {
    const value = `"${"x".repeat(VALUE_BYTES_MAX - 2)}"`;
    const id = "x".repeat(128);
    expect(operation(subject("set", value, { "kv-request-id": id })).request?.id).to.equal(id);
  });
});

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
    ["an array", "get", "[]", {}, /payload of get is a JSON object; received "\[\]"/],
    ["no key", "get", "{}", {}, /get needs "key"/],
    ["a key that is a number", "get", '{"key":1}', {}, /"key" is text; received "1"/],
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
    ["a TTL that is a number", "touch", '{"key":"k","ttl":60}', {}, /"ttl" is text; received "60"/],
    ["a revision that is text", "del", '{"key":"k","if_revision":"1"}', {}, /if_revision.*"1"/],
    ["a revision with a fraction", "del", '{"key":"k","if_revision":1.5}', {}, /if_revision.*1\.5/],
    [
      "a revision that is a list",
      "del",
      '{"key":"k","if_revision":[]}',
      {},
      /if_revision.*an array/,
    ],
    ["a read of null", "get", '{"key":"k","read":null}', {}, /"read" is text; received "null"/],
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

function subject(
  verb: string,
  payload: string | Uint8Array = "",
  headers: Record<string, string> = {},
): Request {
  const bytes = typeof payload === "string" ? Buffer.from(payload, "utf8") : payload;
  return parseSubjectRequest(verb, "delhi", bytes, headerMap(headers), POSITIONS);
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
