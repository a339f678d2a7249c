/**
 * Replies: the JSON and headers of each verb, what fits a batch's reply, and the packed form.
 */
import { encode } from "@msgpack/msgpack";
import { expect } from "chai";
import fc from "fast-check";
import { KvError, errorNames } from "../../../protocol/errors.js";
import type { Position, Revision, TimeMs } from "../../../protocol/ids.js";
import { REPLY_BYTES_MAX, VALUE_BYTES_MAX } from "../../../protocol/limits.js";
import { contentTypes, type Done, type StoredRecord } from "../../../protocol/operation.js";
import { batchReply } from "../../../protocol/reply/batch.js";
import {
  packedBatchReply,
  packedReply,
  parsePackedBatchReply,
  parsePackedReply,
} from "../../../protocol/reply/packed.js";
import type { Reply, Result } from "../../../protocol/reply/result.js";
import { errorReply, subjectReply } from "../../../protocol/reply/subject.js";
import { parseBatchRequest } from "../../../protocol/request/text.js";

const TIME = 1_700_000_000_000 as TimeMs;

describe("a reply to a single request", () => {
  it("tells each writing verb what it did", () => {
    const at = '"key":"k","revision":3,"position":5';
    const text = (done: Partial<Done>): string =>
      subjectReply(done.verb ?? "set", written(done)).body.toString();
    expect(text({ verb: "set", created: true })).to.equal(`{${type("set")},${at},"created":true}`);
    expect(text({ verb: "patch" })).to.equal(`{${type("patch")},${at},"created":false}`);
    expect(text({ verb: "del", existed: true })).to.equal(`{${type("del")},${at},"existed":true}`);
    expect(text({ verb: "incr", number: -1.5 })).to.equal(`{${type("incr")},${at},"value":-1.5}`);
    expect(text({ verb: "touch", expiresAt: TIME })).to.equal(
      `{${type("touch")},${at},"expires_at":"2023-11-14T22:13:20.000Z"}`,
    );
    expect(text({ verb: "touch" })).to.equal(`{${type("touch")},${at},"expires_at":null}`);
  });

  it("says of a del of nothing that it took no revision", () => {
    const reply = subjectReply("del", written({ verb: "del", revision: 0 as Revision }));
    expect(json(reply)).to.deep.include({ revision: null, existed: false });
  });

  it("escapes keys", () => {
    const reply = subjectReply("set", { ...written({}), key: 'a"\n\u2028é' });
    expect(json(reply)).to.deep.include({ key: 'a"\n\u2028é' });
  });

  it("has the value before the write, as it was set", () => {
    const previous = (value: string, contentType: StoredRecord["contentType"]): string => {
      const done = { previous: record({ value: Buffer.from(value, "latin1"), contentType }) };
      return subjectReply("set", written(done), { returnPrevious: true }).body.toString();
    };
    expect(previous('{"a": 1.0}', "application/json")).to.contain(
      '"previous":{"value":{"a": 1.0},"revision":2}}',
    );
    expect(previous("hi", "text/plain")).to.contain('"value":"hi","content_type":"text/plain"');
    expect(previous("\x91\x01", "application/msgpack")).to.contain('"value":[1],"content_type"');
    expect(previous("\x00\xff", "application/octet-stream")).to.contain('"value_base64":"AP8="');
  });

  it("has previous null only where it is known that there was no record", () => {
    const asked = { returnPrevious: true };
    const has = (done: Partial<Done>, options = asked): unknown =>
      json(subjectReply(done.verb ?? "set", written(done), options))["previous"];
    expect(has({ created: true })).to.equal(null);
    expect(has({ verb: "del" })).to.equal(null);
    // A repeat has the first outcome without the value before it.
    expect(has({ created: false })).to.equal(undefined);
    expect(has({ verb: "del", existed: true })).to.equal(undefined);
    expect(has({ created: true }, { returnPrevious: false })).to.equal(undefined);
  });

  it("is a get's bytes, with what else there is to know in headers", () => {
    const reply = subjectReply("get", read({}));
    expect(reply.body.toString()).to.equal('{"a": 1.0}');
    expect(reply.headers).to.deep.equal([
      ["Kv-Revision", "2"],
      ["Kv-Position", "5"],
      ["Kv-Updated-At", "2023-11-14T22:13:20.000Z"],
      ["Content-Type", "application/json"],
    ]);
    const expiring = subjectReply("get", read({ expiresAt: (TIME + 500) as TimeMs }));
    expect(expiring.headers).to.deep.include(["Kv-Expires-At", "2023-11-14T22:13:20.500Z"]);
  });

  it("converts a get to the wanted type, or says that it cannot", () => {
    const msgpack = subjectReply("get", read({}), { accept: "application/msgpack" });
    expect(new Uint8Array(msgpack.body)).to.deep.equal(encode({ a: 1 }));
    expect(msgpack.headers).to.deep.include(["Content-Type", "application/msgpack"]);
    const text = subjectReply("get", read({}), { accept: "text/plain" });
    expect(text.headers).to.deep.include(["Nats-Service-Error-Code", "501"]);
    expect(json(text)).to.have.nested.property("error.name", "unsupported");
  });

  it("is too-large for a conversion that fits no message", () => {
    // 250,000 nulls are a byte each in MessagePack and five in JSON.
    const value = encode(Array<null>(250_000).fill(null));
    const contentType = "application/msgpack";
    const reply = subjectReply("get", read({ value, contentType }), { accept: "application/json" });
    expect(json(reply)).to.have.nested.property("error.name", "too-large");
    const done = { previous: record({ value, contentType }) };
    const set = subjectReply("set", written(done), { returnPrevious: true });
    expect(json(set)).to.have.nested.property("previous.error.name", "too-large");
    expect(json(set)).to.deep.include({ revision: 3 });
  });

  it("tells an error in headers and body", () => {
    const reply = errorReply(new KvError("conflict", "is at 4,\r\nnot 3", { revision: 4 }), "set");
    expect(reply.headers).to.deep.equal([
      ["Nats-Service-Error-Code", "409"],
      ["Nats-Service-Error", "is at 4, not 3"],
    ]);
    expect(json(reply)).to.deep.equal({
      type: "io.ringdex.v1.set_response",
      error: {
        code: 409,
        name: "conflict",
        description: "is at 4,\r\nnot 3",
        retryable: false,
        written: "no",
        revision: 4,
      },
    });
  });
});

