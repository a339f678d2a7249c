/**
 * Cursors with a right checksum and whatever inside. The checksum has no secret, so anybody who
 * reads protocol/query/cursor.ts can make them.
 */
import { createHash } from "node:crypto";
import { encodeCursor, queryHash } from "../../protocol/query/cursor.js";
import type { Condition } from "../../protocol/query/filter.js";
import { mutated } from "./mutate.js";
import { texts } from "./payloads.js";
import type { Random } from "./random.js";

/** Of the filter `{"n":{"$gt":0}}`; of keys, of the prefix "". */
export function forgedCursor(random: Random, verb: string, store: string): string {
  const conditions: Condition[] =
    verb === "keys"
      ? [{ path: "$key", operator: "prefix", prefix: "" }]
      : [{ path: "n", operator: "gt", value: 0 }];
  const query = queryHash(store, verb, conditions);
  const driver = random.pick(["key", 0, 1, 7] as const);
  const after = { order: random.shortBytes(40), key: random.pick(texts) };
  const text = encodeCursor({ driver, after }, query);
  if (random.once(2)) return text;
  const body = mutated(Buffer.from(text, "base64url").subarray(0, -4), random);
  const checksum = createHash("sha256").update(body).digest().subarray(0, 4);
  return Buffer.concat([body, checksum]).toString("base64url");
}
