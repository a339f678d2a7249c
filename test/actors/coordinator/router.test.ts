/**
 * Router over the in-memory bus: one shard that answers late, not at all, or with a refusal.
 */
import { expect } from "chai";
import { Router } from "../../../actors/coordinator/router.js";
import { KvError, type ErrorName } from "../../../protocol/errors.js";
import {
  COORDINATOR_REQUESTS_MAX,
  HOPS_MAX,
  REQUEST_TIMEOUT_MS,
} from "../../../protocol/limits.js";
import { Names } from "../../../protocol/nats/subjects.js";
import type { Result } from "../../../protocol/reply/result.js";
import { requestTime } from "../../../protocol/request-id.js";
import type { Request } from "../../../protocol/request/request.js";
import { parseKeylessRequest } from "../../../protocol/request/text.js";
import { FakeShard } from "../../support/fake-shard.js";
import { ManualClock, seededChance } from "../../support/manual-clock.js";
import { MemoryNetwork } from "../../support/memory-bus.js";

const names = new Names("kv");

describe("router", () => {
  let clock: ManualClock;
  let network: MemoryNetwork;
  let shard: FakeShard;
  let router: Router;

  beforeEach(() => {
    clock = new ManualClock();
    const chance = seededChance(1);
    network = new MemoryNetwork({ clock, chance });
    shard = new FakeShard(network.connect("s1"), clock, names, "s1", 2, [0, 1]);
    router = new Router({ names, bus: network.connect("n1"), clock, chance });
  });

  it("brings a write to its position, and its result back", async () => {
    const result = await route(set("a", 1));
    expect(result).to.deep.include({ kind: "written", key: "a" });
    expect(shard.effects).to.have.length(1);
    expect(router.underWay).to.equal(0);
  });

  it("gives a write an id, and keeps the one it has", async () => {
    await route(set("a", 1));
    await route(set("b", 1, { request_id: "mine" }));
    const ids = shard.effects.map(({ request }) => request?.id);
    // No UUIDv7: of a node whose clock is wrong it would be refused for its time.
    expect(ids[0]).to.match(/^[0-9a-f]{32}$/);
    expect(requestTime(String(ids[0]))).to.equal(undefined);
    expect(ids[1]).to.equal("mine");
  });

  it("asks again with the same id when the answer is lost, and it takes effect once", async () => {
    shard.fate = (number) => (number === 1 ? "lose" : "do");
    expect((await route(set("a", 1))).kind).to.equal("written");
    expect(shard.received).to.have.length(2);
    expect(shard.received[0]).to.deep.equal(shard.received[1]);
    expect(shard.effects).to.have.length(1);
  });

  it("asks again after unavailable, with waits that grow", async () => {
    shard.fate = (number) => (number < 6 ? refusal("unavailable") : "do");
    const startMs = clock.elapsedMs();
    expect((await route(set("a", 1))).kind).to.equal("written");
    expect(clock.elapsedMs() - startMs).to.be.within(300, 1_000);
  });

  for (const kind of ["overloaded", "conflict", "bad-request"] as const) {
    it(`passes ${kind} on at once`, async () => {
      shard.fate = () => refusal(kind);
      expect(await refused(set("a", 1))).to.include({ kind, written: "no" });
      expect(shard.received).to.have.length(1);
    });
  }

  it("says unavailable, nothing written, when no attempt was taken in time", async () => {
    shard.fate = () => refusal("unavailable");
    const error = await refused(set("a", 1));
    expect(error).to.include({ kind: "unavailable", written: "no" });
    expect(clock.elapsedMs()).to.be.within(REQUEST_TIMEOUT_MS - 1_000, REQUEST_TIMEOUT_MS);
  });

  for (const kind of ["unavailable", "overloaded"] as const) {
    it(`says in-doubt when an attempt had no answer and all later ones are ${kind}`, async () => {
      shard.fate = (number) => (number === 1 ? "delay" : refusal(kind));
      expect(await refused(set("a", 1))).to.include({ kind: "in-doubt", written: "unknown" });
      // The doubt was right: the first attempt took effect after all.
      expect(shard.effects).to.have.length(1);
    });
  }

  it("resolves a doubt by asking on, although the shard is overloaded for a moment", async () => {
    shard.fate = (number) => (["lose", refusal("overloaded")] as const)[number - 1] ?? "do";
    expect((await route(set("a", 1))).kind).to.equal("written");
    expect(shard.effects).to.have.length(1);
  });

  it("never says of a get that something may be written", async () => {
    shard.fate = () => "delay";
    expect(await refused(get("a"))).to.include({ kind: "unavailable", written: "no" });
  });

  it("waits for a shard that nobody serves yet", async () => {
    const late = network.connect("late");
    const third = new Names("other");
    const waiting = new Router({
      names: third,
      bus: network.connect("n2"),
      clock,
      chance: seededChance(2),
    });
    const routed = waiting.route(set("a", 1));
    await clock.advance(1_000);
    const shardLate = new FakeShard(late, clock, third, "s1", 2, [0, 1]);
    expect((await clock.resolve(routed)).kind).to.equal("written");
    expect(shardLate.effects).to.have.length(1);
  });

  it("refuses a request that was forwarded too often", async () => {
    const error = await refused({ ...set("a", 1), hops: HOPS_MAX + 1 });
    expect(error).to.include({ kind: "unavailable", written: "no" });
    expect(shard.received).to.have.length(0);
  });

  it("refuses more than COORDINATOR_REQUESTS_MAX at once", async () => {
    // Time stands still, and so do all of these.
    for (let count = 0; count < COORDINATOR_REQUESTS_MAX; count++) void router.route(get("a"));
    expect(router.underWay).to.equal(COORDINATOR_REQUESTS_MAX);
    expect(await refused(set("a", 1))).to.include({ kind: "overloaded", written: "no" });
  });

  function route(request: Request): Promise<Result> {
    return clock.resolve(router.route(request));
  }

  async function refused(request: Request): Promise<KvError> {
    const result = await route(request);
    if (result.kind === "refused") return result.error;
    throw new Error(`was ${result.kind}`);
  }
});

function set(key: string, value: unknown, more: object = {}): Request {
  return parseKeylessRequest("set", json({ key, value, ...more }), undefined, 2);
}

function get(key: string): Request {
  return parseKeylessRequest("get", json({ key }), undefined, 2);
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function refusal(kind: ErrorName): KvError {
  return new KvError(kind, `the fake shard says ${kind}`);
}
