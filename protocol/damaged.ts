/**
 * Damage: bytes in our own store that differ from the bytes we wrote.
 *
 * Neither a client's error nor necessarily a bug: a disk may flip a bit. The replica that reads
 * such bytes must notice and stop, never answer from them or copy them on.
 */
export class DamagedError extends Error {
  override readonly name = "DamagedError";
}
