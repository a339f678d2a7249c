/**
 * A fake store for the client's tests: plain NATS subscriptions that speak the packed form and
 * JSON as docs/protocol.md has them, without any code of the client or of the packed form.
 *
 * `onOperation` and `onJson` decide what goes wrong. Like a shard, it answers a repeated request
 * id with the first outcome.
 */
import { decode, encode } from "@msgpack/msgpack";
import { connect, headers, type Msg, type NatsConnection } from "nats";
import { positionOf } from "../../../protocol/position.js";

export type Body = Record<string, unknown>;

/** One packed operation, as it came. */
export interface Asked {
  readonly subject: string;
  readonly verb: string;
  readonly body: Body;
}

interface FakeRecord {
  value: Uint8Array;
  contentType: number;
  revision: number;
}

/**
 * done = it is executed; held = executed, and answered at release(); lost = executed, and the reply
 * is lost; silent = neither; else the reply, such as errorBody().
 */
export type Fate = "done" | "held" | "lost" | "silent" | Body;

export class FakeStore {
  readonly asked: Asked[] = [];
  /** Requests to shards, as they came. */
  readonly batches: { readonly subject: string; readonly ops: Body[]; readonly body: Body }[] = [];
  readonly jsonAsked: { readonly verb: string; readonly body: Body; readonly read: string }[] = [];
  readonly records = new Map<string, FakeRecord>();
  readonly #held: (() => void)[] = [];
  readonly #outcomes = new Map<string, Body>();
  readonly #revisions = new Map<number, number>();
  ring: Body | undefined;
  onOperation: (asked: Asked) => Fate = () => "done";
  /** A text is sent as it is. */
  onJson: (verb: string, body: Body) => Body | string = () => ({});

  private constructor(
    readonly connection: NatsConnection,
    readonly positionCount: number,
  ) {
    this.ring = ringOf(positionCount, 1, ["s1", "s2"]);
  }

