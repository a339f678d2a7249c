/**
 * Ours: the production client, on an in-memory bus: its own retries, its own grouping of batches by
 * shard, its own sessions. Only request ids come from the seed.
 */
import { Caller, IN_FLIGHT_MAX } from "../../infra/client/caller.js";
import { BatchError } from "../../infra/client/client-errors.js";
import type { BatchOperation } from "../../infra/client/operations.js";
import { ops } from "../../infra/client/ops.js";
import type { Outcome } from "../../infra/client/options.js";
import { RingView } from "../../infra/client/ring-view.js";
import { Session } from "../../infra/client/session.js";
import { Verbs } from "../../infra/client/verbs.js";
import { KvError } from "../../protocol/errors.js";
import { ATTEMPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS } from "../../protocol/limits.js";
import type { Names } from "../../protocol/nats/subjects.js";
import { positionOf } from "../../protocol/position.js";
import type { StepOutcome } from "../history/history.js";
import type { ManualClock, SeededChance } from "../support/manual-clock.js";
import type { MemoryBus } from "../support/memory-bus.js";
import {
  atomicOutcomes,
  kvError,
  mayBeDone,
  outcomeOf,
  queryAnswer,
  refusedQuery,
  type Channel,
  type QueryAnswer,
  type QueryAsked,
} from "./channel.js";
import type { Wish } from "./workload.js";

export interface ChannelParts {
  readonly clock: ManualClock;
  readonly chance: SeededChance;
  readonly bus: MemoryBus;
  readonly names: Names;
  readonly positionCount: number;
  /** The fault `message repeated` is among the run's. */
  readonly networkRepeats: boolean;
}

/**
 * The usual one; one that gives up after a few attempts, and gets refusals that others wait out;
 * one that waits until a coordinator gives up, and gets the coordinator's verdict.
 */
const patiences = [
  { writeMs: REQUEST_TIMEOUT_MS, attemptMs: ATTEMPT_TIMEOUT_MS },
  { writeMs: REQUEST_TIMEOUT_MS, attemptMs: ATTEMPT_TIMEOUT_MS },
  { writeMs: 600, attemptMs: ATTEMPT_TIMEOUT_MS },
  { writeMs: REQUEST_TIMEOUT_MS + 500, attemptMs: REQUEST_TIMEOUT_MS + 500 },
];

/** As operations.ts makes them, with a request id from the seed. */
type Sent = BatchOperation<unknown>;

export class OursChannel implements Channel {
  readonly #session = new Session();
  readonly #verbs: Verbs;
  readonly #ring: RingView;
  /** How long its writes may take. */
  readonly #patience: { readonly timeoutMs: number };

  constructor(private readonly parts: ChannelParts) {
    const { bus, clock, chance, names } = parts;
    const { writeMs, attemptMs } = chance.pick(patiences);
    this.#patience = { timeoutMs: writeMs };
    const limits = { timeoutMs: REQUEST_TIMEOUT_MS, attemptTimeoutMs: attemptMs };
    const caller = new Caller({ bus, clock, chance, inFlightMax: IN_FLIGHT_MAX, ...limits });
    this.#ring = new RingView(caller, names);
    // Only a watch needs more of a connection than the caller.
    const unused = { bus: undefined as never, domain: undefined };
    const session = this.#session;
    const readLevel = "linearizable";
    this.#verbs = new Verbs({ ...unused, caller, names, ring: this.#ring, readLevel, session });
  }

