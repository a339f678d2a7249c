/**
 * Node: one process of the cluster. Wires real infrastructure to actors.
 *
 * Every node runs one coordinator, the replicas that the ring gives it with a relay each, and a
 * ring-keeper at its start. Three connections: requests and replies; appends to logs and
 * JetStream's API; pulls, which would hold the others up while catching up (rule L7).
 *
 * It ends on SIGTERM, or when its stdin closes because the supervisor is gone: nothing new is
 * taken, what was taken is answered, then stores are closed. A nats-server that cannot be reached
 * at the start is waited for, as one that goes later is: an end and a new start would only wait
 * longer.
 */
import { join } from "node:path";
import { Answers } from "../../actors/answer.js";
import { BatchRunner } from "../../actors/coordinator/batch-split.js";
import { Coordinator } from "../../actors/coordinator/coordinator.js";
import { Finder } from "../../actors/coordinator/find.js";
import { Router } from "../../actors/coordinator/router.js";
import { StatusCollector } from "../../actors/coordinator/status.js";
import { decodeRing, RingKeeper } from "../../actors/ring-keeper/ring-keeper.js";
import { Service, ServiceCounters } from "../../actors/service.js";
import { KvError } from "../../protocol/errors.js";
import type { NodeName } from "../../protocol/ids.js";
import { ATTEMPT_TIMEOUT_MS, POSITION_COUNT, REQUEST_TIMEOUT_MS } from "../../protocol/limits.js";
import type { RingTable } from "../../protocol/ring.js";
import type { NodeReport } from "../../protocol/status.js";
import { checkNodeName, multiKeyVerbs, Names, singleKeyVerbs } from "../../protocol/subjects.js";
import { sleep, systemChance, systemClock } from "../clock.js";
import type { NodeSettings } from "../config.js";
import { EventStream } from "../event-stream.js";
import type { Events } from "../events.js";
import { createLogger, type Logger } from "../logger.js";
import { packageVersion } from "../package-version.js";
import { RingBucket } from "../ring-bucket.js";
import { StreamMaker } from "./log-maker.js";
import { untilConnected, type Connections } from "./node-connections.js";
import { claimFolder, NodeRefused, refuseOtherRing, storeFolder } from "./node-identity.js";
import { EXIT_REFUSED } from "./node-process.js";
import { ReplicaHost } from "./replica-host.js";
import { checkServer } from "./server-check.js";
import { checkStreams } from "./stream-check.js";

/** Copies of each log in a NATS cluster. */
const LOG_REPLICAS = 1;

/** How often it is looked whether a stream stands in the way. */
const STREAM_CHECK_MS = 60_000;

/** Runs until told to end; resolves with the process's exit code. */
export async function runNode(settings: NodeSettings): Promise<number> {
  let logger: Logger | undefined;
  let node: Node | undefined;
  const stopping = stopSignal();
  try {
    await claimFolder(settings.dataFolder, settings.name, settings.store);
    logger = createLogger({
      node: settings.name,
      file: join(settings.dataFolder, "node.log"),
      level: settings.logLevel,
      publish: (level, line) => node?.publishLine(level, line),
    });
    logger.info("the node starts", { pid: process.pid, version: packageVersion });
    node = await Node.start(settings, logger, stopping);
    await node.untilStopped();
    return 0;
  } catch (error) {
    if (stopping.aborted && error === stopping.reason) return 0;
    logger?.error("the node ends", { error });
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return isRefusal(error) ? EXIT_REFUSED : 1;
  } finally {
    await node?.close();
    await logger?.close();
  }
}

/** Another start with the same settings would end the same way. */
function isRefusal(error: unknown): boolean {
  return error instanceof NodeRefused || (error instanceof KvError && error.kind === "bad-request");
}

/** Fires when the node is to end. From the first moment on: whoever waits for a server must end. */
function stopSignal(): AbortSignal {
  const stopping = new AbortController();
  const stop = (reason: string) => (): void => stopping.abort(new Error(reason));
  process.once("SIGTERM", stop("SIGTERM"));
  process.once("SIGINT", stop("SIGINT"));
  process.stdin.once("end", stop("its supervisor is gone"));
  process.stdin.once("error", stop("its supervisor is gone"));
  process.stdin.resume();
  return stopping.signal;
}

