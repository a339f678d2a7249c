/**
 * Border: the forms of a request, and what becomes of a message that is for another shard.
 */
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import { HOPS_MAX } from "../../../protocol/limits.js";
import { positionOf } from "../../../protocol/position.js";
import { parsePackedReply } from "../../../protocol/reply/packed.js";
import type { Result } from "../../../protocol/reply/result.js";
import { encodePackedRequest } from "../../../protocol/request/packed.js";
import type { Request } from "../../../protocol/request/request.js";
import { genesisBytes, POSITIONS, set } from "../../support/log-writer.js";
import { MemoryShard, names } from "../../support/memory-shard.js";

describe("border", () => {
  /** A shard of the position of "a" only. */
  const mine = positionOf("a", POSITIONS);
  let shard: MemoryShard;
  let forwarded: Request[];
  beforeEach(async () => {
    shard = new MemoryShard(genesisBytes({ positions: [mine] }));
    forwarded = [];
    const forward = (request: Request): Promise<Result> => {
      forwarded.push(request);
      const error = new KvError("conflict", "of another shard");
      return Promise.resolve({ kind: "refused", error });
    };
    const node = shard.start("n1", forward);
    await shard.clock.runUntil(() => node.replica.phase === "serving");
  });

  async function send(subject: string, payload: Uint8Array): Promise<string> {
    const client = shard.network.connect("other");
    const asked = client.request(subject, payload, { timeoutMs: 5_000 });
    const { data } = await shard.clock.resolve(asked);
    return Buffer.from(data).toString();
  }

  it("answers the subject's form in JSON", async () => {
    const written = await send(names.ring(mine, "set", "a"), Buffer.from('{"n":1}'));
    expect(JSON.parse(written)).to.include({ key: "a", revision: 1, created: true });
    expect(await send(names.ring(mine, "get", "a"), Buffer.alloc(0))).to.equal('{"n":1}');
    const refusal = await send(names.ring(mine, "set", "a"), Buffer.from("hello"));
    expect(JSON.parse(refusal)).to.have.nested.property("error.name", "bad-request");
  });

  it("sends on what is in another position than its subject says", async () => {
    const reply = await send(names.ring(mine, "set", "b"), Buffer.from("1"));
    expect(JSON.parse(reply)).to.have.nested.property("error.name", "conflict");
    expect(forwarded.map(({ hops }) => hops)).to.deep.equal([1]);
    await send(names.ring(mine, "get", "b"), Buffer.alloc(0));
    expect(forwarded.map(({ kind }) => kind)).to.deep.equal(["write", "get"]);
  });

  it("sends on the packed form too, but not for ever", async () => {
    for (let hops = 0; hops <= HOPS_MAX; hops += 1) {
      const request: Request = { kind: "write", operation: set("b", 1), hops };
      const subject = names.ring(mine, "set");
      const client = shard.network.connect("other");
      const asked = client.request(subject, encodePackedRequest(request), { timeoutMs: 5_000 });
      const { data } = await shard.clock.resolve(asked);
      const told = seen(parsePackedReply(data, "b"));
      expect(told).to.equal(hops < HOPS_MAX ? "conflict" : "unavailable");
    }
    expect(forwarded).to.have.length(HOPS_MAX);
  });

  it("answers numbers that fit no log entry, and goes on", async () => {
    for (const options of [{ ifRevision: 2 ** 53 - 1 }, { request: { id: "r", index: 70_000 } }]) {
      expect(seen(await shard.write(set("a", 1, options)))).to.equal("bad-request");
    }
    expect(seen(await shard.write(set("a", 1)))).to.equal("set");
  });

  it("answers what is no request", async () => {
    const reply = await send(names.ring(mine, "set"), Buffer.from([0xc1]));
    expect(reply).to.include("bad-request");
    expect(await send(`kv.ring.${mine}.dance`, Buffer.alloc(0))).to.include("unsupported");
  });
});

function seen(result: Result): string {
  if (result.kind === "written") return result.done.verb;
  if (result.kind === "read") return Buffer.from(result.record.value).toString();
  const { kind, details } = result.error;
  return details["moved"] === true ? `${kind} moved` : kind;
}