  async one(wish: Wish, requestId: string | undefined): Promise<StepOutcome> {
    try {
      // A position count that is not known would send everything astray.
      if (!this.#ring.isKnown) await this.#ring.refresh();
    } catch (error) {
      return { kind: "refused", error: kvError(error).kind };
    }
    try {
      return outcomeFrom(wish, await this.#call(wish, requestId));
    } catch (error) {
      return this.#refusal(kvError(error), wish);
    }
  }

  /** A single verb, as a program calls it. */
  #call(wish: Wish, requestId: string | undefined): Promise<unknown> {
    const { key, ifRevision, path, by = 1 } = wish;
    const condition = ifRevision === undefined ? {} : { ifRevision };
    const id = requestId === undefined ? {} : { requestId };
    const options = { ...condition, ...id, ...this.#patience };
    const ttl = wish.ttl === undefined ? {} : { ttl: ttlText(wish.ttl) };
    switch (wish.verb) {
      case "get":
        return this.#verbs.get(key, { read: wish.level ?? "linearizable" });
      case "set":
        return this.#verbs.set(key, JSON.parse(wish.value ?? "null"), { ...options, ...ttl });
      case "patch":
        return this.#verbs.patch(key, JSON.parse(wish.value ?? "null"), { ...options, ...ttl });
      case "incr":
        return this.#verbs.incr(key, path === undefined ? by : { path, by }, options);
      case "touch":
        return this.#verbs.touch(key, ttlText(wish.ttl ?? "never"), options);
      case "del":
        return this.#verbs.del(key, options);
      case "check":
        throw new Error("a check is part of a batch");
    }
  }

  async batch(
    wishes: readonly Wish[],
    atomic: boolean,
    requestId: string | undefined,
  ): Promise<StepOutcome[]> {
    if (requestId === undefined) throw new Error("our client names every write");
    const operations = wishes.map((wish, index) => operationOf(wish, `${requestId}/${index}`));
    const options = { atomic: atomic as false, ...this.#patience };
    try {
      const got: unknown = await this.#verbs.batch(operations, options);
      return (got as unknown[]).map((each, index) => {
        const wish = wishes[index] as Wish;
        if (atomic) return outcomeFrom(wish, each);
        const outcome = each as Outcome<unknown>;
        if (outcome.ok) return outcomeFrom(wish, outcome.result);
        return this.#refusal(outcome.error, wish);
      });
    } catch (error) {
      if (error instanceof BatchError) throw error;
      const refusal = kvError(error);
      return atomicOutcomes(refusal, mayBeDone(refusal, this.parts.networkRepeats), wishes);
    }
  }

  #refusal(error: KvError, wish: Wish): StepOutcome {
    return outcomeOf(error, mayBeDone(error, this.parts.networkRepeats), wish);
  }

  async query(asked: QueryAsked): Promise<QueryAnswer> {
    const { verb, where = {}, limit, cursor, level: read, partial, prefix = "" } = asked;
    try {
      if (verb === "count") {
        const count = await this.#verbs.count(where as never, { read, partial });
        return queryAnswer({ count });
      }
      if (verb === "keys") {
        const keys: string[] = [];
        for await (const key of this.#verbs.keys({ prefix, pageSize: limit, read })) keys.push(key);
        return queryAnswer({ keys });
      }
      const options = { pageSize: limit, certificate: true, read, partial };
      const more = cursor === undefined ? {} : { cursor };
      const pages = this.#verbs.find(where as never, { ...options, ...more }).pages();
      const { value: page } = await pages.next();
      if (page === undefined) throw new KvError("internal", "find ended without a page");
      return queryAnswer({ ...page });
    } catch (error) {
      return refusedQuery(kvError(error));
    }
  }

  revisionMin(key: string): number {
    return this.#session.revisionMin(positionOf(key, this.parts.positionCount));
  }
}

/** Durations are in milliseconds, as whole seconds would be too coarse. */
export function ttlText(ttl: number | "never"): string {
  return ttl === "never" ? ttl : `${ttl}ms`;
}

function operationOf(wish: Wish, requestId: string): Sent {
  const { key, ifRevision, path, by = 1 } = wish;
  const options = { requestId, ...(ifRevision === undefined ? {} : { ifRevision }) };
  const ttl = wish.ttl === undefined ? {} : { ttl: ttlText(wish.ttl) };
  const value = (): unknown => JSON.parse(wish.value ?? "null");
  switch (wish.verb) {
    case "get":
      return ops.get(key, { read: wish.level ?? "linearizable" });
    case "set":
      return ops.set(key, value(), { ...options, ...ttl });
    case "patch":
      return ops.patch(key, value(), { ...options, ...ttl });
    case "incr":
      return ops.incr(key, path === undefined ? by : { path, by }, options);
    case "touch":
      return ops.touch(key, ttlText(wish.ttl ?? "never"), options);
    case "del":
      return ops.del(key, options);
    case "check":
      return { ...ops.check(key, { ifRevision: ifRevision ?? 0 }), requestId };
  }
}

/** The result of a method of the client. */
function outcomeFrom({ verb }: Wish, got: unknown): StepOutcome {
  if (got === undefined) return { kind: "absent" };
  const { revision, value, created, existed } = got as Record<string, unknown>;
  if (verb === "get") {
    return { kind: "value", value: JSON.stringify(value), revision: Number(revision) };
  }
  return {
    kind: "written",
    revision: Number(revision ?? 0),
    ...(typeof created === "boolean" ? { created } : {}),
    ...(typeof existed === "boolean" ? { existed } : {}),
    ...(verb === "incr" ? { number: Number(value) } : {}),
  };
}
