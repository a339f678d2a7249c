/**
 * Telling errors apart: guards for each kind of KvError, and the two errors only a client makes.
 *
 * Guards rather than a class for each kind: the list is closed and crosses the wire by name, so
 * `error.kind` says everything, and `switch (error.kind)` is checked by the compiler.
 */
import { KvError, type ErrorName } from "../../protocol/errors.js";
import type { EventGap, Outcome } from "./options.js";

/** A KvError of one kind, with what that kind tells. */
export type KvErrorOf<Kind extends ErrorName> = KvError & { readonly kind: Kind };

/** A condition was not met; `details.revision` is the key's revision, 0 = absent. */
export interface ConflictError extends KvErrorOf<"conflict"> {
  readonly details: { readonly revision: number; readonly [name: string]: unknown };
}

export function isKvError(error: unknown): error is KvError {
  return error instanceof KvError;
}

/** True for a KvError of one of `kinds`. */
export function isKind<Kind extends ErrorName>(
  error: unknown,
  ...kinds: readonly Kind[]
): error is KvErrorOf<Kind> {
  return error instanceof KvError && (kinds as readonly ErrorName[]).includes(error.kind);
}

export function isConflict(error: unknown): error is ConflictError {
  return isKind(error, "conflict");
}

export function isNotFound(error: unknown): error is KvErrorOf<"not-found"> {
  return isKind(error, "not-found");
}

export function isUnavailable(error: unknown): error is KvErrorOf<"unavailable" | "overloaded"> {
  return isKind(error, "unavailable", "overloaded");
}

/** The write may be there: send it again with the same request id, or read. */
export function isInDoubt(error: unknown): error is KvErrorOf<"in-doubt"> {
  return isKind(error, "in-doubt");
}

/** Some operations of many failed; `outcomes` has them all, in order. Kind of the first failed. */
export class BatchError<Result = unknown> extends KvError {
  constructor(
    readonly outcomes: readonly Outcome<Result>[],
    first: KvError,
  ) {
    const failedCount = outcomes.filter((outcome) => !outcome.ok).length;
    super(
      first.kind,
      `${failedCount} of ${outcomes.length} operations failed, first: ${first.message}`,
      first.details,
      { cause: first, retryable: first.retryable },
    );
  }
}

/** Events of a position are missing from a watch (or came twice): read its keys again. */
export class EventGapError extends Error {
  override readonly name = "EventGapError";

  constructor(readonly gap: EventGap) {
    const { position, revisionExpected, revision } = gap;
    super(
      `position ${position}: event with revision ${revision} follows where ${revisionExpected} ` +
        "was due; what happened between is not in the events stream, so read the keys again",
    );
  }
}
