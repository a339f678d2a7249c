/**
 * New ring: lets the production's ring-keepers of all nodes make the ring and its logs, in memory.
 *
 * They race like nodes that start together; one wins, and the others remove their logs. The first
 * entry of each log gets the limits that the seed has drawn.
 */
import {
  RingKeeper,
  type ListedLog,
  type LogMaker,
  type LogName,
} from "../../actors/ring-keeper/ring-keeper.js";
import type { Logger } from "../../infra/logger.js";
import type { NodeName, ShardId } from "../../protocol/ids.js";
import { decodeEntry, encodeEntry, isEntry } from "../../protocol/log/entry.js";
import { decodeRing } from "../../protocol/ring/ring-bytes.js";
import type { RingShard, RingTable } from "../../protocol/ring/ring.js";
import { seededChance, type ManualClock, type SeededChance } from "../support/manual-clock.js";
import { MemoryStream } from "../support/memory-log.js";
import { MemoryRing } from "../support/memory-ring.js";
import type { Plan } from "./swarm.js";

export interface NewCluster {
  readonly ring: RingTable;
  readonly streams: ReadonlyMap<ShardId, MemoryStream>;
}

export async function newRing(
  clock: ManualClock,
  chance: SeededChance,
  plan: Plan,
  logger: Logger,
): Promise<NewCluster> {
  const place = new MemoryRing();
  const maker = new MemoryLogs(clock, plan);
  const nodes = Array.from({ length: plan.nodes }, (_, index) => `n${index + 1}` as NodeName);
  const { replicas, positions: positionCount } = plan;
  const indexPolicy = { excluded: [] };
  const wish = { store: "kv", positionCount, nodes, replicas, indexPolicy };
  const made = nodes.map((_, index) => {
    const own = seededChance(chance.integer(2 ** 31));
    const keeper = new RingKeeper(place, maker, clock, own, logger);
    return keeper.readOrCreate({ ...wish, logBytesMax: plan.logBytesMax }, index === 0);
  });
  await clock.resolve(Promise.all(made));
  const ring = decodeRing(place.value ?? new Uint8Array());
  const streams = new Map<ShardId, MemoryStream>();
  for (const shard of ring.shards) streams.set(shard.shard, maker.stream(shard));
  return { ring, streams };
}

class MemoryLogs implements LogMaker {
  readonly #streams = new Map<string, MemoryStream>();

  constructor(
    private readonly clock: ManualClock,
    private readonly plan: Plan,
  ) {}

  stream({ shard, logId }: LogName): MemoryStream {
    const stream = this.#streams.get(`${shard} ${logId}`);
    if (stream === undefined) throw new Error(`the log ${logId} of ${shard} was not made`);
    return stream;
  }

  create(shards: readonly RingShard[], bytesMax: number): Promise<void> {
    for (const { shard, logId } of shards) {
      const stream = new MemoryStream({ clock: this.clock, shard, id: logId, bytesMax });
      this.#streams.set(`${shard} ${logId}`, stream);
    }
    return Promise.resolve();
  }

  begin(shard: RingShard, bytes: Uint8Array): Promise<void> {
    const entry = decodeEntry(bytes);
    if (!isEntry(entry) || entry.kind !== "genesis") throw new Error("a log begins with genesis");
    const genesis = { ...entry.genesis, limits: this.plan.limits };
    this.stream(shard).take(encodeEntry({ ...entry, genesis }));
    return Promise.resolve();
  }

  remove({ shard, logId }: LogName): Promise<void> {
    this.#streams.delete(`${shard} ${logId}`);
    return Promise.resolve();
  }

  list(): Promise<readonly ListedLog[]> {
    return Promise.resolve(
      [...this.#streams.values()].map(({ shard, id, last }) => {
        return { shard, logId: id, sequenceLast: last, entryCount: last };
      }),
    );
  }
}
