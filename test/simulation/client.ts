/**
 * Client: writes and reads as a careful program would, and remembers all it was told.
 *
 * A write is sent again with the same request id until the answer is final or its time is over.
 */
import { KvError } from "../../protocol/errors.js";
import type { Operation } from "../../protocol/operation.js";
import { encodePackedRequest } from "../../protocol/request.js";
import { parsePackedReply, type Result } from "../../protocol/reply.js";
import type { SingleKeyVerb } from "../../protocol/subjects.js";
import type { ManualClock, SeededChance } from "../support/manual-clock.js";
import type { MemoryBus } from "../support/memory-bus.js";
import { del, incr, patch, set, touch } from "../support/log-writer.js";
import { getOf, names } from "../support/memory-shard.js";

const keys = ["a", "b", "city.delhi", "é", "{t}1", "{t}2"];
const ATTEMPT_MS = 1_500;
/** Of a write that is sent once: long enough to see what the proposer makes of a lost answer. */
const ATTEMPT_ONCE_MS = 8_000;
const GIVE_UP_MS = 12_000;

export interface WriteHistory {
  readonly operation: Operation;
  /** Its request id; or what identityOf finds in an operation that has none. */
  readonly id: string;
  /** The final answer; undefined = the client gave up. */
  result: Result | undefined;
  /** False once an attempt has ended so that the write may be there. */
  isKnown: boolean;
  endedAtMs: number;
}

export interface ReadHistory {
  readonly key: string;
  readonly startedAtMs: number;
  /** 0 = not found. */
  readonly revision: number;
  /** The log's last sequence when the answer came. */
  readonly sequenceMax: number;
}

export interface ClientParts {
  readonly name: string;
  readonly clock: ManualClock;
  readonly chance: SeededChance;
  readonly bus: MemoryBus;
  readonly sequenceLast: () => number;
  readonly trace: (text: string) => void;
}

export class Client {
  readonly writes: WriteHistory[] = [];
  readonly reads: ReadHistory[] = [];

  constructor(private readonly parts: ClientParts) {}

  async run(operationCount: number): Promise<void> {
    const { chance, clock } = this.parts;
    for (let number = 0; number < operationCount; number += 1) {
      await new Promise<void>((resolve) => clock.after(chance.integer(400), resolve));
      if (chance.happens(0.3)) await this.#read(chance.pick(keys));
      else await this.#write(number);
    }
  }

  async #write(number: number): Promise<void> {
    const { clock, name, trace } = this.parts;
    const id = this.#requestId(number);
    // Without an id nothing is sent again: it might be done twice.
    const isOnce = this.parts.chance.happens(0.2);
    const operation = isOnce
      ? set(this.parts.chance.pick(keys), { id })
      : this.#operation(number, id);
    const history: WriteHistory = { operation, id, result: undefined, isKnown: true, endedAtMs: 0 };
    this.writes.push(history);
    const endMs = clock.elapsedMs() + GIVE_UP_MS;
    let attemptsMax = isOnce ? 1 : Infinity;
    while (history.result === undefined && attemptsMax > 0 && clock.elapsedMs() < endMs) {
      attemptsMax -= 1;
      const result = await this.#attempt(operation, isOnce ? ATTEMPT_ONCE_MS : ATTEMPT_MS);
      trace(`${name} ${operation.verb} ${operation.key} ${id} ${told(result)}`);
      if (result.kind !== "refused") history.result = result;
      else {
        if (result.error.written === "unknown") history.isKnown = false;
        if (!result.error.retryable) history.result = result;
        else await this.#pause();
      }
    }
    history.endedAtMs = clock.elapsedMs();
  }

  async #read(key: string): Promise<void> {
    const { clock, name, trace, sequenceLast } = this.parts;
    const startedAtMs = clock.elapsedMs();
    const request = getOf(key, "linearizable");
    const subject = names.ring(request.position, "get");
    const result = await this.#ask(subject, encodePackedRequest(request), key);
    trace(`${name} get ${key} ${told(result)}`);
    const isAbsent = result.kind === "refused" && result.error.kind === "not-found";
    if (result.kind !== "read" && !isAbsent) return;
    const revision = result.kind === "read" ? result.record.revision : 0;
    this.reads.push({ key, startedAtMs, revision, sequenceMax: sequenceLast() });
  }

  #attempt(operation: Operation, timeoutMs: number): Promise<Result> {
    const subject = names.ring(operation.position, operation.verb as SingleKeyVerb);
    const payload = encodePackedRequest({ kind: "write", operation, hops: 0 });
    return this.#ask(subject, payload, operation.key, timeoutMs);
  }

  async #ask(
    subject: string,
    payload: Uint8Array,
    key: string,
    timeoutMs = ATTEMPT_MS,
  ): Promise<Result> {
    try {
      const { data } = await this.parts.bus.request(subject, payload, { timeoutMs });
      return parsePackedReply(data, key);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      return { kind: "refused", error };
    }
  }

  #pause(): Promise<void> {
    const { clock, chance } = this.parts;
    return new Promise((resolve) => clock.after(50 + chance.integer(300), resolve));
  }

  /** Half of them are UUIDs of version 7, as our clients have them. */
  #requestId(number: number): string {
    const { chance, clock, name } = this.parts;
    if (chance.happens(0.5)) return `${name}-${number}`;
    const time = clock.now().toString(16).padStart(12, "0");
    const random = Buffer.from(chance.bytes(8)).toString("hex");
    const rest = `7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(4)}`;
    return `${time.slice(0, 8)}-${time.slice(8)}-${rest}`;
  }

  #operation(number: number, id: string): Operation {
    const { chance, name } = this.parts;
    const key = chance.pick(keys);
    const request = { request: id };
    const value = { by: name, number, list: [number % 3, "x"] };
    switch (chance.integer(8)) {
      case 0:
        return del(key, request);
      case 1:
        return incr(key, 1, "count", request);
      case 2:
        return patch(key, { patched: number, by: null }, request);
      case 3:
        return touch(key, 1_000 + chance.integer(5_000), request);
      case 4:
        return set(key, value, { ...request, ifRevision: chance.integer(6) });
      case 5:
        return set(key, value, { ...request, ttl: 1_000 + chance.integer(4_000) });
      default:
        return set(key, value, request);
    }
  }
}

/** What names an operation in the log: its request id, or the `id` in the value it sets. */
export function identityOf({ request, ...operation }: Operation): string | undefined {
  if (request !== undefined || operation.verb !== "set") return request?.id;
  return (JSON.parse(Buffer.from(operation.value).toString()) as { id?: string }).id;
}

function told(result: Result): string {
  if (result.kind === "refused") return `${result.error.kind}: ${result.error.message}`;
  return result.kind === "read" ? `${result.record.revision}` : `${result.done.revision}`;
}
