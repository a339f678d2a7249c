/**
 * What the client's methods take and give: every type a program of ours may have to name.
 *
 * Numbers that are branded inside (revisions, positions) are plain here: nobody should need a cast
 * to hand an entry's revision to the next call.
 */
import type { Authenticator, NatsConnection, TlsOptions } from "nats";
import type { KvError } from "../../protocol/errors.js";
import type { ContentType } from "../../protocol/operation.js";
import type { Session } from "./session.js";
import type { AttributePath, Json, OrderPath } from "./shapes.js";

export type { Filter, Json } from "./shapes.js";

/**
 * How fresh a read is.
 *   linearizable  every write acknowledged before the read began; the default
 *   session       not older than what this session (db.session()) has read or written
 *   stale         whatever the replica asked has
 */
export type ReadLevel = "linearizable" | "session" | "stale";

/** Whole seconds, a duration ("90m", "1h30m", "1d12h", "2w"), or `never`; at least 1 s. */
export type TimeToLive = number | string;

export interface ConnectOptions {
  /** Where NATS is: "127.0.0.1:4222", or several. Default 127.0.0.1:4222. */
  readonly servers?: string | readonly string[];
  /** An open connection of nats.js to use in place of an own one. close() leaves it open. */
  readonly connection?: NatsConnection;
  /** The store's name. Default "kv". */
  readonly store?: string;
  /** How long a call may take with all it sends again. Default REQUEST_TIMEOUT_MS. */
  readonly timeoutMs?: number;
  /** How long one sending waits until it is sent again. Default ATTEMPT_TIMEOUT_MS. */
  readonly attemptTimeoutMs?: number;
  /** What reads do unless they say otherwise. Default linearizable. */
  readonly readLevel?: ReadLevel;
  /** How many requests may be under way; more wait. Default IN_FLIGHT_MAX. */
  readonly inFlightMax?: number;
  /** Called each time a request is to be sent again, with what its last sending came to. */
  readonly onRetry?: (error: KvError) => void;
  /** Shown in NATS's list of connections. */
  readonly name?: string;
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  /** A file with an nkey seed, in place of a user. */
  readonly nkeyFile?: string;
  /** A creds file (JWT and seed), in place of a user. */
  readonly credsFile?: string;
  /** One of nats.js's own, in place of all these. */
  readonly authenticator?: Authenticator | Authenticator[];
  /** `{ caFile, certFile, keyFile }` name PEM files. */
  readonly tls?: TlsOptions;
  /** JetStream's domain, for watch: its API is `$JS.<domain>.API` then. */
  readonly jetstreamDomain?: string;
  /** Replies come to subjects below it. Default `_INBOX.<user>`, without a user `_INBOX`. */
  readonly inboxPrefix?: string;
}

/** What every call takes. */
export interface CallOptions {
  /** How long the call may take with all it sends again. */
  readonly timeoutMs?: number;
  /** Ends the call with the signal's reason. A write under way may still take effect. */
  readonly signal?: AbortSignal;
}

/** What every call about keys takes. */
export interface KeyCallOptions extends CallOptions {
  /** The session that learns from the reply, and to whose reads the call belongs. */
  readonly session?: Session;
}

export interface GetOptions extends KeyCallOptions {
  /** Default: the connection's; `session` where a session is given. */
  readonly read?: ReadLevel;
  /**
   * json, msgpack: the value as an object; other content types are refused (`unsupported`).
   * text: the bytes read as UTF-8. bytes: as they were set. Default: by the content type.
   */
  readonly as?: "json" | "msgpack" | "text" | "bytes";
}

export interface WriteOptions extends KeyCallOptions {
  /** Write only if the key is at this revision; 0 = only if it is absent. */
  readonly ifRevision?: number;
  /** The same as ifRevision: 0. */
  readonly ifAbsent?: boolean;
  /** The result has the entry as it was before. */
  readonly returnPrevious?: boolean;
  /** Instead of one made for the call: a repeat within 60 s gets the first outcome. */
  readonly requestId?: string;
}

export interface SetOptions extends WriteOptions {
  /** Default: none; a set without it clears an earlier one. */
  readonly ttl?: TimeToLive;
  /**
   * Default: application/octet-stream for a Uint8Array, else application/json. With
   * application/msgpack or text/plain the value is encoded so; a Uint8Array is taken as it is.
   */
  readonly contentType?: ContentType;
}

export interface PatchOptions extends WriteOptions {
  /** Default: stays as it is. */
  readonly ttl?: TimeToLive;
}

export interface IncrOptions extends WriteOptions {
  /** Default: stays as it is. */
  readonly ttl?: TimeToLive;
}

/** By how much, and where in the value; without a path the value itself is the number. */
export interface Increment {
  readonly by?: number;
  readonly path?: string;
}

/** One record. */
export interface Entry<Value = Json> {
  readonly key: string;
  readonly value: Value;
  /** Grows with every write of the key; compare it for one key only. */
  readonly revision: number;
  /** The key's place on the ring. */
  readonly position: number;
  readonly updatedAt: Date;
  /** Absent = it stays until it is deleted. */
  readonly expiresAt?: Date;
  readonly contentType: ContentType;
}

