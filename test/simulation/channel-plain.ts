/**
 * Plain: any program that speaks NATS, without our client: keys in subjects or in JSON, straight to
 * the position as the server's mapping would send it or through a coordinator, options in headers.
 *
 * It sends again with the same request id until the answer is final or its time is over; it sends a
 * request without an id once. Some programs believe the first answer and never send again: a write
 * answered `written: no` must then not be there.
 */
import type { HeaderList, Message } from "../../infra/bus.js";
import { KvError } from "../../protocol/errors.js";
import { ATTEMPT_TIMEOUT_MS } from "../../protocol/limits.js";
import { isSubjectKey, type SingleKeyVerb } from "../../protocol/nats/subjects.js";
import { positionOf } from "../../protocol/position.js";
import { parsePackedReply } from "../../protocol/reply/packed.js";
import type { StepOutcome } from "../history/history.js";
import { ttlText, type ChannelParts } from "./channel-ours.js";
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

/** Longer than the coordinator's own attempts. */
const ATTEMPT_MS = 2 * ATTEMPT_TIMEOUT_MS;
/** The time for a request that is sent once: long enough to see the store's answer. */
const ATTEMPT_ONCE_MS = 12_000;
const GIVE_UP_MS = 12_000;
/** Of all writes with an id: sent once, too. */
const ONCE = 0.4;

interface Sending {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: HeaderList;
}

/** The end of all attempts. */
type Ending<Value> =
  { readonly value: Value } | { readonly error: KvError; readonly isDoubtful: boolean };

type Body = Record<string, unknown>;

export class PlainChannel implements Channel {
  /** By position: the highest revision seen. */
  readonly #seen = new Map<number, number>();

  constructor(private readonly parts: ChannelParts) {}

  revisionMin(key: string): number {
    return this.#seen.get(positionOf(key, this.parts.positionCount)) ?? 0;
  }

  async one(wish: Wish, requestId: string | undefined): Promise<StepOutcome> {
    const isOnce = wish.verb !== "get" && this.#isOnce(requestId);
    const sending = this.#sendingOf(wish, requestId);
    const ending = await this.#send(sending, isOnce, (message) => outcomeFrom(wish, message));
    if ("error" in ending) return outcomeOf(ending.error, ending.isDoubtful, wish);
    this.#saw(wish.key, ending.value);
    return ending.value;
  }

