/**
 * Ring-keeper: creates the ring, once.
 *
 * Mailbox     none yet
 * State       none
 * Decides in  actors/ring-keeper/ring-plan.ts
 * Lifecycle   one call at a node's start
 *
 * A node creates the streams and their first entries first and the ring last, by compare-and-set
 * (rule L1): a node that finds a ring finds complete logs, and no node creates the log of an
 * existing shard. A node that loses the race deletes the streams it made.
 *
 * A node that ends between the two leaves orphaned logs, which no ring names, and JetStream has
 * reserved their space. The node that creates the ring removes them if they have no more than a
 * first entry: a node that is still creating has lost by then. A log with more entries belonged to
 * a ring, and an empty ring beside its data would hide them: the ring-keeper creates no ring, and
 * the error says why.
 *
 * Invariants
 *   1. A log that the ring names, or that has more than its first entry, is never removed.
 *   2. No two logs have one id.
 */
import { sleep, type Chance, type Clock } from "../../infra/clock.js";
import type { Logger } from "../../infra/logger.js";
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import type { LogId, NodeName, Origin, Sequence } from "../../protocol/ids.js";
import {
  DEPTH_MAX,
  INDEX_ENTRIES_MAX,
  OUTCOMES_MAX,
  PATH_BYTES_MAX,
  VALUE_BYTES_MAX,
} from "../../protocol/limits.js";
import { BEHAVIOUR_VERSION, encodeEntry } from "../../protocol/log/entry.js";
import { decodeRing, ringBytes } from "../../protocol/ring/ring-bytes.js";
import type { RingShard, RingTable } from "../../protocol/ring/ring.js";
import type { IndexPolicy } from "../../protocol/value/attributes.js";
import { planNewRing } from "./ring-plan.js";

/** Where the ring table is kept. */
export interface RingPlace {
  read(): Promise<{ readonly value: Uint8Array } | undefined>;
  /** False if another node was first. Rejects with KvError `in-doubt` if that is unknown. */
  createOnce(value: Uint8Array): Promise<boolean>;
}

/** Makes and removes logs. */
export interface LogMaker {
  /**
   * Creates the logs, all of the same size: at most `bytesMax`, less if there is no room. Those of
   * a failed attempt are gone when it rejects. Their first entry is to be `sequenceFirst`, else 1.
   */
  create(shards: readonly RingShard[], bytesMax: number, sequenceFirst?: Sequence): Promise<void>;
  /** Appends a new log's first entry. */
  begin(shard: RingShard, entry: Uint8Array, sequenceFirst?: Sequence): Promise<void>;
  /** A missing log is no error. */
  remove(log: LogName): Promise<void>;
  /** All logs of the store, in no order. */
  list(): Promise<readonly ListedLog[]>;
}

export type LogName = Pick<RingShard, "shard" | "logId">;

export interface ListedLog extends LogName {
  /** The sequence of its last entry; before it has any, the one before its first. */
  readonly sequenceLast: number;
  /** How many entries it ever had. */
  readonly entryCount: number;
}

export interface NewRingSettings {
  readonly store: string;
  readonly positionCount: number;
  readonly nodes: readonly NodeName[];
  readonly replicas: number;
  readonly logBytesMax: number;
  readonly indexPolicy: IndexPolicy;
}

/** How long a node that is not the first of the ring leaves it to the others to create it. */
const LEAVE_TO_OTHERS_MS = 3_000;
const LOOK_AGAIN_MS = 100;

export class RingKeeper {
  constructor(
    private readonly place: RingPlace,
    private readonly logs: LogMaker,
    private readonly clock: Clock,
    private readonly chance: Chance,
    private readonly logger: Logger,
  ) {}

  /** The ring as it is, or a new one made by `settings`. Rejects with KvError. */
  async readOrCreate(settings: NewRingSettings, isFirst: boolean): Promise<RingTable> {
    const patienceMs = isFirst ? 0 : LEAVE_TO_OTHERS_MS * (1 + this.chance.fraction());
    const end = this.clock.elapsedMs() + patienceMs;
    for (;;) {
      const found = await this.#read();
      if (found !== undefined) return found;
      if (this.clock.elapsedMs() >= end) {
        const created = await this.#create(settings);
        if (created !== undefined) return created;
      }
      await sleep(this.clock, LOOK_AGAIN_MS);
    }
  }

