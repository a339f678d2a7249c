/**
 * Hostile messages: one for each number, made from a seed alone.
 *
 * Every subject that something of the store listens to has its kinds, and each kind its own valid
 * messages to begin with. A third of the messages is valid or nearly so, a third mutated, a third
 * made to break decoders.
 */
import { hash32 } from "../../protocol/digest.js";
import type { Origin, Sequence } from "../../protocol/ids.js";
import { encodeEntry, BEHAVIOUR_VERSION, type EntryBody } from "../../protocol/log/entry.js";
import { isSubjectKey, multiKeyVerbs, singleKeyVerbs } from "../../protocol/nats/subjects.js";
import type { Operation } from "../../protocol/operation.js";
import { positionOf } from "../../protocol/position.js";
import { forgedCursor } from "./forged-cursor.js";
import { anyHeaders } from "./headers.js";
import { mutated } from "./mutate.js";
import { lookVerbs, nodePayload, repairVerbs } from "./node-messages.js";
import * as payloads from "./payloads.js";
import { Random } from "./random.js";
import type { Target } from "./target.js";

/** What a message is sent to; the rows of the table that is printed. */
export const kinds = [
  "key in the subject",
  "key in the payload",
  "many keys",
  "position, key in the subject",
  "position, packed",
  "shard",
  "node",
  "repair",
  "service",
  "relay",
  "log",
  "event",
  "ring bucket",
  "nobody",
] as const;
export type Kind = (typeof kinds)[number];

/** Where the answer is to go: to us, nowhere, or where it must not. */
export type ReplyTo = "us" | "nobody" | "theirs";

export interface HostileMessage {
  readonly kind: Kind;
  readonly verb: string;
  readonly subject: Buffer;
  readonly headers: Buffer | undefined;
  readonly data: Buffer;
  readonly replyTo: ReplyTo;
  /** How many are to come, if they come to us. */
  readonly answers: number;
  /** Of `theirs`. */
  readonly reply: Buffer | undefined;
  /** nats-server may say that nobody listens. */
  readonly mayBeUnheard: boolean;
}

/** Keys that valid messages use. No other key begins so. */
const KEY_PREFIX = "hostile";
/** What must never be set: only replies point there. */
export const LOOP_PREFIX = "looped";

/** nats-server's `max_payload`, headers included: it ends the connection of who sends more. */
const SERVER_PAYLOAD_MAX = 1_048_576;
/** Its `max_control_line` for both subjects, less the line's other words: it does the same. */
const SERVER_LINE_MAX = 4_096 - 64;

const keyed: readonly Kind[] = ["key in the subject", "position, key in the subject"];

export function messageAt(seed: number, index: number, target: Target): HostileMessage {
  return new Maker(Random.at(seed, index), target, index).message();
}

class Maker {
  constructor(
    private readonly random: Random,
    private readonly target: Target,
    private readonly index: number,
  ) {}

  message(): HostileMessage {
    const { random } = this;
    const kind = this.#kind();
    const verb = this.#verb(kind);
    const key = keyed.includes(kind) ? this.#subjectKey() : undefined;
    const { subject, answers } = this.#place(kind, verb, key);
    const heads = kind === "log" || kind === "event" || kind === "ring bucket";
    const headers = heads && !random.once(8) ? undefined : anyHeaders(random);
    const replyTo = this.#replyTo(kind);
    if (replyTo === "theirs" && random.once(3)) return this.#purge();
    return {
      kind,
      verb,
      subject,
      headers,
      data: this.#payload(kind, verb).subarray(0, SERVER_PAYLOAD_MAX - (headers?.length ?? 0)),
      replyTo,
      answers,
      reply: replyTo === "theirs" ? this.#theirs(SERVER_LINE_MAX - subject.length) : undefined,
      mayBeUnheard: kind === "nobody" || (key !== undefined && !isPlain(key)),
    };
  }

