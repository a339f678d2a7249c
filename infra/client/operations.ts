/**
 * Operations: each verb on one key as a value, which says how it is asked for and how its reply is
 * told. The single verbs and the batches share them, so a set in a batch is a set.
 */
import { KvError } from "../../protocol/errors.js";
import type { Position, Revision } from "../../protocol/ids.js";
import type { ContentType, Done, Operation, RequestRef, Ttl } from "../../protocol/operation.js";
import { checkKey } from "../../protocol/position.js";
import type { Result } from "../../protocol/reply/result.js";
import type { Request } from "../../protocol/request/request.js";
import { parseTtl, withoutDays } from "../../protocol/value/ttl.js";
import { badArgument, checkOptions } from "./arguments.js";
import type {
  CheckResult,
  DelResult,
  Entry,
  GetOptions,
  IncrOptions,
  Increment,
  IncrResult,
  Json,
  PatchOptions,
  PatchResult,
  ReadLevel,
  SetOptions,
  SetResult,
  TimeToLive,
  TouchResult,
  WriteOptions,
} from "./options.js";
import * as from from "./results.js";
import { encodeValue } from "./values.js";

/** What an operation needs to know of where and when it is sent. */
export interface Context {
  readonly position: Position;
  /** For reads that name none. */
  readonly level: ReadLevel;
  /** 0 = nothing seen. */
  readonly revisionMin: number;
  readonly request: RequestRef | undefined;
}

export type OperationVerb = Operation["verb"] | "get";

/** One operation; made by the functions of `ops`. */
export interface BatchOperation<Answer> {
  readonly verb: OperationVerb;
  readonly key: string;
  /** Given by the caller; undefined = one is made. */
  readonly requestId: string | undefined;
  /** Without the key's and the value's checks, which were done when this was made. */
  readonly prepare: (context: Context) => Request;
  readonly finish: (result: Result) => Answer;
}

export type BatchWriteOptions = Omit<WriteOptions, "session" | "timeoutMs" | "signal">;

/**
 * Makes operations. Throws `bad-request` for keys and values that cannot be sent; which options
 * there are is checked by who calls (verbs.ts, ops.ts), as that differs. `at` is the value's name
 * in errors.
 */
export const make = {
  get<Value = Json>(
    key: string,
    options: Pick<GetOptions, "read" | "as"> = {},
  ): BatchOperation<Entry<Value> | undefined> {
    return {
      verb: "get",
      key: checked(key),
      requestId: undefined,
      prepare: (context) => ({
        kind: "get",
        key,
        position: context.position,
        level: options.read ?? context.level,
        minRevision: minRevisionOf(options.read ?? context.level, context),
        accept: acceptOf(options.as),
        hops: 0,
      }),
      finish: (result) => from.entryOf<Value>(result, options.as),
    };
  },

  set<Value = Json>(
    key: string,
    value: Value,
    options: BatchWriteOptions & Pick<SetOptions, "ttl" | "contentType"> = {},
    at = "value",
  ): BatchOperation<SetResult<Value>> {
    const { bytes, contentType } = encodeValue(value, options.contentType, at);
    const ttl = ttlOf(options.ttl, "never");
    return write("set", key, options, { value: bytes, contentType, ttl }, from.setResult<Value>);
  },

  del<Value = Json>(
    key: string,
    options: BatchWriteOptions = {},
  ): BatchOperation<DelResult<Value>> {
    return write("del", key, options, {}, from.delResult<Value>);
  },

  /** JSON Merge Patch (RFC 7396): null removes a member. */
  patch<Value = Json>(
    key: string,
    patch: unknown,
    options: BatchWriteOptions & Pick<PatchOptions, "ttl"> = {},
  ): BatchOperation<PatchResult<Value>> {
    const { bytes: value } = encodeValue(patch, "application/json", "patch");
    const fields = { value, contentType: "application/json" as const, ttl: keepOr(options.ttl) };
    return write("patch", key, options, fields, from.setResult<Value>);
  },

  incr<Value = Json>(
    key: string,
    by: number | Increment,
    options: BatchWriteOptions & Pick<IncrOptions, "ttl"> = {},
  ): BatchOperation<IncrResult<Value>> {
    const increment = incrementOf(by);
    const fields = { path: increment.path, by: increment.by ?? 1, ttl: keepOr(options.ttl) };
    return write("incr", key, options, fields, from.incrResult<Value>);
  },

  touch<Value = Json>(
    key: string,
    ttl: TimeToLive,
    options: BatchWriteOptions = {},
  ): BatchOperation<TouchResult<Value>> {
    return write("touch", key, options, { ttl: ttlGiven(ttl) }, from.touchResult<Value>);
  },

  /** No effect; fails unless the key is at the revision. Makes an atomic batch conditional. */
  check(key: string, condition: { readonly ifRevision: number }): BatchOperation<CheckResult> {
    const { ifRevision } = condition;
    if (ifRevision === undefined) throw badArgument("ifRevision", "a whole number ≥ 0", ifRevision);
    return write("check", key, condition, {}, from.checkResult);
  },
};

