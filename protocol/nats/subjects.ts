/**
 * The names on NATS: every subject, stream, bucket and queue group of a store, one function each.
 *
 * All of them begin with the store's name, so that several stores fit into one NATS account.
 *
 *   kv.<verb>.<key>                    a request about one key, as clients send it
 *   kv.<verb>                          a request without a key in its subject
 *   kv.ring.<position>.<verb>.<key>    the same after nats.conf's mapping (nats-conf.ts)
 *   kv.ring.<position>.<verb>          the same in the packed form, the key in the payload
 *   kv.shard.<shard>.<verb>            to any replica of a shard
 *   kv.node.<node>.<verb>              to one node
 *   kv.node.<node>.log.<level>         what a node's logger says
 *   kv.log.<shard>.<log-id>            a shard's log, kept by stream kv-log-<shard>-<log-id>
 *   kv.event.<op>.<key>                a change, kept by stream kv-events
 *   kv.relay.<shard>                   the relay's place, kept there too
 *   kv.relay-alive.<shard>             what the active relay of a shard says to the others
 *
 * The bucket of the ring table is kv-ring. Store, node and shard names have no dots, so that every
 * part but the key is one token, and the key is all that follows.
 */
import { KvError } from "../errors.js";
import type { LogId, NodeName, Position, ShardId } from "../ids.js";
import { NAME_CHARS_MAX, POSITION_COUNT_MAX } from "../limits.js";
import { subjectVerbs, type SubjectVerb } from "../operation.js";

/** Requests about one key; they go to the key's position. */
export const singleKeyVerbs: readonly SingleKeyVerb[] = subjectVerbs;
export type SingleKeyVerb = SubjectVerb;

/** Requests about many keys or none; they go to a coordinator and have no key in the subject. */
export const multiKeyVerbs = [
  "batch",
  "keys",
  "find",
  "count",
  "distinct",
  "aggregate",
  "explain",
  "ring",
  "status",
  "info",
] as const;
export type MultiKeyVerb = (typeof multiKeyVerbs)[number];

export const eventOperations = ["set", "del", "expire", "reset"] as const;
export type EventOperation = (typeof eventOperations)[number];

/** Of `kv.ring.<position>.<verb>[.<key>]`. */
export interface RingSubject {
  /** As the subject has it: a hint, to be compared with the key's own. */
  readonly position: Position;
  readonly verb: SingleKeyVerb;
  /** Undefined = it is in the payload. Not checked by isSubjectKey: servers also carry `a*`. */
  readonly key: string | undefined;
}

/** Of `kv.<verb>[.<key>]`. */
export interface VerbSubject {
  readonly verb: SingleKeyVerb | MultiKeyVerb;
  /** Undefined = it is in the payload, or the verb has none. Not checked, as above. */
  readonly key: string | undefined;
}

/** Of `kv.shard.<shard>.<verb>`. */
export interface ShardSubject {
  readonly shard: ShardId;
  /** One token. */
  readonly verb: string;
}

const NAME = new RegExp(`^[A-Za-z0-9_-]{1,${NAME_CHARS_MAX}}$`);
const SHARD = /^s[1-9][0-9]{0,8}$/;
const POSITION = /^(?:0|[1-9][0-9]{0,4})$/;
/** Stands for the key of an event whose key fits no subject. */
const NO_SUBJECT_KEY = "_";
const DOT = 0x2e;

const singleKeyVerbSet: ReadonlySet<string> = new Set(singleKeyVerbs);
const multiKeyVerbSet: ReadonlySet<string> = new Set(multiKeyVerbs);

export function isSingleKeyVerb(verb: string): verb is SingleKeyVerb {
  return singleKeyVerbSet.has(verb);
}

function isMultiKeyVerb(verb: string): verb is MultiKeyVerb {
  return multiKeyVerbSet.has(verb);
}