class Node {
  readonly #hosts: ReplicaHost[] = [];
  #streamWarnings: readonly string[] = [];
  #coordinator: Coordinator | undefined;
  #service: Service | undefined;
  #unwatch: (() => void) | undefined;
  #running: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly settings: NodeSettings,
    private readonly names: Names,
    private readonly name: NodeName,
    private readonly buses: Connections,
    private ring: RingTable,
    private readonly warnings: readonly string[],
    private readonly logger: Logger,
    private readonly stopping: AbortSignal,
  ) {}

  /** Rejects with the signal's reason if that fires first; the process is then to end. */
  static start(settings: NodeSettings, logger: Logger, stopping: AbortSignal): Promise<Node> {
    return Promise.race([Node.#start(settings, logger, stopping), rejectionOf(stopping)]);
  }

  static async #start(
    settings: NodeSettings,
    logger: Logger,
    stopping: AbortSignal,
  ): Promise<Node> {
    const names = new Names(settings.store);
    const name = checkNodeName(settings.name);
    const buses = await untilConnected(settings, logger, stopping);
    const { requests } = buses;
    const warnings = await checkServer(requests, names, POSITION_COUNT, systemChance);
    for (const warning of warnings) logger.info(warning);
    const { ring, bucket } = await findRing(settings, names, name, buses, logger);
    const node = new Node(settings, names, name, buses, ring, warnings, logger, stopping);
    node.#unwatch = bucket.watch(({ value }) => node.#ringChanged(decodeRing(value)));
    const events = new EventStream({
      names,
      bus: buses.logs,
      clock: systemClock,
      bytesMax: settings.eventsBytesMax,
      replicas: LOG_REPLICAS,
      warn: (description, cause) => logger.info(description, { error: cause }),
    });
    node.#startActors(events);
    return node;
  }

  /** Sends a line of the log to kv.node.<name>.log.<level>. */
  publishLine(level: string, line: string): void {
    this.buses.requests.publish(this.names.nodeLog(this.name, level), Buffer.from(line));
  }

  async untilStopped(): Promise<void> {
    this.#sayWhenReady();
    const signal = this.stopping;
    await new Promise<void>((resolve) => {
      if (signal.aborted) return resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    const reason = (signal.reason as Error).message;
    this.logger.info("the node stops", { reason });
  }

  async close(): Promise<void> {
    const { requests, logs, pulls } = this.buses;
    this.#unwatch?.();
    this.#service?.stop();
    await this.#coordinator?.close();
    await Promise.allSettled(this.#hosts.map((host) => host.close()));
    await this.#running;
    this.logger.info("the node has stopped");
    await Promise.allSettled([requests.close(), logs.close(), pulls.close()]);
  }

  #startActors(events: Events): void {
    const { names, name, ring, logger } = this;
    const { requests, logs, pulls } = this.buses;
    const router = new Router(names, requests, systemClock, systemChance);
    for (const shard of ring.shards.filter(({ nodes }) => nodes.includes(name))) {
      const host = new ReplicaHost({
        names,
        node: name,
        shard,
        epoch: ring.epoch,
        positionCount: ring.positionCount,
        folder: storeFolder(this.settings.dataFolder, shard),
        requests,
        logs,
        pulls,
        events,
        forward: (request) => router.route(request),
        logger,
      });
      this.#hosts.push(host);
    }
    this.#running = Promise.all(this.#hosts.map((host) => host.run()));
    this.#startCoordinator(router);
    void this.#watchStreams();
    requests.subscribe(names.node(name, "status"), undefined, ({ reply }) => {
      if (reply !== undefined) requests.publish(reply, Buffer.from(JSON.stringify(this.#report())));
    });
  }

  #startCoordinator(router: Router): void {
    const { names, logger } = this;
    const bus = this.buses.requests;
    const ring = (): RingTable => this.ring;
    const { positionCount } = this.ring;
    const verbs = [...singleKeyVerbs, ...multiKeyVerbs];
    const counters = new ServiceCounters(verbs, systemClock);
    const finder = new Finder(async (shard, verb, payload) => {
      const timeoutMs = verb === "count" ? REQUEST_TIMEOUT_MS : 2 * ATTEMPT_TIMEOUT_MS;
      return (await bus.request(names.shard(shard, verb), payload, { timeoutMs })).data;
    }, ring);
    this.#coordinator = new Coordinator({
      names,
      bus,
      positionCount,
      router,
      finder,
      batches: new BatchRunner(names, bus, ring, positionCount, systemClock, systemChance),
      status: new StatusCollector(names, bus, ring, packageVersion),
      counters,
      clock: systemClock,
      logger,
    });
    this.#coordinator.start();
    const description = {
      name: "ringdex",
      id: Buffer.from(systemChance.bytes(11)).toString("hex"),
      version: packageVersion,
      description: `key-value store ${names.store}, coordinator on ${this.name}`,
      started: new Date(systemClock.now()).toISOString(),
      queue: names.coordinatorsQueue,
      subjectOf: (verb: string) => `${names.store}.${verb}`,
      metadata: { node: this.name, store: names.store },
    };
    this.#service = new Service(bus, description, counters, new Answers(names, bus, logger));
    this.#service.start();
  }

  /** Streams come and go while the node runs. Rejects never. */
  async #watchStreams(): Promise<void> {
    const { logger, stopping } = this;
    while (!stopping.aborted) {
      try {
        const warnings = await checkStreams(this.buses.logs, this.names, this.ring);
        for (const warning of warnings) {
          if (!this.#streamWarnings.includes(warning)) logger.info(warning);
        }
        this.#streamWarnings = warnings;
      } catch (error) {
        logger.info("JetStream's streams could not be looked at", { error });
      }
      await sleep(systemClock, STREAM_CHECK_MS, stopping).catch(() => undefined);
    }
  }

  #ringChanged(ring: RingTable): void {
    if (ring.epoch <= this.ring.epoch) return;
    this.logger.info("the ring has changed", { epoch: ring.epoch });
    this.ring = ring;
  }

  #sayWhenReady(): void {
    const look = (): void => {
      if (this.stopping.aborted) return;
      if (!this.#hosts.every((host) => host.isSettled)) {
        systemClock.after(20, look);
        return;
      }
      this.logger.info("the node serves");
      process.stdout.write(`${JSON.stringify({ ready: true, node: this.name })}\n`);
    };
    look();
  }

  #report(): NodeReport {
    return {
      node: this.name,
      pid: process.pid,
      version: packageVersion,
      epoch: this.ring.epoch,
      durability: { sync_interval: this.settings.syncInterval, log_replicas: LOG_REPLICAS },
      replicas: this.#hosts.map((host) => host.report()),
      warnings: [...this.warnings, ...this.#streamWarnings],
    };
  }
}