  /** An answer that JetStream would obey: a get's is any bytes that somebody has stored. */
  #purge(): HostileMessage {
    return {
      kind: "key in the subject",
      verb: "get",
      subject: Buffer.from(`${this.target.names.store}.get.${PURGE_KEY}`),
      headers: undefined,
      data: Buffer.alloc(0),
      replyTo: "theirs",
      answers: 0,
      reply: Buffer.from(`$JS.API.STREAM.PURGE.${VICTIM_STREAM}`),
      mayBeUnheard: false,
    };
  }

  #kind(): Kind {
    const { random } = this;
    // What is kept in a stream costs a write to disk each.
    const rare = random.below(100);
    if (rare < 4) return "log";
    if (rare < 6) return "event";
    if (rare < 8) return "ring bucket";
    if (rare < 10) return "relay";
    if (rare < 12) return "service";
    if (rare < 14) return "node";
    if (rare < 17) return "nobody";
    if (rare < 20) return "repair";
    return random.pick(kinds.slice(0, 6));
  }

  #verb(kind: Kind): string {
    const { random } = this;
    switch (kind) {
      case "many keys":
        return random.pick(multiKeyVerbs);
      case "shard":
        return random.pick(["batch", "get", "find", "count", "keys", "bogus"]);
      case "node":
        return random.pick(lookVerbs);
      case "repair":
        return random.pick(repairVerbs);
      case "service":
        return random.pick(["PING", "INFO", "STATS"]);
      case "relay":
        return random.pick(["relay", "relay-alive"]);
      case "position, packed":
      case "position, key in the subject":
        // A replica hears whatever comes after its position.
        return random.once(20) ? "bogus" : random.pick(singleKeyVerbs);
      case "key in the subject":
      case "key in the payload":
      case "log":
      case "event":
      case "ring bucket":
      case "nobody":
        return random.pick(singleKeyVerbs);
    }
  }

  #place(
    kind: Kind,
    verb: string,
    key: Buffer | undefined,
  ): Pick<HostileMessage, "subject" | "answers"> {
    if (kind === "service") return this.#service(verb);
    // The relays' words to one another are heard by all and answered by none.
    const answers = kind === "relay" && verb === "relay-alive" ? 0 : 1;
    return { subject: this.#subject(kind, verb, key), answers };
  }

  /** All services, those of a name, or one. */
  #service(verb: string): Pick<HostileMessage, "subject" | "answers"> {
    const { random } = this;
    const { services } = this.target;
    const { name, id } = random.pick(services);
    const head = `$SRV.${verb}`;
    switch (random.below(4)) {
      case 0:
        return { subject: Buffer.from(head), answers: services.length };
      case 1: {
        const answers = services.filter((each) => each.name === name).length;
        return { subject: Buffer.from(`${head}.${name}`), answers };
      }
      default:
        return { subject: Buffer.from(`${head}.${name}.${id}`), answers: 1 };
    }
  }

  #subject(kind: Exclude<Kind, "service">, verb: string, key: Buffer | undefined): Buffer {
    const { names, shards, nodes, positionCount } = this.target;
    const { random } = this;
    const { store } = names;
    const { shard, logSubject } = random.pick(shards);
    const position = random.below(positionCount);
    const withKey = (head: string): Buffer =>
      Buffer.concat([Buffer.from(`${head}.`), key ?? Buffer.alloc(0)]);
    switch (kind) {
      case "key in the subject":
        return withKey(`${store}.${verb}`);
      case "position, key in the subject":
        return withKey(`${store}.ring.${position}.${verb}`);
      case "key in the payload":
      case "many keys":
        return Buffer.from(`${store}.${verb}`);
      case "position, packed":
        return Buffer.from(`${store}.ring.${position}.${verb}`);
      case "shard":
        return Buffer.from(`${store}.shard.${shard}.${verb}`);
      case "node":
      case "repair":
        return Buffer.from(`${store}.node.${random.pick(nodes)}.${verb}`);
      case "relay":
        return Buffer.from(`${store}.${verb}.${shard}`);
      case "log":
        return Buffer.from(logSubject);
      case "event":
        return Buffer.from(`${store}.event.${random.pick(["set", "del", "bogus"])}.${KEY_PREFIX}`);
      case "ring bucket":
        return Buffer.from(`$KV.${names.ringBucket}.${random.pick(["ring", "ring", "other"])}`);
      case "nobody":
        return Buffer.from(`${store}.${random.pick(["bogus", "find.a", "node.n0.x", "log.s1.0"])}`);
    }
  }

  /** Bytes of a subject after its verb; those that a protocol line cannot carry are not among. */
  #subjectKey(): Buffer {
    const { random } = this;
    if (!random.once(4)) return Buffer.from(this.#key().replace(/[\s]/g, "_") || "a");
    const bytes = random.once(2)
      ? random.shortBytes(60)
      : Buffer.from(random.pick(["a..b", ".", "a.", "*", "a.>", "a.*.b", "x.".repeat(40), "\x7f"]));
    return Buffer.from(bytes.map((byte) => (byte <= 0x20 ? 0x61 : byte)));
  }

  #key(): string {
    const { random } = this;
    if (random.once(6)) return random.pick(payloads.texts);
    const name = `${KEY_PREFIX}.${random.below(200)}`;
    return random.once(8) ? `{${KEY_PREFIX}}${random.below(20)}` : name;
  }

  #replyTo(kind: Kind): ReplyTo {
    const chance = this.random.below(20);
    if (chance === 0) return "nobody";
    return chance === 1 && kind !== "log" && kind !== "event" && kind !== "ring bucket"
      ? kind === "relay" || kind === "nobody"
        ? "nobody"
        : "theirs"
      : "us";
  }

  #theirs(bytesMax: number): Buffer {
    const { names, shards } = this.target;
    const { store } = names;
    const { random } = this;
    const key = `${LOOP_PREFIX}.${this.index}`;
    const { shard, logSubject } = random.pick(shards);
    const subjects = [
      `${store}.set.${key}`,
      `${store}.ring.5.set.${key}`,
      `${store}.incr.${key}`,
      `${store}.get.${key}`,
      `${store}.set`,
      `${store}.batch`,
      `${store}.find`,
      logSubject,
      `${store}.event.set.${key}`,
      `${store}.shard.${shard}.batch`,
      `${store}.node.n1.status`,
      `${store}.node.n1.refill`,
      `${store}.node.n1.repair`,
      `${store}.shard.${shard}.get`,
      `${store}.relay.${shard}`,
      `$KV.${names.ringBucket}.ring`,
      `$JS.API.STREAM.DELETE.${VICTIM_STREAM}`,
      `$JS.API.STREAM.PURGE.${VICTIM_STREAM}`,
      "$SRV.PING",
      `${KEY_PREFIX}.a*.>`,
      "long.".repeat(random.pick([210, 400, 780])) + "x",
    ];
    const subject = random.pick(subjects);
    return Buffer.from(subject.length > bytesMax ? `${store}.find` : subject);
  }

  #payload(kind: Kind, verb: string): Buffer {
    const { random } = this;
    if (random.once(400)) return payloads.hugeKey(random);
    const valid = this.#valid(kind, verb);
    const how = random.below(10);
    if (how < 4) return kind === "ring bucket" ? this.#ring() : valid;
    if (how < 8) {
      const wrong = mutated(valid, random, [this.#valid(kind, verb)]);
      return kind === "log" && random.once(2) ? withRightHead(valid, wrong) : wrong;
    }
    return payloads.structuredAttack(random);
  }

  /** Valid, or of the right form with wrong members. */
  #valid(kind: Kind, verb: string): Buffer {
    const { random, target } = this;
    switch (kind) {
      case "key in the subject":
      case "position, key in the subject":
        return verb === "set" || verb === "patch" || verb === "incr" || random.once(6)
          ? Buffer.from(random.once(3) ? '{"by":1}' : payloads.jsonText(random))
          : Buffer.alloc(0);
      case "key in the payload":
        return Buffer.from(`{${this.#members(verb).join()}}`);
      case "many keys":
        return this.#manyKeys(verb);
      case "position, packed":
        return payloads.packed(this.#packedOperation(verb));
      case "shard":
        return payloads.packed(
          verb === "batch" || verb === "get" ? this.#packedBatch(verb) : this.#packedQuery(verb),
        );
      case "relay":
        return Buffer.from(payloads.jsonText(random));
      case "log":
        return this.#entry();
      case "ring bucket":
        return Buffer.from(JSON.stringify(target.ring));
      case "node":
      case "repair":
        return nodePayload(verb, random, target);
      case "service":
      case "event":
      case "nobody":
        return Buffer.from(payloads.jsonText(random));
    }
  }

  #members(verb: string): string[] {
    const { random } = this;
    const members = [`"key":${JSON.stringify(this.#key())}`];
    if (verb === "set") members.push(`"value":${payloads.jsonText(random)}`);
    if (verb === "patch") members.push(`"patch":${payloads.jsonText(random)}`);
    if (verb === "touch") members.push('"ttl":"1h"');
    if (random.once(2)) members.push(`"if_revision":${random.below(4)}`);
    if (random.once(3)) members.push(`"request_id":"r${random.below(50)}"`);
    if (random.once(6)) members.push(`${payloads.jsonString(random)}:${payloads.jsonText(random)}`);
    return members;
  }

  #manyKeys(verb: string): Buffer {
    const { random } = this;
    if (verb === "batch") {
      const ops = Array.from({ length: random.below(8) }, () => {
        const op = random.pick([...singleKeyVerbs, "check"]);
        return `{"op":"${op}",${this.#members(op).join()}}`;
      });
      return Buffer.from(`{"ops":[${ops.join()}]${random.once(3) ? ',"atomic":true' : ""}}`);
    }
    const members: string[] = [];
    if (verb === "keys") members.push(`"prefix":${payloads.jsonString(random)}`);
    else if (random.once(2)) members.push(`"where":${this.#filter(0)}`);
    else members.push('"where":{"n":{"$gt":0}}');
    if (verb !== "count" && random.once(2)) members.push(`"limit":${random.below(1_002)}`);
    if (verb !== "count" && random.once(2)) {
      members.push(
        `"cursor":${JSON.stringify(forgedCursor(random, verb, this.target.names.store))}`,
      );
    }
    if (verb === "find" && random.once(3)) members.push(`"select":${payloads.jsonText(random)}`);
    if (random.once(4)) members.push(`"certificate":${random.once(2)}`);
    return Buffer.from(`{${members.join()}}`);
  }

  #filter(depth: number): string {
    const { random } = this;
    const path = JSON.stringify(random.pick(["n", "a.b", "$key", "tags", "\\$x", "..", "$where"]));
    if (depth < 3 && random.once(4)) {
      return `{"$and":[${this.#filter(depth + 1)},${this.#filter(depth + 1)}]}`;
    }
    const operator = random.pick([
      "$eq",
      "$in",
      "$gt",
      "$gte",
      "$lt",
      "$lte",
      "$prefix",
      "$exists",
      "$ne",
      "$where",
    ]);
    const operand = random.once(2)
      ? payloads.jsonText(random, 4)
      : random.pick(["[1,null]", '"x"', "true", "5", "null", "[]"]);
    return random.once(4) ? `{${path}:${operand}}` : `{${path}:{"${operator}":${operand}}}`;
  }

  #packedOperation(verb: string): Record<string, unknown> {
    const { random } = this;
    // One wrong member makes a whole batch wrong, and one batch in many is to be done.
    if (random.once(2)) return { key: this.#key(), ...wholePart(verb) };
    const map: Record<string, unknown> = { key: this.#key() };
    if (verb === "set" || verb === "patch") map["value"] = Buffer.from(payloads.jsonText(random));
    if (verb === "incr") map["by"] = random.pick([1, 0.5, -0, Infinity, Number.NaN, 2 ** 60]);
    if (verb === "touch") map["ttl"] = random.pick([1_000, "never", 999, 2 ** 50]);
    const names = ["if_revision", "request_index", "content_type", "min_revision", "hops"];
    if (random.once(2)) map[random.pick(names)] = random.pick([0, 1, 3, 1_000, 2 ** 48, -1, 0.5]);
    if (random.once(3)) map["request_id"] = random.pick(payloads.texts);
    if (random.once(4)) map["read"] = random.pick(["stale", "session", "linearizable", "bogus"]);
    if (random.once(6)) map[random.pick(payloads.texts)] = payloads.anyValue(random);
    return map;
  }

  /** For `get` often of gets alone, which are all that it takes. */
  #packedBatch(verb: string): unknown {
    const { random } = this;
    const isOfGets = verb === "get" && random.once(2);
    const ops = Array.from({ length: random.below(8) }, () => {
      const op = isOfGets ? "get" : random.pick([...singleKeyVerbs, "check"]);
      return { op, ...this.#packedOperation(op) };
    });
    return { ops, ...(random.once(3) ? { atomic: true } : {}), hops: random.below(4) };
  }

  #packedQuery(verb: string): unknown {
    const { random } = this;
    const where = Array.from({ length: random.below(4) }, () => [
      random.pick(["n", "$key", "$and", "__proto__", "a.b", "."]),
      random.pick(["eq", "in", "exists", "gt", "lt", "gte", "lte", "prefix", "and", "where"]),
      random.pick([1, "x", null, true, [1, null], [], payloads.anyValue(random)]),
    ]);
    const base = { where, ...(random.once(2) ? { level: "stale" } : {}), scan: random.once(2) };
    const positions = random.once(3)
      ? { positions: [random.pick(["0-5", "7", "9-3", "1023-"])] }
      : {};
    if (verb === "count") return { ...base, ...positions };
    const after = [random.shortBytes(40), random.pick(payloads.texts)];
    return {
      ...base,
      ...positions,
      limit: random.pick([0, 1, 100, 1_000, 1_001]),
      bytes_max: random.pick([0, 1, 1_000, 1_000_000, 2 ** 40]),
      ...(random.once(2) ? { driver: random.below(4) } : {}),
      ...(random.once(2) ? { after } : {}),
      ...(random.once(3) ? { select: [random.pick(payloads.texts)] } : {}),
    };
  }

  /** Whole entries of origins that nobody knows, which hold what no proposer would let in. */
  #entry(): Buffer {
    const { random } = this;
    const origin = `ab${this.index.toString(16).padStart(8, "0")}`.padEnd(32, "0") as Origin;
    const body: EntryBody = random.pick<EntryBody>([
      { kind: "open" },
      { kind: "fence" },
      { kind: "barrier" },
      { kind: "operations", groups: [[this.#operation()], [this.#operation()]] },
    ]);
    const bytes = Buffer.from(
      encodeEntry({
        ...body,
        version: random.once(2) ? BEHAVIOUR_VERSION : random.pick(versions),
        origin,
        number: 1,
        basisSequence: 0 as Sequence,
        basisChain: 0n,
      }),
    );
    return bytes;
  }

  /** As it stands in the bucket, but of an epoch before or after. It is the ring's only version. */
  #ring(): Buffer {
    const { ring } = this.target;
    const epoch = this.random.pick([ring.epoch, 0, 1, ring.epoch + 1, ring.epoch + 5, 2 ** 53]);
    return Buffer.from(JSON.stringify({ ...ring, epoch }));
  }

  #operation(): Operation {
    const key = this.#key();
    const common = { ifRevision: undefined, request: undefined, returnPrevious: false };
    const position = positionOf(key, this.target.positionCount);
    const value = Buffer.from(payloads.jsonText(this.random));
    const contentType = "application/json";
    return { verb: "set", key, position, ...common, value, contentType, ttl: "never" };
  }
}

