/**
 * Repair: the messages between nodes and the repairer of a shard's log (rule L3). JSON,
 * snake_case.
 *
 *   kv.node.<node>.repair-report   what the node's store of a shard holds; changes nothing
 *   kv.node.<node>.repair          plan or carry out a repair: any node of the ring does it
 *   kv.node.<node>.refill          set a stopped replica's store aside and fill it from another
 *   kv.node.<node>.seed            rows of a store, for one that has to be filled (seed.ts)
 */
import { KvError } from "../errors.js";
import type { LogParent, LoggedLimits } from "../log/entry.js";
import type { ReplicaPhase } from "./replica-phase.js";

export interface RepairReportRequest {
  readonly shard: string;
  /** The store's chain at these sequences is told, where it is known. */
  readonly chains_at: readonly number[];
}

/** What a store holds. */
export interface StoreFinding {
  readonly log_id: string;
  readonly sequence: number;
  /** 16 hexadecimal digits, as LogParent has it. */
  readonly chain: string;
  /** By sequence, of those asked for that are known. */
  readonly chains: Readonly<Record<string, string>>;
  /** What the store's own log goes on from. */
  readonly parent: LogParent | null;
  /** Owned, as ranges. */
  readonly positions: readonly string[];
  readonly limits: LoggedLimits;
  readonly index_excluded: readonly string[];
  readonly behaviour_version: number;
  readonly records: string;
  readonly index: string;
  readonly keys: number;
}

/** Reply of kv.node.<node>.repair-report. */
export interface RepairReport {
  readonly node: string;
  readonly shard: string;
  /** The log that the node takes for the shard's. */
  readonly log_id: string;
  readonly epoch: number;
  readonly state: ReplicaPhase;
  /** Why it is stopped, or is not serving. */
  readonly reason: string;
  /** Null = the store cannot be read, or nothing is in it. */
  readonly store: StoreFinding | null;
}

export interface RepairRequest {
  readonly shard: string;
  /** Nodes whose stores are not waited for. */
  readonly abandon: readonly string[];
  /** A plan's `token`: it is carried out. Left out: only planned. */
  readonly token?: string;
}

/** What becomes of one replica. */
export interface RepairReplica {
  readonly node: string;
  /** Last entry that its store has applied; null = not known. */
  readonly sequence: number | null;
  /**
   *   source      its store is the one that the shard goes on with
   *   equal       its store holds the same, and goes on too
   *   set-aside   its store is kept under another name, and a new one is filled from the source's
   *   abandoned   it was not asked; when it is there again, its store fits or is set aside
   *   serving     nothing is done to it
   */
  readonly fate: "source" | "equal" | "set-aside" | "abandoned" | "serving";
  /** Why, where that is not plain. */
  readonly reason: string;
}

/** Reply of kv.node.<node>.repair. */
export interface RepairReply {
  readonly shard: string;
  /**
   *   nothing   the shard needs no repair
   *   log       a new log goes on after the last entry of the source's store
   *   refill    the log is good; the stores that do not fit it are filled again
   */
  readonly kind: "nothing" | "log" | "refill";
  readonly reason: string;
  readonly replicas: readonly RepairReplica[];
  /** The shard goes on after this entry. */
  readonly sequence: number;
  /** The old log's last entry; null = the log is gone. */
  readonly log_last: number | null;
  readonly token: string;
  /** True once it is carried out. */
  readonly done: boolean;
  /** The shard's log, the new one once it is carried out. */
  readonly log_id: string;
  readonly epoch: number;
}

/** Bytes of a reply that tells an error. */
export function encodeRepairError(error: KvError): Uint8Array {
  return Buffer.from(JSON.stringify({ error: error.toBody() }));
}

/** The reply; throws its own KvError, or `internal` for bytes that are not a reply. */
export function decodeRepairReply<Body>(data: Uint8Array): Body {
  let body: unknown;
  try {
    body = JSON.parse(Buffer.from(data).toString());
  } catch (cause) {
    throw new KvError("internal", "the reply about a repair is not JSON", {}, { cause });
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new KvError("internal", "the reply about a repair is not a JSON object");
  }
  const { error } = body as { readonly error?: unknown };
  if (error !== undefined) throw KvError.fromBody(error);
  return body as Body;
}

/** The request's members, or throws KvError `bad-request`. */
export function parseRepairRequest(data: Uint8Array): RepairRequest {
  const { shard, abandon = [], token } = objectOf(data);
  const names = Array.isArray(abandon) ? (abandon as unknown[]) : [undefined];
  if (!names.every((name): name is string => typeof name === "string")) {
    throw new KvError("bad-request", "abandon must be a list of nodes", { field: "abandon" });
  }
  if (token !== undefined && typeof token !== "string") {
    throw new KvError("bad-request", "token must be the token of a repair plan", {
      field: "token",
    });
  }
  return { shard: textOf(shard), abandon: names, ...(token === undefined ? {} : { token }) };
}

/** The request's members, or throws KvError `bad-request`. */
export function parseReportRequest(data: Uint8Array): RepairReportRequest {
  const { shard, chains_at: at = [] } = objectOf(data);
  const isList = Array.isArray(at) && at.every((each) => Number.isSafeInteger(each));
  if (!isList) {
    throw new KvError("bad-request", "chains_at must be a list of sequences", {
      field: "chains_at",
    });
  }
  return { shard: textOf(shard), chains_at: at as number[] };
}

function objectOf(data: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const body: unknown = JSON.parse(Buffer.from(data).toString());
    if (typeof body === "object" && body !== null) return body as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new KvError("bad-request", 'the payload must be a JSON object such as {"shard":"s1"}');
}

function textOf(shard: unknown): string {
  if (typeof shard === "string") return shard;
  throw new KvError("bad-request", "shard must be s1, s2, …", { field: "shard" });
}
