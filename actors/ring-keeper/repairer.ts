/**
 * Repairer: continues a shard from its stores when its log has lost what they hold (rule L3).
 *
 * Mailbox     one call at a time, from a node's kv.node.<node>.repair
 * State       none: each call looks everything up again, so after a repair that was cut short a
 *             person simply calls it again, on any node
 * Decides in  repair-plan.ts (no I/O); this file only carries its decisions out
 * Lifecycle   a call
 *
 * The steps of a repair, and the reason for their order:
 *   1. ask all nodes of the shard what their stores hold, and plan
 *   2. seal the old log: from here on no process, however old, can append to it, so it acknowledges
 *      no further write. Cut off here: all replicas are stopped anyway
 *   3. ask again: the plan must still hold
 *   4. create the new log and its genesis, which names the old one, where it ends and its chain.
 *      Cut off here: a log of one entry that no ring names; the next repair removes it
 *   5. change the ring by compare-and-set. This is the moment; a loser deletes its log (rule L1)
 * The nodes see the ring change and open the new log by themselves. They set aside stores that do
 * not fit its genesis, and fill new ones. They do not need the caller of the repair for that.
 *
 * Invariant: a log that the ring names is never removed, and no log with more than a first entry.
 */
import type { Surroundings } from "../surroundings.js";
import { sleep } from "../../infra/clock.js";
import { KvError } from "../../protocol/errors.js";
import type { Epoch, LogId, NodeName, Origin, Sequence } from "../../protocol/ids.js";
import { encodeEntry } from "../../protocol/log/entry.js";
import {
  decodeRepairReply,
  type RepairReply,
  type RepairReport,
  type RepairRequest,
  type StoreFinding,
} from "../../protocol/node/repair.js";
import { decodeRing, ringBytes } from "../../protocol/ring/ring-bytes.js";
import { fromRanges, type RingShard, type RingTable } from "../../protocol/ring/ring.js";
import { planRepair, type Finding, type RepairPlan } from "./repair-plan.js";
import type { LogMaker, LogName } from "./ring-keeper.js";

/** Where the ring table is kept and changed. */
export interface RingCell {
  read(): Promise<{ readonly value: Uint8Array; readonly revision: number } | undefined>;
  /** The new revision; undefined if `revision` is not the newest. */
  update(value: Uint8Array, revision: number): Promise<number | undefined>;
}

/** Makes, ends and removes logs. */
export interface LogMender extends LogMaker {
  /** No process can append to the log ever again. A missing log is no error. */
  seal(log: LogName): Promise<void>;
}

export interface RepairerParts extends Surroundings {
  readonly cell: RingCell;
  readonly logs: LogMender;
  /** The name of a new log, where there is room. */
  readonly logBytesMax: number;
}

/** How long a node is waited for. */
const REPORT_TIMEOUT_MS = 2_000;
/** How many logs before its own a shard remembers. */
const LOGS_REMEMBERED_MAX = 16;
const LOOK_AGAIN_MS = 200;

interface Seen {
  readonly ring: RingTable;
  readonly revision: number;
  readonly shard: RingShard;
  readonly plan: RepairPlan;
  readonly reply: RepairReply;
}

export class Repairer {
  constructor(private readonly parts: RepairerParts) {}

  /** Without a token: what would be done. With it: does it. Rejects with KvError. */
  async repair(request: RepairRequest): Promise<RepairReply> {
    const seen = await this.#look(request);
    if (request.token === undefined || seen.plan.kind === "nothing") return seen.reply;
    checkToken(request.token, seen.reply);
    if (seen.plan.kind === "refill") return this.#refill(seen, seen.plan.nodes);
    const { logs, logger } = this.parts;
    const { shard, logId } = seen.shard;
    logger.info("repairing a shard: its log is sealed", { shard, log_id: logId });
    await logs.seal(seen.shard);
    const again = await this.#look(request);
    checkToken(request.token, again.reply);
    return this.#goOn(again);
  }