/** What an operation needs beside its key. */
function wholePart(verb: string): Record<string, unknown> {
  if (verb === "set" || verb === "patch") return { value: Buffer.from('{"n":1}') };
  if (verb === "incr") return { by: 1 };
  if (verb === "touch") return { ttl: 5_000 };
  return verb === "check" ? { if_revision: 0 } : {};
}

/** Of entries: before, at and after the one that logs have. */
const versions = [
  0,
  Math.max(0, BEHAVIOUR_VERSION - 1),
  BEHAVIOUR_VERSION,
  BEHAVIOUR_VERSION + 1,
  255,
];
const ENTRY_HEAD_BYTES = 39;

/**
 * `wrong` with the head of an entry and a right checksum, so that its body is read. What a head
 * says of its proposer's past must be true, or replicas stop, as they should (rule L1).
 */
function withRightHead(entry: Buffer, wrong: Buffer): Buffer {
  const body = wrong.subarray(ENTRY_HEAD_BYTES, -4);
  const bytes = Buffer.concat([entry.subarray(0, ENTRY_HEAD_BYTES), body, Buffer.alloc(4)]);
  bytes.writeUInt32BE(hash32(bytes.subarray(0, -4)), bytes.length - 4);
  return bytes;
}

/** Holds a request to purge a stream. */
export const PURGE_KEY = "purger";
/** A stream that replies would purge, if they could. */
export const VICTIM_STREAM = "hostile-victim";

function isPlain(key: Buffer): boolean {
  return key.every((byte) => byte < 0x80) && isSubjectKey(key.toString());
}

interface Stored {
  readonly kind: Kind;
  readonly verb: string;
  readonly replyTo: ReplyTo;
  readonly answers: number;
  readonly mayBeUnheard: boolean;
  readonly parts: readonly (string | null)[];
}

/** As one line that a person can hand on. */
export function toBase64(message: HostileMessage): string {
  const { kind, verb, replyTo, answers, mayBeUnheard, subject, headers, data, reply } = message;
  const parts = [subject, headers, data, reply].map((part) => part?.toString("base64") ?? null);
  const stored: Stored = { kind, verb, replyTo, answers, mayBeUnheard, parts };
  return Buffer.from(JSON.stringify(stored)).toString("base64");
}

export function fromBase64(line: string): HostileMessage {
  const { parts, ...rest } = JSON.parse(Buffer.from(line, "base64").toString()) as Stored;
  const [subject, headers, data, reply] = parts.map((part) =>
    part === null ? undefined : Buffer.from(part, "base64"),
  );
  const none = Buffer.alloc(0);
  return { ...rest, subject: subject ?? none, headers, data: data ?? none, reply };
}
