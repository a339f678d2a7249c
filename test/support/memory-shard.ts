/**
 * Memory shard: whole replicas of one shard on an in-memory network, log and disk, and a client
 * that speaks to them in the packed form, all on one manual clock.
 */
import { Replica } from "../../actors/shard/replica.js";
import type { Chance, Clock } from "../../infra/clock.js";
import type { Log } from "../../infra/log.js";
import type { Logger } from "../../infra/logger.js";
import { KvError } from "../../protocol/errors.js";
import type { Epoch, ShardId } from "../../protocol/ids.js";
import { type SingleKeyVerb, Names } from "../../protocol/nats/subjects.js";
import type { Operation } from "../../protocol/operation.js";
import { positionOf } from "../../protocol/position.js";
import { parsePackedBatchReply, parsePackedReply } from "../../protocol/reply/packed.js";
import type { BatchResult, Result } from "../../protocol/reply/result.js";
import { encodePackedBatch, encodePackedRequest } from "../../protocol/request/packed.js";
import type { GetRequest, ReadLevel, Request } from "../../protocol/request/request.js";
import { genesisBytes, POSITIONS } from "./log-writer.js";
import { ManualClock, seededChance } from "./manual-clock.js";
import { MemoryNetwork, type MemoryBus } from "./memory-bus.js";
import { MemoryStream, type MemoryLog } from "./memory-log.js";
import { Disk, type MemoryStore } from "./memory-store.js";

export const names = new Names("kv");

export interface NodeOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly network: MemoryNetwork;
  readonly log: Log;
  readonly disk: Disk;
  readonly forward?: (request: Request) => Promise<Result>;
  readonly isLate?: () => boolean;
}

/** One process with one replica. */
export class MemoryNode {
  readonly replica: Replica;
  readonly store: MemoryStore;
  readonly bus: MemoryBus;
  readonly lines: string[] = [];
  /** Why run() was rejected, if it was. */
  failure: unknown;
  /** Resolves when run() has ended, however. */
  readonly ended: Promise<void>;

  constructor(options: NodeOptions) {
    const { name, clock, chance, network, log, disk } = options;
    this.store = disk.open();
    this.bus = network.connect(name);
    const note = (message: string): void => void this.lines.push(message);
    const close = (): Promise<void> => Promise.resolve();
    const logger: Logger = { error: note, info: note, debug: () => undefined, close };
    const nobody = (): Promise<Result> => {
      const error = new KvError("unavailable", "nobody to forward to");
      return Promise.resolve({ kind: "refused", error });
    };
    this.replica = new Replica({
      names,
      epoch: 1 as Epoch,
      positionCount: POSITIONS,
      bus: this.bus,
      log,
      store: this.store,
      clock,
      chance,
      logger,
      forward: options.forward ?? nobody,
      isLate: options.isLate,
    });
    this.ended = this.replica.run().catch((error: unknown) => {
      this.failure = error;
    });
  }
}

/** A network, a log with its genesis, and nodes that can be started on kept disks. */
export class MemoryShard {
  readonly clock = new ManualClock();
  readonly network: MemoryNetwork;
  readonly stream: MemoryStream;
  /** Whether requests wait for too long before any node reads them. */
  isLate = false;
  readonly #disks = new Map<string, Disk>();
  readonly #logs = new Map<string, MemoryLog>();
  readonly #client: MemoryBus;

  constructor(genesis = genesisBytes()) {
    this.network = new MemoryNetwork({ clock: this.clock, chance: seededChance(1) });
    this.stream = new MemoryStream({ clock: this.clock });
    this.stream.take(genesis);
    this.#client = this.network.connect("client");
  }

  disk(name: string): Disk {
    const disk = this.#disks.get(name) ?? new Disk();
    this.#disks.set(name, disk);
    return disk;
  }

  log(name: string): MemoryLog {
    const log = this.#logs.get(name) ?? this.stream.open();
    this.#logs.set(name, log);
    return log;
  }

  /** The node's process starts; its disk and its log handle are those of its name. */
  start(name: string, forward?: NodeOptions["forward"]): MemoryNode {
    const { clock, network } = this;
    const chance = seededChance(name.length + this.#disks.size);
    const common = { name, clock, chance, network, log: this.log(name), disk: this.disk(name) };
    const isLate = (): boolean => this.isLate;
    return new MemoryNode({ ...common, isLate, ...(forward === undefined ? {} : { forward }) });
  }

  async startServing(...nodes: string[]): Promise<MemoryNode[]> {
    const started = nodes.map((name) => this.start(name));
    await this.clock.runUntil(() => started.every(({ replica }) => replica.phase === "serving"));
    return started;
  }

  /** The node's process ends in order. */
  async stop(node: MemoryNode): Promise<void> {
    await this.clock.resolve(node.replica.close());
    await this.clock.resolve(node.ended);
    await node.store.close();
  }

  /** As a client's attempt: rejects if nobody listens or no reply comes. */
  async ask(request: Request, timeoutMs = 20_000): Promise<Result> {
    const { key, position } = request.kind === "get" ? request : request.operation;
    const verb = (request.kind === "get" ? "get" : request.operation.verb) as SingleKeyVerb;
    const subject = names.ring(position, verb);
    const asked = this.#client.request(subject, encodePackedRequest(request), { timeoutMs });
    const { data } = await this.clock.resolve(asked);
    return parsePackedReply(data, key);
  }

  write(operation: Operation): Promise<Result> {
    return this.ask({ kind: "write", operation, hops: 0 });
  }

  get(key: string, level: ReadLevel = "linearizable", minRevision?: number): Promise<Result> {
    return this.ask(getOf(key, level, minRevision));
  }

  async batch(requests: readonly Request[], atomic = false): Promise<BatchResult> {
    const payload = encodePackedBatch({ requests, atomic, level: "linearizable", hops: 0 });
    const subject = names.shard("s1" as ShardId, "batch");
    const asked = this.#client.request(subject, payload, { timeoutMs: 20_000 });
    const { data } = await this.clock.resolve(asked);
    const keys = requests.map((each) => (each.kind === "get" ? each.key : each.operation.key));
    return parsePackedBatchReply(data, keys);
  }
}

export function getOf(key: string, level: ReadLevel, minRevision?: number, hops = 0): GetRequest {
  const position = positionOf(key, POSITIONS);
  const wanted = minRevision as GetRequest["minRevision"];
  return { kind: "get", key, position, level, minRevision: wanted, accept: undefined, hops };
}
