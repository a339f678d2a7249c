/**
 * Log writer: makes operations, and the entries of a shard's log, for tests that need no proposer.
 */
import type { LogMessage } from "../../infra/log.js";
import type { LogId, Origin, Position, Revision, Sequence, TimeMs } from "../../protocol/ids.js";
import {
  BEHAVIOUR_VERSION,
  encodeEntry,
  type EntryBody,
  type Genesis,
  type LoggedLimits,
} from "../../protocol/log/entry.js";
import type { Operation, RequestRef } from "../../protocol/operation.js";
import { positionOf } from "../../protocol/position.js";

export const POSITIONS = 8;
export const LOG_ID = "0000000000000001" as LogId;
/** Where the log's time begins. */
export const START = 1_700_000_000_000;

export const limits: LoggedLimits = {
  valueBytesMax: 4_096,
  depthMax: 8,
  indexEntriesMax: 256,
  pathBytesMax: 512,
  outcomesMax: 1_000,
};

type Common = "position" | "ifRevision" | "request" | "returnPrevious";
type WantedOf<Each> = Each extends Operation
  ? Omit<Each, Common> & {
      readonly position?: number;
      readonly ifRevision?: number;
      readonly request?: RequestRef | string;
      readonly returnPrevious?: boolean;
    }
  : never;
/** An operation without what most tests do not care about. */
export type Wanted = WantedOf<Operation>;

export function operation(wanted: Wanted, positionCount = POSITIONS): Operation {
  const { request } = wanted;
  const position = (wanted.position ?? positionOf(wanted.key, positionCount)) as Position;
  const own: unknown = {
    ...wanted,
    position,
    ifRevision: wanted.ifRevision as Revision | undefined,
    request: typeof request === "string" ? { id: request, index: 0 } : request,
    returnPrevious: wanted.returnPrevious ?? false,
  };
  return own as Operation;
}

type Options = Pick<Wanted, "position" | "ifRevision" | "request" | "returnPrevious"> & {
  readonly ttl?: number | "never" | "keep";
};

/** A set of a JSON value. */
export function set(key: string, value: unknown, options: Options = {}): Operation {
  const bytes = Buffer.from(JSON.stringify(value));
  const base = { verb: "set", contentType: "application/json", ttl: "never" } as const;
  return operation({ ...base, key, value: bytes, ...options });
}

export function patch(key: string, value: unknown, options: Options = {}): Operation {
  const bytes = Buffer.from(JSON.stringify(value));
  const base = { verb: "patch", contentType: "application/json", ttl: "keep" } as const;
  return operation({ ...base, key, value: bytes, ...options });
}

export function incr(key: string, by: number, path?: string, options: Options = {}): Operation {
  return operation({ verb: "incr", key, by, path, ttl: "keep", ...options });
}

export function touch(key: string, ttl: number | "never", options: Options = {}): Operation {
  return operation({ verb: "touch", key, ...options, ttl });
}

export function del(key: string, options: Omit<Options, "ttl"> = {}): Operation {
  return operation({ verb: "del", key, ...options });
}

export function check(key: string, ifRevision: number): Operation {
  return operation({ verb: "check", key, ifRevision });
}

export function genesisOf(changes: Partial<Genesis> = {}): Genesis {
  return {
    store: "kv",
    shard: "s1",
    logId: LOG_ID,
    positionCount: POSITIONS,
    positions: Array.from({ length: POSITIONS }, (_, index) => index as Position),
    limits,
    indexPolicy: { excluded: [] },
    behaviourVersion: BEHAVIOUR_VERSION,
    ...changes,
  };
}

export const zeroOrigin = "00".repeat(16) as Origin;

export function genesisBytes(changes: Partial<Genesis> = {}): Uint8Array {
  return entryBytes({ kind: "genesis", genesis: genesisOf(changes) }, zeroOrigin, 0);
}

export function entryBytes(
  body: EntryBody,
  origin: Origin,
  number: number,
  basis: { sequence: number; chain: bigint } = { sequence: 0, chain: 0n },
): Uint8Array {
  return encodeEntry({
    ...body,
    version: BEHAVIOUR_VERSION,
    origin,
    number,
    basisSequence: basis.sequence as Sequence,
    basisChain: basis.chain,
  });
}

/** A log that begins with genesis and one proposer's `open`. */
export class LogWriter {
  readonly messages: LogMessage[] = [];
  readonly origin = "a1".repeat(16) as Origin;
  time = START;
  #number = 0;

  constructor(changes: Partial<Genesis> = {}) {
    this.append(genesisBytes(changes));
    this.open();
  }

  append(data: Uint8Array): LogMessage {
    const sequence = (this.messages.length + 1) as Sequence;
    const message = { sequence, time: this.time as TimeMs, data };
    this.messages.push(message);
    return message;
  }

  open(): LogMessage {
    return this.#next({ kind: "open" });
  }

  barrier(): LogMessage {
    return this.#next({ kind: "barrier" });
  }

  /** Each operation by itself. */
  operations(...operations: Operation[]): LogMessage {
    return this.groups(...operations.map((each) => [each]));
  }

  /** Each group all or nothing. */
  groups(...groups: (readonly Operation[])[]): LogMessage {
    return this.#next({ kind: "operations", groups });
  }

  #next(body: EntryBody): LogMessage {
    this.#number += 1;
    return this.append(entryBytes(body, this.origin, this.#number));
  }
}
