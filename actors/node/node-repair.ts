/**
 * Node repair: a node's part in the repair of a shard's log. The node reports what its stores hold,
 * copies a store to a node that needs one, fills its own, and runs a repair on request.
 *
 * Subjects: protocol/node/repair.ts. Each request gets one answer, at once; only a repair waits for
 * other nodes and for JetStream. A node runs its repairs one after another. Two nodes that run one
 * at the same time do no harm (repairer.ts).
 */
import type { Surroundings } from "../surroundings.js";
import type { Message, Subscription } from "../../infra/bus.js";
import { KvError } from "../../protocol/errors.js";
import type { Epoch, NodeName } from "../../protocol/ids.js";
import { REPAIRS_MAX } from "../../protocol/limits.js";
import {
  encodeRepairError,
  parseRepairRequest,
  parseReportRequest,
  type RepairReport,
} from "../../protocol/node/repair.js";
import { encodeSeedReply, parseSeedRequest } from "../../protocol/node/seed.js";
import type { Reply } from "../../protocol/reply/result.js";
import { Answers } from "../answer.js";
import { asKvError } from "../incident.js";
import type { Repairer } from "../ring-keeper/repairer.js";
import type { ReplicaHost } from "./replica-host.js";

export interface NodeRepairParts extends Surroundings {
  readonly node: NodeName;
  readonly hosts: () => readonly ReplicaHost[];
  readonly epoch: () => Epoch;
  /** Undefined = this node carries out none. */
  readonly repairer: Repairer | undefined;
}

export class NodeRepair {
  readonly #answers: Answers;
  #subscriptions: Subscription[] = [];
  #repairing: Promise<unknown> = Promise.resolve();
  #repairCount = 0;

  constructor(private readonly parts: NodeRepairParts) {
    this.#answers = new Answers(parts);
  }

  start(): void {
    this.#listen("repair-report", encodeRepairError, (data) => {
      const { shard, chains_at } = parseReportRequest(data);
      return asJson(this.#report(shard, chains_at));
    });
    this.#listen("refill", encodeRepairError, (data) => {
      const { shard } = parseReportRequest(data);
      this.#hostOf(shard).refill();
      return asJson({ shard });
    });
    this.#listen("seed", encodeSeedReply, async (data) => {
      const request = parseSeedRequest(data);
      return encodeSeedReply(await this.#hostOf(request.shard).seed(request));
    });
    this.#listen("repair", encodeRepairError, async (data) => {
      const { repairer, node } = this.parts;
      if (repairer === undefined) throw new KvError("unsupported", `${node} does no repairs`);
      const request = parseRepairRequest(data);
      return asJson(await this.#inTurn(() => repairer.repair(request)));
    });
  }

  async #inTurn<Result>(repair: () => Promise<Result>): Promise<Result> {
    if (this.#repairCount >= REPAIRS_MAX) {
      const text = `${REPAIRS_MAX} repairs are under way on ${this.parts.node}`;
      const details = { limit: "repairs", max: REPAIRS_MAX };
      throw new KvError("overloaded", `${text}; wait, then check status`, details);
    }
    this.#repairCount += 1;
    const run = this.#repairing.then(repair).finally(() => (this.#repairCount -= 1));
    this.#repairing = run.catch(() => undefined);
    return run;
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#subscriptions = [];
  }

  #listen(
    verb: string,
    encodeError: (error: KvError) => Uint8Array,
    answer: (data: Uint8Array) => Uint8Array | Promise<Uint8Array>,
  ): void {
    const { names, node, bus, logger } = this.parts;
    const replyOf = (body: Uint8Array): Reply => ({ headers: [], body });
    const handle = async (message: Message): Promise<void> => {
      let body: Uint8Array;
      try {
        body = await answer(message.data);
      } catch (error) {
        body = encodeError(asKvError(error, logger));
      }
      this.#answers.send(message, replyOf(body), (error) => replyOf(encodeError(error)));
    };
    const subject = names.node(node, verb);
    this.#subscriptions.push(
      bus.subscribe(subject, undefined, (message) => {
        if (message.reply !== undefined) void handle(message);
      }),
    );
  }

  #report(shard: string, chainsAt: readonly number[]): RepairReport {
    const { node, epoch } = this.parts;
    const host = this.#hostOf(shard);
    const { state, reason = "" } = host.report();
    const log_id = host.shard.logId;
    return { node, shard, log_id, epoch: epoch(), state, reason, store: host.finding(chainsAt) };
  }

  #hostOf(shard: string): ReplicaHost {
    const host = this.parts.hosts().find((each) => each.shard.shard === shard);
    if (host !== undefined) return host;
    throw new KvError("not-found", `${this.parts.node} holds no replica of ${shard}`);
  }
}

function asJson(body: object): Uint8Array {
  return Buffer.from(JSON.stringify(body));
}
