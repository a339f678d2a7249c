/**
 * Access: a worker's way to the store. It takes steps of the history and returns outcomes, either
 * through our client or in plain NATS requests, as a program in any language would send them from
 * docs/protocol.md alone.
 */
import { headers, type Msg, type MsgHdrs, type NatsConnection } from "nats";
import {
  ops,
  type BatchOperation,
  type FindItem,
  type Ringdex,
  type Session,
} from "../../infra/client/client.js";
import { sleep, systemClock } from "../../infra/clock.js";
import { KvError } from "../../protocol/errors.js";
import type { QueryStep, RowKind, Step, StepOutcome, Written } from "../history/history.js";

/** A step before it is done. */
export type Asked = Omit<Step, "outcome">;
export type AskedQuery = Pick<QueryStep, "where" | "prefix" | "limit" | "level"> & {
  readonly cursor?: string;
};
export type Answer = QueryStep["outcome"] & { readonly cursor?: string };
export type StepsKind = Exclude<RowKind, "find" | "count" | "keys">;
export type QueryKind = Exclude<RowKind, StepsKind>;

export interface Access {
  /** An outcome for each step, in order. Rejects only with what is no answer of a store. */
  perform(kind: StepsKind, steps: readonly Asked[], id: string): Promise<StepOutcome[]>;
  /** One page. */
  query(kind: QueryKind, asked: AskedQuery): Promise<Answer>;
  /** What its session reads begin with; undefined = it has no session. */
  readonly session: Session | undefined;
}

/** What an error says about a write (and, for reads, that there is nothing to be learnt). */
function outcomeOfError(error: unknown): StepOutcome {
  if (!(error instanceof KvError)) throw error;
  const { kind, details, written } = error;
  if (kind === "not-found") return { kind: "absent" };
  if (kind === "conflict") return { kind: "conflict", revision: Number(details["revision"]) };
  if (written === "unknown") return { kind: "unknown", error: kind };
  return { kind: "refused", error: kind };
}

/** In a refused atomic batch the step at fault has the error; the others were not done. */
function outcomesOfRefusal(error: unknown, steps: readonly Asked[]): StepOutcome[] {
  const outcome = outcomeOfError(error);
  if (outcome.kind === "unknown") return steps.map(() => outcome);
  const index = error instanceof KvError ? error.details["index"] : undefined;
  return steps.map((_, at) =>
    at === index ? outcome : { kind: "refused", error: "of its batch" },
  );
}

export class ClientAccess implements Access {
  constructor(
    private readonly db: Ringdex<unknown>,
    readonly session: Session,
    private readonly timeoutMs: number,
  ) {}