  static async start(url: string, positionCount = 1_024): Promise<FakeStore> {
    const store = new FakeStore(await connect({ servers: url }), positionCount);
    const { connection } = store;
    connection.subscribe("kv.ring.*.*", { callback: (_, message) => store.#single(message) });
    for (const verb of ["batch", "get"]) {
      const subject = `kv.shard.*.${verb}`;
      connection.subscribe(subject, { callback: (_, message) => store.#batch(message) });
    }
    for (const verb of ["ring", "info", "find", "count", "keys"]) {
      connection.subscribe(`kv.${verb}`, { callback: (_, message) => store.#json(verb, message) });
    }
    await connection.flush();
    return store;
  }

  /** A ring of a later epoch with these shards, in equal parts. */
  useRing(epoch: number, shards: readonly string[]): void {
    this.ring = ringOf(this.positionCount, epoch, shards);
  }

  async stop(): Promise<void> {
    await this.connection.close();
  }

  #single(message: Msg): void {
    const verb = message.subject.split(".")[3] ?? "";
    const body = decode(message.data) as Body;
    const asked = { subject: message.subject, verb, body };
    this.asked.push(asked);
    const fate = this.onOperation(asked);
    if (fate === "silent") return;
    const reply = typeof fate === "object" ? fate : this.#execute(verb, body);
    if (fate === "held") this.#held.push(() => void message.respond(encode(reply)));
    else if (fate !== "lost") message.respond(encode(reply));
  }

  /** Answers what was held, the oldest first, and says how many that were. */
  release(countMax = Infinity): number {
    const answers = this.#held.splice(0, countMax);
    for (const answer of answers) answer();
    return answers.length;
  }

  #batch(message: Msg): void {
    const body = decode(message.data) as Body;
    const list = body["ops"] as Body[];
    this.batches.push({ subject: message.subject, ops: list, body });
    const fates = list.map((operation) => {
      const asked = { subject: message.subject, verb: String(operation["op"]), body: operation };
      this.asked.push(asked);
      return this.onOperation(asked);
    });
    if (fates.includes("silent")) return;
    const refused = fates.findIndex((fate) => typeof fate === "object");
    if (body["atomic"] === true && refused >= 0) {
      const error = { ...((fates[refused] as Body)["error"] as Body), index: refused };
      message.respond(encode({ error }));
      return;
    }
    const outcomes = list.map((operation, index) => {
      const fate = fates[index];
      return typeof fate === "object" ? fate : this.#execute(String(operation["op"]), operation);
    });
    if (!fates.includes("lost")) message.respond(encode({ outcomes }));
  }

  #json(verb: string, message: Msg): void {
    const body: Body = message.data.length === 0 ? {} : message.json<Body>();
    this.jsonAsked.push({ verb, body, read: message.headers?.get("Kv-Read") ?? "" });
    const reply = verb === "ring" ? this.ring : this.onJson(verb, body);
    if (typeof reply === "string") message.respond(reply);
    else if (reply !== undefined) message.respond(JSON.stringify(reply));
  }

  #execute(verb: string, body: Body): Body {
    const key = String(body["key"]);
    const id = body["request_id"];
    const position = positionOf(key, this.positionCount);
    if (verb === "get") return this.#get(key, position);
    const name = `${position} ${String(id)} ${Number(body["request_index"] ?? 0)}`;
    const before = id === undefined ? undefined : this.#outcomes.get(name);
    if (before !== undefined) return before;
    const outcome = this.#write(verb, key, position, body);
    if (id !== undefined) this.#outcomes.set(name, outcome);
    return outcome;
  }

  #get(key: string, position: number): Body {
    const record = this.records.get(key);
    if (record === undefined) return errorBody("not-found", 404);
    const { value, contentType: content_type, revision } = record;
    return {
      value,
      content_type,
      revision,
      position,
      updated_at: 1_700_000_000_000,
      expires_at: 0,
    };
  }

  #write(verb: string, key: string, position: number, body: Body): Body {
    const record = this.records.get(key);
    const wanted = body["if_revision"];
    if (wanted !== undefined && wanted !== (record?.revision ?? 0)) {
      return errorBody("conflict", 409, { revision: record?.revision ?? 0 });
    }
    const base = { verb, key, position };
    if (verb === "del" && record === undefined) return { ...base, revision: 0, existed: false };
    if (verb === "check") return { ...base, revision: record?.revision ?? 0 };
    const revision = (this.#revisions.get(position) ?? 0) + 1;
    this.#revisions.set(position, revision);
    if (verb === "del") {
      this.records.delete(key);
      return { ...base, revision, existed: true };
    }
    if (verb === "incr") {
      const number = Number(text(record?.value) || 0) + Number(body["by"]);
      this.records.set(key, { value: bytes(String(number)), contentType: 0, revision });
      return { ...base, revision, number };
    }
    const value = body["value"] as Uint8Array;
    const contentType = Number(body["content_type"] ?? 0);
    this.records.set(key, { value, contentType, revision });
    const previous = record && {
      value: record.value,
      content_type: record.contentType,
      revision: record.revision,
      updated_at: 1_700_000_000_000,
      expires_at: 0,
    };
    const told = body["return"] === "previous" && previous !== undefined ? { previous } : {};
    return { ...base, revision, created: record === undefined, ...told };
  }
}

export function errorBody(name: string, code: number, details: Body = {}): Body {
  const retryable = ["unavailable", "overloaded", "in-doubt"].includes(name);
  const written = name === "in-doubt" ? "unknown" : "no";
  return { error: { code, name, description: `fake ${name}`, retryable, written, ...details } };
}

/** The event message that a relay publishes; `text` = the value's JSON, in place of `value`. */
export async function publishEvent(
  connection: NatsConnection,
  event: { readonly op: string; readonly key: string; readonly revision: number } & Body,
): Promise<void> {
  const header = headers();
  header.set("Kv-Key", encodeURIComponent(event.key));
  header.set("Kv-Position", String(Number(event["position"] ?? positionOf(event.key))));
  header.set("Kv-Revision", String(event.revision));
  header.set("Kv-Updated-At", "2026-01-02T03:04:05.678Z");
  if (event.op === "set") header.set("Content-Type", "application/json");
  const token = /^[\w.-]+$/.test(event.key) ? event.key : "_";
  const json = (event["text"] as string | undefined) ?? JSON.stringify(event["value"] ?? null);
  const data = event.op === "set" ? json : "";
  await connection.jetstream().publish(`kv.event.${event.op}.${token}`, data, { headers: header });
}

function ringOf(positionCount: number, epoch: number, shards: readonly string[]): Body {
  const size = Math.ceil(positionCount / shards.length);
  return {
    store: "kv",
    epoch,
    position_count: positionCount,
    shards: shards.map((shard, index) => ({
      shard,
      log_id: (0x1_000 + index).toString(16).padStart(16, "0"),
      nodes: ["n1"],
      positions: [`${index * size}-${Math.min((index + 1) * size, positionCount) - 1}`],
      weight: 1,
    })),
    nodes: [{ node: "n1", weight: 1 }],
  };
}

function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function text(value: Uint8Array | undefined): string {
  return value === undefined ? "" : new TextDecoder().decode(value);
}