interface WriteResult<Value> {
  readonly key: string;
  readonly position: number;
  /** Only with `returnPrevious`, if there was one, and not on a repeated request id. */
  readonly previous?: Entry<Value>;
}

export interface SetResult<Value = Json> extends WriteResult<Value> {
  readonly revision: number;
  /** No record was there before. */
  readonly created: boolean;
}

export type PatchResult<Value = Json> = SetResult<Value>;

export interface DelResult<Value = Json> extends WriteResult<Value> {
  /** Null if there was nothing to delete. */
  readonly revision: number | null;
  readonly existed: boolean;
}

export interface IncrResult<Value = Json> extends WriteResult<Value> {
  readonly revision: number;
  /** The number afterwards. */
  readonly value: number;
}

export interface TouchResult<Value = Json> extends WriteResult<Value> {
  readonly revision: number;
  /** Absent = never. */
  readonly expiresAt?: Date;
}

/** Of a batch's check: that the key was at the revision asked for. */
export interface CheckResult {
  readonly key: string;
  readonly position: number;
  /** 0 = absent. */
  readonly revision: number;
}

/** What came of one operation of many. */
export type Outcome<Result> =
  { readonly ok: true; readonly result: Result } | { readonly ok: false; readonly error: KvError };

/** One entry for setMany. */
export interface SetManyEntry<Value = Json> {
  readonly key: string;
  readonly value: Value;
  readonly ttl?: TimeToLive;
  readonly contentType?: ContentType;
  readonly ifRevision?: number;
  readonly ifAbsent?: boolean;
}

export interface GetManyOptions extends KeyCallOptions {
  readonly read?: ReadLevel;
  /** As for get. */
  readonly as?: "json" | "msgpack" | "text" | "bytes";
}

export type SetManyOptions = KeyCallOptions;

export interface BatchOptions extends KeyCallOptions {
  readonly read?: ReadLevel;
}

export interface QueryOptions extends CallOptions {
  /** `session` is served as linearizable. */
  readonly read?: ReadLevel;
  /** Allow a query that no index serves. */
  readonly scan?: boolean;
  /** Take what can be had when shards are missing; the pages say `complete: false` then. */
  readonly partial?: boolean;
}

export type CountOptions = QueryOptions;

/** What find takes, with the paths that the values have. */
export type FindOptions<Value = Json> = RowOptions<AttributePath<Value>, OrderPath<Value>>;

interface RowOptions<Path extends string, Order extends string> extends QueryOptions {
  /** Items in all. Default: every one. */
  readonly limit?: number;
  /** Items asked for at once. Default PAGE_ROWS_DEFAULT, at most PAGE_ROWS_MAX. */
  readonly pageSize?: number;
  /** Paths, `-path` for descending; ties by key. */
  readonly order?: readonly Order[];
  /** Attributes to bring along; [] = keys only. Default: the whole value. */
  readonly select?: readonly Path[];
  /** Pages tell which shards answered for which positions, and at which sequence. */
  readonly certificate?: boolean;
  /** Go on after an earlier page. */
  readonly cursor?: string;
  /**
   * Each value as its JSON text, every digit as it is stored; texts as they are. What JSON cannot
   * tell comes as bytes.
   */
  readonly as?: "text";
}

export interface FindItem<Value = Json> {
  readonly key: string;
  /** Absent where `select: []` asked for keys only. */
  readonly value: Value;
  readonly revision: number;
  readonly contentType: ContentType;
}

/** What one shard answered for. */
export interface Coverage {
  readonly shard: string;
  readonly epoch: number;
  readonly sequence: number;
  /** "0-340": ranges of positions, both ends included. */
  readonly positions: readonly string[];
}

export interface FindPage<Value = Json> {
  readonly items: readonly FindItem<Value>[];
  /** False only with `partial: true`. */
  readonly complete: boolean;
  readonly certificate?: readonly Coverage[];
  /** Absent on the last page. */
  readonly cursor?: string;
}

export interface KeysOptions extends CallOptions {
  readonly prefix?: string;
  /** Keys in all. Default: every one. */
  readonly limit?: number;
  readonly pageSize?: number;
  readonly read?: ReadLevel;
}

export interface WatchOptions {
  /** Only keys that begin so. */
  readonly prefix?: string;
  /** Where to begin: events from now on (the default), all that are kept, or those since. */
  readonly from?: "now" | "beginning" | Date;
  /** Ends the watch with the signal's reason. */
  readonly signal?: AbortSignal;
  /** As for get. */
  readonly as?: "text" | "bytes";
  /** Called at a gap, after which the watch goes on; without it a gap ends the watch. */
  readonly onGap?: (gap: EventGap) => void;
}

/** Events of a position that are missing, or came twice. */
export interface EventGap {
  readonly position: number;
  readonly revisionExpected: number;
  readonly revision: number;
}

interface EventBase {
  readonly key: string;
  readonly revision: number;
  readonly position: number;
  readonly updatedAt: Date;
}

/** One change. `reset`: the position's history before this revision is gone. */
export type ChangeEvent<Value = Json> =
  | (EventBase & {
      readonly op: "set";
      readonly value: Value;
      readonly contentType: ContentType;
      readonly expiresAt?: Date;
    })
  | (EventBase & { readonly op: "del" | "expire" | "reset" });
