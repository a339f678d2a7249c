/**
 * Shard model: the meaning of a shard's log, in a few Maps and without any index, so that a person
 * can read it at a glance. For logs with one `open` proposer or more, and few records.
 */
import { KvError } from "../../protocol/errors.js";
import type { Entry } from "../../protocol/log/entry.js";
import type { Operation } from "../../protocol/operation.js";
import { positionOf } from "../../protocol/position.js";
import { incremented, merged } from "./json-change.js";
import { Acceptance, keysDue } from "./log-rules.js";

export interface ModelRecord {
  readonly revision: number;
  readonly updatedAt: number;
  readonly expiresAt: number;
  readonly contentType: string;
  readonly value: string;
}

/** What can be seen of an outcome: a revision, or the error's name. */
export interface ModelOutcome {
  readonly ok: boolean;
  readonly error: string | undefined;
  readonly revision: number | undefined;
  readonly changed: boolean;
  /** The first outcome of a request, told again. */
  readonly repeated: boolean;
}

const BUCKET_MS = 10_000;
const WINDOW_MS = 60_000;

interface State {
  readonly records: Map<string, ModelRecord>;
  readonly revisions: Map<number, number>;
}

export class ShardModel {
  #state: State = { records: new Map(), revisions: new Map() };
  readonly #requests = new Map<
    string,
    { time: number; operation: string; outcome: ModelOutcome }
  >();
  readonly #acceptance = new Acceptance();
  logTime = 0;

  constructor(
    readonly positionCount: number,
    readonly valueBytesMax: number,
  ) {}

  get records(): ReadonlyMap<string, ModelRecord> {
    return this.#state.records;
  }

  /** Outcomes of the entry's operations; undefined if it is passed over. */
  apply(entry: Entry | undefined, time: number): ModelOutcome[] | undefined {
    const before = this.logTime;
    this.logTime = Math.max(before, time);
    if (entry === undefined || !this.#acceptance.accepts(entry)) return undefined;
    for (const key of keysDue(this.records, this.logTime)) this.#remove(this.#state, key);
    const groups = entry.kind === "operations" ? entry.groups : [];
    return groups.flatMap((group) => this.#group(group, before));
  }

  #group(group: readonly Operation[], before: number): ModelOutcome[] {
    const known = group.map((each) => this.#known(each, before));
    if (known.some((each) => each === "other")) return group.map(() => refused("bad-request"));
    const repeats = known.filter((each) => each !== undefined) as ModelOutcome[];
    if (repeats.length > 0 && repeats.length < group.length) {
      return group.map(() => refused("bad-request"));
    }
    if (repeats.length > 0)
      return repeats.map((each) => ({ ...each, changed: false, repeated: true }));
    const { records, revisions } = this.#state;
    const next = { records: new Map(records), revisions: new Map(revisions) };
    let outcomes = group.map((each) => this.#outcome(next, each));
    const refusal = outcomes.find(({ ok }) => !ok);
    if (refusal === undefined) this.#state = next;
    else if (group.length > 1) outcomes = group.map(() => refusal);
    for (const [index, each] of group.entries()) {
      this.#remember(each, outcomes[index] as ModelOutcome);
    }
    return outcomes;
  }

  #known(operation: Operation, before: number): ModelOutcome | "other" | undefined {
    const known = this.#requests.get(nameOf(operation));
    if (known === undefined || operation.request === undefined) return undefined;
    const oldest = Math.floor((before - WINDOW_MS) / BUCKET_MS);
    if (Math.floor(known.time / BUCKET_MS) < oldest) return undefined;
    return known.operation === shown(operation) ? known.outcome : "other";
  }

  #remember(operation: Operation, outcome: ModelOutcome): void {
    if (operation.request === undefined) return;
    const row = { time: this.logTime, operation: shown(operation), outcome };
    this.#requests.set(nameOf(operation), row);
  }

  #outcome(state: State, operation: Operation): ModelOutcome {
    try {
      return this.#do(state, operation);
    } catch (error) {
      if (error instanceof KvError) return refused(error.kind);
      throw error;
    }
  }

  #do(state: State, operation: Operation): ModelOutcome {
    const { key, verb, ifRevision } = operation;
    const record = state.records.get(key);
    const revision = record?.revision ?? 0;
    if (ifRevision !== undefined && ifRevision !== revision) return refused("conflict");
    if (verb === "check") return done(revision, false);
    if (verb === "del") {
      return record === undefined ? done(0, false) : done(this.#remove(state, key), true);
    }
    if (verb === "touch" && record === undefined) return refused("not-found");
    const content = contentAfter(operation, record);
    if (Buffer.byteLength(content.value, "latin1") > this.valueBytesMax)
      return refused("too-large");
    const { ttl } = operation;
    const keptExpiry = ttl === "keep" ? (record?.expiresAt ?? 0) : 0;
    const expiresAt = typeof ttl === "number" ? this.logTime + ttl : keptExpiry;
    const taken = this.#take(state, key);
    state.records.set(key, { ...content, revision: taken, updatedAt: this.logTime, expiresAt });
    return done(taken, true);
  }

  #take(state: State, key: string): number {
    const position = positionOf(key, this.positionCount);
    const revision = (state.revisions.get(position) ?? 0) + 1;
    state.revisions.set(position, revision);
    return revision;
  }

  #remove(state: State, key: string): number {
    state.records.delete(key);
    return this.#take(state, key);
  }
}

type Content = Pick<ModelRecord, "contentType" | "value">;

function contentAfter(
  operation: Exclude<Operation, { verb: "del" | "check" }>,
  record: ModelRecord | undefined,
): Content {
  if (operation.verb === "touch") return record as ModelRecord;
  if (operation.verb === "set") {
    const value = Buffer.from(operation.value).toString("latin1");
    if (operation.contentType === "application/json") jsonOf(value);
    return { contentType: operation.contentType, value };
  }
  const contentType = record?.contentType ?? "application/json";
  if (contentType !== "application/json") throw new KvError("unsupported", "the model has JSON");
  const before = record === undefined ? undefined : exactJsonOf(record.value);
  const after =
    operation.verb === "patch"
      ? merged(before ?? {}, jsonOf(Buffer.from(operation.value).toString("latin1")))
      : incremented(before, operation.path?.split(".") ?? [], operation.by);
  if (after === undefined) throw new KvError("bad-request", "no number, or no object above it");
  return { contentType, value: Buffer.from(JSON.stringify(after)).toString("latin1") };
}

function jsonOf(latin1: string): unknown {
  try {
    return JSON.parse(Buffer.from(latin1, "latin1").toString());
  } catch {
    throw new KvError("bad-request", "no JSON");
  }
}

function exactJsonOf(latin1: string): unknown {
  const value = jsonOf(latin1);
  if (JSON.stringify(value) === Buffer.from(latin1, "latin1").toString()) return value;
  throw new KvError("unsupported", "a number would change");
}

function nameOf({ position, request }: Operation): string {
  return `${position} ${request?.index} ${request?.id}`;
}

/** The operation without the form of its answer. */
function shown(operation: Operation): string {
  const { request: _request, returnPrevious: _previous, ...rest } = operation;
  const value = "value" in rest ? Buffer.from(rest.value).toString("hex") : "";
  return JSON.stringify({ ...rest, value });
}

function refused(error: string): ModelOutcome {
  return { ok: false, error, revision: undefined, changed: false, repeated: false };
}

function done(revision: number, changed: boolean): ModelOutcome {
  return { ok: true, error: undefined, revision, changed, repeated: false };
}
