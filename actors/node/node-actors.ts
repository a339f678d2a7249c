/**
 * Node actors: all actors of one node, independent of the infrastructure below them.
 *
 * These are one coordinator and the replicas that the ring gives the node, with a relay each. The
 * caller hands in bus, logs, stores, events, clock and chance: node.ts passes NATS, JetStream and
 * RocksDB, the simulation passes their twins in memory.
 */
import { surroundingsOf, type Surroundings } from "../surroundings.js";
import type { Subscription } from "../../infra/bus.js";
import type { Events } from "../../infra/events.js";
import type { Log } from "../../infra/log.js";
import type { StoreShelf } from "../../infra/store-shelf.js";
import type { Store } from "../../infra/store.js";
import { assert } from "../../protocol/assert.js";
import type { Epoch, NodeName } from "../../protocol/ids.js";
import { ATTEMPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS } from "../../protocol/limits.js";
import { multiKeyVerbs, singleKeyVerbs } from "../../protocol/nats/subjects.js";
import type { NodeReport, ReplicaReport } from "../../protocol/node/status.js";
import { errorReply } from "../../protocol/reply/subject.js";
import type { RingShard, RingTable } from "../../protocol/ring/ring.js";
import { RefusalLog } from "../admission.js";
import { Answers } from "../answer.js";
import { BatchRunner } from "../coordinator/batch-split.js";
import { Coordinator } from "../coordinator/coordinator.js";
import { Finder } from "../coordinator/find.js";
import { Router } from "../coordinator/router.js";
import { StatusCollector } from "../coordinator/status.js";
import { Pulse } from "../pulse.js";
import type { Repairer } from "../ring-keeper/repairer.js";
import { Service, ServiceCounters } from "../service.js";
import { NodeRepair } from "./node-repair.js";
import { ReplicaHost } from "./replica-host.js";

export interface NodeActorsParts extends Surroundings {
  readonly node: NodeName;
  /** Ringdex's version from package.json. */
  readonly version: string;
  /** As it is at the start; see `ringChanged`. */
  readonly ring: RingTable;
  readonly events: Events;
  /** The node's own store of a shard; again after each close. See ReplicaHostParts. */
  readonly openStore: (shard: RingShard, onDamage: (error: Error) => void) => Promise<Store>;
  readonly openLog: (shard: RingShard) => Log;
  /** Where a store that does not fit its log goes. Default: it stays, and its replica stopped. */
  readonly shelf?: (shard: RingShard) => StoreShelf;
  /** Default: this node repairs no shard. */
  readonly repairer?: Repairer;
  /** The node's report without the replicas. */
  readonly report: () => Omit<NodeReport, "node" | "version" | "epoch" | "replicas">;
}

export class NodeActors {
  readonly #hosts: ReplicaHost[];
  readonly #repair: NodeRepair;
  readonly #router: Router;
  readonly #pulse: Pulse;
  readonly #coordinator: Coordinator;
  readonly #service: Service;
  #ring: RingTable;
  #status: Subscription | undefined;
  /** The run of each host that was started, by the host. */
  readonly #runs = new Map<ReplicaHost, Promise<void>>();

