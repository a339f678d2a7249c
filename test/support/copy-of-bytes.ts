/**
 * Copy of bytes: copies the bytes that a store, a log or a connection receives.
 *
 * Small copies lie one after another in slabs: allocating and freeing memory for each would take
 * longer than the copying.
 */

const SLAB_BYTES = 65_536;
/** More than that gets memory of its own, so that little of a slab is left unused. */
const SMALL_BYTES_MAX = 4_096;

let slab = new ArrayBuffer(SLAB_BYTES);
let used = 0;

/** Not slice(): a Buffer's shares its memory. */
export function copyOfBytes(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (length > SMALL_BYTES_MAX) return new Uint8Array(bytes);
  if (used + length > SLAB_BYTES) {
    slab = new ArrayBuffer(SLAB_BYTES);
    used = 0;
  }
  const copy = new Uint8Array(slab, used, length);
  copy.set(bytes);
  used += length;
  return copy;
}