/**
 * True if the key can stand in a subject: tokens parted by single dots, none of them empty, and
 * without U+0000 … U+0020, U+007F, `*` and `>`. Requests and events both ask this function, and
 * a key that is none of these goes by payload.
 *
 * nats-server itself takes `*` and `>` for wildcards only where they are a whole token. Some
 * client libraries do not, and NATS asks not to use them in names, so they are ruled out wherever
 * they stand. The rule is about bytes on purpose: what Unicode calls white space differs between
 * languages and versions, and the server carries it like any other letter.
 */
export function isSubjectKey(key: string): boolean {
  let previous = DOT;
  for (let index = 0; index < key.length; index += 1) {
    const unit = key.charCodeAt(index);
    if (unit <= 0x20 || unit === 0x7f || unit === 0x2a || unit === 0x3e) return false;
    if (unit === DOT && previous === DOT) return false;
    previous = unit;
  }
  return previous !== DOT;
}

/** True for `s1`, `s2`, … */
export function isShardId(text: string): text is ShardId {
  return SHARD.test(text);
}

/** The name, if it can begin subjects, streams and buckets; else throws KvError `bad-request`. */
export function checkStoreName(text: unknown): string {
  const name = checkName("store", text);
  if (name === "_INBOX") {
    throw new KvError("bad-request", "store must not be _INBOX, which NATS uses for replies", {
      field: "store",
    });
  }
  return name;
}

/** The name, if it can stand in a subject; else throws KvError `bad-request`. */
export function checkNodeName(text: unknown): NodeName {
  return checkName("node", text) as NodeName;
}

function checkName(field: string, text: unknown): string {
  if (typeof text === "string" && NAME.test(text)) return text;
  const received = typeof text === "string" ? JSON.stringify(text) : typeof text;
  const form = `1 to ${NAME_CHARS_MAX} of the characters A-Z a-z 0-9 _ -`;
  throw new KvError("bad-request", `${field} must be ${form}, but ${received} was received`, {
    field,
    limit: NAME_CHARS_MAX,
  });
}

/** The names of one store. Throws KvError `bad-request` for a store name that NATS cannot carry. */
export class Names {
  readonly #ringPrefix: string;
  readonly #shardPrefix: string;
  readonly #eventPrefix: string;
  readonly #prefix: string;

  constructor(readonly store: string) {
    this.#prefix = `${checkStoreName(store)}.`;
    this.#ringPrefix = `${store}.ring.`;
    this.#shardPrefix = `${store}.shard.`;
    this.#eventPrefix = `${store}.event.`;
  }

  /** Without `key`: the request that has it in its payload, or needs none. */
  verb(verb: SingleKeyVerb | MultiKeyVerb, key?: string): string {
    return key === undefined ? `${this.#prefix}${verb}` : `${this.#prefix}${verb}.${key}`;
  }

  /** A verb with any key. A coordinator listens here for what the server did not map. */
  verbWildcard(verb: SingleKeyVerb): string {
    return `${this.#prefix}${verb}.>`;
  }

  /** With `key`: as the server's mapping has it. Without: the packed form. */
  ring(position: Position, verb: SingleKeyVerb, key?: string): string {
    const subject = `${this.#ringPrefix}${position}.${verb}`;
    return key === undefined ? subject : `${subject}.${key}`;
  }

  /** All that is for a position. */
  ringWildcard(position: Position): string {
    return `${this.#ringPrefix}${position}.>`;
  }

  shard(shard: ShardId, verb: string): string {
    return `${this.#shardPrefix}${shard}.${verb}`;
  }

  shardWildcard(shard: ShardId): string {
    return `${this.#shardPrefix}${shard}.>`;
  }

  node(node: NodeName, verb: string): string {
    return `${this.#prefix}node.${node}.${verb}`;
  }

  nodeLog(node: NodeName, level: string): string {
    return `${this.#prefix}node.${node}.log.${level}`;
  }

  /** What all nodes' loggers say. */
  get nodeLogWildcard(): string {
    return `${this.#prefix}node.*.log.>`;
  }

  log(shard: ShardId, logId: LogId): string {
    return `${this.#prefix}log.${shard}.${logId}`;
  }

