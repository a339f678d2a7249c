/**
 * Replica host: keeps one replica of a node running.
 *
 * A replica that ends because of a bug or a failed store starts again from its store, after
 * RESTART_FIRST_MS growing to RESTART_MAX_MS. A replica that stopped for good stays stopped, and
 * status shows it. The host never deletes a damaged store: the message says what to do.
 *
 * If a repaired log does not continue a store, the host sets the store aside and fills a new one
 * from another node's (refill.ts); so it does with an empty store whose log begins later. Where a
 * person has to decide that first, `refill` carries the decision out.
 *
 * While it runs, a replica is a service of NATS ($SRV) too.
 */
import { surroundingsOf, type Surroundings } from "../surroundings.js";
import { sleep } from "../../infra/clock.js";
import type { Events } from "../../infra/events.js";
import type { Log } from "../../infra/log.js";
import type { StoreShelf } from "../../infra/store-shelf.js";
import type { Store } from "../../infra/store.js";
import { BackOff } from "../../protocol/back-off.js";
import { KvError } from "../../protocol/errors.js";
import type { Epoch, NodeName } from "../../protocol/ids.js";
import { isSingleKeyVerb } from "../../protocol/nats/subjects.js";
import type { StoreFinding } from "../../protocol/node/repair.js";
import type { SeedReply, SeedRequest } from "../../protocol/node/seed.js";
import type { ReplicaReport } from "../../protocol/node/status.js";
import type { Result } from "../../protocol/reply/result.js";
import type { Request } from "../../protocol/request/request.js";
import type { RingShard } from "../../protocol/ring/ring.js";
import { Answers } from "../answer.js";
import { Relay } from "../relay/relay.js";
import { Service, ServiceCounters } from "../service.js";
import { replicaVerbs } from "../shard/border.js";
import { Replica } from "../shard/replica.js";
import type { StopReason } from "../shard/state/stopped.js";
import { refillStore } from "./refill.js";
import { SeedSource } from "./seed-source.js";

const RESTART_FIRST_MS = 1_000;
const RESTART_MAX_MS = 30_000;
/** A replica that ran this long starts with the short wait again. */
const RESTART_FORGET_MS = 60_000;
const LOOK_MS = 1_000;
/** A replica that failed this often at the start is not waited for. */
const FAILURES_SETTLED = 2;

export interface ReplicaHostParts extends Surroundings {
  readonly node: NodeName;
  /** Ringdex's version from package.json. */
  readonly version: string;
  readonly shard: RingShard;
  readonly epoch: Epoch;
  readonly positionCount: number;
  readonly events: Events;
  /** The replica's own store; called again after each close. The store calls `onDamage` if it
   * finds, while it is open, that it must no longer be read. */
  readonly openStore: (onDamage: (error: Error) => void) => Promise<Store>;
  readonly openLog: () => Log;
  readonly forward: (request: Request) => Promise<Result>;
  /** See ReplicaParts. */
  readonly isLate?: () => boolean;
  /** Undefined = a store that does not fit stays as it is, and its replica stopped. */
  readonly shelf?: StoreShelf | undefined;
}

/** Reasons that another node's store mends, once a person asks for it. */
const refillable: readonly (StopReason | undefined)[] = [
  "log-diverged",
  "log-trimmed",
  "log-unknown",
];

export class ReplicaHost {
  readonly #stopping = new AbortController();
  #replica: Replica | undefined;
  #relay: Relay | undefined;
  #source: SeedSource | undefined;
  /** Continues after a stop, with a new store; undefined = it does not wait for that. */
  #goOn: (() => void) | undefined;
  #failure = "";
  #failureCount = 0;
  #logBytes = 0;
  #logBytesMax = 1;

  constructor(private readonly parts: ReplicaHostParts) {}

  /**
   * True once it serves, has stopped for good, or keeps failing: nothing more is to be waited for.
   * Status tells which.
   */
  get isSettled(): boolean {
    const phase = this.#replica?.phase;
    return phase === "serving" || phase === "stopped" || this.#failureCount >= FAILURES_SETTLED;
  }

