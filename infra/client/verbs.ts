/**
 * Verbs: everything one can do with a store. The connection has them (client.ts), and each session
 * of it has the same, with reads of its own level.
 */
import type { Position } from "../../protocol/ids.js";
import type { Names, SingleKeyVerb } from "../../protocol/nats/subjects.js";
import type { RequestRef } from "../../protocol/operation.js";
import { positionOf } from "../../protocol/position.js";
import { parsePackedReply } from "../../protocol/reply/packed.js";
import type { Result } from "../../protocol/reply/result.js";
import { encodePackedRequest } from "../../protocol/request/packed.js";
import type { Request } from "../../protocol/request/request.js";
import type { Message } from "../bus.js";
import { badArgument, checkAs, checkOptions } from "./arguments.js";
import type { Caller } from "./caller.js";
import { BatchError } from "./client-errors.js";
import { Many, type Prepare } from "./many.js";
import { make, type BatchOperation } from "./operations.js";
import { byOf } from "./ops.js";
import type {
  BatchOptions,
  CountOptions,
  DelResult,
  Entry,
  FindOptions,
  GetManyOptions,
  GetOptions,
  IncrOptions,
  Increment,
  IncrResult,
  Json,
  KeyCallOptions,
  KeysOptions,
  Outcome,
  PatchOptions,
  PatchResult,
  ReadLevel,
  SetManyEntry,
  SetManyOptions,
  SetOptions,
  SetResult,
  TimeToLive,
  TouchResult,
  WatchOptions,
  WriteOptions,
} from "./options.js";
import { Find, Queries } from "./query.js";
import { newRequestId } from "./request-ids.js";
import type { RingView } from "./ring-view.js";
import type { Session } from "./session.js";
import type { AnyFilter, AttributePath, Filter, Patch, Selected, Stored } from "./shapes.js";
import { tellable } from "./tellable.js";
import { Watch, type WatchParts } from "./watch.js";

export interface VerbsParts extends WatchParts {
  readonly caller: Caller;
  readonly names: Names;
  readonly ring: RingView;
  /** Of reads that name none and belong to no session. */
  readonly readLevel: ReadLevel;
  /** That of every call which names none. */
  readonly session: Session | undefined;
}

type Operations = readonly BatchOperation<unknown>[];
/** For each operation what came of it. */
export type OutcomesOf<Ops extends Operations> = {
  -readonly [Index in keyof Ops]: Ops[Index] extends BatchOperation<infer Answer>
    ? Outcome<Answer>
    : never;
};
/** For each operation of an atomic batch its result. */
export type ResultsOf<Ops extends Operations> = {
  -readonly [Index in keyof Ops]: Ops[Index] extends BatchOperation<infer Answer> ? Answer : never;
};

export class Verbs<Value = Json> {
  readonly #parts: VerbsParts;
  readonly #queries: Queries;
  readonly #many: Many;

  constructor(parts: VerbsParts) {
    this.#parts = parts;
    this.#queries = new Queries(parts.caller, parts.names);
    this.#many = new Many(parts);
  }

  /** Undefined = there is no such key. */
  get(
    key: string,
    options: GetOptions & { readonly as: "bytes" },
  ): Promise<Entry<Uint8Array> | undefined>;
  get(
    key: string,
    options: GetOptions & { readonly as: "text" },
  ): Promise<Entry<string> | undefined>;
  get<Type = Value>(key: string, options?: GetOptions): Promise<Entry<Type> | undefined>;
  async get<Type = Value>(key: string, options: GetOptions = {}): Promise<Entry<Type> | undefined> {
    checkOptions("get", options);
    return this.#one(make.get<Type>(key, options), options);
  }

  /** `conflict` if `ifRevision` or `ifAbsent` is not met. */
  async set<Type = Value>(
    key: string,
    value: NoInfer<Stored<Type>>,
    options: SetOptions = {},
  ): Promise<SetResult<Type>> {
    checkOptions("set", options);
    return this.#one(make.set(key, value as Type, options), options);
  }