  #isOnce(requestId: string | undefined): boolean {
    return requestId === undefined || this.parts.chance.happens(ONCE);
  }

  async batch(
    wishes: readonly Wish[],
    atomic: boolean,
    requestId: string | undefined,
  ): Promise<StepOutcome[]> {
    const { names, networkRepeats } = this.parts;
    const body = { ops: wishes.map(memberOf), atomic };
    const sending = {
      subject: names.verb("batch"),
      payload: Buffer.from(JSON.stringify(body)),
      headers: requestId === undefined ? [] : ([["Kv-Request-Id", requestId]] as const),
    };
    const isOnce = this.#isOnce(requestId);
    const doubts = wishes.map(() => false);
    // An attempt that a full log refuses says nothing about what an earlier reply told as done.
    const done = new Map<number, StepOutcome>();
    const batchEndMs = this.parts.clock.elapsedMs() + (isOnce ? 0 : GIVE_UP_MS);
    const ending = await this.#send(sending, isOnce, (message, isAnyDoubtful): StepOutcome[] => {
      const { outcomes } = bodyOf(message) as { outcomes: Body[] };
      const errors = outcomes.map(({ error }) => error && KvError.fromBody(error));
      // Each stands alone, and what may be sent again is, with all the others.
      const again = errors.find((error) => error instanceof KvError && error.retryable);
      for (const [index, error] of errors.entries()) {
        if (error instanceof KvError && error.written === "unknown") doubts[index] = true;
        const [wish, outcome = {}] = [wishes[index] as Wish, outcomes[index]];
        if (error !== undefined || wish.verb === "get" || done.has(index)) continue;
        done.set(index, stepOutcome(wish, outcome, JSON.stringify(outcome["value"])));
      }
      if (again instanceof KvError && this.parts.clock.elapsedMs() < batchEndMs) throw again;
      return outcomes.map((outcome, index) => {
        const wish = wishes[index] as Wish;
        const error = errors[index];
        const known = done.get(index);
        if (known !== undefined) return known;
        if (error instanceof KvError) {
          const isDoubtful = isAnyDoubtful || doubts[index] === true;
          return outcomeOf(error, isDoubtful || mayBeDone(error, networkRepeats), wish);
        }
        return stepOutcome(wish, outcome, JSON.stringify(outcome["value"]));
      });
    });
    if ("error" in ending) return atomicOutcomes(ending.error, ending.isDoubtful, wishes);
    for (const [index, outcome] of ending.value.entries()) {
      this.#saw(wishes[index]?.key ?? "", outcome);
    }
    return ending.value;
  }

  async query(asked: QueryAsked): Promise<QueryAnswer> {
    const { verb, where, prefix, limit, cursor, level, partial } = asked;
    const page = { limit, cursor };
    const body =
      verb === "keys"
        ? { prefix, ...page }
        : { where, partial, certificate: true, ...(verb === "find" ? page : {}) };
    const sending = {
      subject: this.parts.names.verb(verb),
      payload: Buffer.from(JSON.stringify(body)),
      headers: level === "stale" ? ([["Kv-Read", level]] as const) : [],
    };
    const ending = await this.#send(sending, false, (message) => queryAnswer(bodyOf(message)));
    return "error" in ending ? refusedQuery(ending.error) : ending.value;
  }

  /** Something that is no request: the error it is answered with; undefined = no answer. */
  async garbage(): Promise<KvError | undefined> {
    const { names, chance } = this.parts;
    const subject = chance.pick([
      names.verb("set", "a"),
      names.verb("patch", "a"),
      names.verb("incr"),
      names.verb("batch"),
      names.verb("find"),
      names.ring(positionOf("a", this.parts.positionCount), "set"),
      names.ring(positionOf("a", this.parts.positionCount), "set", "a"),
    ]);
    const payload = chance.happens(0.5) ? chance.bytes(chance.integer(40)) : Buffer.from('{"a":');
    const sending = {
      subject,
      payload: Buffer.concat([Buffer.from([0xc1]), payload]),
      headers: [],
    };
    const ending = await this.#send(sending, false, ({ data }) => {
      // Where our client sends its requests the answers are packed as well, and have no headers.
      const result = parsePackedReply(data, "a");
      if (result.kind === "refused") throw result.error;
      throw new KvError("internal", `garbage was answered ${Buffer.from(data).toString()}`);
    });
    return "error" in ending ? ending.error : undefined;
  }

  async #send<Value>(
    { subject, payload, headers }: Sending,
    isOnce: boolean,
    read: (message: Message, isDoubtful: boolean) => Value,
  ): Promise<Ending<Value>> {
    const { clock, chance, bus, networkRepeats } = this.parts;
    const endMs = clock.elapsedMs() + GIVE_UP_MS;
    let isDoubtful = false;
    for (;;) {
      try {
        const timeoutMs = isOnce ? ATTEMPT_ONCE_MS : ATTEMPT_MS;
        const message = await bus.request(subject, payload, { headers, timeoutMs });
        const error = errorIn(message);
        if (error !== undefined) throw error;
        return { value: read(message, isDoubtful) };
      } catch (thrown) {
        const error = kvError(thrown);
        if (error.written === "unknown" || mayBeDone(error, networkRepeats)) isDoubtful = true;
        const isOver = isOnce || !error.retryable || clock.elapsedMs() >= endMs;
        if (isOver) return { error, isDoubtful };
      }
      await new Promise<void>((resolve) => clock.after(50 + chance.integer(300), resolve));
    }
  }

  #sendingOf(wish: Wish, requestId: string | undefined): Sending {
    const { names, chance, positionCount } = this.parts;
    const verb = wish.verb as SingleKeyVerb;
    if (!isSubjectKey(wish.key) || chance.happens(0.2)) {
      const { op: _op, ...body } = memberOf(wish);
      const payload = Buffer.from(
        JSON.stringify({ ...body, ...this.#levelMembers(wish), request_id: requestId }),
      );
      return { subject: names.verb(verb), payload, headers: [] };
    }
    const position = positionOf(wish.key, positionCount);
    const subject = chance.happens(0.6)
      ? names.ring(position, verb, wish.key)
      : names.verb(verb, wish.key);
    return { subject, payload: payloadOf(wish), headers: this.#headersOf(wish, requestId) };
  }

  #levelMembers(wish: Wish): Body {
    if (wish.verb !== "get") return {};
    const min = wish.level === "session" ? { min_revision: this.revisionMin(wish.key) } : {};
    return { read: wish.level, ...min };
  }

  #headersOf(wish: Wish, requestId: string | undefined): [string, string][] {
    const headers: [string, string][] = [];
    const { ifRevision, ttl, level } = wish;
    if (requestId !== undefined) headers.push(["Kv-Request-Id", requestId]);
    if (ifRevision !== undefined) headers.push(["Kv-If-Revision", String(ifRevision)]);
    if (ttl !== undefined) headers.push(["Kv-TTL", ttlText(ttl)]);
    if (wish.verb !== "get") return headers;
    if (level !== undefined) headers.push(["Kv-Read", level]);
    if (level === "session") headers.push(["Kv-Min-Revision", String(this.revisionMin(wish.key))]);
    return headers;
  }

  #saw(key: string, outcome: StepOutcome): void {
    if (outcome.kind !== "value" && outcome.kind !== "written") return;
    const position = positionOf(key, this.parts.positionCount);
    this.#seen.set(position, Math.max(this.#seen.get(position) ?? 0, outcome.revision));
  }
}

