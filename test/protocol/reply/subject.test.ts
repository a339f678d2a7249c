/**
 * Replies: the JSON and headers of each verb, what fits a batch's reply, and the packed form.
 */
import { encode } from "@msgpack/msgpack";
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import type { Revision, TimeMs } from "../../../protocol/ids.js";
import type { Done, StoredRecord } from "../../../protocol/operation.js";
import type { Reply } from "../../../protocol/reply/result.js";
import { errorReply, subjectReply } from "../../../protocol/reply/subject.js";
import { TIME, record, read, written, type } from "./results.js";

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
    const value_base64 = Buffer.from(value).toString("base64");
    expect(json(set)).to.have.nested.property("previous.value_base64", value_base64);
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

function json(reply: Reply): Record<string, unknown> {
  return JSON.parse(reply.body.toString()) as Record<string, unknown>;
}
