/**
 * Replica host: keeps one replica of a node running.
 *
 * A replica that ends by a bug or a failed store is started again from its store, after
 * RESTART_FIRST_MS growing to RESTART_MAX_MS; one that stopped for good stays stopped and is shown
 * so. A damaged store is not deleted: the message says what to do.
 *
 * While it runs, a replica is a service of NATS ($SRV) too.
 */
import { Answers } from "../../actors/answer.js";
import { Relay } from "../../actors/relay/relay.js";
import { Service, ServiceCounters } from "../../actors/service.js";
import { replicaVerbs } from "../../actors/shard/loops.js";
import { Replica } from "../../actors/shard/replica.js";
import type { Epoch, NodeName } from "../../protocol/ids.js";
import type { Result } from "../../protocol/reply.js";
import type { ReplicaReport } from "../../protocol/status.js";
import type { Request } from "../../protocol/request.js";
import type { RingShard } from "../../protocol/ring.js";
import { isSingleKeyVerb, type Names } from "../../protocol/subjects.js";
import { sleep, systemChance, systemClock } from "../clock.js";
import type { Events } from "../events.js";
import { JetstreamLog } from "../jetstream-log.js";
import type { Logger } from "../logger.js";
import type { NatsBus } from "../nats-bus.js";
import { packageVersion } from "../package-version.js";
import { openRocksStore } from "../rocks-store.js";
import type { Store } from "../store.js";

const RESTART_FIRST_MS = 1_000;
const RESTART_MAX_MS = 30_000;
/** A replica that ran this long starts with the short wait again. */
const RESTART_FORGET_MS = 60_000;
const LOOK_MS = 1_000;
/** A replica that failed this often at the start is not waited for. */
const FAILURES_SETTLED = 2;

export interface ReplicaHostParts {
  readonly names: Names;
  readonly node: NodeName;
  readonly shard: RingShard;
  readonly epoch: Epoch;
  readonly positionCount: number;
  readonly folder: string;
  readonly requests: NatsBus;
  readonly logs: NatsBus;
  readonly pulls: NatsBus;
  readonly events: Events;
  readonly forward: (request: Request) => Promise<Result>;
  readonly logger: Logger;
  /** Opens the store in `folder`. Default: RocksDB. */
  readonly openStore?: (folder: string) => Promise<Store>;
}

export class ReplicaHost {
  readonly #stopping = new AbortController();
  #replica: Replica | undefined;
  #relay: Relay | undefined;
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
    const { logger, shard } = this.parts;
    let waitMs = RESTART_FIRST_MS;
    while (!this.#stopping.signal.aborted) {
      const startedAt = systemClock.elapsedMs();
      try {
        await this.#runOnce();
        if (this.#replica?.phase === "stopped") return;
      } catch (error) {
        this.#failureCount += 1;
        this.#failure = error instanceof Error ? error.message : String(error);
        logger.error("a replica failed and is started again", { shard: shard.shard, error });
      }
      if (systemClock.elapsedMs() - startedAt > RESTART_FORGET_MS) waitMs = RESTART_FIRST_MS;
      await sleep(systemClock, waitMs, this.#stopping.signal).catch(() => undefined);
      waitMs = Math.min(2 * waitMs, RESTART_MAX_MS);
    }
  }

  async #runOnce(): Promise<void> {
    const { names, node, shard, requests, logs, pulls, events, logger, folder } = this.parts;
    const store = await (this.parts.openStore ?? openRocksStore)(folder);
    // Told to close while there was no replica that could have been.
    if (this.#stopping.signal.aborted) return store.close();
    const log = new JetstreamLog({
      shard: shard.shard,
      id: shard.logId,
      stream: names.logStream(shard.shard, shard.logId),
      subject: names.log(shard.shard, shard.logId),
      bus: logs,
      pulls,
      clock: systemClock,
      warn: (description, cause) => logger.info(description, { shard: shard.shard, error: cause }),
    });
    const common = { names, node, log, store, clock: systemClock, chance: systemChance, logger };
    const { epoch, positionCount, forward } = this.parts;
    const counters = new ServiceCounters(replicaVerbs, systemClock);
    const service = this.#service(counters);
    const own = { epoch, positionCount, bus: requests, forward, counters };
    const replica = new Replica({ ...common, ...own });
    this.#replica = replica;
    service.start();
    const running = replica.run();
    const looking = this.#look(replica, log);
    let relaying: Promise<void> = Promise.resolve();
    try {
      const applied = await replica.loaded();
      if (applied === undefined) return await running;
      const { shard: id, logId, nodes } = shard;
      const rank = Math.max(0, nodes.indexOf(node));
      this.#relay = new Relay({
        ...common,
        shard: id,
        logId,
        rank,
        applied,
        events,
        bus: requests,
      });
      relaying = this.#relay.run();
      await Promise.race([running, relaying]);
    } finally {
      service.stop();
      this.#relay?.stop();
      await replica.close();
      // All that read the store have ended before it is closed.
      await Promise.allSettled([running, looking, relaying]);
      this.#relay = undefined;
      // What has failed serves no more. What has stopped for good goes on telling why.
      if (replica.phase !== "stopped") this.#replica = undefined;
      await store.close();
    }
  }

  /** Looks now and then at what changes slowly: the log's size, the relay's place. */
  async #look(replica: Replica, log: JetstreamLog): Promise<void> {
    while (!replica.isEnded && !this.#stopping.signal.aborted) {
      if (replica.phase === "serving") this.#failure = "";
      if (this.#relay !== undefined) replica.setRelayFloor(this.#relay.durablePlace());
      try {
        const { bytes, bytesMax } = await log.state();
        this.#logBytes = bytes;
        this.#logBytesMax = bytesMax;
      } catch (error) {
        this.parts.logger.debug("the log's size is not known", { error });
      }
      await sleep(systemClock, LOOK_MS, this.#stopping.signal).catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    this.#stopping.abort(new Error("the node stops"));
    this.#relay?.stop();
    await this.#replica?.close();
  }

  #service(counters: ServiceCounters): Service {
    const { names, node, shard, requests, logger } = this.parts;
    const description = {
      name: "ringdex-replica",
      id: Buffer.from(systemChance.bytes(11)).toString("hex"),
      version: packageVersion,
      description: `key-value store ${names.store}, replica of ${shard.shard} on ${node}`,
      started: new Date(systemClock.now()).toISOString(),
      queue: names.shardsQueue,
      subjectOf: (verb: string) =>
        isSingleKeyVerb(verb) ? `${names.store}.ring.*.${verb}.>` : names.shard(shard.shard, verb),
      metadata: { node, store: names.store, shard: shard.shard },
    };
    return new Service(requests, description, counters, new Answers(names, requests, logger));
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
