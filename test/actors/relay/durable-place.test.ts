/**
 * Durable place: when a place counts.
 */
import { expect } from "chai";
import { RelayShard } from "../../support/relay-shard.js";

describe("durable place", () => {
  let shard: RelayShard;

  beforeEach(() => {
    shard = new RelayShard();
  });

  afterEach(() => shard.stop());

  it("counts a place as durable at once, or five minutes after it was seen", async () => {
    await shard.add(2);
    shard.set("a");
    await shard.published();
    await shard.clock.advance(11_000);
    const place = shard.stream.last;
    for (const { replica } of shard.nodes) expect(replica.relay.durablePlace()).to.equal(place);
    await shard.stop();
    shard = new RelayShard(false);
    await shard.add(2);
    shard.set("a");
    await shard.published();
    await shard.clock.advance(280_000);
    for (const { replica } of shard.nodes) expect(replica.relay.durablePlace()).to.equal(0);
    await shard.clock.advance(50_000);
    for (const { replica } of shard.nodes) expect(replica.relay.durablePlace()).to.equal(3);
  });
});