  async perform(kind: StepsKind, steps: readonly Asked[], id: string): Promise<StepOutcome[]> {
    const [first] = steps;
    if (kind === "single" && first !== undefined) return [await this.#single(first, id)];
    const { session, timeoutMs } = this;
    const operations = steps.map((step) => operationOf(step));
    try {
      if (kind === "atomic") {
        const options = { atomic: true, session, timeoutMs } as const;
        return await this.db.batch(operations, options);
      }
      const outcomes = await this.db.batch(operations, { session, timeoutMs });
      return outcomes.map((outcome) =>
        outcome.ok ? outcome.result : outcomeOfError(outcome.error),
      );
    } catch (error) {
      return kind === "atomic"
        ? outcomesOfRefusal(error, steps)
        : steps.map(() => outcomeOfError(error));
    }
  }

  async query(kind: QueryKind, asked: AskedQuery): Promise<Answer> {
    const { where = {}, prefix, limit, level, cursor } = asked;
    const options = { read: level, timeoutMs: this.timeoutMs };
    try {
      if (kind === "count") {
        const count = await this.db.count(where as Record<string, unknown>, options);
        return { kind: "answered", count, complete: true, more: false };
      }
      if (kind === "keys") {
        const keys: string[] = [];
        for await (const key of this.db.keys({ prefix: prefix ?? "", ...options })) keys.push(key);
        return { kind: "answered", keys, complete: true, more: false };
      }
      const page = { pageSize: limit ?? 100, ...(cursor === undefined ? {} : { cursor }) };
      const find = this.db.find(where as Record<string, unknown>, { ...options, ...page });
      for await (const { items, cursor: next, complete } of find.pages()) {
        const found = items.map((item) => foundItem(item));
        return answered(found, complete, next);
      }
      return answered([], true, undefined);
    } catch (error) {
      return refusedQuery(error);
    }
  }

  async #single(step: Asked, id: string): Promise<StepOutcome> {
    const { db, session, timeoutMs } = this;
    const { verb, key } = step;
    const options = { session, timeoutMs, requestId: id, ...conditionOf(step) };
    try {
      switch (verb) {
        case "get": {
          const { level: read = "linearizable" } = step;
          return found(await db.get(key, { session, timeoutMs, read, as: "text" }));
        }
        case "set":
          return wrote(await db.set(key, JSON.parse(step.value ?? "null"), options));
        case "del":
          return wrote(await db.del(key, options));
        case "patch":
          return wrote(await db.patch(key, JSON.parse(step.value ?? "null"), options));
        case "incr":
          return wrote(await db.incr(key, step.by ?? 1, options));
        case "touch":
        case "check":
          throw new Error(`the load has no ${verb} of one key`);
      }
    } catch (error) {
      return outcomeOfError(error);
    }
  }
}

/** Its answer is an outcome already. */
function operationOf(step: Asked): BatchOperation<StepOutcome> {
  const { verb, key } = step;
  const options = conditionOf(step);
  const asOutcome = <Result>(
    operation: BatchOperation<Result>,
    told: (result: Result) => StepOutcome,
  ): BatchOperation<StepOutcome> => ({
    ...operation,
    finish: (result) => told(operation.finish(result)),
  });
  switch (verb) {
    case "get":
      return asOutcome(ops.get(key, { as: "text", read: step.level ?? "linearizable" }), found);
    case "set":
      return asOutcome(ops.set(key, JSON.parse(step.value ?? "null"), options), wrote);
    case "del":
      return asOutcome(ops.del(key, options), wrote);
    case "incr":
      return asOutcome(ops.incr(key, step.by ?? 1, options), wrote);
    case "patch":
    case "touch":
    case "check":
      throw new Error(`the load has no ${verb} in a batch`);
  }
}

function conditionOf({ ifRevision }: Asked): { readonly ifRevision?: number } {
  return ifRevision === undefined ? {} : { ifRevision };
}

function found(
  entry: { readonly value: unknown; readonly revision: number } | undefined,
): StepOutcome {
  if (entry === undefined) return { kind: "absent" };
  return { kind: "value", value: String(entry.value), revision: entry.revision };
}

/** What a write's result says, whichever verb's it is. */
interface Told {
  readonly revision: number | null;
  readonly created?: boolean;
  readonly existed?: boolean;
  readonly value?: unknown;
}

function wrote({ revision, created, existed, value }: Told): Written {
  return {
    kind: "written",
    revision: revision ?? 0,
    ...(created === undefined ? {} : { created }),
    ...(existed === undefined ? {} : { existed }),
    ...(typeof value === "number" ? { number: value } : {}),
  };
}

function foundItem({ key, value, revision }: FindItem<unknown>): {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
} {
  return { key, value: JSON.stringify(value), revision };
}

function answered(
  items: readonly { readonly key: string; readonly value: string; readonly revision: number }[],
  complete: boolean,
  cursor: string | undefined,
): Answer {
  const more = cursor !== undefined;
  return { kind: "answered", items, complete, more, ...(more ? { cursor } : {}) };
}

function refusedQuery(error: unknown): Answer {
  if (error instanceof KvError) return { kind: "refused", error: error.kind };
  throw error;
}

