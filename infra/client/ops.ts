/**
 * Ops: what a batch is made of, for programs that use the client. Each function checks the options
 * that an operation has in a batch, and then makes it as the single verb does.
 */
import { checkOptions } from "./arguments.js";
import { make, type BatchOperation, type BatchWriteOptions } from "./operations.js";
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
  SetOptions,
  SetResult,
  TimeToLive,
  TouchResult,
} from "./options.js";

/** All of them throw `bad-request` for what cannot be sent. */
export const ops = {
  get<Value = Json>(
    key: string,
    options: Pick<GetOptions, "read" | "as"> = {},
  ): BatchOperation<Entry<Value> | undefined> {
    checkOptions("ops.get", options);
    return make.get<Value>(key, options);
  },

  set<Value = Json>(
    key: string,
    value: Value,
    options: BatchWriteOptions & Pick<SetOptions, "ttl" | "contentType"> = {},
  ): BatchOperation<SetResult<Value>> {
    checkOptions("ops.set", options);
    return make.set(key, value, options);
  },

  del<Value = Json>(
    key: string,
    options: BatchWriteOptions = {},
  ): BatchOperation<DelResult<Value>> {
    checkOptions("ops.del", options);
    return make.del<Value>(key, options);
  },

  /** JSON Merge Patch (RFC 7396): null removes a member. */
  patch<Value = Json>(
    key: string,
    patch: unknown,
    options: BatchWriteOptions & Pick<PatchOptions, "ttl"> = {},
  ): BatchOperation<PatchResult<Value>> {
    checkOptions("ops.patch", options);
    return make.patch<Value>(key, patch, options);
  },

  /** By 1 if nothing else is said. */
  incr<Value = Json>(
    key: string,
    ...rest: [by?: number | Increment, options?: BatchWriteOptions & Pick<IncrOptions, "ttl">]
  ): BatchOperation<IncrResult<Value>> {
    const [, options = {}] = rest;
    checkOptions("ops.incr", options);
    return make.incr<Value>(key, byOf(rest), options);
  },

  touch<Value = Json>(
    key: string,
    ttl: TimeToLive,
    options: BatchWriteOptions = {},
  ): BatchOperation<TouchResult<Value>> {
    checkOptions("ops.touch", options);
    return make.touch<Value>(key, ttl, options);
  },

  /** No effect; fails unless the key is at the revision. Makes an atomic batch conditional. */
  check(key: string, condition: { readonly ifRevision: number }): BatchOperation<CheckResult> {
    checkOptions("ops.check", condition, "condition");
    return make.check(key, condition);
  },
};

/** Of incr: 1 only if it is left out; undefined in its place is a mistake, which make refuses. */
export function byOf(rest: readonly [by?: number | Increment, ...unknown[]]): number | Increment {
  return rest.length === 0 ? 1 : (rest[0] as number | Increment);
}