  logStream(shard: ShardId, logId: LogId): string {
    return `${this.store}-log-${shard}-${logId}`;
  }

  /** What all logs are appended to. */
  get logWildcard(): string {
    return `${this.#prefix}log.>`;
  }

  /** Undefined = it keeps no log of this store. */
  parseLogStream(stream: string): { shard: ShardId; logId: LogId } | undefined {
    const start = `${this.store}-log-`;
    if (!stream.startsWith(start)) return undefined;
    const [shard = "", logId = "", ...more] = stream.slice(start.length).split("-");
    if (!isShardId(shard) || !/^[0-9a-f]{16}$/.test(logId) || more.length > 0) return undefined;
    return { shard, logId: logId as LogId };
  }

  get eventsStream(): string {
    return `${this.store}-events`;
  }

  event(operation: EventOperation, key: string): string {
    return `${this.#prefix}event.${operation}.${isSubjectKey(key) ? key : NO_SUBJECT_KEY}`;
  }

  /** All events, without the relay's markers. */
  get eventWildcard(): string {
    return `${this.#prefix}event.>`;
  }

  /** True for what `event` builds, of any operation and key. */
  isEvent(subject: string): boolean {
    return subject.startsWith(this.#eventPrefix);
  }

  relayMarker(shard: ShardId): string {
    return `${this.#prefix}relay.${shard}`;
  }

  get relayMarkerWildcard(): string {
    return `${this.#prefix}relay.>`;
  }

  /** Not below kv.relay, which the events stream keeps. */
  relayAlive(shard: ShardId): string {
    return `${this.#prefix}relay-alive.${shard}`;
  }

  get ringBucket(): string {
    return `${this.store}-ring`;
  }

  /**
   * One queue group for all replicas of all shards: with one for each shard, a message would
   * reach the old and the new owner of a position that moves.
   */
  get shardsQueue(): string {
    return `${this.store}-shards`;
  }

  get coordinatorsQueue(): string {
    return `${this.store}-coordinators`;
  }

  /** Undefined = no subject of this form, or an unknown verb. */
  parseRingSubject(subject: string): RingSubject | undefined {
    if (!subject.startsWith(this.#ringPrefix)) return undefined;
    const start = this.#ringPrefix.length;
    const positionEnd = subject.indexOf(".", start);
    if (positionEnd < 0) return undefined;
    const digits = subject.slice(start, positionEnd);
    const position = Number(digits);
    if (!POSITION.test(digits) || position >= POSITION_COUNT_MAX) return undefined;
    const { head: verb, rest: key } = splitAtDot(subject, positionEnd + 1);
    if (!isSingleKeyVerb(verb) || key === "") return undefined;
    return { position: position as Position, verb, key };
  }

  /** Undefined = no subject of this form, an unknown verb, or a key where none belongs. */
  parseVerbSubject(subject: string): VerbSubject | undefined {
    if (!subject.startsWith(this.#prefix)) return undefined;
    const { head: verb, rest: key } = splitAtDot(subject, this.#prefix.length);
    if (isSingleKeyVerb(verb)) return key === "" ? undefined : { verb, key };
    return isMultiKeyVerb(verb) && key === undefined ? { verb, key } : undefined;
  }

  /** Undefined = no subject of this form. */
  parseShardSubject(subject: string): ShardSubject | undefined {
    if (!subject.startsWith(this.#shardPrefix)) return undefined;
    const { head: shard, rest: verb } = splitAtDot(subject, this.#shardPrefix.length);
    if (!isShardId(shard) || verb === undefined || !NAME.test(verb)) return undefined;
    return { shard, verb };
  }
}

/** The token from `start` on, and all that follows its dot; undefined = no dot. */
function splitAtDot(text: string, start: number): { head: string; rest: string | undefined } {
  const dot = text.indexOf(".", start);
  if (dot < 0) return { head: text.slice(start), rest: undefined };
  return { head: text.slice(start, dot), rest: text.slice(dot + 1) };
}
