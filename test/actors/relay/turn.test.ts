/**
 * Turn: from which place a relay goes on, and which positions it resets.
 */
import { expect } from "chai";
import type { Sequence } from "../../../protocol/ids.js";
import { outcomeKey } from "../../../protocol/store/store-keys.js";
import { EntryWriter, names, type RelayNode, RelayShard } from "../../support/relay-shard.js";

describe("turn of a relay", () => {
  let shard: RelayShard;

  beforeEach(() => {
    shard = new RelayShard();
  });

  afterEach(() => shard.stop());

  it("leaves out what its predecessor published after its last marker", async () => {
    const [home] = await shard.add(2);
    await shard.published();
    for (const key of ["a", "b", "c", "d", "e", "f"]) shard.set(key);
    await shard.clock.runUntil(() => shard.consume().eventCount >= 3);
    home?.events.disconnect(2);
    home?.bus.disconnect();
    await shard.published();
    expect(shard.consume().eventCount).to.equal(6);
    await shard.compare();
  });

  it("leaves that out when a relay between them wrote no more than its first marker", async () => {
    const [home, second] = await shard.add(3);
    await shard.published();
    for (const key of ["a", "b", "c", "d", "e", "f"]) shard.set(key);
    await shard.clock.runUntil(() => shard.consume().eventCount >= 3);
    cut(home);
    await shard.clock.runUntil(() => shard.lastMarker()?.node === "n2");
    cut(second);
    await shard.published();
    expect(shard.lastMarker()?.node).to.equal("n3");
    expect(shard.consume().eventCount).to.equal(6);
  });

  it("leaves that out when a relay between them came to its end on the way", async () => {
    let isHeld = false;
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    shard.pause = async (node, call) => {
      if (!isHeld || node !== "n2" || call !== "write") return;
      if ((shard.nodes[1]?.replica.applied.appliedSequence ?? 0) >= 5) await held;
    };
    const [home, second] = await shard.add(3);
    await shard.published();
    isHeld = true;
    for (const key of ["a", "b", "c"]) shard.set(key);
    await shard.clock.runUntil(() => second?.replica.applied.appliedSequence === 5);
    for (const key of ["d", "e", "f"]) shard.set(key);
    await shard.clock.runUntil(() => shard.consume().eventCount === 6);
    expect(shard.lastMarker()?.sequence).to.equal(2);
    cut(home);
    await shard.clock.runUntil(() => shard.lastMarker()?.sequence === 5);
    expect(shard.lastMarker()?.node).to.equal("n2");
    cut(second);
    await shard.published();
    expect(shard.lastMarker()?.node).to.equal("n3");
    expect(shard.consume().eventCount).to.equal(6);
    release();
  });

  it("resets a position of which a message was lost while later ones landed", async () => {
    await shard.add(2);
    await shard.published();
    let refused = 0;
    shard.events.refuses = ({ subject }) => subject === "kv.event.set.a" && refused++ === 0;
    const keys = ["a", "a", "b", "a", "c"];
    shard.write(
      ...keys.map(
        (key) =>
          ({
            verb: "set",
            key,
            value: Buffer.from("1"),
            contentType: "application/json",
            ttl: "never",
          }) as const,
      ),
    );
    await shard.published();
    expect(refused).to.be.greaterThan(0);
    const perPosition = new Map<string, number>();
    for (const { headers, subject } of shard.events.messages) {
      if (!names.isEvent(subject)) continue;
      const position = headers?.get("kv-position")?.[0] ?? "";
      const revision = Number(headers?.get("kv-revision")?.[0]);
      if (subject === "kv.event.reset._") perPosition.set(position, revision);
    }
    expect(perPosition.size).to.equal(1);
    const before = shard.events.messages.length;
    shard.set("a", 2);
    shard.set("b", 2);
    await shard.published();
    const events = shard.events.messages.slice(before).filter(({ subject }) => {
      return names.isEvent(subject);
    });
    expect(events.map(({ subject }) => subject)).to.deep.equal([
      "kv.event.set.a",
      "kv.event.set.b",
    ]);
    const revision = Number(events[0]?.headers?.get("kv-revision")?.[0]);
    expect(revision).to.equal([...perPosition.values()][0]! + 1);
  });

  it("publishes again what a crash of the server took, and nothing else", async () => {
    const [home] = await shard.add(1);
    shard.set("a");
    await shard.published();
    const { last } = shard.events;
    shard.set("b");
    await shard.published();
    shard.set("c");
    await shard.published();
    shard.events.truncate(last + 1);
    home?.events.disconnect();
    home?.events.reconnect();
    shard.set("d");
    await shard.published();
    expect(shard.consume().eventCount).to.equal(4);
    await shard.compare();
  });

  it("resets all positions where the outcomes of its place are gone", async () => {
    const [home] = await shard.add(1);
    shard.set("a");
    await shard.published();
    const { replica } = home as RelayNode;
    replica.relay.stop();
    await shard.clock.advance(3_000);
    shard.set("b");
    shard.set("c");
    await shard.clock.runUntil(() => replica.applied.appliedSequence === shard.stream.last);
    const key = outcomeKey((shard.stream.last - 1) as Sequence);
    await replica.store.write([{ type: "del", key }], { sync: false });
    replica.startRelay();
    await shard.published();
    const consumer = shard.consume();
    expect(consumer.resets).to.have.length(4);
    for (const { position, revision } of consumer.resets) {
      expect(revision).to.equal(replica.applied.table.revision(position as never));
    }
    const before = shard.events.messages.length;
    shard.set("d");
    await shard.published();
    const events = shard.events.messages.slice(before).map(({ subject }) => subject);
    expect(events).to.deep.equal(["kv.event.set.d", "kv.relay.s1"]);
    consumer.takeAll(shard.events.messages.slice(before));
  });

  it("resets all positions where the last marker is not one of ours", async () => {
    const [home] = await shard.add(1);
    shard.set("a");
    await shard.published();
    const { replica } = home as RelayNode;
    replica.relay.stop();
    await shard.clock.advance(3_000);
    const subject = names.relayMarker(shard.stream.shard);
    const fence = { subject, sequence: shard.events.lastOn(subject)?.sequence as Sequence };
    shard.events.take({ subject, headers: [], data: Buffer.from("not JSON") }, fence);
    const before = shard.events.messages.length;
    replica.startRelay();
    await shard.published();
    const events = shard.events.messages.slice(before).map((event) => event.subject);
    // What had been published already does not come again.
    expect(events.filter((each) => each.startsWith("kv.event.set."))).to.deep.equal([]);
    expect(events.filter((each) => each === "kv.event.reset._")).to.have.length(4);
  });

  it("resets all positions when the log is trimmed before its place", async () => {
    const [home] = await shard.add(1);
    shard.set("a");
    await shard.published();
    home?.replica.relay.stop();
    await shard.clock.advance(3_000);
    shard.set("b");
    shard.set("c");
    await shard.clock.runUntil(() => home?.replica.applied.appliedSequence === shard.stream.last);
    shard.stream.trim(shard.stream.last);
    home?.replica.startRelay();
    await shard.published();
    expect(shard.consume().resets).to.have.length(4);
  });

  it("publishes nothing of a log that is not the one that was applied", async () => {
    const [home] = await shard.add(1);
    shard.set("a");
    await shard.published();
    const { replica } = home as RelayNode;
    replica.relay.stop();
    await shard.clock.advance(3_000);
    shard.set("b");
    await shard.clock.runUntil(() => replica.applied.appliedSequence === shard.stream.last);
    await shard.clock.resolve(replica.stop());
    const before = shard.consume().eventCount;
    const others = new EntryWriter();
    for (let count = 0; count < 9; count += 1) others.barrier();
    const value = { value: Buffer.from("2"), contentType: "application/json" } as const;
    const other = others.operations([[{ verb: "set", key: "c", ...value, ttl: "never" }]]);
    shard.stream.replace(shard.stream.last - 1, [other]);
    replica.startRelay();
    await shard.clock.runUntil(() => replica.lines.includes("the relay is on standby"));
    await shard.clock.advance(5_000);
    expect(shard.consume().eventCount).to.equal(before);
  });
});

function cut(node: RelayNode | undefined): void {
  node?.events.disconnect();
  node?.bus.disconnect();
}
