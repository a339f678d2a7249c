/**
 * The pages of a find, as the text of the coordinator's replies: the client's own find reads the
 * values, and what is to be printed must not be read (json-text.ts).
 *
 * A page is asked for when the one before has been printed.
 */
import { KvError } from "../../protocol/errors.js";
import { PAGE_ROWS_MAX } from "../../protocol/limits.js";
import type { Filter, FindOptions } from "../client/options.js";
import type { JsonText } from "./json-text.js";
import type { AskText } from "./store-access.js";

export interface FoundItem {
  readonly key: string;
  readonly revision: number;
  /** The whole item, as the reply has it. */
  readonly text: JsonText;
  /** Undefined = nothing was selected of it, or it is raw bytes. */
  readonly value: JsonText | undefined;
  /** Of a value that is raw bytes. */
  readonly base64: string | undefined;
}

export interface FoundPage {
  readonly items: readonly FoundItem[];
  /** False = some shards did not answer. */
  readonly complete: boolean;
  readonly hasMore: boolean;
}

export type FoundOptions = Pick<
  FindOptions,
  "limit" | "select" | "order" | "read" | "scan" | "partial"
>;

/** `limit`: rows in all; undefined = every one. */
export async function* foundPages(
  askText: AskText,
  where: Filter,
  options: FoundOptions,
): AsyncGenerator<FoundPage, void, undefined> {
  const { limit: limitAll, read, ...members } = options;
  const headers = read === undefined ? {} : { headers: [["Kv-Read", read]] as const };
  let left = limitAll ?? Infinity;
  let cursor: unknown;
  while (left > 0) {
    const asked = { where, limit: Math.min(left, PAGE_ROWS_MAX), cursor, ...members };
    const reply = await askText("find", Buffer.from(JSON.stringify(asked)), headers);
    const parts = reply.members();
    const list = parts.get("items");
    if (list === undefined) throw new KvError("internal", 'the reply has no list "items"');
    cursor = parts.get("cursor")?.parsed ?? undefined;
    const items = list.elements().map(itemOf);
    left -= items.length;
    const complete = parts.get("complete")?.parsed !== false;
    yield { items, complete, hasMore: cursor !== undefined };
    if (cursor === undefined) return;
  }
}

function itemOf(text: JsonText): FoundItem {
  const members = text.members();
  const base64 = members.get("value_base64")?.parsed;
  return {
    key: String(members.get("key")?.parsed),
    revision: Number(members.get("revision")?.parsed),
    text,
    value: members.get("value"),
    base64: typeof base64 === "string" ? base64 : undefined,
  };
}
