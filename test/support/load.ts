/**
 * Load: many requests at once against a running cluster, and what must be true of it afterwards.
 *
 * Workers share counters, and each has keys that it alone writes, so that it knows what the last
 * acknowledged write left there. Half of them go through our client, which sends again by itself;
 * the others are plain NATS programs, which send again by hand with the same request id.
 *
 * What is checked
 *   1. A key holds the value of its last acknowledged write or, if a later write stayed in doubt,
 *      of that write.
 *   2. A counter stands at the number of acknowledged increments, whether by incr or by a set
 *      under a condition; those in doubt may have counted.
 *   3. A linearizable read after an acknowledged write sees it.
 *   4. find and count agree with the values got key by key.
 */
import { expect } from "chai";
import { connect as connectNats, headers, type Msg, type NatsConnection } from "nats";
import { v7 as uuidV7 } from "uuid";
import {
  connect,
  isConflict,
  isInDoubt,
  KvError,
  type Ringdex,
} from "../../infra/client/client.js";
import type { Cluster } from "./cluster.js";
import { until } from "./until.js";

const CLIENTS = 4;
const WORKERS_PER_CLIENT = 12;
const PLAIN_CLIENTS = 2;
const WORKERS_PER_PLAIN_CLIENT = 24;
const KEYS_PER_WORKER = 24;
const COUNTERS = 8;
/** Of turns: increment, conditional increment, delete, set and read, and the rest set. */
const KINDS = 8;
const ATTEMPT_TIMEOUT_MS = 2_000;
const OPERATION_TIMEOUT_MS = 60_000;
const PAUSE_MS = 50;

/** Requests under way at any time: one for each worker. */
export const IN_FLIGHT = CLIENTS * WORKERS_PER_CLIENT + PLAIN_CLIENTS * WORKERS_PER_PLAIN_CLIENT;

interface Item {
  readonly load: string;
  readonly worker: number;
  readonly turn: number;
  readonly group: number;
}

/** A key's allowed values; undefined = absent. One, unless a write stayed in doubt. */
type Allowed = (Item | undefined)[];

/** The writes and reads that a worker's turn is made of. Each rejects with KvError. */
interface Access {
  set(key: string, value: unknown, ifRevision?: number): Promise<unknown>;
  del(key: string): Promise<unknown>;
  incr(key: string): Promise<unknown>;
  get(key: string): Promise<{ readonly value: unknown; readonly revision: number } | undefined>;
}

interface Counter {
  acknowledged: number;
  inDoubt: number;
}

export class Load {
  acknowledged = 0;
  readonly #keys = new Map<string, Allowed>();
  readonly #counters = new Map<string, Counter>();
  readonly #problems: string[] = [];
  #isStopping = false;
  #workers: Promise<void>[] = [];
  #closing: (() => Promise<unknown>)[] = [];

  /** `name` begins its keys, and is an attribute of its values. */
  constructor(
    private readonly cluster: Cluster,
    private readonly name: string,
  ) {}

