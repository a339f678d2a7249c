/**
 * Lease: which replica of a shard has the relay that is active, and when another takes over.
 */
import { expect } from "chai";
import { type RelayNode, RelayShard } from "../../support/relay-shard.js";

describe("lease of a relay", () => {
  let shard: RelayShard;

  beforeEach(() => {
    shard = new RelayShard();
  });

  afterEach(() => shard.stop());

  it("is active at one replica only, the home first", async () => {
    const [home, other] = await shard.add(2);
    await shard.clock.advance(10_000);
    expect(home?.replica.relay.status().active).to.equal(true);
    expect(other?.replica.relay.status().active).to.equal(false);
    expect(other?.replica.lines).to.deep.equal([]);
  });

  it("goes on at another replica at once when it is stopped", async () => {
    const [home, other] = await shard.add(2);
    shard.set("a");
    await shard.published();
    shard.set("b");
    await shard.clock.resolve((home as RelayNode).replica.stop());
    shard.set("c");
    await shard.published(2_500);
    expect(other?.replica.relay.status()).to.include({ active: true });
    await shard.clock.runUntil(() => other?.replica.applied.appliedSequence === shard.stream.last);
    shard.nodes.reverse();
    await shard.compare();
  });

  it("goes on at another replica when it falls silent; what it sends late is refused", async () => {
    const [home, other] = await shard.add(2);
    shard.set("a");
    await shard.published();
    const { events, bus } = home as RelayNode;
    events.isPaused = true;
    bus.disconnect();
    shard.set("b", "from the old one");
    await shard.clock.advance(1_000);
    await shard.published();
    expect(other?.replica.relay.status().active).to.equal(true);
    const { last } = shard.events;
    events.resume();
    bus.reconnect();
    await shard.clock.advance(10_000);
    expect(shard.events.last).to.equal(last);
    expect(home?.replica.relay.status().active).to.equal(false);
    shard.set("c");
    await shard.published();
    await shard.compare();
  });
});
