/**
 * The ring's bytes: the JSON of the ring table, as it lies in the ring's bucket.
 */
import { KvError } from "../errors.js";
import { encodeRing, parseRing, type RingTable } from "./ring.js";

export function ringBytes(ring: RingTable): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(encodeRing(ring)));
}

/** The table that ringBytes wrote. Throws KvError `internal` for bytes that are not a ring. */
export function decodeRing(value: Uint8Array): RingTable {
  const text = new TextDecoder().decode(value);
  try {
    return parseRing(JSON.parse(text));
  } catch (cause) {
    if (cause instanceof KvError) throw cause;
    throw new KvError("internal", "the ring table is not JSON", {}, { cause });
  }
}