/** Of a request with a key in its subject. */
function payloadOf({ verb, value, path, by }: Wish): Uint8Array {
  if (verb === "set" || verb === "patch") return Buffer.from(value ?? "null");
  return Buffer.from(verb === "incr" ? JSON.stringify({ path, by }) : "");
}

/** As it stands in a batch, and, but for "op", in a body. */
function memberOf({ verb, key, value, path, by, ttl, ifRevision }: Wish): Body {
  const content = verb === "set" ? "value" : "patch";
  return {
    op: verb,
    key,
    path,
    by,
    if_revision: ifRevision,
    ...(ttl === undefined ? {} : { ttl: ttlText(ttl) }),
    ...(value === undefined ? {} : { [content]: JSON.parse(value) as unknown }),
  };
}

function errorIn({ headers, data }: Message): KvError | undefined {
  if (headers?.has("nats-service-error-code") !== true) return undefined;
  return KvError.fromBody((JSON.parse(Buffer.from(data).toString()) as Body)["error"]);
}

function bodyOf({ data }: Message): Body {
  return JSON.parse(Buffer.from(data).toString()) as Body;
}

function outcomeFrom(wish: Wish, message: Message): StepOutcome {
  if (wish.verb !== "get") return stepOutcome(wish, bodyOf(message), undefined);
  const revision = Number(message.headers?.get("kv-revision")?.[0]);
  return { kind: "value", value: Buffer.from(message.data).toString(), revision };
}

/** Of the members of a reply, or of an outcome in a batch's. */
function stepOutcome({ verb }: Wish, members: Body, value: string | undefined): StepOutcome {
  const { revision, created, existed } = members;
  if (verb === "get") return { kind: "value", value: value ?? "", revision: Number(revision) };
  return {
    kind: "written",
    revision: Number(revision ?? 0),
    ...(typeof created === "boolean" ? { created } : {}),
    ...(typeof existed === "boolean" ? { existed } : {}),
    ...(verb === "incr" ? { number: Number(members["value"]) } : {}),
  };
}
