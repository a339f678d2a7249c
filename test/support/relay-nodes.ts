/**
 * Relay nodes: the nodes of one shard, each with a replica and its relay, on one clock, log, events
 * stream and bus in memory. Tests write entries straight to the log.
 */
import { expect } from "chai";
import { readMarker } from "../../actors/relay/relay-core.js";
import type { LogId } from "../../protocol/ids.js";
import { EventConsumer, type Rebuilt } from "./event-consumer.js";
import { ManualClock, seededChance } from "./manual-clock.js";
import { MemoryNetwork, type MemoryBus } from "./memory-bus.js";
import { MemoryEventStream, type MemoryEvents } from "./memory-events.js";
import { MemoryStream, type MemoryLog } from "./memory-log.js";
import { Disk, type StoreCall } from "./memory-store.js";
import { EntryWriter, names, RelayReplica, type Wanted } from "./relay-shard.js";

export interface Node {
  readonly replica: RelayReplica;
  readonly events: MemoryEvents;
  readonly bus: MemoryBus;
  readonly log: MemoryLog;
}

export class Shard {
  readonly clock = new ManualClock();
  readonly stream: MemoryStream;
  readonly events: MemoryEventStream;
  readonly network: MemoryNetwork;
  readonly entries = new EntryWriter();
  readonly nodes: Node[] = [];
  /** What a node's disk waits for. */
  pause: (node: string, call: StoreCall) => Promise<void> = () => Promise.resolve();

  constructor(isDurable = true, id = "00000000000000a1") {
    this.stream = new MemoryStream({ clock: this.clock, id });
    this.events = new MemoryEventStream(this.clock, isDurable);
    this.network = new MemoryNetwork({ clock: this.clock, chance: seededChance(1) });
    this.stream.take(this.entries.genesis(id as LogId));
    this.stream.take(this.entries.open());
  }

  async add(count: number): Promise<Node[]> {
    for (let rank = this.nodes.length; count > 0; rank += 1, count -= 1) {
      const node = `n${rank + 1}`;
      const { clock } = this;
      const parts = {
        log: this.stream.open(),
        events: this.events.connect(),
        bus: this.network.connect(node),
      };
      const store = new Disk((call) => this.pause(node, call)).open();
      const replica = new RelayReplica({ node, rank, clock, store, ...parts });
      this.nodes.push({ replica, ...parts });
      await replica.start();
    }
    return this.nodes;
  }

  write(...wanted: Wanted[]): void {
    this.stream.take(this.entries.operations(wanted.map((each) => [each])));
  }

  set(key: string, value: unknown = 1): void {
    const bytes = Buffer.from(JSON.stringify(value));
    this.write({ verb: "set", key, value: bytes, contentType: "application/json", ttl: "never" });
  }

  get active(): Node | undefined {
    return this.nodes.find(({ replica }) => replica.relay.status().active);
  }

  /** Until somebody has published all that the log holds, and written so down. */
  async published(limitMs = 60_000): Promise<void> {
    const last = this.stream.last;
    await this.clock.runUntil(() => {
      const marker = this.events.lastOn(names.relayMarker(this.stream.shard));
      return marker !== undefined && (readMarker(marker)?.sequence ?? 0) >= last;
    }, limitMs);
  }

  lastMarker(): ReturnType<typeof readMarker> {
    const stored = this.events.lastOn(names.relayMarker(this.stream.shard));
    return stored && readMarker(stored);
  }

  consume(): EventConsumer {
    return new EventConsumer().takeAll(this.events.messages);
  }

  /** The events tell what the stores hold. */
  async compare(consumer = this.consume()): Promise<void> {
    const [first] = this.nodes;
    const records = await (first as Node).replica.records();
    const expected = new Map<string, Rebuilt>();
    for (const [key, { revision, contentType, value, updatedAt, expiresAt }] of records) {
      const time = (at: number): string => new Date(at).toISOString();
      expected.set(key, {
        revision,
        contentType,
        value: Buffer.from(value).toString("base64"),
        updatedAt: time(updatedAt),
        expiresAt: expiresAt === 0 ? undefined : time(expiresAt),
      });
    }
    expect(consumer.records).to.deep.equal(expected);
  }

  async stop(): Promise<void> {
    const all = Promise.all(this.nodes.map(({ replica }) => replica.stop()));
    await this.clock.resolve(all);
    expect(this.nodes.flatMap(({ replica }) => replica.failures)).to.deep.equal([]);
    expect(this.network.failures).to.deep.equal([]);
  }
}
