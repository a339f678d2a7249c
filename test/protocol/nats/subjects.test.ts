/**
 * The names on NATS, as docs/protocol.md has them, and the way back from subjects to their parts.
 */
import { expect } from "chai";
import fc from "fast-check";
import { KvError } from "../../../protocol/errors.js";
import type { LogId, NodeName, Position, ShardId } from "../../../protocol/ids.js";
import {
  checkNodeName,
  checkStoreName,
  isShardId,
  Names,
  multiKeyVerbs,
  singleKeyVerbs,
} from "../../../protocol/nats/subjects.js";

const names = new Names("kv");
const shard = "s2" as ShardId;
const node = "n1" as NodeName;
const logId = "0123456789abcdef" as LogId;
const position = 517 as Position;

describe("names on NATS", () => {
  it("are those of the protocol", () => {
    expect(names.verb("get", "delhi")).to.equal("kv.get.delhi");
    expect(names.verb("find")).to.equal("kv.find");
    expect(names.verbWildcard("get")).to.equal("kv.get.>");
    expect(names.ring(position, "get")).to.equal("kv.ring.517.get");
    expect(names.ring(position, "get", "a.b")).to.equal("kv.ring.517.get.a.b");
    expect(names.ringWildcard(position)).to.equal("kv.ring.517.>");
    expect(names.shard(shard, "find")).to.equal("kv.shard.s2.find");
    expect(names.shardWildcard(shard)).to.equal("kv.shard.s2.>");
    expect(names.node(node, "status")).to.equal("kv.node.n1.status");
    expect(names.nodeLog(node, "error")).to.equal("kv.node.n1.log.error");
    expect(names.nodeLogWildcard).to.equal("kv.node.*.log.>");
    expect(names.log(shard, logId)).to.equal("kv.log.s2.0123456789abcdef");
    expect(names.logStream(shard, logId)).to.equal("kv-log-s2-0123456789abcdef");
    expect(names.logWildcard).to.equal("kv.log.>");
    expect(names.parseLogStream("kv-log-s2-0123456789abcdef")).to.deep.equal({ shard, logId });
    for (const other of ["kv-log-log-s2-0123456789abcdef", "kv-events", "kv-log-s2-0123"]) {
      expect(names.parseLogStream(other), other).to.equal(undefined);
    }
    expect(names.eventsStream).to.equal("kv-events");
    expect(names.event("set", "a.b")).to.equal("kv.event.set.a.b");
    expect(names.eventWildcard).to.equal("kv.event.>");
    expect(names.relayMarker(shard)).to.equal("kv.relay.s2");
    expect(names.ringBucket).to.equal("kv-ring");
    expect(names.shardsQueue).to.not.equal(names.coordinatorsQueue);
  });

  it("put the event of a key that fits no subject on _", () => {
    for (const key of ["a b", "a..b", "*", "a>"]) {
      expect(names.event("del", key)).to.equal("kv.event.del._");
    }
  });
});

describe("subject of a request", () => {
  it("is parsed into what it was built from", () => {
    const key = fc.option(
      fc.string({ minLength: 1, unit: fc.constantFrom("a", "b", ".", "é", "0") }),
      {
        nil: undefined,
      },
    );
    const single = fc.constantFrom(...singleKeyVerbs);
    fc.assert(
      fc.property(fc.nat(65_535), single, key, (place, verb, keyText) => {
        const parts = { verb, key: keyText };
        const ring = names.ring(place as Position, verb, keyText);
        expect(names.parseRingSubject(ring)).to.deep.equal({ position: place, ...parts });
        expect(names.parseVerbSubject(names.verb(verb, keyText))).to.deep.equal(parts);
      }),
    );
    for (const verb of multiKeyVerbs) {
      expect(names.parseVerbSubject(names.verb(verb))).to.deep.equal({ verb, key: undefined });
    }
    expect(names.parseShardSubject("kv.shard.s12.find")).to.deep.equal({
      shard: "s12",
      verb: "find",
    });
  });

  it("is no ring subject without a position, a known verb and whole tokens", () => {
    for (const rest of ["517", "517.", "x.get", "01.get", "-1.get", "65536.get", ".get"]) {
      expect(names.parseRingSubject(`kv.ring.${rest}`), rest).to.equal(undefined);
    }
    for (const subject of ["kv.ring.1.find", "kv.ring.1.get.", "kw.ring.1.get", "kv.ring"]) {
      expect(names.parseRingSubject(subject), subject).to.equal(undefined);
    }
  });

  it("is no verb subject with an unknown verb, or a key where none belongs", () => {
    const wrong = ["kv", "kv.", "kv.got.a", "kv.get.", "kv.find.a", "kv.ring.1.get", "kvx.get.a"];
    for (const subject of wrong) {
      expect(names.parseVerbSubject(subject), subject).to.equal(undefined);
    }
  });

  it("is no shard subject without a shard and one token", () => {
    for (const rest of ["s1", "s1.", "s0.find", "x.find", "s1.find.a", "s01.find"]) {
      expect(names.parseShardSubject(`kv.shard.${rest}`), rest).to.equal(undefined);
    }
  });
});

describe("name of a store or node", () => {
  it("is 1 to 32 letters, digits, _ and -", () => {
    for (const name of ["kv", "A-z_9", "x".repeat(32)]) {
      expect(checkStoreName(name)).to.equal(name);
      expect(checkNodeName(name)).to.equal(name);
    }
    for (const name of ["", "a.b", "a b", "é", "*", "x".repeat(33), "a\n", 7, undefined]) {
      expect(() => checkStoreName(name), String(name)).to.throw(KvError, "store must be 1 to 32");
      expect(() => checkNodeName(name), String(name)).to.throw(KvError, "node must be 1 to 32");
      expect(() => new Names(name as string)).to.throw(KvError);
    }
    expect(() => checkStoreName("_INBOX")).to.throw(KvError, "_INBOX");
  });

  it("is s and a number for a shard", () => {
    expect(["s1", "s10", "s0", "s01", "n1", "s", "s1.a"].filter(isShardId)).to.deep.equal([
      "s1",
      "s10",
    ]);
  });
});
