/**
 * A shard on the in-memory bus that a test controls: its replica answers in the packed form, by
 * position and by shard, remembers request ids, and keeps the order in which writes took effect.
 */
import type { Bus, Message } from "../../infra/bus.js";
import type { Clock } from "../../infra/clock.js";
import { KvError } from "../../protocol/errors.js";
import type { Position, Revision, ShardId, TimeMs } from "../../protocol/ids.js";
import type { Names } from "../../protocol/nats/subjects.js";
import type { Operation, StoredRecord } from "../../protocol/operation.js";
import { packedBatchReply, packedReply } from "../../protocol/reply/packed.js";
import type { Result } from "../../protocol/reply/result.js";
import { parsePackedBatch, parsePackedRequest } from "../../protocol/request/packed.js";
import type { RefusedRequest, Request } from "../../protocol/request/request.js";

/**
 * The fate of one message.
 *   do       done, and answered
 *   lose     done, and the answer is lost
 *   delay    done after `delayMs`, without an answer
 *   an error nothing is done, and that is the answer
 */
export type MessageFate = "do" | "lose" | "delay" | KvError;

export class FakeShard {
  /** Writes in the order in which they took effect. */
  readonly effects: Operation[] = [];
  /** Requests and operations of batches, as they arrived. */
  readonly received: (readonly (Request | RefusedRequest)[])[] = [];
  /** Asked for each message with its number, from 1. */
  fate: (number: number) => MessageFate = () => "do";
  /** Asked for each operation: a refusal of its own. */
  refuse: (request: Request, message: number) => KvError | undefined = () => undefined;
  delayMs = 3_000;
  readonly #records = new Map<string, StoredRecord>();
  readonly #outcomes = new Map<string, Result>();
  #revisionLast = 0;

  constructor(
    private readonly bus: Bus,
    private readonly clock: Clock,
    names: Names,
    shard: string,
    private readonly positionCount: number,
    positions: readonly number[],
  ) {
    for (const position of positions) {
      bus.subscribe(names.ringWildcard(position as Position), names.shardsQueue, (message) => {
        const verb = names.parseRingSubject(message.subject)?.verb ?? "";
        const request = parsePackedRequest(verb, message.data, this.positionCount);
        this.#take(message, [request], false);
      });
    }
    bus.subscribe(names.shard(shard as ShardId, "batch"), undefined, (message) => {
      const { requests, atomic } = parsePackedBatch(message.data, this.positionCount);
      this.#take(message, requests, true, atomic);
    });
  }

  #take(
    message: Message,
    requests: readonly (Request | RefusedRequest)[],
    isBatch: boolean,
    atomic = false,
  ): void {
    const number = this.received.push(requests);
    const reply = (results: readonly Result[] | KvError): void => {
      if (message.reply === undefined) return;
      const [first] = results instanceof KvError ? [refused(results)] : results;
      this.bus.publish(
        message.reply,
        isBatch ? packedBatchReply(results) : packedReply(first as Result),
      );
    };
    const run = (): readonly Result[] | KvError => {
      const refusals = requests.map((request) => this.#refusalOf(request, number));
      const refusal = refusals.find((error) => error !== undefined);
      if (atomic && refusal !== undefined) return refusal;
      return requests.map((request, index) => {
        const error = refusals[index];
        return error === undefined ? this.#do(request as Request) : refused(error);
      });
    };
    const fate = this.fate(number);
    if (fate instanceof KvError) reply(isBatch ? fate : [refused(fate)]);
    else if (fate === "delay") this.clock.after(this.delayMs, () => void run());
    else if (fate === "lose") run();
    else reply(run());
  }

  #refusalOf(request: Request | RefusedRequest, message: number): KvError | undefined {
    return request.kind === "refused" ? request.error : this.refuse(request, message);
  }

  #do(request: Request): Result {
    if (request.kind === "get") return this.#get(request.key, request.position);
    const { operation } = request;
    const { key, position, verb } = operation;
    const id = operation.request && `${operation.request.id} ${operation.request.index}`;
    const before = id === undefined ? undefined : this.#outcomes.get(id);
    if (before !== undefined) return before;
    this.effects.push(operation);
    const record = this.#records.get(key);
    const revision = ++this.#revisionLast as Revision;
    if (verb === "del") this.#records.delete(key);
    if (verb === "set") this.#records.set(key, recordOf(operation.value, revision));
    const result: Result = {
      kind: "written",
      key,
      position,
      done: {
        verb,
        revision,
        created: verb === "set" && record === undefined,
        existed: verb === "del" && record !== undefined,
        number: verb === "incr" ? operation.by : undefined,
        expiresAt: 0 as TimeMs,
        previous: operation.returnPrevious ? record : undefined,
      },
    };
    if (id !== undefined) this.#outcomes.set(id, result);
    return result;
  }

  #get(key: string, position: Position): Result {
    const record = this.#records.get(key);
    if (record === undefined) return refused(new KvError("not-found", `there is no ${key}`));
    return { kind: "read", key, position, record };
  }
}

function recordOf(value: Uint8Array, revision: Revision): StoredRecord {
  return {
    revision,
    updatedAt: 1_767_225_600_000 as TimeMs,
    expiresAt: 0 as TimeMs,
    contentType: "application/json",
    value: value.slice(),
  };
}

function refused(error: KvError): Result {
  return { kind: "refused", error };
}