  async #read(): Promise<RingTable | undefined> {
    const found = await this.place.read();
    return found === undefined ? undefined : decodeRing(found.value);
  }

  /** Undefined if another node was first. */
  async #create(settings: NewRingSettings): Promise<RingTable | undefined> {
    const { store, positionCount, replicas } = settings;
    const nodes = settings.nodes.map((node) => ({ node, weight: 1 }));
    const plan = planNewRing({ store, positionCount, nodes, replicas });
    const shards = plan.shards.map((shard) => ({ ...shard, logId: this.#newLogId() }));
    const ids = new Set<string>(shards.map(({ logId }) => logId));
    assert(ids.size === shards.length, `invariant 2: ${ids.size} ids for ${shards.length} logs`);
    const ring: RingTable = { ...plan, shards };
    const stray = await this.#used();
    // A log may be used because there is a ring since we looked.
    if (await this.#read()) return undefined;
    if (stray.length > 0) throw ringIsLost(stray);
    try {
      await this.logs.create(shards, settings.logBytesMax);
      for (const shard of shards) await this.logs.begin(shard, this.#genesis(shard, settings));
    } catch (error) {
      // Nothing is published yet, so no ring can name them.
      await this.#removeAll(shards);
      // Or the node that was first has removed them before us.
      if (error instanceof KvError && (await this.#read()) !== undefined) return undefined;
      throw error;
    }
    const standing = await this.#publish(ring);
    if (standing.shards.some(({ logId }) => logId === shards[0]?.logId)) {
      this.logger.info("created the ring", { epoch: ring.epoch, shards: shards.length });
      await this.#removeOrphans(standing);
      return ring;
    }
    const shared = standing.shards.find(({ logId }) => ids.has(logId));
    assert(shared === undefined, `invariant 1: the ring names ${shared?.logId}, which would go`);
    await this.#removeAll(shards);
    return undefined;
  }

  /** The final ring: this node's, or that of the node that was first. */
  async #publish(ring: RingTable): Promise<RingTable> {
    const value = ringBytes(ring);
    for (;;) {
      try {
        if (await this.place.createOnce(value)) return ring;
        // "Another was first" may be this node: an attempt that seemed lost has landed.
        const found = await this.#read();
        if (found !== undefined) return found;
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        this.logger.debug("could not tell whether the ring was created", { error: error.message });
      }
      await sleep(this.clock, LOOK_AGAIN_MS);
    }
  }

  async #used(): Promise<ListedLog[]> {
    return (await this.logs.list()).filter(({ entryCount }) => entryCount > 1);
  }

  async #removeOrphans({ shards }: RingTable): Promise<void> {
    const named = new Set<string>(shards.map(({ logId }) => logId));
    assert(named.size > 0, "invariant 1: a ring names logs, or all would be orphans");
    try {
      const logs = await this.logs.list();
      await this.#removeAll(
        logs.filter(({ logId, entryCount }) => !named.has(logId) && entryCount <= 1),
      );
    } catch (error) {
      this.logger.info("could not search for orphaned logs", { error });
    }
  }

  /** A log that cannot be removed now stays, and takes up room: status warns of it. */
  async #removeAll(logs: readonly LogName[]): Promise<void> {
    for (const log of logs) {
      try {
        await this.logs.remove(log);
      } catch (error) {
        const { shard, logId } = log;
        this.logger.info("could not remove an orphaned log", { shard, logId, error });
      }
    }
  }

  #genesis(shard: RingShard, settings: NewRingSettings): Uint8Array {
    return encodeEntry({
      kind: "genesis",
      version: BEHAVIOUR_VERSION,
      origin: Buffer.from(this.chance.bytes(16)).toString("hex") as Origin,
      number: 1,
      basisSequence: 0 as Sequence,
      basisChain: 0n,
      genesis: {
        store: settings.store,
        shard: shard.shard,
        logId: shard.logId,
        positionCount: settings.positionCount,
        positions: shard.positions,
        limits: {
          valueBytesMax: VALUE_BYTES_MAX,
          depthMax: DEPTH_MAX,
          indexEntriesMax: INDEX_ENTRIES_MAX,
          pathBytesMax: PATH_BYTES_MAX,
          outcomesMax: OUTCOMES_MAX,
        },
        indexPolicy: settings.indexPolicy,
        behaviourVersion: BEHAVIOUR_VERSION,
      },
    });
  }

  #newLogId(): LogId {
    return Buffer.from(this.chance.bytes(8)).toString("hex") as LogId;
  }
}

function ringIsLost(logs: readonly ListedLog[]): KvError {
  const names = logs.map(({ shard, logId }) => `${shard}-${logId}`).toSorted();
  const text = `there is no ring, but there are logs with data: ${names.join(", ")}`;
  const advice = "Put the ring's bucket back, or remove these logs' streams if they may be lost";
  return new KvError("internal", `${text}. ${advice}`, { logs: names });
}
