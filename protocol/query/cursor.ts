/**
 * Cursor: where the next page of a query goes on, as text that the client hands back.
 *
 * It holds the place of the last row looked at, not a handle: nothing is kept on our side, so a
 * cursor survives restarts and moves. It also holds what fixes the order of rows for all pages
 * (the driver), which statistics that changed in between must not.
 *
 * Bytes, as base64url without padding:
 *
 *   1   format, CURSOR_FORMAT
 *   8   of the query: the first bytes of SHA-256 over store, verb and conditions
 *   2   driver, big-endian: 0xffff = by key, else the index of a condition
 *   2   length of the order bytes, big-endian
 *   …   order bytes
 *   …   key, UTF-8, up to the checksum
 *   4   checksum: the first bytes of SHA-256 over all before it
 *
 * Reader: undo base64url; refuse fewer than 17 bytes or a wrong checksum (not a cursor of ours);
 * refuse another format (expired); refuse another query; then take the parts in order. The
 * checksum is against mistakes, not against forgery: a forged cursor shows its maker no more
 * than a filter could.
 */
import { createHash } from "node:crypto";
import { KvError } from "../errors.js";
import type { Condition } from "./filter.js";

const CURSOR_FORMAT = 1;

/** What orders the rows: their keys alone, or the element that meets this condition, then keys. */
export type Driver = "key" | number;

/** A row's place in the order. Compare `order` as bytes, then `key` as UTF-8 bytes. */
export interface Place {
  /** Typed value as it stands in the index; empty if the driver is "key". */
  readonly order: Uint8Array;
  readonly key: string;
}

export interface Cursor {
  readonly driver: Driver;
  readonly after: Place;
}

const QUERY_BYTES = 8;
const HEAD_BYTES = 1 + QUERY_BYTES + 2 + 2;
const CHECKSUM_BYTES = 4;
const DRIVER_KEY = 0xffff;

/** What a cursor must have been made for. */
export function queryHash(store: string, verb: string, conditions: readonly Condition[]): Buffer {
  const text = JSON.stringify([store, verb, conditions]);
  return createHash("sha256").update(text).digest().subarray(0, QUERY_BYTES);
}

export function encodeCursor(cursor: Cursor, query: Uint8Array): string {
  const head = Buffer.alloc(HEAD_BYTES);
  head[0] = CURSOR_FORMAT;
  head.set(query, 1);
  head.writeUInt16BE(cursor.driver === "key" ? DRIVER_KEY : cursor.driver, 1 + QUERY_BYTES);
  head.writeUInt16BE(cursor.after.order.length, 3 + QUERY_BYTES);
  const body = Buffer.concat([head, cursor.after.order, Buffer.from(cursor.after.key)]);
  return Buffer.concat([body, checksum(body)]).toString("base64url");
}

/** Throws KvError `bad-request` or `cursor-expired`. The driver's index is not checked. */
export function decodeCursor(text: string, query: Uint8Array): Cursor {
  const bytes = Buffer.from(text, "base64url");
  const body = bytes.subarray(0, Math.max(0, bytes.length - CHECKSUM_BYTES));
  // Compared as text as well: Buffer.from skips what is not base64url instead of refusing it.
  const isOurs =
    bytes.length >= HEAD_BYTES + CHECKSUM_BYTES &&
    checksum(body).equals(bytes.subarray(body.length)) &&
    bytes.toString("base64url") === text;
  if (!isOurs) throw new KvError("bad-request", `"cursor" does not come from a reply`);
  if (body[0] !== CURSOR_FORMAT) {
    throw new KvError(
      "cursor-expired",
      `the cursor has unknown format ${body[0]}; start the query again`,
      {
        format: CURSOR_FORMAT,
      },
    );
  }
  if (!body.subarray(1, 1 + QUERY_BYTES).equals(query)) {
    throw new KvError(
      "bad-request",
      `the cursor belongs to another query; repeat that query with the same "where"`,
    );
  }
  const driver = body.readUInt16BE(1 + QUERY_BYTES);
  const orderEnd = HEAD_BYTES + body.readUInt16BE(3 + QUERY_BYTES);
  if (orderEnd > body.length) throw new KvError("bad-request", `"cursor" is cut short`);
  return {
    driver: driver === DRIVER_KEY ? "key" : driver,
    after: { order: body.subarray(HEAD_BYTES, orderEnd), key: body.toString("utf8", orderEnd) },
  };
}

function checksum(body: Uint8Array): Buffer {
  return createHash("sha256").update(body).digest().subarray(0, CHECKSUM_BYTES);
}
