/**
 * Channel: a simulated client's way to the store. There are two, as for real users: our own client
 * (channel-ours.ts) and any program that speaks NATS (channel-plain.ts).
 */
import { KvError } from "../../protocol/errors.js";
import type {
  CertifiedPart,
  FoundItem,
  QueryOutcome,
  Step,
  StepOutcome,
} from "../history/history.js";
import type { Wish } from "./workload.js";

export interface Channel {
  /** `requestId` undefined: it is sent once. Never rejects. */
  one(wish: Wish, requestId: string | undefined): Promise<StepOutcome>;
  /** An outcome for each, in order. Without a request id it is sent once as well. */
  batch(
    wishes: readonly Wish[],
    atomic: boolean,
    requestId: string | undefined,
  ): Promise<StepOutcome[]>;
  /** One page, or the count. */
  query(asked: QueryAsked): Promise<QueryAnswer>;
  /** The highest revision seen of the key's position; what a session read is to see. */
  revisionMin(key: string): number;
}

export interface QueryAsked {
  readonly verb: "find" | "count" | "keys";
  readonly where?: object;
  readonly prefix?: string;
  readonly limit: number;
  readonly cursor?: string;
  readonly level: "linearizable" | "stale";
  readonly partial: boolean;
}

export interface QueryAnswer {
  readonly outcome: QueryOutcome;
  readonly cursor: string | undefined;
}

/**
 * Whether another delivery of the same request may have been carried out, where the network repeats
 * what is sent (repeatable.ts): a sender who knew of it would not believe a refusal.
 */
export function mayBeDone(error: KvError, networkRepeats: boolean): boolean {
  return networkRepeats && error.isUndecided;
}

/** The final result; `isDoubtful`: an earlier attempt may have been carried out. */
export function outcomeOf(
  error: KvError,
  isDoubtful: boolean,
  wish: Pick<Step, "verb">,
): StepOutcome {
  // Both are outcomes that the log's applier computed and remembers: the first and only one.
  if (error.kind === "conflict") {
    return { kind: "conflict", revision: Number(error.details["revision"]) };
  }
  if (error.kind === "not-found") return { kind: "absent" };
  const isUnknown = wish.verb !== "get" && (isDoubtful || error.written === "unknown");
  return { kind: isUnknown ? "unknown" : "refused", error: error.kind };
}

/** One error for all of an atomic batch. */
export function atomicOutcomes(
  error: KvError,
  isDoubtful: boolean,
  wishes: readonly Wish[],
): StepOutcome[] {
  const { index } = error.details;
  return wishes.map((wish, at) => {
    const outcome = outcomeOf(error, isDoubtful, wish);
    const isOthers = outcome.kind === "conflict" || outcome.kind === "absent";
    return isOthers && at !== index ? { kind: "refused", error: error.kind } : outcome;
  });
}

/** The body of a reply to find, count or keys. */
export function queryAnswer(body: Record<string, unknown>): QueryAnswer {
  const { items, keys, count, complete = true, certificate, missing, cursor } = body;
  const outcome: QueryOutcome = {
    kind: "answered",
    complete: complete === true,
    more: typeof cursor === "string",
    ...(Array.isArray(items) ? { items: items.map(itemOf) } : {}),
    ...(Array.isArray(keys) ? { keys: keys as string[] } : {}),
    ...(typeof count === "number" ? { count } : {}),
    ...(Array.isArray(certificate) ? { certificate: certificate as CertifiedPart[] } : {}),
    ...(Array.isArray(missing) ? { missing: missing as string[] } : {}),
  };
  return { outcome, cursor: typeof cursor === "string" ? cursor : undefined };
}

function itemOf(item: Record<string, unknown>): FoundItem {
  const { key, value, revision } = item;
  return { key: String(key), value: JSON.stringify(value), revision: Number(revision) };
}

export function refusedQuery(error: KvError): QueryAnswer {
  return { outcome: { kind: "refused", error: error.kind }, cursor: undefined };
}

/** The error itself, if it is one of the store's; anything else is a bug. */
export function kvError(error: unknown): KvError {
  if (error instanceof KvError) return error;
  throw error;
}
