/**
 * Node: one process of the cluster. Wires real infrastructure to actors.
 *
 * Every node runs one coordinator, the replicas that the ring gives it with a relay each, and a
 * ring-keeper at its start. Three connections: requests and replies; appends to logs and
 * JetStream's API; pulls, which would hold the others up while catching up (rule L7).
 *
 * It ends on SIGTERM, or, started by a supervisor, when its stdin closes because that is gone: no
 * new request is taken, what was taken is answered, then stores are closed. A nats-server that
 * cannot be reached at the start is waited for, as one that goes later is: an end and a new start
 * would only wait longer.
 */
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { NodeActors } from "../../actors/node/node-actors.js";
import { Repairer } from "../../actors/ring-keeper/repairer.js";
import { RingKeeper, type NewRingSettings } from "../../actors/ring-keeper/ring-keeper.js";
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import type { NodeName, ShardId } from "../../protocol/ids.js";
import { POSITION_COUNT } from "../../protocol/limits.js";
import { checkNodeName, Names } from "../../protocol/nats/subjects.js";
import { decodeRing } from "../../protocol/ring/ring-bytes.js";
import type { RingShard, RingTable } from "../../protocol/ring/ring.js";
import { sleep, systemChance, systemClock } from "../clock.js";
import { packageVersion } from "../files/package-version.js";
import { EventStream } from "../jetstream/event-stream.js";
import { JetstreamLog } from "../jetstream/jetstream-log.js";
import { RingBucket, type RingValue } from "../jetstream/ring-bucket.js";
import { createLogger, type Logger } from "../logger.js";
import { openRocksStore } from "../rocksdb/rocks-store.js";
import type { NodeSettings } from "../settings/config.js";
import type { Store } from "../store.js";
import { StreamMaker } from "./log-maker.js";
import { untilConnected, type Connections } from "./node-connections.js";
import { claimFolder, NodeRefused, refuseOtherRing } from "./node-identity.js";
import { keepRing, keptRing, notBehind, putBack, type KeptRing } from "./ring-copy.js";
import { checkServer } from "./server-check.js";
import { EXIT_REFUSED } from "./server/node-process.js";
import { StoreFolders, storeFolder, storesInUse } from "./store-folders.js";
import { checkStreams } from "./stream-check.js";

/** Copies of each log in a NATS cluster. */
const LOG_REPLICAS = 1;

/** Between two attempts to give the bucket back what it has lost. */
const PUT_BACK_AGAIN_MS = 5_000;

/** How often it is looked whether a stream stands in the way. */
const STREAM_CHECK_MS = 60_000;
/** Any time will do: nothing happens then. */
const STAY_MS = 3_600_000;