  /** Runs until close(); rejects never. */
  async run(): Promise<void> {
    const { logger, shard, clock } = this.parts;
    const backOff = new BackOff(RESTART_FIRST_MS, RESTART_MAX_MS);
    while (!this.#stopping.signal.aborted) {
      const startedAt = clock.elapsedMs();
      try {
        await this.#runOnce();
        if (this.#replica?.phase === "stopped" && !(await this.#mend(this.#replica))) return;
      } catch (error) {
        this.#failureCount += 1;
        this.#failure = error instanceof Error ? error.message : String(error);
        logger.error("a replica failed; starting it again", { shard: shard.shard, error });
      }
      if (clock.elapsedMs() - startedAt > RESTART_FORGET_MS) backOff.reset();
      await sleep(clock, backOff.next(), this.#stopping.signal).catch(() => undefined);
    }
  }

  /** False = it stays stopped until the end. Rejects with KvError if no node has a store for it. */
  async #mend(replica: Replica): Promise<boolean> {
    const { shelf, shard } = this.parts;
    if (shelf === undefined) return false;
    const { stopReason } = replica;
    const isEmpty = replica.finding([]) === null;
    const byItself = stopReason === "log-continued" || (stopReason === "log-trimmed" && isEmpty);
    if (!byItself) {
      const { signal } = this.#stopping;
      await new Promise<void>((resolve) => {
        this.#goOn = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
        if (signal.aborted) resolve();
      });
      this.#goOn = undefined;
      if (signal.aborted) return false;
    }
    this.#replica = undefined;
    this.#failure = `the node is filling its store of ${shard.shard} from another node's`;
    await refillStore({ ...this.parts, shelf, signal: this.#stopping.signal });
    this.#failure = "";
    return true;
  }

  /** Throws KvError `conflict` unless another store mends the reason why the replica stopped. */
  refill(): void {
    const reason = this.#replica?.stopReason;
    if (this.#goOn === undefined || !refillable.includes(reason)) {
      const state = reason ?? this.#replica?.phase ?? "loading";
      const { shard, node } = this.parts;
      throw new KvError(
        "conflict",
        `${shard.shard} on ${node} is ${state}: its store needs no filling`,
      );
    }
    this.#goOn();
  }

  /** A part of the store, for a node that fills its own. Rejects with KvError. */
  async seed(request: SeedRequest): Promise<SeedReply> {
    const { shard } = this.parts;
    const isSame = this.#replica?.isSound === true && shard.logId === request.log_id;
    if (isSame && this.#source !== undefined) return this.#source.answer(request);
    const text = `this node has no store of ${shard.shard} for log ${request.log_id} yet`;
    throw new KvError("unavailable", text);
  }

  /** What the store holds; null = nothing, or it cannot be read. */
  finding(chainsAt: readonly number[]): StoreFinding | null {
    return this.#replica?.finding(chainsAt) ?? null;
  }

  get shard(): RingShard {
    return this.parts.shard;
  }

  async #runOnce(): Promise<void> {
    const { node, shard, events, clock } = this.parts;
    const damage = new AbortController();
    const store = await this.parts.openStore((error) => damage.abort(error));
    // Told to close while there was no replica that could have been.
    if (this.#stopping.signal.aborted) return store.close();
    const log = this.parts.openLog();
    const common = { ...surroundingsOf(this.parts), node, log, store };
    const { epoch, positionCount, forward, isLate } = this.parts;
    const counters = new ServiceCounters(replicaVerbs, clock);
    const service = this.#service(counters);
    const replica = new Replica({ ...common, epoch, positionCount, forward, counters, isLate });
    this.#replica = replica;
    const source = new SeedSource(store, clock);
    this.#source = source;
    service.start();
    const running = replica.run();
    const looking = this.#look(replica, log);
    let relaying: Promise<void> = Promise.resolve();
    try {
      const applied = await replica.loaded();
      if (applied === undefined) return await running;
      const { shard: id, logId, nodes } = shard;
      const rank = Math.max(0, nodes.indexOf(node));
      this.#relay = new Relay({ ...common, shard: id, logId, rank, applied, events });
      relaying = this.#relay.run();
      await Promise.race([running, relaying, rejectionOf(damage.signal)]);
    } finally {
      service.stop();
      this.#relay?.stop();
      this.#source = undefined;
      await replica.close();
      await source.close();
      // All that read the store have ended before it is closed.
      await Promise.allSettled([running, looking, relaying]);
      this.#relay = undefined;
      // A failed replica no longer serves. One that stopped for good continues to say why.
      if (replica.phase !== "stopped") this.#replica = undefined;
      await store.close();
    }
  }

  /** Looks now and then at what changes slowly: the log's size, the relay's place. */
  async #look(replica: Replica, log: Log): Promise<void> {
    while (!replica.isEnded && !this.#stopping.signal.aborted) {
      if (replica.phase === "serving") this.#failure = "";
      if (this.#relay !== undefined) replica.setRelayFloor(this.#relay.durablePlace());
      try {
        const { bytes, bytesMax } = await log.state();
        this.#logBytes = bytes;
        this.#logBytesMax = bytesMax;
      } catch (error) {
        this.parts.logger.debug("could not read the log's size", { error });
      }
      await sleep(this.parts.clock, LOOK_MS, this.#stopping.signal).catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    this.#stopping.abort(new Error("the node stops"));
    this.#relay?.stop();
    await this.#replica?.close();
  }

  #service(counters: ServiceCounters): Service {
    const { names, node, version, shard, bus, clock, chance } = this.parts;
    const description = {
      name: "ringdex-replica",
      id: Buffer.from(chance.bytes(11)).toString("hex"),
      version,
      description: `key-value store ${names.store}, replica of ${shard.shard} on ${node}`,
      started: new Date(clock.now()).toISOString(),
      queue: names.shardsQueue,
      subjectOf: (verb: string) =>
        isSingleKeyVerb(verb) ? `${names.store}.ring.*.${verb}.>` : names.shard(shard.shard, verb),
      metadata: { node, store: names.store, shard: shard.shard },
    };
    return new Service(bus, description, counters, new Answers(this.parts));
  }

  report(): ReplicaReport {
    const { shard, node } = this.parts;
    const status = this.#replica?.status();
    const reason = status?.reason === "" ? this.#failure : (status?.reason ?? this.#failure);
    return {
      shard: shard.shard,
      node,
      state: status?.state ?? "loading",
      ...(reason === "" || status?.state === "serving" ? {} : { reason }),
      positions: status?.positionsOwned ?? 0,
      sequence_applied: status?.sequenceApplied ?? 0,
      sequence_last: status?.sequenceLast ?? 0,
      lag: status?.lag ?? 0,
      keys: status?.keys ?? 0,
      bytes: status?.bytes ?? 0,
      queue: status?.queueLength ?? 0,
      log_bytes: this.#logBytes,
      log_bytes_max: this.#logBytesMax,
      relay: this.#relay?.status() ?? { active: false, sequence: 0 },
      digest: status?.digest ?? { sequence: 0, records: "", index: "" },
    };
  }
}

/** Rejects with the reason when the signal fires; else never. */
function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = (): void => reject(signal.reason as Error);
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}
