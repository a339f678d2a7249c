/**
 * Request ids: any text of 1 … REQUEST_ID_BYTES_MAX bytes. Those that are UUIDs of version 7
 * (RFC 9562, section 5.7) tell when they were made, which lets the applier refuse one that is too
 * old to be in its memory instead of doing it again (rule L4).
 */
import type { TimeMs } from "./ids.js";

const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** When a UUIDv7 was made; undefined for any other id. */
export function requestTime(id: string): TimeMs | undefined {
  if (id.length !== 36 || !uuidV7.test(id)) return undefined;
  // The first 48 bits are the time: 8 digits, a hyphen, 4 digits.
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) as TimeMs;
}