/** Of one attempt in plain NATS. */
const ATTEMPT_MS = 2_000;
const PAUSE_MS = 50;

type Body = Readonly<Record<string, unknown>>;

/** As a program in any language does it. */
export class PlainAccess implements Access {
  readonly session = undefined;

  constructor(
    private readonly nats: NatsConnection,
    private readonly store: string,
    private readonly timeoutMs: number,
    /** Each write is sent twice at once, with one request id: both are to be told the same. */
    private readonly sendsTwice: boolean,
  ) {}

  async perform(kind: StepsKind, steps: readonly Asked[], id: string): Promise<StepOutcome[]> {
    const [first] = steps;
    try {
      if (kind === "single" && first !== undefined) return [await this.#single(first, id)];
      const isAtomic = kind === "atomic";
      const body = JSON.stringify({ ops: steps.map(jsonOf), atomic: isAtomic });
      const asked = await this.#ask(`${this.store}.batch`, body, fieldsOf({}, id), true);
      const { outcomes } = asked.reply.json<{ outcomes: readonly Body[] }>();
      return outcomes.map((outcome, index) => {
        const { verb = "get" } = steps[index] ?? {};
        return outcomeOfBody(outcome, verb, asked.isInDoubt);
      });
    } catch (error) {
      return kind === "atomic"
        ? outcomesOfRefusal(error, steps)
        : steps.map(() => outcomeOfError(error));
    }
  }

  async query(kind: QueryKind, asked: AskedQuery): Promise<Answer> {
    const { where, prefix, limit, level, cursor } = asked;
    const body = JSON.stringify(
      kind === "keys" ? { prefix, limit, cursor } : kind === "count" ? { where } : pageAsked(asked),
    );
    const fields = headers();
    if (level !== "linearizable") fields.set("Kv-Read", level);
    try {
      const { reply } = await this.#ask(`${this.store}.${kind}`, body, fields, false);
      const { items, keys, count, complete, cursor: next } = reply.json<PageBody>();
      const more = typeof next === "string";
      return {
        kind: "answered",
        ...(items === undefined ? {} : { items: items.map(plainItem) }),
        ...(keys === undefined ? {} : { keys }),
        ...(count === undefined ? {} : { count }),
        complete: complete !== false,
        more,
        ...(more ? { cursor: next } : {}),
      };
    } catch (error) {
      return refusedQuery(error);
    }
  }

  async #single(step: Asked, id: string): Promise<StepOutcome> {
    const { verb, key } = step;
    const isWrite = verb !== "get";
    const fields = fieldsOf(step, isWrite ? id : undefined);
    const body = verb === "incr" ? JSON.stringify({ by: step.by ?? 1 }) : (step.value ?? "");
    const send = async (): Promise<Msg> =>
      (await this.#ask(`${this.store}.${verb}.${key}`, body, fields, isWrite)).reply;
    const told = (reply: Msg): StepOutcome => {
      if (isWrite) return outcomeOfBody(reply.json<Body>(), verb);
      const revision = Number(reply.headers?.get("Kv-Revision"));
      return { kind: "value", value: reply.string(), revision };
    };
    if (!isWrite || !this.sendsTwice) return told(await send());
    const [one, other] = await Promise.all(
      [send(), send()].map((reply) => reply.then(told, outcomeOfError)),
    );
    return agreed(one as StepOutcome, other as StepOutcome);
  }

  /** `isInDoubt`: an earlier attempt had no answer. */
  async #ask(
    subject: string,
    body: string,
    fields: MsgHdrs,
    isWrite: boolean,
  ): Promise<{ readonly reply: Msg; readonly isInDoubt: boolean }> {
    const endMs = performance.now() + this.timeoutMs;
    let isInDoubt = false;
    for (;;) {
      const reply = await attempt(this.nats, subject, body, fields);
      if (!(reply instanceof KvError)) return { reply, isInDoubt };
      if (!reply.retryable) {
        if (isWrite && isInDoubt && reply.isUndecided) {
          throw new KvError("in-doubt", "an attempt had no answer");
        }
        throw reply;
      }
      isInDoubt ||= reply.written === "unknown";
      if (performance.now() + PAUSE_MS > endMs) {
        // A refusal now says nothing about an earlier attempt that nobody answered.
        if (isWrite && isInDoubt) throw new KvError("in-doubt", "no answer in time");
        throw new KvError("unavailable", "no answer in time");
      }
      await sleep(systemClock, PAUSE_MS);
    }
  }
}