/** Never resolves. */
function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = (): void => reject(signal.reason as Error);
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}

async function findRing(
  settings: NodeSettings,
  names: Names,
  name: NodeName,
  { logs, pulls }: Connections,
  logger: Logger,
): Promise<{ ring: RingTable; bucket: RingBucket }> {
  const bucket = await RingBucket.open({
    bus: pulls,
    bucket: names.ringBucket,
    replicas: LOG_REPLICAS,
    clock: systemClock,
    onFailure: (error) => logger.error("watching the ring failed", { error }),
  });
  const found = await bucket.read();
  await refuseOtherRing(settings.dataFolder, found && decodeRing(found.value));
  const maker = new StreamMaker(names, logs, LOG_REPLICAS, logger);
  const keeper = new RingKeeper(bucket, maker, systemClock, systemChance, logger);
  const nodes = settings.clusterNodes.map(checkNodeName);
  const wish = {
    store: settings.store,
    positionCount: POSITION_COUNT,
    nodes,
    replicas: settings.replicaCount,
    logBytesMax: settings.logBytesMax,
    indexPolicy: { excluded: settings.indexExclude },
  };
  const ring = await keeper.readOrCreate(wish, nodes[0] === name);
  if (!ring.nodes.some(({ node }) => node === name)) {
    const known = ring.nodes.map(({ node }) => node).join(", ");
    throw new NodeRefused(`node ${name} is not of the ring, which has ${known}`);
  }
  return { ring, bucket };
}
