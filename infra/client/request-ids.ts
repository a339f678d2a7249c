/**
 * Request ids of our clients: UUIDv7, so that the store can tell by itself when one is too old.
 */
import { v7 as uuidV7 } from "uuid";
import { systemChance } from "../clock.js";

export function newRequestId(): string {
  return uuidV7({ random: systemChance.bytes(16) });
}
