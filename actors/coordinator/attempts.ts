/**
 * Attempts of a coordinator: how long it waits between them, and the ids it gives to requests that
 * have none. When another attempt makes sense, protocol/reply/attempts.ts decides.
 */
import type { Chance } from "../../infra/clock.js";

/** Waits between attempts: the first, and the longest. */
export const AGAIN_FIRST_MS = 20;
export const AGAIN_MAX_MS = 500;

/**
 * Names a request of a client that gave it no id, so that it can be sent again (rule L4). No
 * UUIDv7: an applier refuses one whose time is far from the log's, and a node whose clock is wrong
 * would have its clients' writes refused. Attempts end long before such an id is forgotten.
 */
export function newRequestId(chance: Chance): string {
  return Buffer.from(chance.bytes(16)).toString("hex");
}
