/**
 * Waiting until every position is served, by what a store answers.
 */
import { expect } from "chai";
import type { Bus } from "../../../../infra/bus.js";
import { untilServed } from "../../../../infra/main/server/served-check.js";
import { Names } from "../../../../protocol/nats/subjects.js";

const ring = {
  store: "kv",
  epoch: 1,
  position_count: 4,
  shards: [
    { shard: "s1", log_id: "0123456789abcdef", nodes: ["n1"], weight: 1, positions: ["0-3"] },
  ],
  nodes: [{ node: "n1", weight: 1 }],
};

describe("check whether a store is served", () => {
  it("asks until some replica of every shard serves, whatever comes before", async () => {
    const answers = [
      () => Promise.reject(new Error("no responders")),
      () => ({ error: { name: "unavailable" } }),
      () => ring,
      () => ({ replicas: [{ shard: "s1", state: "catching-up" }] }),
      () => ring,
      () => ({ replicas: [{ shard: "s1", state: "serving" }] }),
    ];
    let asked = 0;
    const request = async (): Promise<unknown> => {
      const body: unknown = await answers[asked++]?.();
      return { data: Buffer.from(JSON.stringify(body)) };
    };
    const bus = { request } as unknown as Bus;
    const stopping = new AbortController();
    expect(await untilServed(bus, new Names("kv"), 1, stopping.signal)).to.equal(true);
    expect(asked).to.equal(6);
    stopping.abort();
    expect(await untilServed(bus, new Names("kv"), 1, stopping.signal)).to.equal(false);
    expect(asked).to.equal(6);
  });
});