  /** Deleting what is not there is no error: `existed` is false then. */
  async del(key: string, options: WriteOptions = {}): Promise<DelResult<Value>> {
    checkOptions("del", options);
    return this.#one(make.del<Value>(key, options), options);
  }

  /** JSON Merge Patch (RFC 7396): null removes a member. A missing key is patched from {}. */
  async patch<Type = Value>(
    key: string,
    patch: NoInfer<Patch<Type>>,
    options: PatchOptions = {},
  ): Promise<PatchResult<Type>> {
    checkOptions("patch", options);
    return this.#one(make.patch<Type>(key, patch, options), options);
  }

  /** Adds to the number that the value is, or has at a path: 1 if nothing else is said. Missing
   * counts as 0. */
  async incr(
    key: string,
    ...rest: [by?: number | Increment, options?: IncrOptions]
  ): Promise<IncrResult<Value>> {
    const [, options = {}] = rest;
    checkOptions("incr", options);
    return this.#one(make.incr<Value>(key, byOf(rest), options), options);
  }

  /** Sets a new time to live; `not-found` if there is no such key. */
  async touch(
    key: string,
    ttl: TimeToLive,
    options: WriteOptions = {},
  ): Promise<TouchResult<Value>> {
    checkOptions("touch", options);
    return this.#one(make.touch<Value>(key, ttl, options), options);
  }

  /** The entries that exist, in the order of `keys`. One request per shard. */
  getMany(
    keys: Iterable<string>,
    options: GetManyOptions & { readonly as: "bytes" },
  ): Promise<Map<string, Entry<Uint8Array>>>;
  getMany(
    keys: Iterable<string>,
    options: GetManyOptions & { readonly as: "text" },
  ): Promise<Map<string, Entry<string>>>;
  getMany<Type = Value>(
    keys: Iterable<string>,
    options?: GetManyOptions,
  ): Promise<Map<string, Entry<Type>>>;
  async getMany<Type = Value>(
    keys: Iterable<string>,
    options: GetManyOptions = {},
  ): Promise<Map<string, Entry<Type>>> {
    checkOptions("getMany", options);
    const list = listGiven("keys", "a list of keys", keys);
    const operations = [...new Set(list)].map((key) => make.get<Type>(key, options));
    const results = await this.#all(operations, options);
    const entries = new Map<string, Entry<Type>>();
    for (const [index, operation] of operations.entries()) {
      const entry = operation.finish(results[index] as Result);
      if (entry !== undefined) entries.set(operation.key, entry);
    }
    return entries;
  }

