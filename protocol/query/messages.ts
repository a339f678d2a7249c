/**
 * Query messages: what a coordinator and a shard's replicas say to each other, in MessagePack.
 *
 *   kv.shard.<shard>.find   where, driver, after, limit, bytes_max, select, values, level, scan,
 *                           positions → rows, more, reached, positions, epoch, sequence
 *   kv.shard.<shard>.count  where, level, scan, positions → count, positions, epoch, sequence
 *   kv.shard.<shard>.keys   as find, → rows of a key only
 *
 * `where` is the parsed filter as a list of [path, operator, operand], not the text that the
 * client sent: it nests no deeper than that, and both sides number its conditions alike.
 * Members are absent when they have their default. A failure is {error: ErrorBody}.
 *
 * The decoder trusts nothing: a message of another form is KvError `bad-request` (requests)
 * or `internal` (replies), never an exception of another kind.
 */
import { Encoder } from "@msgpack/msgpack";
import { KvError } from "../errors.js";
import type { Epoch, Position, Revision, Sequence } from "../ids.js";
import { FILTER_CONDITIONS_MAX, PAGE_ROWS_MAX, REPLY_BYTES_MAX } from "../limits.js";
import { contentTypes, type ContentType } from "../operation.js";
import { fromRanges, toRanges } from "../ring/ring.js";
import { decodeMsgpack } from "../value/msgpack.js";
import type { Driver, Place } from "./cursor.js";
import { conditionOf, type Condition } from "./filter.js";

/** What a query promises to see. `session` over many keys is served as linearizable. */
export type QueryLevel = "linearizable" | "stale";

interface QueryBase {
  readonly conditions: readonly Condition[];
  readonly level: QueryLevel;
  /** May look at more than SCAN_ROWS_MAX rows. */
  readonly scan: boolean;
  /** Ascending; undefined = all that the replica owns. */
  readonly positions: readonly Position[] | undefined;
}

interface PageBase extends QueryBase {
  readonly driver: Driver;
  /** Rows strictly after this; undefined = from the first. */
  readonly after: Place | undefined;
  /** 1 … PAGE_ROWS_MAX. */
  readonly limit: number;
  /** Bytes of keys and values after which the page takes no further row. */
  readonly bytesMax: number;
}

export interface FindRequest extends PageBase {
  readonly verb: "find";
  /** False: rows come without their values. */
  readonly values: boolean;
  /** Attribute paths of which the value is to consist; undefined = the value as it is. */
  readonly select: readonly string[] | undefined;
}
export interface KeysRequest extends PageBase {
  readonly verb: "keys";
}
export interface CountRequest extends QueryBase {
  readonly verb: "count";
}
export type QueryRequest = FindRequest | KeysRequest | CountRequest;

export interface FoundRow extends Place {
  /** 0 in replies of keys. */
  readonly revision: Revision;
  /** Undefined if the request wants no values. */
  readonly value: Uint8Array | undefined;
  readonly contentType: ContentType;
}

/** For what an answer speaks, and at which state. */
export interface Covered {
  /** Positions the replica owned at `sequence`, of those asked for; ascending. */
  readonly positions: readonly Position[];
  readonly epoch: Epoch;
  readonly sequence: Sequence;
}

export interface PageReply extends Covered {
  /** In the driver's order; all of the positions' rows between `after` and `reached`. */
  readonly rows: readonly FoundRow[];
  /** True: there may be rows after `reached`. */
  readonly more: boolean;
  /** The last place looked at; undefined = to the end, or nothing was looked at. */
  readonly reached: Place | undefined;
}

export interface CountReply extends Covered {
  readonly count: number;
}

const encoder = new Encoder({ ignoreUndefined: true });

export function encodeQuery(request: QueryRequest): Uint8Array {
  const base = {
    where: request.conditions.map(packCondition),
    level: request.level === "linearizable" ? undefined : request.level,
    scan: request.scan ? true : undefined,
    positions: request.positions && toRanges(request.positions),
  };
  if (request.verb === "count") return encoder.encode(base);
  const page = {
    ...base,
    driver: request.driver === "key" ? undefined : request.driver,
    after: request.after && packPlace(request.after),
    limit: request.limit,
    bytes_max: request.bytesMax,
  };
  if (request.verb === "keys") return encoder.encode(page);
  return encoder.encode({
    ...page,
    values: request.values ? undefined : false,
    select: request.select,
  });
}

/** Throws KvError `bad-request`. */
export function decodeQuery(
  verb: QueryRequest["verb"],
  payload: Uint8Array,
  positionCount: number,
): QueryRequest {
  const message = new Reader(payload, "bad-request");
  const conditions = message.list("where").map(unpackCondition);
  if (conditions.length > FILTER_CONDITIONS_MAX) throw message.wrong("where");
  const ranges = message.has("positions") ? message.texts("positions") : undefined;
  const base = {
    conditions,
    level: message.has("level") ? ("stale" as const) : ("linearizable" as const),
    scan: message.flag("scan", false),
    positions: ranges && fromRanges(ranges, positionCount),
  };
  if (verb === "count") return { verb, ...base };
  const page = {
    ...base,
    driver: message.has("driver")
      ? message.whole("driver", conditions.length - 1)
      : ("key" as const),
    after: message.has("after") ? message.place("after") : undefined,
    limit: Math.max(1, message.whole("limit", PAGE_ROWS_MAX)),
    bytesMax: message.whole("bytes_max", REPLY_BYTES_MAX),
  };
  if (verb === "keys") return { verb, ...page };
  const select = message.has("select") ? message.texts("select") : undefined;
  return { verb, ...page, values: message.flag("values", true), select };
}

