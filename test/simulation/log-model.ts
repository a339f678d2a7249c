/**
 * Log model: the meaning of a shard's log, in a few Maps, without any index or batch. A person can
 * read it at a glance, and checks compare it with the production code's result for the same log.
 *
 * It is simpler than that: entries have JSON values only, and there are few records.
 */
import type { ErrorName } from "../../protocol/errors.js";
import { REQUEST_AHEAD_MAX_MS, REQUEST_WINDOW_MS } from "../../protocol/limits.js";
import type { Entry, LoggedLimits } from "../../protocol/log/entry.js";
import type { Operation } from "../../protocol/operation.js";
import { positionOf } from "../../protocol/position.js";
import { requestTime } from "../../protocol/request-id.js";
import { incremented, isObject, merged } from "../support/json-change.js";
import { Acceptance, keysDue } from "../support/log-rules.js";

export interface ModelRecord {
  readonly revision: number;
  readonly updatedAt: number;
  readonly expiresAt: number;
  readonly contentType: string;
  /** latin1. */
  readonly value: string;
}

export interface ModelOutcome {
  readonly ok: boolean;
  readonly error: string | undefined;
  /** Of the key afterwards; 0 = it took none, or there is none. */
  readonly revision: number;
  readonly changed: boolean;
  readonly created: boolean;
  /** The first outcome of a request, told again. */
  readonly repeated: boolean;
}

/** One change of one key, as an event tells it. */
export interface ModelChange {
  readonly op: "set" | "del" | "expire";
  readonly key: string;
  readonly position: number;
  readonly revision: number;
  readonly time: number;
  /** After it; undefined = gone. */
  readonly record: ModelRecord | undefined;
}

export interface Applied {
  /** Of the entry's operations in order; empty if it is passed over. */
  readonly outcomes: readonly ModelOutcome[];
  readonly changes: readonly ModelChange[];
}

interface Remembered {
  readonly time: number;
  readonly operation: string;
  readonly outcome: ModelOutcome;
}

const BUCKET_MS = 10_000;
const passedOver: Applied = { outcomes: [], changes: [] };

export class LogModel {
  readonly records = new Map<string, ModelRecord>();
  logTime = 0;
  #limits!: LoggedLimits;
  #positionCount = 0;
  #owned = new Set<number>();
  readonly #revisions = new Map<number, number>();
  readonly #requests = new Map<string, Remembered>();
  /** When requests were remembered, those still counted. */
  #requestTimes: number[] = [];
  readonly #acceptance = new Acceptance();
  #changes: ModelChange[] = [];