  /**
   * Sets each of the entries, a Map or a list; one request per shard. The results are in order. If
   * some fail, BatchError has the outcomes of all; the others are set.
   */
  async setMany<Type = Value>(
    entries: NoInfer<ReadonlyMap<string, Stored<Type>> | Iterable<SetManyEntry<Stored<Type>>>>,
    options: SetManyOptions = {},
  ): Promise<SetResult<Type>[]> {
    checkOptions("setMany", options);
    const operations = entriesOf(entries).map((entry, index) => {
      const at = `entries[${index}]`;
      checkEntry(entry, at);
      return make.set(entry.key, entry.value as Type, entry, `${at}.value`);
    });
    const outcomes = outcomesOf(operations, await this.#all(operations, options));
    const failed = outcomes.find((outcome) => !outcome.ok);
    if (failed !== undefined) throw new BatchError(outcomes, failed.error);
    return outcomes.flatMap((outcome) => (outcome.ok ? [outcome.result] : []));
  }

  /**
   * Operations of all kinds (`ops`). Each stands alone and has an outcome, in order. With
   * `atomic: true` all are done or none; they are to be in one position (keys with a common
   * {tag}), and what refuses one of them is thrown, with its index in `details.index`.
   */
  batch<const Ops extends Operations>(
    operations: Ops,
    options: BatchOptions & { readonly atomic: true },
  ): Promise<ResultsOf<Ops>>;
  batch<const Ops extends Operations>(
    operations: Ops,
    options?: BatchOptions & { readonly atomic?: false },
  ): Promise<OutcomesOf<Ops>>;
  async batch(
    operations: Operations,
    options: BatchOptions & { readonly atomic?: boolean } = {},
  ): Promise<unknown> {
    checkOptions("batch", options);
    checkOperations(operations);
    const results = await this.#all(operations, options);
    if (options.atomic !== true) return outcomesOf(operations, results);
    return operations.map((operation, index) => operation.finish(results[index] as Result));
  }

  /** Keys by what their values say. Iterate it for items, or its pages(). */
  find(
    where: Filter<Value>,
    options: FindOptions<Value> & { readonly as: "text" },
  ): Find<string | Uint8Array>;
  find<const Paths extends readonly AttributePath<Value>[]>(
    where: NoInfer<Filter<Value>>,
    options: FindOptions<Value> & { readonly select: Paths },
  ): Find<Selected<Value, Paths>>;
  find<Type = Value>(
    where: NoInfer<Filter<Value> | Filter<Type>>,
    options?: NoInfer<FindOptions<Value> | FindOptions<Type>>,
  ): Find<Type>;
  find(where: unknown, options: FindOptions = {}): Find<unknown> {
    checkOptions("find", options);
    checkAs(options.as, "find", ["text"]);
    const level = this.#levelOf(options);
    return new Find<unknown>(this.#queries, filterOf(where), { ...options, ...level });
  }

  async count<Type = Value>(
    where: NoInfer<Filter<Value> | Filter<Type>>,
    options: CountOptions = {},
  ): Promise<number> {
    checkOptions("count", options);
    return this.#queries.count(filterOf(where), { ...options, ...this.#levelOf(options) });
  }

  /** In the order of their UTF-8 bytes. */
  keys(options: KeysOptions = {}): AsyncIterable<string> {
    checkOptions("keys", options);
    return this.#queries.keys({ ...options, ...this.#levelOf(options) });
  }

  /** The changes from now on, or from earlier; await its `ready` before what is to be seen. */
  watch(options: WatchOptions & { readonly as: "bytes" }): Watch<Uint8Array>;
  watch(options: WatchOptions & { readonly as: "text" }): Watch<string>;
  watch<Type = Value>(options?: WatchOptions): Watch<Type>;
  watch(options: WatchOptions = {}): Watch<unknown> {
    checkOptions("watch", options);
    checkAs(options.as, "watch", ["text", "bytes"]);
    return new Watch<unknown>(this.#parts, options);
  }

  async #one<Answer>(operation: BatchOperation<Answer>, options: KeyCallOptions): Promise<Answer> {
    const { caller, names, ring } = this.#parts;
    const { verb, key } = operation;
    const position = positionOf(key, ring.positionCount);
    const isWrite = verb !== "get";
    const id = isWrite ? (operation.requestId ?? newRequestId()) : undefined;
    const request = id === undefined ? undefined : { id, index: 0 };
    const session = options.session ?? this.#parts.session;
    const payload = encodePackedRequest(this.#prepared(operation, position, request, session));
    const read = (reply: Message): Answer => {
      const result = parsePackedReply(reply.data, key);
      this.#learn(result, position, session);
      return operation.finish(result);
    };
    // `check` is a batch's only, so what comes here has a subject.
    const subject = names.ring(position, verb as SingleKeyVerb);
    return caller.call({ subject, payload, isWrite }, read, options);
  }

  async #all(
    operations: Operations,
    options: BatchOptions & { readonly atomic?: boolean },
  ): Promise<readonly Result[]> {
    const { ring } = this.#parts;
    const session = options.session ?? this.#parts.session;
    // Without the ring nothing can be sent, and positions by the wrong count would go astray.
    const left = ring.isKnown ? options : await this.#afterRing(options);
    const positions = operations.map(({ key }) => positionOf(key, ring.positionCount));
    const prepare: Prepare = (operation, position, request) =>
      this.#prepared(operation, position, request, session, options.read);
    const send = options.atomic === true ? "runAtomic" : "run";
    const results = await this.#many[send](operations, positions, prepare, left);
    for (const [index, result] of results.entries()) {
      this.#learn(result, positions[index] as Position, session);
    }
    return results;
  }

  /** Reads the ring, and gives back the options with the time that is left of the call's. */
  async #afterRing<Options extends KeyCallOptions>(options: Options): Promise<Options> {
    const { ring, caller } = this.#parts;
    const timeoutMs = caller.timeoutOf(options);
    let startMs: number | undefined;
    const refresh = (leftMs: number): Promise<void> => {
      startMs ??= caller.clock.elapsedMs();
      return ring.refresh(leftMs);
    };
    await caller.retry(refresh, false, options);
    const tookMs = caller.clock.elapsedMs() - (startMs ?? 0);
    return { ...options, timeoutMs: Math.max(Math.ceil(timeoutMs - tookMs), 1) };
  }

  #prepared(
    operation: BatchOperation<unknown>,
    position: Position,
    request: RequestRef | undefined,
    session: Session | undefined,
    read?: ReadLevel,
  ): Request {
    const ownLevel = session === undefined ? this.#parts.readLevel : "session";
    const revisionMin = session?.revisionMin(position) ?? 0;
    return operation.prepare({ position, level: read ?? ownLevel, revisionMin, request });
  }