type Fields<Verb extends Operation["verb"]> = Omit<
  Extract<Operation, { verb: Verb }>,
  "verb" | "key" | "position" | "ifRevision" | "request" | "returnPrevious"
>;

function write<Verb extends Operation["verb"], Answer>(
  verb: Verb,
  key: string,
  options: BatchWriteOptions,
  fields: Fields<Verb>,
  finish: (key: string, position: number, done: Done) => Answer,
): BatchOperation<Answer> {
  const ifRevision = conditionOf(options);
  const returnPrevious = options.returnPrevious === true;
  return {
    verb,
    key: checked(key),
    requestId: options.requestId,
    prepare: ({ position, request }) => {
      const base = { verb, key, position, ifRevision, request, returnPrevious };
      // The fields are those of the verb by their type; the union's members are not told apart.
      return { kind: "write", operation: { ...base, ...fields } as unknown as Operation, hops: 0 };
    },
    finish: (result) => from.writtenResult(result, finish),
  };
}

function checked(key: string): string {
  checkKey(key);
  return key;
}

function conditionOf(options: BatchWriteOptions): Revision | undefined {
  const { ifRevision, ifAbsent } = options;
  if (ifAbsent === true) {
    if (ifRevision === undefined || ifRevision === 0) return 0 as Revision;
    throw new KvError("bad-request", `ifAbsent and ifRevision ${ifRevision} exclude each other`);
  }
  return ifRevision as Revision | undefined;
}

function minRevisionOf(level: ReadLevel, context: Context): Revision | undefined {
  if (level !== "session" || context.revisionMin === 0) return undefined;
  return context.revisionMin as Revision;
}

function acceptOf(as: GetOptions["as"]): ContentType | undefined {
  if (as === "json") return "application/json";
  return as === "msgpack" ? "application/msgpack" : undefined;
}

function ttlOf(ttl: TimeToLive | undefined, absent: Ttl): Ttl {
  return ttl === undefined ? absent : parseTtl(withoutDays(String(ttl)));
}

function keepOr(ttl: TimeToLive | undefined): Ttl {
  return ttlOf(ttl, "keep");
}

function ttlGiven(ttl: TimeToLive): Ttl {
  if (typeof ttl === "number" || typeof ttl === "string") return parseTtl(withoutDays(String(ttl)));
  throw badArgument("ttl", 'whole seconds, a duration such as "90m", or "never"', ttl);
}

function incrementOf(by: number | Increment): Increment {
  if (typeof by === "number" && Number.isFinite(by)) return { by };
  if (typeof by !== "object" || by === null) {
    throw badArgument("by", "a finite number or {by, path}", by);
  }
  checkOptions("increment", by, "by");
  return by;
}
