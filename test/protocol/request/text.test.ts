/**
 * Requests by subject and by JSON body: what becomes of each option, and what is refused.
 */
import { expect } from "chai";
import type { ErrorName } from "../../../protocol/errors.js";
import { VALUE_BYTES_MAX } from "../../../protocol/limits.js";
import type { Operation } from "../../../protocol/operation.js";
import { positionOf } from "../../../protocol/position.js";
import type { GetRequest, Request } from "../../../protocol/request/request.js";
import { parseSubjectRequest } from "../../../protocol/request/text.js";
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
      /Kv-If-Revision must be a whole.*"-1"/,
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
      /set is always application\/json/,
    ],
    [
      "an incr by text",
      "incr",
      '{"by":"1"}',
      {},
      "bad-request",
      /"by" must be a number; received "1"/,
    ],
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

  it("takes a value and a request id of exactly the limit", () => {
    const value = `"${"x".repeat(VALUE_BYTES_MAX - 2)}"`;
    const id = "x".repeat(128);
    expect(operation(subject("set", value, { "kv-request-id": id })).request?.id).to.equal(id);
  });
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

function operation(request: Request): Operation {
  if (request.kind !== "write") throw new Error("not a write");
  return request.operation;
}