  async start(): Promise<void> {
    const servers = this.cluster.url;
    let worker = 0;
    for (let client = 0; client < CLIENTS; client += 1) {
      const db = await connect<unknown>({ servers, timeoutMs: OPERATION_TIMEOUT_MS });
      this.#closing.push(() => db.close());
      const access = throughClient(db);
      for (let each = 0; each < WORKERS_PER_CLIENT; each += 1) this.#begin(worker++, access);
    }
    for (let client = 0; client < PLAIN_CLIENTS; client += 1) {
      const nats = await connectNats({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
      this.#closing.push(() => nats.close());
      const access = throughNats(nats, this.cluster.store);
      for (let each = 0; each < WORKERS_PER_PLAIN_CLIENT; each += 1) this.#begin(worker++, access);
    }
  }

  /** Resolves when `count` more operations have been acknowledged. */
  async more(count: number): Promise<void> {
    const goal = this.acknowledged + count;
    const isDone = (): boolean => this.acknowledged >= goal || this.#problems.length > 0;
    await until(isDone, OPERATION_TIMEOUT_MS, `${count} more acknowledged operations`);
    expect(this.#problems).to.deep.equal([]);
  }

  /** Lets each worker finish its turn. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#workers);
    await Promise.all(this.#closing.splice(0).map((close) => close()));
  }

  /** Throws what is not as the head of this file says. After stop(). */
  async check(db: Ringdex<unknown>): Promise<void> {
    expect(this.#problems).to.deep.equal([]);
    const found = await db.getMany<Item>(this.#keys.keys());
    for (const [key, allowed] of this.#keys) {
      const value = found.get(key)?.value;
      const isAllowed = allowed.some((one) => JSON.stringify(one) === JSON.stringify(value));
      expect(isAllowed, `${key}: ${JSON.stringify({ value, allowed })}`).to.equal(true);
    }
    for (const [key, { acknowledged, inDoubt }] of this.#counters) {
      const value = (await db.get<number>(key))?.value ?? 0;
      const range = `${key}: ${acknowledged} acknowledged, ${inDoubt} in doubt`;
      expect(value, range).to.be.within(acknowledged, acknowledged + inDoubt);
    }
    const where = { load: this.name, group: { $gte: 3 } };
    const matching = [...found].filter(([, { value }]) => value.group >= 3).map(([key]) => key);
    const items = await db.find<Item>(where, { pageSize: 500 }).toArray();
    expect(items.map(({ key }) => key).toSorted()).to.deep.equal(matching.toSorted());
    for (const { key, value } of items) expect(value).to.deep.equal(found.get(key)?.value);
    expect(await db.count(where)).to.equal(matching.length);
  }

  #begin(worker: number, access: Access): void {
    const work = async (): Promise<void> => {
      for (let turn = 0; !this.#isStopping; turn += 1) {
        try {
          await this.#turn(worker, turn, access);
        } catch (error) {
          this.#problems.push(`worker ${worker}, turn ${turn}: ${String(error)}`);
          return;
        }
      }
    };
    this.#workers.push(work());
  }

  async #turn(worker: number, turn: number, access: Access): Promise<void> {
    const kind = (worker + turn) % KINDS;
    const counter = `${this.name}.counter.${(worker + Math.floor(turn / KINDS)) % COUNTERS}`;
    if (kind === 0) return this.#count(`${counter}.incr`, (key) => access.incr(key));
    if (kind === 1) return this.#raise(`${counter}.conditional`, access);
    const key = `${this.name}.item.${worker}.${turn % KEYS_PER_WORKER}`;
    if (kind === 2) return this.#write(key, undefined, () => access.del(key));
    const item = { load: this.name, worker, turn, group: turn % 7 };
    await this.#write(key, item, () => access.set(key, item));
    if (kind === 3) await this.#read(key, access);
  }

  async #write(key: string, left: Item | undefined, write: () => Promise<unknown>): Promise<void> {
    const before = this.#keys.get(key) ?? [undefined];
    this.#keys.set(key, [...before, left]);
    try {
      await write();
    } catch (error) {
      if (isInDoubt(error)) return;
      throw error;
    }
    this.#keys.set(key, [left]);
    this.acknowledged += 1;
  }

  async #read(key: string, access: Access): Promise<void> {
    const value = (await access.get(key))?.value;
    const allowed = this.#keys.get(key) ?? [];
    if (allowed.some((one) => JSON.stringify(one) === JSON.stringify(value))) return;
    throw new Error(`read ${key}: ${JSON.stringify({ value, allowed })}`);
  }

  async #count(key: string, write: (key: string) => Promise<unknown>): Promise<void> {
    const counter = this.#counters.get(key) ?? { acknowledged: 0, inDoubt: 0 };
    this.#counters.set(key, counter);
    try {
      await write(key);
      counter.acknowledged += 1;
      this.acknowledged += 1;
    } catch (error) {
      if (isInDoubt(error)) counter.inDoubt += 1;
      else if (!isConflict(error)) throw error;
    }
  }

  /** One more than was read, if nobody wrote since: a conflict is nobody's fault, and no count. */
  async #raise(key: string, access: Access): Promise<void> {
    const entry = await access.get(key);
    const raised = Number(entry?.value ?? 0) + 1;
    await this.#count(key, () => access.set(key, raised, entry?.revision ?? 0));
  }
}

function throughClient(db: Ringdex<unknown>): Access {
  return {
    set: (key, value, ifRevision) =>
      db.set(key, value, ifRevision === undefined ? {} : { ifRevision }),
    del: (key) => db.del(key),
    incr: (key) => db.incr(key),
    get: (key) => db.get(key),
  };
}

/** As a program in any language does it, from docs/protocol.md alone. */
function throughNats(nats: NatsConnection, store: string): Access {
  const ask = async (
    verb: string,
    key: string,
    body: string,
    ifRevision?: number,
  ): Promise<Msg> => {
    const fields = headers();
    if (verb !== "get") fields.set("Kv-Request-Id", uuidV7());
    if (ifRevision !== undefined) fields.set("Kv-If-Revision", String(ifRevision));
    const endMs = performance.now() + OPERATION_TIMEOUT_MS;
    for (;;) {
      const error = await attempt(nats, `${store}.${verb}.${key}`, body, fields);
      if (!(error instanceof KvError)) return error;
      if (!error.retryable || performance.now() > endMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  return {
    set: (key, value, ifRevision) => ask("set", key, JSON.stringify(value), ifRevision),
    del: (key) => ask("del", key, ""),
    incr: (key) => ask("incr", key, '{"by":1}'),
    async get(key) {
      try {
        const reply = await ask("get", key, "");
        return { value: reply.json(), revision: Number(reply.headers?.get("Kv-Revision")) };
      } catch (error) {
        if (error instanceof KvError && error.kind === "not-found") return undefined;
        throw error;
      }
    },
  };
}

async function attempt(
  nats: NatsConnection,
  subject: string,
  body: string,
  fields: ReturnType<typeof headers>,
): Promise<Msg | KvError> {
  let reply: Msg;
  try {
    reply = await nats.request(subject, body, { headers: fields, timeout: ATTEMPT_TIMEOUT_MS });
  } catch (cause) {
    // No answer, no responder, or no connection: the same id makes it safe to send again.
    return new KvError("in-doubt", "no answer", {}, { cause });
  }
  const isError = reply.headers?.has("Nats-Service-Error-Code") === true;
  return isError ? KvError.fromBody(reply.json<{ error: unknown }>().error) : reply;
}
