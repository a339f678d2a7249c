/**
 * Batches in both forms: defaults of the whole, what one bad operation does, and limits.
 */
import { encode } from "@msgpack/msgpack";
import { expect } from "chai";
import { parsePackedBatch } from "../../../protocol/request/packed.js";
import type { BatchRequest } from "../../../protocol/request/request.js";
import { parseBatchRequest } from "../../../protocol/request/text.js";
import { refusalNow } from "../../support/failure.js";

const POSITIONS = 1_024;

describe("a JSON batch", () => {
  it("holds its operations in order, each with its source bytes", () => {
    const { requests, atomic, hops } = batch(
      '{"ops":[{"op":"set","key":"a","value":[1.0 ]},{"op":"get","key":"b"},' +
        '{"op":"check","key":"c","if_revision":0}]}',
    );
    expect({ atomic, hops }).to.deep.equal({ atomic: false, hops: 0 });
    const [set, get, check] = requests;
    expect(set?.kind === "write" && set.operation.verb).to.equal("set");
    const value = set?.kind === "write" && "value" in set.operation && set.operation.value;
    expect(String(value)).to.equal("[1.0 ]");
    expect(get).to.include({ kind: "get", key: "b", level: "linearizable" });
    expect(check?.kind === "write" && check.operation.verb).to.equal("check");
  });

  it("names operations by the id of the whole and their index, unless they have their own", () => {
    const { requests } = batch(
      '{"ops":[{"op":"del","key":"a"},{"op":"del","key":"b"},' +
        '{"op":"del","key":"c","request_id":"own"}]}',
      { "kv-request-id": "whole" },
    );
    const refs = requests.map((one) => (one.kind === "write" ? one.operation.request : undefined));
    expect(refs).to.deep.equal([
      { id: "whole", index: 0 },
      { id: "whole", index: 1 },
      { id: "own", index: 0 },
    ]);
  });

  it("reads at the level of the whole, where a session is linearizable", () => {
    const ops = '{"ops":[{"op":"get","key":"a"},{"op":"get","key":"b","read":"session"}]}';
    const levels = (read: string): string[] =>
      batch(ops, { "kv-read": read }).requests.map((one) => (one.kind === "get" ? one.level : ""));
    expect(levels("stale")).to.deep.equal(["stale", "session"]);
    expect(levels("session")).to.deep.equal(["linearizable", "session"]);
    expect(batch(ops, { "kv-read": "stale" }).level).to.equal("session");
    expect(batch(ops).level).to.equal("linearizable");
    expect(batch('{"ops":[]}').level).to.equal("stale");
  });

  it("refuses malformed operations alone, and keeps the others", () => {
    const { requests } = batch(
      '{"ops":[{"op":"set","key":"a"},1,{"key":"k"},{"op":"put","key":"k"},' +
        '{"op":"del","key":"b"},{"op":"check","key":"c"},{"op":"del","key":"d","x":1}]}',
    );
    expect(
      requests.map((one) => (one.kind === "refused" ? one.error.kind : one.kind)),
    ).to.deep.equal([
      "bad-request",
      "bad-request",
      "bad-request",
      "unsupported",
      "write",
      "bad-request",
      "bad-request",
    ]);
  });

  it("refuses an atomic batch as a whole, with the index of the first that is malformed", () => {
    const error = refusalNow(() =>
      batch('{"atomic":true,"ops":[{"op":"del","key":"{t}a"},{"op":"set","key":"{t}b"}]}'),
    );
    expect(error.kind).to.equal("bad-request");
    expect(error.details["index"]).to.equal(1);
    expect(error.message).to.match(/^operation 1: set needs "value"/);
  });

  it("keeps an atomic batch in one position", () => {
    const ok = batch('{"atomic":true,"ops":[{"op":"del","key":"{t}a"},{"op":"del","key":"b{t}"}]}');
    expect(ok.atomic).to.equal(true);
    const error = refusalNow(() =>
      batch('{"atomic":true,"ops":[{"op":"del","key":"a"},{"op":"del","key":"b"}]}'),
    );
    expect([error.kind, error.details["index"]]).to.deep.equal(["bad-request", 1]);
  });

  it("has no gets in an atomic batch", () => {
    const ops = '[{"op":"del","key":"a"},{"op":"get","key":"a"}]';
    const error = refusalNow(() => batch(`{"atomic":true,"ops":${ops}}`));
    expect([error.kind, error.details["index"]]).to.deep.equal(["unsupported", 1]);
    const alone = refusalNow(() => batch('{"atomic":true,"ops":[{"op":"get","key":"a"}]}'));
    expect(alone.details["index"]).to.equal(0);
  });

  it("takes 512 KiB in an atomic batch and no more", () => {
    const value = `"${"x".repeat(200 * 1_024)}"`;
    const op = `{"op":"set","key":"a","value":${value}}`;
    batch(`{"atomic":true,"ops":[${op},${op}]}`);
    const error = refusalNow(() => batch(`{"atomic":true,"ops":[${op},${op},${op}]}`));
    expect([error.kind, error.details["index"]]).to.deep.equal(["too-large", 2]);
    expect(error.message).to.match(/524288.*614409/);
  });

  it("takes 1,000 operations and no more", () => {
    const ops = (count: number): string =>
      `{"ops":[${Array<string>(count).fill('{"op":"get","key":"a"}').join()}]}`;
    expect(batch(ops(1_000)).requests.length).to.equal(1_000);
    const error = refusalNow(() => batch(ops(1_001)));
    expect(error.kind).to.equal("limit-exceeded");
    expect(error.message).to.match(/1000.*1001/);
    const details = { limit: "batch_operations", max: 1_000, received: 1_001 };
    expect(error.details).to.deep.equal(details);
  });

  it("refuses keys whose outcomes would not fit a reply, before anything is done", () => {
    const op = `{"op":"del","key":"${"k".repeat(1_000)}"}`;
    const error = refusalNow(() => batch(`{"ops":[${Array<string>(900).fill(op).join()}]}`));
    expect(error.kind).to.equal("too-large");
  });

  const refused: [string, string, Record<string, string>, RegExp][] = [
    ["no ops", "{}", {}, /"ops"/],
    ["ops that are no array", '{"ops":{}}', {}, /array/],
    ["an unknown member", '{"ops":[],"atomc":true}', {}, /unknown member "atomc"/],
    ["an atomic that is a word", '{"ops":[],"atomic":"yes"}', {}, /"atomic" must be true or false/],
    ["a payload that is no JSON", "ops", {}, /payload of batch/],
    ["Kv-TTL for all", '{"ops":[]}', { "kv-ttl": "1h" }, /put "ttl" into the operation/],
    ["Kv-If-Revision for all", '{"ops":[]}', { "kv-if-revision": "1" }, /"if_revision"/],
    ["Kv-Return for all", '{"ops":[]}', { "kv-return": "previous" }, /"return"/],
    ["Kv-Min-Revision for all", '{"ops":[]}', { "kv-min-revision": "1" }, /"min_revision"/],
    ["another payload type", '{"ops":[]}', { "content-type": "application/msgpack" }, /json/],
  ];
  for (const [what, body, headers, text] of refused) {
    it(`refuses ${what}`, () => {
      const error = refusalNow(() => batch(body, headers));
      expect(error.kind).to.equal("bad-request");
      expect(error.message).to.match(text);
    });
  }
});