  async #look({ shard: name, abandon }: RepairRequest): Promise<Seen> {
    const { cell, logs } = this.parts;
    const found = await cell.read();
    if (found === undefined) throw new KvError("unavailable", "there is no ring");
    const ring = decodeRing(found.value);
    const shard = ring.shards.find((each) => each.shard === name);
    if (shard === undefined) {
      const known = ring.shards.map((each) => each.shard).join(", ");
      throw new KvError("not-found", `there is no shard ${name}; there are ${known}`);
    }
    const nodes = shard.nodes.filter((node) => !abandon.includes(node));
    const first = await this.#ask(shard, nodes, []);
    const sequences = first.flatMap(({ report }) => report?.store?.sequence ?? []);
    const plan = planRepair(shard, await this.#ask(shard, nodes, sequences), abandon);
    if (plan.kind === "refused") throw new KvError("conflict", plan.reason);
    const log = (await logs.list()).find(({ logId }) => logId === shard.logId);
    const reply = replyOf(ring, shard, plan, log?.sequenceLast ?? null);
    return { ring, revision: found.revision, shard, plan, reply };
  }

  #ask(
    { shard }: RingShard,
    nodes: readonly NodeName[],
    sequences: readonly number[],
  ): Promise<Finding[]> {
    const request = Buffer.from(JSON.stringify({ shard, chains_at: sequences }));
    return Promise.all(
      nodes.map(async (node) => ({ node, report: await this.#reportOf(node, request) })),
    );
  }

  async #reportOf(node: NodeName, request: Uint8Array): Promise<RepairReport | undefined> {
    const { bus, names } = this.parts;
    const subject = names.node(node, "repair-report");
    try {
      const reply = await bus.request(subject, request, { timeoutMs: REPORT_TIMEOUT_MS });
      return decodeRepairReply<RepairReport>(reply.data);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      this.parts.logger.debug("a node did not report what its store holds", { node, error });
      return undefined;
    }
  }

  /** The log stays; each node sets its unfit store aside and fills another one. */
  async #refill({ shard, reply }: Seen, nodes: readonly NodeName[]): Promise<RepairReply> {
    const { bus, names } = this.parts;
    const request = Buffer.from(JSON.stringify({ shard: shard.shard }));
    for (const node of nodes) {
      const subject = names.node(node, "refill");
      const answer = await bus.request(subject, request, { timeoutMs: REPORT_TIMEOUT_MS });
      decodeRepairReply<object>(answer.data);
    }
    return { ...reply, done: true };
  }

  async #goOn({ ring, revision, shard, plan, reply }: Seen): Promise<RepairReply> {
    const { logs, logger, logBytesMax } = this.parts;
    if (plan.kind !== "log") throw changed();
    const next = this.#nextOf(shard, plan.store);
    const first = (plan.store.sequence + 1) as Sequence;
    await logs.create([next], logBytesMax, first);
    try {
      await logs.begin(next, this.#genesis(ring, next, plan.store), first);
    } catch (error) {
      await this.#remove(next);
      throw error;
    }
    const shards = ring.shards.map((each) => (each === shard ? next : each));
    const changedRing = { ...ring, epoch: (ring.epoch + 1) as Epoch, shards };
    if (!(await this.#publish(changedRing, revision, next))) {
      await this.#remove(next);
      throw new KvError("conflict", "another change of the ring came first; look again");
    }
    const { epoch } = changedRing;
    logger.info("a shard has a new log that continues from its stores", {
      shard: shard.shard,
      log_id: next.logId,
      log_id_before: shard.logId,
      sequence: plan.store.sequence,
      source: plan.source,
      epoch,
    });
    await this.#removeOrphans(next);
    return { ...reply, done: true, log_id: next.logId, epoch };
  }

  #nextOf(shard: RingShard, store: StoreFinding): RingShard {
    const logId = Buffer.from(this.parts.chance.bytes(8)).toString("hex") as LogId;
    const before = new Set<LogId>([store.log_id as LogId, shard.logId]);
    for (const each of shard.logIdsBefore ?? []) before.add(each);
    return { ...shard, logId, logIdsBefore: [...before].slice(0, LOGS_REMEMBERED_MAX) };
  }

  #genesis(ring: RingTable, next: RingShard, store: StoreFinding): Uint8Array {
    const sequence = store.sequence as Sequence;
    return encodeEntry({
      kind: "genesis",
      version: store.behaviour_version,
      origin: Buffer.from(this.parts.chance.bytes(16)).toString("hex") as Origin,
      number: 1,
      basisSequence: sequence,
      basisChain: BigInt(`0x${store.chain}`),
      genesis: {
        store: ring.store,
        shard: next.shard,
        logId: next.logId,
        positionCount: ring.positionCount,
        positions: fromRanges(store.positions, ring.positionCount),
        limits: store.limits,
        indexPolicy: { excluded: store.index_excluded },
        behaviourVersion: store.behaviour_version,
        parent: { logId: store.log_id as LogId, sequence, chain: store.chain },
      },
    });
  }

  /** False if the ring has changed since it was read. Reads the ring again if an answer is lost. */
  async #publish(ring: RingTable, revision: number, next: RingShard): Promise<boolean> {
    const { cell, clock, logger } = this.parts;
    const value = ringBytes(ring);
    for (;;) {
      try {
        if ((await cell.update(value, revision)) !== undefined) return true;
        // "Another was first" may be this node: an attempt that seemed lost has landed.
        const found = await cell.read();
        if (found !== undefined && found.revision !== revision) {
          return decodeRing(found.value).shards.some(({ logId }) => logId === next.logId);
        }
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        logger.debug("could not tell whether the ring was changed", { error: error.message });
      }
      await sleep(clock, LOOK_AGAIN_MS);
    }
  }

  /** Logs of repairs that were cut off. One still in progress has lost: the ring has changed. */
  async #removeOrphans(next: RingShard): Promise<void> {
    try {
      const named = new Set<LogId>([next.logId, ...(next.logIdsBefore ?? [])]);
      for (const log of await this.parts.logs.list()) {
        if (log.shard !== next.shard || named.has(log.logId) || log.entryCount > 1) continue;
        await this.#remove(log);
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.parts.logger.info("could not search for orphaned logs", { error });
    }
  }

  /** A log that cannot be removed now stays, and takes up room: status warns of it. */
  async #remove(log: LogName): Promise<void> {
    try {
      await this.parts.logs.remove(log);
    } catch (error) {
      const { shard, logId } = log;
      const fields = { shard, log_id: logId, error };
      this.parts.logger.info("could not remove an orphaned log", fields);
    }
  }
}

function checkToken(token: string, reply: RepairReply): void {
  if (token !== reply.token) throw changed();
}

function changed(): KvError {
  return new KvError("conflict", "the stores have changed since this repair was planned");
}

function replyOf(
  { epoch }: RingTable,
  { shard, logId }: RingShard,
  plan: Exclude<RepairPlan, { kind: "refused" }>,
  logLast: number | null,
): RepairReply {
  const store = plan.kind === "log" ? plan.store : undefined;
  const { kind, replicas } = plan;
  const fates = replicas.map(({ node, fate, sequence }) =>
    // A serving replica continues to apply entries while a person reads.
    fate === "serving" ? `${node} ${fate}` : `${node} ${fate} ${sequence}`,
  );
  return {
    shard,
    kind,
    reason: plan.kind === "nothing" ? plan.reason : "",
    replicas,
    sequence: store?.sequence ?? 0,
    log_last: logLast,
    token: [logId, kind, store?.sequence, store?.chain, ...fates].join(" "),
    done: false,
    log_id: logId,
    epoch,
  };
}