  #learn(result: Result, position: Position, session: Session | undefined): void {
    if (result.kind === "refused") return;
    // Our position count is not the store's: batches, and reads of sessions, need the right one.
    if (result.position !== position) this.#parts.ring.suspect();
    const { revision } = result.kind === "read" ? result.record : result.done;
    session?.saw(result.position, revision);
  }

  #levelOf(options: { readonly read?: ReadLevel }): { readonly read?: ReadLevel } {
    const ownLevel = this.#parts.session === undefined ? this.#parts.readLevel : "linearizable";
    const read = options.read ?? ownLevel;
    return read === "linearizable" ? {} : { read };
  }
}

function outcomesOf<Answer>(
  operations: readonly BatchOperation<Answer>[],
  results: readonly Result[],
): Outcome<Answer>[] {
  return operations.map((operation, index) => {
    const result = results[index] as Result;
    const isMissing = result.kind === "refused" && result.error.kind === "not-found";
    if (result.kind === "refused" && !(isMissing && operation.verb === "get")) {
      return { ok: false, error: result.error };
    }
    return { ok: true, result: operation.finish(result) };
  });
}

/** A string can be iterated as well, and is no list of keys or entries. */
function listGiven<Element>(
  what: string,
  form: string,
  list: Iterable<Element>,
  hint?: string,
): readonly Element[] {
  const isList = typeof list === "object" && list !== null && Symbol.iterator in list;
  if (!isList) throw badArgument(what, form, list, "", hint);
  return [...list];
}

function entriesOf(
  entries: ReadonlyMap<string, unknown> | Iterable<SetManyEntry<unknown>>,
): readonly SetManyEntry<unknown>[] {
  if (entries instanceof Map) {
    const map: ReadonlyMap<string, unknown> = entries;
    return Array.from(map, ([key, value]) => ({ key, value }));
  }
  const hint = "from an object: new Map(Object.entries(object))";
  const list = entries as Iterable<SetManyEntry<unknown>>;
  return listGiven("entries", "a Map or a list of {key, value}", list, hint);
}

function checkEntry(entry: SetManyEntry<unknown>, at: string): void {
  if (Array.isArray(entry)) {
    throw badArgument(at, "{key, value}", entry, "", "from pairs: new Map(pairs)");
  }
  checkOptions("entry", entry, at);
}

function checkOperations(operations: Operations): void {
  for (const [index, each] of listGiven("operations", "a list", operations).entries()) {
    const operation: Partial<BatchOperation<unknown>> | null | undefined = each;
    const isMade = typeof operation?.prepare === "function";
    if (isMade && typeof operation.finish === "function") continue;
    const hint = 'such as ops.set("key", value)';
    throw badArgument(`operations[${index}]`, "one that ops made", each, "", hint);
  }
}

function filterOf(where: unknown): AnyFilter {
  if (typeof where !== "object" || where === null || Array.isArray(where)) {
    throw badArgument("where", "a filter", where, "", "{} asks for all records");
  }
  return tellable(where, "JSON", "where", "refused") as AnyFilter;
}