describe("a packed batch", () => {
  it("gives its level to gets that name none, and its hops to all", () => {
    const { requests, level } = packed({
      ops: [
        { op: "get", key: "a" },
        { op: "get", key: "b", read: "linearizable" },
        { op: "del", key: "c" },
      ],
      read: "stale",
      hops: 2,
    });
    expect(requests.map((one) => (one.kind === "get" ? one.level : one.kind))).to.deep.equal([
      "stale",
      "linearizable",
      "write",
    ]);
    expect(requests.map((one) => (one.kind === "refused" ? -1 : one.hops))).to.deep.equal([
      2, 2, 2,
    ]);
    expect(level).to.equal("linearizable");
  });

  it("refuses malformed operations alone, and an atomic batch as a whole", () => {
    const ops = [{ op: "del", key: "a" }, 7, { op: "put", key: "a" }, { key: "a" }];
    const kinds = packed({ ops }).requests.map((one) => one.kind);
    expect(kinds).to.deep.equal(["write", "refused", "refused", "refused"]);
    expect(refusalNow(() => packed({ ops, atomic: true })).details["index"]).to.equal(1);
  });

  it("refuses what is no batch", () => {
    for (const bad of [null, 1, [], {}, { ops: 1 }, { ops: [], x: 1 }, { ops: [], atomic: 1 }]) {
      expect(refusalNow(() => packed(bad)).kind).to.equal("bad-request");
    }
    expect(refusalNow(() => packed({ ops: [], read: "fast" })).message).to.match(/"read".*"fast"/);
    const many = { ops: Array<unknown>(1_001).fill({ op: "get", key: "a" }) };
    expect(refusalNow(() => packed(many)).kind).to.equal("limit-exceeded");
  });
});

function batch(body: string, headers: Record<string, string> = {}): BatchRequest {
  const map = new Map(Object.entries(headers).map(([name, value]) => [name, [value]]));
  return parseBatchRequest(Buffer.from(body), map, POSITIONS);
}

function packed(map: unknown): BatchRequest {
  return parsePackedBatch(encode(map), POSITIONS);
}
