/**
 * Router: sends one request to a replica that owns its position, and returns the result.
 *
 * It serves the requests that did not reach an owner by their subject: keys that fit no subject,
 * keys with a tag, clients of a nats-server without the mapping, positions that have moved. It
 * sends again after `unavailable` and a time-out, so it gives a write without a request id one of
 * its own (rule L4).
 *
 * Limit: COORDINATOR_REQUESTS_MAX requests of COORDINATOR_BYTES_MAX bytes at once; beyond either
 * `overloaded`.
 */
import type { Surroundings } from "../surroundings.js";
import { sleep } from "../../infra/clock.js";
import { BackOff } from "../../protocol/back-off.js";
import { KvError } from "../../protocol/errors.js";
import type { Position } from "../../protocol/ids.js";
import {
  ATTEMPT_TIMEOUT_MS,
  HOPS_MAX,
  REQUEST_TIMEOUT_MS,
  SESSION_WAIT_MS,
} from "../../protocol/limits.js";
import type { SingleKeyVerb } from "../../protocol/nats/subjects.js";
import { finalError, isWorthAnother, readError } from "../../protocol/reply/attempts.js";
import { parsePackedReply } from "../../protocol/reply/packed.js";
import type { Result } from "../../protocol/reply/result.js";
import { encodePackedRequest } from "../../protocol/request/packed.js";
import type { Request } from "../../protocol/request/request.js";
import type { OnRefusal } from "../admission.js";
import { AGAIN_FIRST_MS, AGAIN_MAX_MS, newRequestId } from "./attempts.js";
import { UnderWay } from "./under-way.js";

export class Router {
  readonly #underWay: UnderWay;

  constructor(
    private readonly around: Pick<Surroundings, "names" | "bus" | "clock" | "chance">,
    onRefusal?: OnRefusal,
  ) {
    this.#underWay = new UnderWay(onRefusal);
  }

  get underWay(): number {
    return this.#underWay.count;
  }

  /** Never rejects for what a client or the network did: such results are `refused`. */
  async route(request: Request): Promise<Result> {
    if (request.hops > HOPS_MAX) {
      const text = `the request was forwarded ${request.hops} times; the ring is changing`;
      return { kind: "refused", error: new KvError("unavailable", text) };
    }
    const payload = encodePackedRequest(this.#repeatable(request));
    let leave: () => void;
    try {
      leave = this.#underWay.enter(payload.length);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      return { kind: "refused", error };
    }
    try {
      return await this.#untilAnswered(request, payload);
    } finally {
      leave();
    }
  }

  #repeatable(request: Request): Request {
    if (request.kind === "get" || request.operation.request !== undefined) return request;
    const id = newRequestId(this.around.chance);
    return { ...request, operation: { ...request.operation, request: { id, index: 0 } } };
  }

  async #untilAnswered(request: Request, payload: Uint8Array): Promise<Result> {
    const { key, position, verb } = addressOf(request);
    const subject = this.around.names.ring(position, verb);
    // The replica does a session's waiting: another attempt would begin the wait again.
    const isSession = request.kind === "get" && request.level === "session";
    const patienceMs = isSession ? SESSION_WAIT_MS : REQUEST_TIMEOUT_MS;
    const end = this.around.clock.elapsedMs() + patienceMs;
    const backOff = new BackOff(AGAIN_FIRST_MS, AGAIN_MAX_MS);
    let isDoubtful = false;
    for (;;) {
      const result = await this.#ask(subject, payload, key);
      if (result.kind !== "refused") return result;
      const error = request.kind === "get" ? readError(result.error) : result.error;
      isDoubtful ||= error.written === "unknown";
      const isLate = this.around.clock.elapsedMs() + backOff.waitMs > end;
      if (isLate || !isWorthAnother(error, isDoubtful)) {
        return { kind: "refused", error: finalError(error, isDoubtful) };
      }
      await sleep(this.around.clock, backOff.next(this.around.chance.fraction()));
    }
  }

  async #ask(subject: string, payload: Uint8Array, key: string): Promise<Result> {
    try {
      const reply = await this.around.bus.request(subject, payload, {
        timeoutMs: ATTEMPT_TIMEOUT_MS,
      });
      return parsePackedReply(reply.data, key);
    } catch (error) {
      if (error instanceof KvError) return { kind: "refused", error };
      throw error;
    }
  }
}

function addressOf(request: Request): {
  key: string;
  position: Position;
  verb: SingleKeyVerb;
} {
  if (request.kind === "get") return { key: request.key, position: request.position, verb: "get" };
  const { key, position, verb } = request.operation;
  if (verb === "check") throw new KvError("unsupported", "check works in batches only");
  return { key, position, verb };
}
