/**
 * A node's actors in memory: what only their wiring brings about.
 */
import { expect } from "chai";
import { NodeActors } from "../../../actors/node/node-actors.js";
import type { Message } from "../../../infra/bus.js";
import type { NodeName, Position, ShardId } from "../../../protocol/ids.js";
import { PULSE_MS, QUEUE_MS_MAX } from "../../../protocol/limits.js";
import { POSITIONS } from "../../support/log-writer.js";
import { seededChance } from "../../support/manual-clock.js";
import type { MemoryBus } from "../../support/memory-bus.js";
import { MemoryEvents, MemoryEventStream } from "../../support/memory-events.js";
import { MemoryShard, names } from "../../support/memory-shard.js";
import { NotedLogger } from "../../support/noted-logger.js";
import { smallRing } from "../../support/small-ring.js";

const subjects = [
  names.verb("find"),
  names.ring(0 as Position, "get", "a"),
  names.shard("s1" as ShardId, "count"),
];

describe("a node's actors", () => {
  let shard: MemoryShard;
  let actors: NodeActors;
  let client: MemoryBus;

  beforeEach(async () => {
    shard = new MemoryShard();
    const { clock, network } = shard;
    client = network.connect("asking");
    actors = new NodeActors({
      names,
      node: "n1" as NodeName,
      version: "0.0.0",
      ring: smallRing(Array.from({ length: POSITIONS }, (_, position) => position)),
      bus: network.connect("n1"),
      events: new MemoryEvents(new MemoryEventStream(clock)),
      clock,
      chance: seededChance(1),
      logger: new NotedLogger(),
      openStore: () => Promise.resolve(shard.disk("n1").open()),
      openLog: () => shard.log("n1"),
      report: () => ({
        pid: 1,
        durability: { sync_interval: "always", log_replicas: 1 },
        warnings: [],
      }),
    });
    actors.start();
    await clock.runUntil(() => actors.replicas().every(({ state }) => state === "serving"));
  });
  afterEach(() => shard.clock.resolve(actors.close()));

  it("refuse requests, whichever they are for, while the pulse does not return", async () => {
    for (const subject of subjects) expect(await ask(subject), subject).to.not.match(/queue_ms/);
    shard.network.fate = ({ message }: { message: Message }) => {
      return message.subject === names.node("n1" as NodeName, "pulse") ? { drop: true } : {};
    };
    for (let ms = 0; ms <= QUEUE_MS_MAX + 3 * PULSE_MS; ms += PULSE_MS) {
      await ask(names.verb("info"));
      for (const subject of subjects) await ask(subject);
      await shard.clock.advance(PULSE_MS);
    }
    for (const subject of subjects) expect(await ask(subject), subject).to.match(/queue_ms/);
  });

  async function ask(subject: string): Promise<string> {
    const asked = client.request(subject, Buffer.from("{}"), { timeoutMs: 5_000 });
    return Buffer.from((await shard.clock.resolve(asked)).data).toString();
  }
});
