/**
 * Requests: what a client says about one key, or about many in one batch.
 *
 * There are three wire forms, and nothing behind the border knows which one a request came in:
 *   subject   kv.set.<key>: the payload is the value, options are headers   request/text.ts
 *   keyless   kv.set, kv.batch: everything is members of a JSON body        request/text.ts
 *   packed    kv.ring.<position>.set: a MessagePack map                     request/packed.ts
 * Each form is read into a draft; request/draft.ts checks the draft's form and limits, for all of
 * them alike, and makes the Request.
 */
import type { KvError } from "../errors.js";
import type { Position, Revision } from "../ids.js";
import type { ContentType, Operation } from "../operation.js";

/** What a read promises to see. Strongest first. */
export const readLevels = ["linearizable", "session", "stale"] as const;
export type ReadLevel = (typeof readLevels)[number];

export interface GetRequest {
  readonly kind: "get";
  readonly key: string;
  readonly position: Position;
  readonly level: ReadLevel;
  /** Wait until the position's counter is here; undefined = nothing was seen yet. */
  readonly minRevision: Revision | undefined;
  /** Wanted form of the value; undefined = as it is stored. */
  readonly accept: ContentType | undefined;
  /** How often it was forwarded already; at most HOPS_MAX. Rule M4. */
  readonly hops: number;
}

export interface WriteRequest {
  readonly kind: "write";
  readonly operation: Operation;
  readonly hops: number;
}

export type Request = GetRequest | WriteRequest;

/** Stands in a batch, not atomic, for an operation that is malformed by itself. */
export interface RefusedRequest {
  readonly kind: "refused";
  readonly error: KvError;
}

export interface BatchRequest {
  /** In the order sent. Atomic: writes and checks of one position only, none refused. */
  readonly requests: readonly (Request | RefusedRequest)[];
  readonly atomic: boolean;
  /** The strongest level any get of it asks for; `stale` if it has no get. */
  readonly level: ReadLevel;
  readonly hops: number;
}

/** Received headers: lower-case name → its values in order. The bus's, told by structure. */
export type RequestHeaders = ReadonlyMap<string, readonly string[]>;