export function encodePageReply(reply: PageReply): Uint8Array {
  return encoder.encode({
    rows: reply.rows.map(packRow),
    more: reply.more ? true : undefined,
    reached: reply.reached && packPlace(reply.reached),
    ...packCovered(reply),
  });
}

export function encodeCountReply(reply: CountReply): Uint8Array {
  return encoder.encode({ count: reply.count, ...packCovered(reply) });
}

export function encodeQueryError(error: KvError): Uint8Array {
  return encoder.encode({ error: error.toBody() });
}

/** The error in a reply, if it is one. Cost for any other reply: two bytes are read. */
export function queryErrorOf(payload: Uint8Array): KvError | undefined {
  // A map of one member whose name has five characters; all other replies have more members.
  if (payload[0] !== 0x81 || payload[1] !== 0xa5) return undefined;
  const { error } = decodeMsgpack(payload) as { readonly error?: unknown };
  return error === undefined ? undefined : KvError.fromBody(error);
}

/** Throws the KvError that the reply tells, or `internal`. */
export function decodePageReply(payload: Uint8Array, positionCount: number): PageReply {
  const message = new Reader(payload, "internal");
  return {
    rows: message.list("rows").map((row) => unpackRow(message, row)),
    more: message.flag("more", false),
    reached: message.has("reached") ? message.place("reached") : undefined,
    ...unpackCovered(message, positionCount),
  };
}

/** Throws the KvError that the reply tells, or `internal`. */
export function decodeCountReply(payload: Uint8Array, positionCount: number): CountReply {
  const message = new Reader(payload, "internal");
  const count = message.whole("count");
  return { count, ...unpackCovered(message, positionCount) };
}

function packCovered({ positions, epoch, sequence }: Covered): object {
  return { positions: toRanges(positions), epoch, sequence };
}

function unpackCovered(message: Reader, positionCount: number): Covered {
  return {
    positions: fromRanges(message.texts("positions"), positionCount),
    epoch: message.whole("epoch") as Epoch,
    sequence: message.whole("sequence") as Sequence,
  };
}

function packPlace({ order, key }: Place): unknown[] {
  return [order, key];
}

/** [order, key, revision, value, content type]; the tail is left out where there is no value. */
function packRow({ order, key, revision, value, contentType }: FoundRow): unknown[] {
  if (value === undefined) return [order, key, revision];
  return [order, key, revision, value, contentTypes.indexOf(contentType)];
}

function unpackRow(message: Reader, row: unknown): FoundRow {
  if (!Array.isArray(row)) throw message.wrong("rows");
  const [order, key, revision, value, type] = row as unknown[];
  const contentType = contentTypes[typeof type === "number" ? type : 0];
  const isRow =
    order instanceof Uint8Array &&
    typeof key === "string" &&
    isWhole(revision) &&
    (value === undefined || value instanceof Uint8Array) &&
    contentType !== undefined;
  if (!isRow) throw message.wrong("rows");
  return { order, key, revision: revision as Revision, value, contentType };
}

function packCondition(condition: Condition): unknown[] {
  const { path, operator } = condition;
  switch (operator) {
    case "in":
      return [path, operator, condition.values];
    case "exists":
      return [path, operator, condition.exists];
    case "prefix":
      return [path, operator, condition.prefix];
    case "eq":
    case "gt":
    case "gte":
    case "lt":
    case "lte":
      return [path, operator, condition.value];
  }
}

/** Built by filter.ts, so that nothing gets past its checks. */
function unpackCondition(packed: unknown): Condition {
  if (Array.isArray(packed)) {
    const [path, operator, operand] = packed as unknown[];
    if (typeof path === "string" && typeof operator === "string") {
      return conditionOf(path, `$${operator}`, operand);
    }
  }
  throw new KvError("bad-request", `"where" of a shard's query lists [path, operator, operand]`);
}

/** Takes a received map apart, member by member. */
class Reader {
  readonly #members: Readonly<Record<string, unknown>>;

  constructor(
    payload: Uint8Array,
    private readonly kind: "bad-request" | "internal",
  ) {
    let decoded: unknown;
    try {
      decoded = decodeMsgpack(payload);
    } catch (cause) {
      throw new KvError(
        kind,
        `a query message is not MessagePack: ${String(cause)}`,
        {},
        { cause },
      );
    }
    if (typeof decoded !== "object" || decoded === null || Array.isArray(decoded)) {
      throw new KvError(kind, "a query message is not a map");
    }
    this.#members = decoded as Record<string, unknown>;
    if (kind === "internal" && this.has("error")) throw KvError.fromBody(this.#members["error"]);
  }

  wrong(name: string): KvError {
    return new KvError(this.kind, `in a query message, the member "${name}" is missing or wrong`);
  }

  has(name: string): boolean {
    return this.#members[name] !== undefined && this.#members[name] !== null;
  }

  list(name: string): readonly unknown[] {
    const value = this.#members[name];
    if (!Array.isArray(value)) throw this.wrong(name);
    return value as unknown[];
  }

  texts(name: string): readonly string[] {
    const list = this.list(name);
    if (!list.every((each) => typeof each === "string")) throw this.wrong(name);
    return list;
  }

  flag(name: string, absent: boolean): boolean {
    const value = this.#members[name] ?? absent;
    if (typeof value !== "boolean") throw this.wrong(name);
    return value;
  }

  whole(name: string, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.#members[name];
    if (!isWhole(value) || value > max) throw this.wrong(name);
    return value;
  }

  place(name: string): Place {
    const [order, key] = this.list(name);
    if (!(order instanceof Uint8Array) || typeof key !== "string") throw this.wrong(name);
    return { order, key };
  }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
