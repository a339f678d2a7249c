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
import { elementsOf, membersOf, sliceOf } from "../../protocol/value/json-members.js";
import type { Message } from "../bus.js";
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
import { decodeText, encodeJson, valueAs } from "./values.js";

type Body = Readonly<Record<string, unknown>>;

type AskOptions = CallOptions & { readonly read?: ReadLevel };

/** Sends a verb's JSON body to a coordinator. */
export class Queries {
  constructor(
    private readonly caller: Caller,
    private readonly names: Names,
  ) {}

  ask(verb: MultiKeyVerb, body: Body, options: AskOptions): Promise<Body> {
    return this.askFor(verb, body, options, bodyOf);
  }

  /** The same, with what `read` makes of the reply. */
  askFor<Answer>(
    verb: MultiKeyVerb,
    body: Body,
    options: AskOptions,
    read: (reply: Message) => Answer,
  ): Promise<Answer> {
    const headers =
      options.read === undefined ? {} : { headers: [["Kv-Read", options.read]] as const };
    const outgoing = { subject: this.names.verb(verb), payload: encodeJson(body), isWrite: false };
    return this.caller.call({ ...outgoing, ...headers }, read, options);
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
 * iteration asks again.
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
      const { as } = this.options;
      const read = (reply: Message): FindPage<Value> => pageOf<Value>(reply, as);
      const page = await this.queries.askFor("find", asked, this.options, read);
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

function pageOf<Value>(reply: Message, as: FindOptions["as"]): FindPage<Value> {
  const body = bodyOf(reply);
  const cursor = cursorOf(body);
  const certificate = body["certificate"] as readonly Coverage[] | undefined;
  const items = listOf<Body>("items", body);
  const texts = as === "text" ? textsOf(reply.data) : [];
  return {
    items: items.map((item, index) => itemOf<Value>(item, as, texts[index])),
    complete: body["complete"] !== false,
    ...(certificate === undefined ? {} : { certificate }),
    ...(cursor === undefined ? {} : { cursor }),
  };
}

/** Of each item the JSON text of its value, cut from the reply: JSON.parse would round numbers. */
function textsOf(reply: Uint8Array): (string | undefined)[] {
  // A span says that the reply was parsed before: values in it may be as deep as a value may be.
  const items = membersOf(reply, { start: 0, end: reply.length }).get("items");
  return elementsOf(reply, items).map((item) => {
    const value = membersOf(reply, item).get("value");
    return value === undefined ? undefined : decodeText(sliceOf(reply, value));
  });
}

/** A value stands as JSON, or as base64 where its content type has no JSON. */
function itemOf<Value>(
  item: Body,
  as: FindOptions["as"],
  text: string | undefined,
): FindItem<Value> {
  const named = contentTypes.find((type) => type === item["content_type"]);
  const contentType: ContentType = named ?? "application/json";
  const base64 = item["value_base64"];
  const asJson = text === undefined || contentType === "text/plain" ? item["value"] : text;
  const value =
    typeof base64 === "string"
      ? valueAs(new Uint8Array(Buffer.from(base64, "base64")), contentType, as && "bytes")
      : asJson;
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