describe("a reply to a batch", () => {
  it("has the outcome of each operation in order", () => {
    const error = new KvError("not-found", "no such key");
    const results: Result[] = [written({ created: true }), read({}), { kind: "refused", error }];
    expect(batchReply(results).body.toString()).to.equal(
      `{${type("batch")},"outcomes":[` +
        '{"key":"k","revision":3,"position":5,"created":true},' +
        '{"key":"k","value":{"a": 1.0},"revision":2,"position":5,' +
        '"updated_at":"2023-11-14T22:13:20.000Z"},' +
        `{"error":${JSON.stringify(error.toBody())}}]}`,
    );
    expect(batchReply([]).body.toString()).to.equal(`{${type("batch")},"outcomes":[]}`);
  });

  it("has a value of no bytes", () => {
    const empty = read({ value: Buffer.alloc(0), contentType: "text/plain" });
    expect(json(batchReply([empty]))).to.have.nested.property("outcomes[0].value", "");
  });

  it("says that there was nothing before, if the request asked", () => {
    const body = Buffer.from('{"ops":[{"op":"set","key":"k","value":1,"return":"previous"}]}');
    const request = parseBatchRequest(body, undefined, 1_024);
    const results = [written({ created: true })];
    expect(json(batchReply(results, request))).to.have.nested.property(
      "outcomes[0].previous",
      null,
    );
    expect(json(batchReply(results))).not.to.have.nested.property("outcomes[0].previous");
  });

  it("is one error for an atomic batch that was refused", () => {
    const reply = batchReply(new KvError("conflict", "is at 4", { index: 2 }));
    expect(reply.headers[0]).to.deep.equal(["Nats-Service-Error-Code", "409"]);
    expect(json(reply)).to.have.nested.property("error.index", 2);
  });

  it("lets values in as long as they fit, and tells of the others that they do not", () => {
    const value = Buffer.from(`"${"x".repeat(VALUE_BYTES_MAX - 2)}"`);
    const big = read({ value });
    const set = written({ previous: record({ value }) });
    const reply = batchReply([big, big, big, big, read({}), set]);
    expect(reply.body.length).to.be.at.most(REPLY_BYTES_MAX);
    const { outcomes } = json(reply) as unknown as { outcomes: Record<string, never>[] };
    expect(outcomes.map((one) => one["error"]?.["name"] ?? "value")).to.deep.equal([
      "value",
      "value",
      "value",
      "too-large",
      "value",
      "value",
    ]);
    expect(outcomes[5]).to.have.nested.property("previous.error.name", "too-large");
    expect(outcomes[5]).to.include({ revision: 3 });
  });

  it("measures a value as JSON tells it, not as it is stored", () => {
    const grows = read({ value: Buffer.alloc(200_000, 1), contentType: "text/plain" });
    const reply = batchReply([grows, read({})]);
    expect(json(reply)).to.have.nested.property("outcomes[0].error.name", "too-large");
    expect(json(reply)).to.have.nested.property("outcomes[1].revision", 2);
  });

  it("fits a reply with a thousand long errors", () => {
    const long = "\u0001é😀".repeat(1_000);
    const error = new KvError("bad-request", long, { index: 1, field: "x".repeat(2_000) });
    const many = Array<Result>(1_000).fill({ kind: "refused", error });
    const reply = batchReply(many);
    expect(reply.body.length).to.be.at.most(1_000 * 512);
    expect(json(reply)).to.have.nested.property("outcomes[999].error.name", "bad-request");
    const keys = Array<string>(1_000).fill("k");
    const packed = packedBatchReply(many);
    expect(packed.length).to.be.at.most(1_000 * 512);
    expect(parsePackedBatchReply(packed, keys)).to.have.length(1_000);
  });
});