interface PageBody {
  readonly items?: readonly Body[];
  readonly keys?: readonly string[];
  readonly count?: number;
  readonly complete?: boolean;
  readonly cursor?: string | null;
}

function pageAsked({ where, limit, cursor }: AskedQuery): Body {
  return { where, limit, cursor };
}

function plainItem({ key, value, revision }: Body): {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
} {
  return { key: String(key), value: JSON.stringify(value), revision: Number(revision) };
}

/** One request, sent twice: what is known of one copy is known of the request. */
function agreed(one: StepOutcome, other: StepOutcome): StepOutcome {
  const known = [one, other].filter(({ kind }) => kind !== "unknown" && kind !== "refused");
  const [first = one, second = first] = known;
  if (JSON.stringify(first) !== JSON.stringify(second)) {
    const told = `${JSON.stringify(one)} and ${JSON.stringify(other)}`;
    throw new DoubledRequest(`one request, sent twice, was told ${told}`);
  }
  if (known.length > 0) return first;
  return one.kind === "unknown" ? one : other;
}

/** Two copies of one request were told different things. */
export class DoubledRequest extends Error {
  override readonly name = "DoubledRequest";
}

function fieldsOf({ ifRevision, level }: Partial<Asked>, id: string | undefined): MsgHdrs {
  const fields = headers();
  if (id !== undefined) fields.set("Kv-Request-Id", id);
  if (ifRevision !== undefined) fields.set("Kv-If-Revision", String(ifRevision));
  if (level !== undefined) fields.set("Kv-Read", level);
  return fields;
}

function jsonOf({ verb, key, value, by, ifRevision }: Asked): Body {
  return {
    op: verb,
    key,
    ...(value === undefined ? {} : { value: JSON.parse(value) as unknown }),
    ...(by === undefined ? {} : { by }),
    ...(ifRevision === undefined ? {} : { if_revision: ifRevision }),
  };
}

/** `isInDoubt`: a refusal for now says nothing about an earlier attempt that nobody answered. */
function outcomeOfBody(body: Body, verb: Step["verb"], isInDoubt = false): StepOutcome {
  if (body["error"] !== undefined) {
    const error = KvError.fromBody(body["error"]);
    if (verb !== "get" && isInDoubt && error.isUndecided) {
      return { kind: "unknown", error: error.kind };
    }
    return outcomeOfError(error);
  }
  const { revision, value } = body as { readonly revision: number | null; value?: unknown };
  if (verb === "get") {
    return { kind: "value", value: JSON.stringify(value), revision: Number(revision) };
  }
  return wrote({ ...(body as Body & Told), revision });
}

async function attempt(
  nats: NatsConnection,
  subject: string,
  body: string,
  fields: MsgHdrs,
): Promise<Msg | KvError> {
  let reply: Msg;
  try {
    reply = await nats.request(subject, body, { headers: fields, timeout: ATTEMPT_MS });
  } catch (cause) {
    // No answer, no responder, or no connection: the same id makes it safe to send again.
    return new KvError("in-doubt", "no answer", {}, { cause });
  }
  const isError = reply.headers?.has("Nats-Service-Error-Code") === true;
  return isError ? KvError.fromBody(reply.json<{ error: unknown }>().error) : reply;
}