/** Runs until told to end; resolves with the process's exit code. */
export async function runNode(settings: NodeSettings): Promise<number> {
  let logger: Logger | undefined;
  let node: Node | undefined;
  // What a store has is nobody's business but its owner's.
  process.umask(0o077);
  const stopping = stopSignal(settings.endsWithStdin === true);
  // The clock's timers keep no process alive, and a node that waits for its server has only them.
  const staying = setInterval(() => undefined, STAY_MS);
  try {
    await claimFolder(settings.dataFolder, settings.name, settings.store);
    logger = createLogger({
      node: settings.name,
      file: join(settings.dataFolder, "node.log"),
      level: settings.logLevel,
      output: settings.logOutput ?? "file",
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
    clearInterval(staying);
    await node?.close();
    await logger?.close();
  }
}

/** Another start with the same settings would end the same way. */
function isRefusal(error: unknown): boolean {
  return error instanceof NodeRefused || (error instanceof KvError && error.kind === "bad-request");
}

/** Fires when the node is to end, from the first moment on: waiting for a server must end too. */
function stopSignal(endsWithStdin: boolean): AbortSignal {
  const stopping = new AbortController();
  const stop = (reason: string) => (): void => stopping.abort(new Error(reason));
  process.once("SIGTERM", stop("SIGTERM"));
  process.once("SIGINT", stop("SIGINT"));
  // Service managers and containers give a stdin that ends at once: that says nothing.
  if (!endsWithStdin) return stopping.signal;
  process.stdin.once("end", stop("its supervisor is gone"));
  process.stdin.once("error", stop("its supervisor is gone"));
  process.stdin.resume();
  return stopping.signal;
}

class Node {
  readonly #actors: NodeActors;
  #streamWarnings: readonly string[] = [];
  /** As they were last opened. */
  readonly #logs = new Map<ShardId, JetstreamLog>();
  readonly #unwatch: () => void;
  readonly #maker: StreamMaker;
  /** The newest that was seen. */
  #kept: KeptRing;
  /** Until the ring changes. */
  #ringWarning: string | undefined;
  /** One change of the ring after another. */
  #ringTask = Promise.resolve();

  private constructor(
    private readonly settings: NodeSettings,
    private readonly names: Names,
    private readonly name: NodeName,
    private readonly buses: Connections,
    found: FoundRing,
    private readonly warnings: readonly string[],
    private readonly logger: Logger,
    private readonly stopping: AbortSignal,
  ) {
    const { bucket, maker, kept, warning } = found;
    this.#kept = kept;
    this.#ringWarning = warning;
    this.#maker = maker;
    this.#actors = this.#actorsOf(bucket);
    this.#unwatch = bucket.watch((value) => {
      const next = keptOf(value);
      this.#ringTask = this.#ringTask
        .then(() => this.#ringFound(next, bucket))
        .catch((error: unknown) => logger.error("a change of the ring was not taken", { error }));
    });
  }

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
    const found = await findRing(settings, names, name, buses, logger);
    const node = new Node(settings, names, name, buses, found, warnings, logger, stopping);
    node.#actors.start();
    void node.#watchStreams();
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
    this.#unwatch();
    await this.#actors.close();
    this.logger.info("the node has stopped");
    await Promise.allSettled([requests.close(), logs.close(), pulls.close()]);
  }

  /** In the bucket. What the node has seen after that, it has lost. */
  async #ringFound(found: KeptRing, bucket: RingBucket): Promise<void> {
    const { ring } = this.#kept;
    if (this.stopping.aborted) return;
    if (found.ring.epoch > ring.epoch) {
      await keepRing(this.settings.dataFolder, found, this.logger);
      // A closed node must not begin anything again.
      if (this.stopping.aborted) return;
      this.#kept = found;
      this.#ringWarning = undefined;
      this.#actors.ringChanged(found.ring);
    } else if (found.ring.epoch < ring.epoch) {
      await this.#putBack(bucket);
    } else if (!isDeepStrictEqual(found.ring, ring)) {
      this.#ringWarning =
        `the ring of epoch ${ring.epoch} is another one than this node follows: nats-server had ` +
        `lost changes, and it was changed again before they were put back. Restart this node`;
    }
  }

  /** Until it is decided, or the node is to end. */
  async #putBack(bucket: RingBucket): Promise<void> {
    const { logger, stopping } = this;
    while (!stopping.aborted) {
      try {
        this.#ringWarning = await putBack(bucket, this.#maker, this.#kept, logger);
        return;
      } catch (error) {
        logger.error("could not restore the ring, trying again", { error });
      }
      await sleep(systemClock, PUT_BACK_AGAIN_MS, stopping).catch(() => undefined);
    }
  }

  #actorsOf(bucket: RingBucket): NodeActors {
    const { names, name: node, logger, settings } = this;
    const { requests: bus, logs } = this.buses;
    const events = new EventStream({
      names,
      bus: logs,
      clock: systemClock,
      bytesMax: settings.eventsBytesMax,
      replicas: LOG_REPLICAS,
      warn: (description, cause) => logger.info(description, { error: cause }),
    });
    return new NodeActors({
      names,
      node,
      version: packageVersion,
      ring: this.#kept.ring,
      bus,
      events,
      clock: systemClock,
      chance: systemChance,
      logger,
      openStore: (shard, onDamage) => this.#openStore(shard, onDamage),
      openLog: (shard) => this.#openLog(shard),
      shelf: (shard) => new StoreFolders(settings.dataFolder, shard, openRocksStore),
      repairer: new Repairer({
        names,
        bus,
        cell: notBehind(bucket, () => this.#kept.ring),
        logs: this.#maker,
        logBytesMax: settings.logBytesMax,
        clock: systemClock,
        chance: systemChance,
        logger,
      }),
      report: () => ({
        pid: process.pid,
        durability: { sync_interval: settings.syncInterval, log_replicas: LOG_REPLICAS },
        warnings: [
          ...this.warnings,
          ...(this.#ringWarning === undefined ? [] : [this.#ringWarning]),
          ...this.#streamWarnings,
          ...this.#logWarnings(),
        ],
      }),
    });
  }

  async #openStore(shard: RingShard, onDamage: (error: Error) => void): Promise<Store> {
    return openRocksStore(await storeFolder(this.settings.dataFolder, shard), {
      onDamage,
      onCut: ({ file, reason, bytesKept, bytesCut }) =>
        this.logger.error("cut off the end of a write-ahead log, applying its entries again", {
          shard: shard.shard,
          file,
          reason,
          bytes_kept: bytesKept,
          bytes_cut: bytesCut,
        }),
    });
  }

  #openLog({ shard, logId }: RingShard): JetstreamLog {
    const { names, logger } = this;
    const { logs, pulls } = this.buses;
    const log = new JetstreamLog({
      shard,
      id: logId,
      stream: names.logStream(shard, logId),
      subject: names.log(shard, logId),
      bus: logs,
      pulls,
      clock: systemClock,
      warn: (description, cause) => logger.info(description, { shard, error: cause }),
      error: (description, cause) => logger.error(description, { shard, error: cause }),
    });
    this.#logs.set(shard, log);
    return log;
  }

  /** Logs that take no entries although they are not full. */
  #logWarnings(): string[] {
    return [...this.#logs].flatMap(([shard, { storeFailure }]) =>
      storeFailure === undefined
        ? []
        : `JetStream cannot store entries in the log of ${shard}, so writes stay in doubt: ` +
          `${storeFailure}. If nats-server's disk is full, or was, make room and restart it`,
    );
  }

  /** Streams come and go while the node runs. Rejects never. */
  async #watchStreams(): Promise<void> {
    const { logger, stopping } = this;
    while (!stopping.aborted) {
      try {
        const warnings = await checkStreams(this.buses.logs, this.names, this.#actors.ring);
        for (const warning of warnings) {
          if (!this.#streamWarnings.includes(warning)) logger.info(warning);
        }
        this.#streamWarnings = warnings;
      } catch (error) {
        logger.info("could not check JetStream's streams", { error });
      }
      await sleep(systemClock, STREAM_CHECK_MS, stopping).catch(() => undefined);
    }
  }

  #sayWhenReady(): void {
    const look = (): void => {
      if (this.stopping.aborted) return;
      if (!this.#actors.isSettled) {
        systemClock.after(20, look);
        return;
      }
      this.logger.info("the node serves");
      process.stdout.write(`${JSON.stringify({ ready: true, node: this.name })}\n`);
    };
    look();
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

interface FoundRing {
  readonly bucket: RingBucket;
  readonly maker: StreamMaker;
  readonly kept: KeptRing;
  /** For status. */
  readonly warning: string | undefined;
}

async function findRing(
  settings: NodeSettings,
  names: Names,
  name: NodeName,
  { logs, pulls }: Connections,
  logger: Logger,
): Promise<FoundRing> {
  const bucket = await RingBucket.open({
    bus: pulls,
    bucket: names.ringBucket,
    replicas: LOG_REPLICAS,
    clock: systemClock,
    isRing: (value) => isRingOf(settings.store, value),
    onFailure: (error) => logger.error("watching the ring failed", { error }),
  });
  const { dataFolder } = settings;
  const maker = new StreamMaker(names, logs, LOG_REPLICAS, logger);
  const copy = await keptRing(dataFolder, logger);
  // Without stores there is nothing that follows the copy.
  const hasStores = (await storesInUse(dataFolder)).length > 0;
  const warning =
    copy !== undefined && hasStores ? await putBack(bucket, maker, copy, logger) : undefined;
  if (warning !== undefined) logger.error(warning);
  const nodes = settings.clusterNodes.map(checkNodeName);
  const found = await bucket.read();
  await refuseOtherRing(dataFolder, found && decodeRing(found.value));
  if (found === undefined) {
    const keeper = new RingKeeper(bucket, maker, systemClock, systemChance, logger);
    await keeper.readOrCreate(newRingSettings(settings, nodes), nodes[0] === name);
  }
  const standing = found ?? (await bucket.read());
  assert(standing !== undefined, "the ring was there a moment before");
  const kept = keptOf(standing);
  refuseIfNotOf(kept.ring, name);
  await keepRing(dataFolder, kept, logger);
  return { bucket, maker, kept, warning };
}

function newRingSettings(settings: NodeSettings, nodes: readonly NodeName[]): NewRingSettings {
  return {
    store: settings.store,
    positionCount: POSITION_COUNT,
    nodes,
    replicas: settings.replicaCount,
    logBytesMax: settings.logBytesMax,
    indexPolicy: { excluded: settings.indexExclude },
  };
}

function refuseIfNotOf({ nodes }: RingTable, name: NodeName): void {
  if (nodes.some(({ node }) => node === name)) return;
  const known = nodes.map(({ node }) => node).join(", ");
  throw new NodeRefused(`node ${name} is not of the ring, which has ${known}`);
}

function keptOf({ value, changedAtMs }: RingValue): KeptRing {
  return { ring: decodeRing(value), changedAtMs };
}

function isRingOf(store: string, value: Uint8Array): boolean {
  try {
    const ring = decodeRing(value);
    return ring.store === store && ring.positionCount === POSITION_COUNT;
  } catch (error) {
    if (error instanceof KvError) return false;
    throw error;
  }
}
