/**
 * A reply to a batch: outcomes in order, and values as long as they fit.
 */
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import { REPLY_BYTES_MAX, VALUE_BYTES_MAX } from "../../../protocol/limits.js";
import { batchReply } from "../../../protocol/reply/batch.js";
import { packedBatchReply, parsePackedBatchReply } from "../../../protocol/reply/packed.js";
import type { Reply, Result } from "../../../protocol/reply/result.js";
import { parseBatchRequest } from "../../../protocol/request/text.js";
import { record, read, written, type } from "./results.js";

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
    // 80,000 bytes of text that JSON writes in 480,000: two of them fit a reply.
    const grows = read({ value: Buffer.alloc(80_000, 1), contentType: "text/plain" });
    const reply = batchReply([grows, grows, grows, read({})]);
    expect(reply.body.length).to.be.at.most(REPLY_BYTES_MAX);
    expect(json(reply)).to.have.nested.property("outcomes[1].value");
    expect(json(reply)).to.have.nested.property("outcomes[2].error.name", "too-large");
    expect(json(reply)).to.have.nested.property("outcomes[3].revision", 2);
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

function json(reply: Reply): Record<string, unknown> {
  return JSON.parse(reply.body.toString()) as Record<string, unknown>;
}
