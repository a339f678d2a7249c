/**
 * Key rows: an index row for every record, by which all keys of a shard stand in UTF-8 order.
 *
 *   i  $key  00 01  key          the row is empty
 *
 * Records themselves stand by position, so reading them in key order would be a merge of as many
 * ranges as there are positions. The row is an index row of the path `$key`, which no attribute
 * can have (a `$` that begins a name is escaped), without a typed value: all keys are text.
 */
import { KEY_PATH } from "../value/attribute-path.js";
import { bytesAfter } from "../value/typed-range.js";
import { indexKey, type KeyRange } from "./store-keys.js";

const nothing = new Uint8Array(0);
const head = indexKey(KEY_PATH, nothing, nothing);

/** Bytes of a key row before the key. */
export const KEY_ROW_HEAD_BYTES = head.length;

export function keyRowKey(keyUtf8: Uint8Array): Buffer {
  return Buffer.concat([head, keyUtf8]);
}

export function isKeyRow(row: Uint8Array): boolean {
  return head.every((byte, index) => row[index] === byte);
}

/** Rows of keys from `from` up to, not including, `to`; undefined = to the last. */
export function keyRowRange(from: Uint8Array, to: Uint8Array | undefined): KeyRange {
  return { from: keyRowKey(from), to: to === undefined ? bytesAfter(head) : keyRowKey(to) };
}
