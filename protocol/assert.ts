/**
 * Assertions that stay on in production.
 *
 * An assertion says what must hold whatever a client, a disk or a network does; if one fails, the
 * program is wrong and its memory cannot be trusted. So it throws InvariantError, which no actor
 * catches: it leaves the actor's run(), and its node starts the actor again from the store. Faults
 * that a client may cause are a KvError (errors.ts) instead.
 */

/** A bug in Ringdex. Never caught on the way out of an actor's run(). */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** Throws InvariantError with `reason` (why it holds, with the numbers) unless `condition`. */
export function assert(condition: unknown, reason: string): asserts condition {
  if (!condition) throw new InvariantError(reason);
}