describe("a packed reply", () => {
  const revision = fc.nat() as fc.Arbitrary<Revision>;
  const time = fc.nat({ max: 2 ** 45 }) as fc.Arbitrary<TimeMs>;
  const records: fc.Arbitrary<StoredRecord> = fc.record({
    revision,
    updatedAt: time,
    expiresAt: fc.oneof(time, fc.constant(0 as TimeMs)),
    contentType: fc.constantFrom(...contentTypes),
    value: fc.uint8Array(),
  });
  const dones: fc.Arbitrary<Done> = fc.record({
    verb: fc.constantFrom("set", "del", "patch", "incr", "touch", "check"),
    revision,
    created: fc.boolean(),
    existed: fc.boolean(),
    number: fc.option(
      fc.double({ noNaN: true }).map((number) => number + 0),
      { nil: undefined },
    ),
    expiresAt: fc.oneof(time, fc.constant(0 as TimeMs)),
    previous: fc.option(records, { nil: undefined }),
  });
  const key = fc.string({ unit: "binary", minLength: 1 });
  const position = fc.nat(1_023) as fc.Arbitrary<Position>;
  const results: fc.Arbitrary<Result> = fc.oneof(
    fc.record({ kind: fc.constant("read" as const), key, position, record: records }),
    fc.record({ kind: fc.constant("written" as const), key, position, done: dones }),
    fc
      .record({ name: fc.constantFrom(...errorNames), text: fc.string(), index: fc.nat() })
      .map(({ name, text, index }) => ({
        kind: "refused" as const,
        error: new KvError(name, text, { index }),
      })),
  );

  it("comes back as it went", () => {
    fc.assert(
      fc.property(results, (result) => {
        same(parsePackedReply(packedReply(result), keyOf(result)), result);
      }),
    );
  });

  it("comes back as it went in a batch", () => {
    fc.assert(
      fc.property(fc.array(results, { maxLength: 8 }), (many) => {
        const back = parsePackedBatchReply(packedBatchReply(many), many.map(keyOf));
        if (back instanceof KvError) throw back;
        expect(back.length).to.equal(many.length);
        for (const [index, result] of many.entries()) same(back[index], result);
      }),
    );
  });

  it("tells one error for all of a batch", () => {
    const error = new KvError("conflict", "is at 4", { index: 2, revision: 4 });
    const back = parsePackedBatchReply(packedBatchReply(error), ["a", "b", "c"]);
    expect((back as KvError).toBody()).to.deep.equal(error.toBody());
  });

  it("lets values in as long as they fit", () => {
    const big = read({ value: Buffer.alloc(VALUE_BYTES_MAX) });
    const set = written({ previous: record({ value: Buffer.alloc(VALUE_BYTES_MAX) }) });
    const packed = packedBatchReply([big, big, big, set, big, read({})]);
    expect(packed.length).to.be.at.most(REPLY_BYTES_MAX);
    const back = parsePackedBatchReply(packed, Array<string>(6).fill("k")) as Result[];
    const kinds = back.map((one) => (one.kind === "refused" ? one.error.kind : one.kind));
    expect(kinds).to.deep.equal(["read", "read", "read", "written", "too-large", "read"]);
    expect(back[3]).to.have.nested.property("done.previous", undefined);
  });

  it("is an internal error if it is no reply", () => {
    const bad = [null, 1, [], {}, { revision: 1, position: 1 }, { verb: "get", position: 1 }];
    for (const map of bad) {
      const result = parsePackedReply(encode(map), "k");
      expect(result).to.have.nested.property("error.kind", "internal");
      expect(parsePackedBatchReply(encode(map), ["k"])).to.have.property("kind", "internal");
    }
    const short = parsePackedBatchReply(packedBatchReply([]), ["k"]) as KvError;
    expect(short.message).to.match(/0 outcomes for 1 operations/);
    expect(parsePackedReply(new Uint8Array([0xc1]), "k").kind).to.equal("refused");
  });

  function same(back: Result | undefined, result: Result): void {
    if (result.kind !== "refused") expect(back).to.deep.equal(result);
    else {
      expect(back?.kind === "refused" && back.error.toBody()).to.deep.equal(result.error.toBody());
    }
  }

  function keyOf(result: Result): string {
    return result.kind === "refused" ? "" : result.key;
  }
});

function record(members: Partial<StoredRecord>): StoredRecord {
  return {
    revision: 2 as Revision,
    updatedAt: TIME,
    expiresAt: 0 as TimeMs,
    contentType: "application/json",
    value: Buffer.from('{"a": 1.0}'),
    ...members,
  };
}

function read(members: Partial<StoredRecord>): Result {
  return { kind: "read", key: "k", position: 5 as Position, record: record(members) };
}

function written(members: Partial<Done>): Result & { kind: "written" } {
  const done: Done = {
    verb: "set",
    revision: 3 as Revision,
    created: false,
    existed: false,
    number: undefined,
    expiresAt: 0 as TimeMs,
    previous: undefined,
    ...members,
  };
  return { kind: "written", key: "k", position: 5 as Position, done };
}

function type(verb: string): string {
  return `"type":"io.ringdex.v1.${verb}_response"`;
}

function json(reply: Reply): Record<string, unknown> {
  return JSON.parse(reply.body.toString()) as Record<string, unknown>;
}
