/**
 * Queries: find, count and keys, page by page, as JSON from a coordinator.
 *
 * A page is asked for when the one before has been used up, never ahead: a caller that stops early
 * costs nobody a fan-out. Cursors are the coordinator's and carry the whole state, so a page that
 * failed can be asked for again, by this client or any other.
 */
import { KvError } from "../../protocol/errors.js";
import { PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX } from "../../protocol/limits.js";
import type { MultiKeyVerb, Names } from "../../protocol/nats/subjects.js";
import { contentTypes, type ContentType } from "../../protocol/operation.js";
import type { Caller } from "./caller.js";
import { bodyOf } from "./json-reply.js";
import type {
  CallOptions,
  CountOptions,
  Coverage,
  FindItem,
  FindOptions,
  FindPage,
  KeysOptions,
  ReadLevel,
} from "./options.js";
import type { AnyFilter } from "./shapes.js";
import { decodeValue, encodeJson } from "./values.js";

type Body = Readonly<Record<string, unknown>>;

/** Sends a verb's JSON body to a coordinator. */
export class Queries {
  constructor(
    private readonly caller: Caller,
    private readonly names: Names,
  ) {}

  ask(
    verb: MultiKeyVerb,
    body: Body,
    options: CallOptions & { readonly read?: ReadLevel },
  ): Promise<Body> {
    const headers =
      options.read === undefined ? {} : { headers: [["Kv-Read", options.read]] as const };
    const outgoing = { subject: this.names.verb(verb), payload: encodeJson(body), isWrite: false };
    return this.caller.call({ ...outgoing, ...headers }, bodyOf, options);
  }

  async count(where: AnyFilter, options: CountOptions): Promise<number> {
    const { scan, partial } = options;
    const body = await this.ask("count", { where, scan, partial }, options);
    if (typeof body["count"] === "number") return body["count"];
    throw new KvError("internal", "the reply to count has no count");
  }

  async *keys(options: KeysOptions): AsyncGenerator<string, void, undefined> {
    let cursor: string | undefined;
    let left = options.limit ?? Infinity;
    while (left > 0) {
      const limit = pageLimit(options.pageSize, left);
      const body = await this.ask("keys", { prefix: options.prefix, limit, cursor }, options);
      const keys = listOf<string>("keys", body).slice(0, left);
      yield* keys;
      left -= keys.length;
      cursor = cursorOf(body);
      if (cursor === undefined) return;
    }
  }
}

/**
 * What find() gives: iterate it for the items, or its pages() for what stands beside them. Each
 * iteration asks anew.
 */
export class Find<Value> implements AsyncIterable<FindItem<Value>> {
  constructor(
    private readonly queries: Queries,
    private readonly where: AnyFilter,
    private readonly options: FindOptions,
  ) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<FindItem<Value>, void, undefined> {
    for await (const page of this.pages()) yield* page.items;
  }

  async *pages(): AsyncGenerator<FindPage<Value>, void, undefined> {
    const { limit: limitAll, pageSize, order, select, partial, scan, certificate } = this.options;
    let { cursor } = this.options;
    let left = limitAll ?? Infinity;
    while (left > 0) {
      const limit = pageLimit(pageSize, left);
      const { where } = this;
      const asked = { where, order, limit, cursor, select, partial, scan, certificate };
      const page = pageOf<Value>(await this.queries.ask("find", asked, this.options));
      left -= page.items.length;
      yield page;
      cursor = page.cursor;
      if (cursor === undefined) return;
    }
  }

  /** All of them, in memory: meant for results that `limit` or the filter keep small. */
  async toArray(): Promise<FindItem<Value>[]> {
    const items: FindItem<Value>[] = [];
    for await (const item of this) items.push(item);
    return items;
  }

  /** The first one, if any; asks for no more. */
  async first(): Promise<FindItem<Value> | undefined> {
    const find = new Find<Value>(this.queries, this.where, { ...this.options, limit: 1 });
    return (await find.toArray())[0];
  }
}

function pageOf<Value>(body: Body): FindPage<Value> {
  const cursor = cursorOf(body);
  const certificate = body["certificate"] as readonly Coverage[] | undefined;
  return {
    items: listOf<Body>("items", body).map(itemOf<Value>),
    complete: body["complete"] !== false,
    ...(certificate === undefined ? {} : { certificate }),
    ...(cursor === undefined ? {} : { cursor }),
  };
}

/** A value stands as JSON, or as base64 where its content type has no JSON. */
function itemOf<Value>(item: Body): FindItem<Value> {
  const named = contentTypes.find((type) => type === item["content_type"]);
  const contentType: ContentType = named ?? "application/json";
  const base64 = item["value_base64"];
  const value =
    typeof base64 === "string"
      ? decodeValue(new Uint8Array(Buffer.from(base64, "base64")), contentType)
      : item["value"];
  const { key, revision } = item as { readonly key: string; readonly revision: number };
  return { key, value: value as Value, revision, contentType };
}

function listOf<Element>(member: string, body: Body): readonly Element[] {
  const list = body[member];
  if (Array.isArray(list)) return list as Element[];
  throw new KvError("internal", `the reply has no list "${member}"`);
}

function cursorOf(body: Body): string | undefined {
  return typeof body["cursor"] === "string" ? body["cursor"] : undefined;
}

function pageLimit(pageSize: number | undefined, left: number): number {
  const size = pageSize ?? PAGE_ROWS_DEFAULT;
  if (size > PAGE_ROWS_MAX) {
    const form = `pageSize is a whole number from 1 to ${PAGE_ROWS_MAX}`;
    throw new KvError("limit-exceeded", `${form}; received ${size}`, {
      limit: PAGE_ROWS_MAX,
      size,
    });
  }
  return Math.min(size, left);
}