  apply(entry: Entry | undefined, time: number): Applied {
    const before = this.logTime;
    this.logTime = Math.max(before, time);
    if (entry === undefined || !this.#acceptance.accepts(entry)) return passedOver;
    this.#changes = [];
    if (entry.kind === "genesis") {
      this.#limits = entry.genesis.limits;
      this.#positionCount = entry.genesis.positionCount;
      this.#owned = new Set(entry.genesis.positions);
      return passedOver;
    }
    for (const key of keysDue(this.records, this.logTime)) this.#remove("expire", key);
    this.#forget(before);
    const groups = entry.kind === "operations" ? entry.groups : [];
    const outcomes = groups.flatMap((group) => this.#group(group));
    return { outcomes, changes: this.#changes };
  }

  /** What the window had left behind when the entry before was applied. */
  #forget(before: number): void {
    const oldest = Math.floor((before - REQUEST_WINDOW_MS) / BUCKET_MS);
    const isKept = (time: number): boolean => Math.floor(time / BUCKET_MS) >= oldest;
    const [first = Infinity] = this.#requestTimes;
    if (isKept(first)) return;
    this.#requestTimes = this.#requestTimes.filter(isKept);
    for (const [name, { time }] of this.#requests) if (!isKept(time)) this.#requests.delete(name);
  }

  #group(group: readonly Operation[]): ModelOutcome[] {
    const repeats: ModelOutcome[] = [];
    try {
      for (const operation of group) {
        const repeat = this.#admit(operation);
        if (repeat !== undefined) repeats.push(repeat);
      }
      const isOne = group.every(({ position }) => position === group[0]?.position);
      const isPart = repeats.length > 0 && repeats.length < group.length;
      if (isPart || !isOne) throw new Refusal("bad-request");
    } catch (error) {
      return group.map(() => refused(error));
    }
    if (repeats.length > 0) {
      return repeats.map((each) => ({ ...each, changed: false, repeated: true }));
    }
    const outcomes = this.#do(group);
    for (const [index, operation] of group.entries()) {
      this.#remember(operation, outcomes[index] as ModelOutcome);
    }
    return outcomes;
  }

  #admit(operation: Operation): ModelOutcome | undefined {
    const { key, position, request } = operation;
    if (positionOf(key, this.#positionCount) !== position) {
      throw new Refusal("bad-request");
    }
    if (!this.#owned.has(position)) throw new Refusal("unavailable");
    if (request === undefined) return undefined;
    const known = this.#requests.get(nameOf(operation));
    if (known !== undefined) {
      if (known.operation === shown(operation)) return known.outcome;
      throw new Refusal("bad-request");
    }
    const time = requestTime(request.id) ?? this.logTime;
    if (time < this.logTime - REQUEST_WINDOW_MS) throw new Refusal("in-doubt");
    if (time > this.logTime + REQUEST_AHEAD_MAX_MS) throw new Refusal("bad-request");
    if (this.#requestTimes.length >= this.#limits.outcomesMax) {
      throw new Refusal("overloaded");
    }
    return undefined;
  }

  #remember(operation: Operation, outcome: ModelOutcome): void {
    if (operation.request === undefined) return;
    const row = { time: this.logTime, operation: shown(operation), outcome };
    this.#requests.set(nameOf(operation), row);
    this.#requestTimes.push(this.logTime);
  }

  /** All of them or none. */
  #do(group: readonly Operation[]): ModelOutcome[] {
    const before = group.map(({ key }) => [key, this.records.get(key)] as const);
    const position = group[0]?.position ?? 0;
    const revision = this.#revisions.get(position);
    const changeCount = this.#changes.length;
    try {
      return group.map((operation) => this.#one(operation));
    } catch (error) {
      this.#changes.length = changeCount;
      for (const [key, record] of before) {
        if (record === undefined) this.records.delete(key);
        else this.records.set(key, record);
      }
      if (revision === undefined) this.#revisions.delete(position);
      else this.#revisions.set(position, revision);
      return group.map(() => refused(error));
    }
  }

  #one(operation: Operation): ModelOutcome {
    const { key, verb, ifRevision } = operation;
    const record = this.records.get(key);
    const revision = record?.revision ?? 0;
    const created = record === undefined;
    if (ifRevision !== undefined && ifRevision !== revision) {
      throw new Refusal("conflict");
    }
    if (verb === "check") return done(revision, false, created);
    if (verb === "del") {
      return record === undefined
        ? done(0, false, created)
        : done(this.#remove("del", key), true, created);
    }
    if (verb === "touch" && record === undefined) throw new Refusal("not-found");
    const content = contentAfter(operation, record);
    this.#checkLimits(content);
    const { ttl } = operation;
    const keptExpiry = ttl === "keep" ? (record?.expiresAt ?? 0) : 0;
    const expiresAt = typeof ttl === "number" ? this.logTime + ttl : keptExpiry;
    const taken = this.#take(key);
    const after = { ...content, revision: taken, updatedAt: this.logTime, expiresAt };
    this.records.set(key, after);
    this.#note("set", key, taken, after);
    return done(taken, true, created);
  }

  #checkLimits({ contentType, value }: Content): void {
    const { valueBytesMax, indexEntriesMax } = this.#limits;
    if (value.length > valueBytesMax) throw new Refusal("too-large");
    if (contentType !== "application/json") return;
    const entries = new Set<string>();
    noteEntries(jsonOf(value), "", 1, this.#limits, entries);
    if (entries.size > indexEntriesMax) throw new Refusal("limit-exceeded");
  }

  #take(key: string): number {
    const position = positionOf(key, this.#positionCount);
    const revision = (this.#revisions.get(position) ?? 0) + 1;
    this.#revisions.set(position, revision);
    return revision;
  }

  #remove(op: "del" | "expire", key: string): number {
    this.records.delete(key);
    const revision = this.#take(key);
    this.#note(op, key, revision, undefined);
    return revision;
  }

  #note(
    op: ModelChange["op"],
    key: string,
    revision: number,
    record: ModelRecord | undefined,
  ): void {
    const position = positionOf(key, this.#positionCount);
    this.#changes.push({ op, key, position, revision, time: this.logTime, record });
  }
}

type Content = Pick<ModelRecord, "contentType" | "value">;

function contentAfter(
  operation: Exclude<Operation, { verb: "del" | "check" }>,
  record: ModelRecord | undefined,
): Content {
  if (operation.verb === "touch") return record as ModelRecord;
  if (operation.verb === "set") {
    return { contentType: operation.contentType, value: latin1(operation.value) };
  }
  const contentType = record?.contentType ?? "application/json";
  if (contentType !== "application/json") throw new Refusal("unsupported");
  const before = record === undefined ? undefined : jsonOf(record.value);
  const after =
    operation.verb === "patch"
      ? merged(before ?? {}, jsonOf(latin1(operation.value)))
      : incremented(before, operation.path?.split(".") ?? [], operation.by);
  if (after === undefined) throw new Refusal("bad-request");
  return { contentType, value: latin1(Buffer.from(JSON.stringify(after))) };
}

/** As in protocol/value/attributes.ts, told once more: what of a value would stand in the index. */
function noteEntries(
  value: unknown,
  parent: string,
  depth: number,
  limits: LoggedLimits,
  into: Set<string>,
): void {
  if (!isObject(value)) return;
  for (const [name, member] of Object.entries(value)) {
    const path = parent === "" ? name : `${parent}.${name}`;
    const isDeep = depth > limits.depthMax;
    const isLong = Buffer.byteLength(path) > limits.pathBytesMax;
    if (isDeep || isLong) throw new Refusal("limit-exceeded");
    if (Array.isArray(member)) into.add(`${path} array`);
    for (const each of Array.isArray(member) ? (member as unknown[]) : [member]) {
      if (Array.isArray(each)) continue;
      into.add(isObject(each) ? `${path} object` : `${path} ${JSON.stringify(each)}`);
      noteEntries(each, path, depth + 1, limits, into);
    }
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

export function jsonOf(value: string): unknown {
  try {
    return JSON.parse(Buffer.from(value, "latin1").toString());
  } catch {
    throw new Refusal("bad-request");
  }
}

function nameOf({ position, request }: Operation): string {
  return `${position} ${request?.index} ${request?.id}`;
}

/** The operation without the form of its answer. */
function shown(operation: Operation): string {
  const { request: _request, returnPrevious: _previous, ...rest } = operation;
  return JSON.stringify({ ...rest, value: "value" in rest ? latin1(rest.value) : "" });
}

/** Thrown in place of an Error, whose stack takes longer than all else here. */
class Refusal {
  constructor(readonly kind: ErrorName) {}
}

function refused(error: unknown): ModelOutcome {
  if (!(error instanceof Refusal)) throw error;
  const none = { revision: 0, changed: false, created: false, repeated: false };
  return { ok: false, error: error.kind, ...none };
}

function done(revision: number, changed: boolean, created: boolean): ModelOutcome {
  return { ok: true, error: undefined, revision, changed, created, repeated: false };
}