  constructor(private readonly parts: NodeActorsParts) {
    const { names, node, version, ring, bus, clock, chance, logger } = parts;
    this.#ring = ring;
    const refusals = new RefusalLog(clock, logger, { requests: "passed on" });
    this.#router = new Router(parts, refusals.note);
    this.#pulse = new Pulse(bus, names.node(node, "pulse"), clock);
    this.#hosts = ring.shards
      .filter(({ nodes }) => nodes.includes(node))
      .map((shard) => this.#host(shard, ring.epoch));
    this.#repair = new NodeRepair({
      ...surroundingsOf(parts),
      node,
      repairer: parts.repairer,
      hosts: () => this.#hosts,
      epoch: () => this.#ring.epoch,
    });
    const counters = new ServiceCounters([...singleKeyVerbs, ...multiKeyVerbs], clock);
    this.#coordinator = this.#coordinatorOf(counters);
    const description = {
      name: "ringdex",
      id: Buffer.from(chance.bytes(11)).toString("hex"),
      version,
      description: `key-value store ${names.store}, coordinator on ${node}`,
      started: new Date(clock.now()).toISOString(),
      queue: names.coordinatorsQueue,
      subjectOf: (verb: string) => `${names.store}.${verb}`,
      metadata: { node, store: names.store },
    };
    this.#service = new Service(bus, description, counters, new Answers(this.parts));
  }

  get ring(): RingTable {
    return this.#ring;
  }

  start(): void {
    const { names, node, bus } = this.parts;
    this.#pulse.start();
    for (const host of this.#hosts) this.#runs.set(host, host.run());
    this.#repair.start();
    this.#coordinator.start();
    this.#service.start();
    const answers = new Answers(this.parts);
    this.#status = bus.subscribe(names.node(node, "status"), undefined, (message) => {
      if (message.reply === undefined) return;
      const body = Buffer.from(JSON.stringify(this.report()));
      answers.send(message, { headers: [], body }, (error) => errorReply(error));
    });
  }

  /** Takes no new requests, answers those it has taken, closes logs and stores. */
  async close(): Promise<void> {
    this.#service.stop();
    await this.#coordinator.close();
    this.#repair.stop();
    await Promise.allSettled(this.#hosts.map((host) => host.close()));
    await Promise.all(this.#runs.values());
    this.#status?.unsubscribe();
    this.#pulse.stop();
  }

  /**
   * Routes by this ring from now on. Replicas stay where they are; a replica whose shard continues
   * in another log (`ringdex repair`) starts again on that log.
   */
  ringChanged(ring: RingTable): void {
    if (ring.epoch <= this.#ring.epoch) return;
    const { store, positionCount } = this.#ring;
    if (ring.store !== store || ring.positionCount !== positionCount) {
      this.parts.logger.error("ignored the bucket's ring: it has another store's name or size", {
        store: ring.store,
        position_count: ring.positionCount,
      });
      return;
    }
    this.parts.logger.info("the ring has changed", { epoch: ring.epoch });
    this.#ring = ring;
    for (const [index, host] of this.#hosts.entries()) {
      const shard = ring.shards.find((each) => each.shard === host.shard.shard);
      if (shard !== undefined && shard.logId !== host.shard.logId) this.#follow(index, shard);
    }
  }

  /** The store is opened again only when the replica on the old log has ended. */
  #follow(index: number, shard: RingShard): void {
    const old = this.#hosts[index];
    assert(old !== undefined, `host ${index} of ${this.#hosts.length}`);
    const { shard: name, logId } = shard;
    this.parts.logger.info("a shard continues in another log", { shard: name, log_id: logId });
    const host = this.#host(shard, this.#ring.epoch);
    this.#hosts[index] = host;
    const run = async (): Promise<void> => {
      await old.close();
      await this.#runs.get(old);
      this.#runs.delete(old);
      await host.run();
    };
    this.#runs.set(host, run());
  }

  /** True once each replica serves, has stopped for good, or keeps failing. */
  get isSettled(): boolean {
    return this.#hosts.every((host) => host.isSettled);
  }

  replicas(): ReplicaReport[] {
    return this.#hosts.map((host) => host.report());
  }

  report(): NodeReport {
    const { node, version, report } = this.parts;
    const { epoch } = this.#ring;
    return { node, version, epoch, replicas: this.replicas(), ...report() };
  }

  #host(shard: RingShard, epoch: Epoch): ReplicaHost {
    const { node, version, ring, events } = this.parts;
    return new ReplicaHost({
      ...surroundingsOf(this.parts),
      node,
      version,
      events,
      shard,
      epoch,
      positionCount: ring.positionCount,
      openStore: (onDamage) => this.parts.openStore(shard, onDamage),
      openLog: () => this.parts.openLog(shard),
      forward: (request) => this.#router.route(request),
      isLate: () => this.#pulse.isLate(),
      shelf: this.parts.shelf?.(shard),
    });
  }

  #coordinatorOf(counters: ServiceCounters): Coordinator {
    const { names, version, bus } = this.parts;
    const ring = (): RingTable => this.#ring;
    const { positionCount } = this.#ring;
    const finder = new Finder(async (shard, verb, payload) => {
      const timeoutMs = verb === "count" ? REQUEST_TIMEOUT_MS : 2 * ATTEMPT_TIMEOUT_MS;
      return (await bus.request(names.shard(shard, verb), payload, { timeoutMs })).data;
    }, ring);
    return new Coordinator({
      ...surroundingsOf(this.parts),
      positionCount,
      router: this.#router,
      finder,
      batches: new BatchRunner(this.parts, ring, positionCount),
      status: new StatusCollector(this.parts, ring, version),
      counters,
      isLate: () => this.#pulse.isLate(),
    });
  }
}
