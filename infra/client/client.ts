/**
 * Client: what `import { connect } from "ringdex"` gives.
 *
 *   const db = await connect({ servers: "127.0.0.1:4222" });
 *   await db.set("delhi", { country: "IN", population: 32_900_000 });
 *   for await (const { key } of db.find({ country: "IN" })) …
 *   await db.close();
 *
 * Requests about one key go straight to the key's position, those about many to each shard that
 * has some of them, queries to a coordinator. Every write has a request id and is sent again with
 * the same one until it is answered or out of time, so it takes effect once. docs/client.md has
 * it all with examples.
 */
import type { NatsConnection } from "nats";
import { ATTEMPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS } from "../../protocol/limits.js";
import { Names } from "../../protocol/nats/subjects.js";
import { systemChance, systemClock } from "../clock.js";
import { openConnection, reconnectForEver } from "../nats/connection.js";
import { NatsBus } from "../nats/nats-bus.js";
import { badArgument, checkOptions } from "./arguments.js";
import { Caller, IN_FLIGHT_MAX } from "./caller.js";
import {
  connectionEvents,
  type ConnectionEvent,
  type ConnectionSource,
  type StatusOptions,
} from "./connection-events.js";
import type { CallOptions, ConnectOptions, Json } from "./options.js";
import { RingView } from "./ring-view.js";
import { Session } from "./session.js";
import { storeInfo, type StoreInfo } from "./store-info.js";
import { Verbs, type VerbsParts } from "./verbs.js";

export { KvError, type ErrorBody, type ErrorName, type Written } from "../../protocol/errors.js";
export type { ContentType } from "../../protocol/operation.js";
export { positionOf } from "../../protocol/position.js";
export { IN_FLIGHT_MAX } from "./caller.js";
export {
  BatchError,
  EventGapError,
  isConflict,
  isInDoubt,
  isKind,
  isKvError,
  isNotFound,
  isUnavailable,
  type ConflictError,
  type KvErrorOf,
} from "./client-errors.js";
export type { BatchOperation } from "./operations.js";
export type { ConnectionEvent, StatusOptions } from "./connection-events.js";
export { ops } from "./ops.js";
export type { StoreInfo } from "./store-info.js";
export type * from "./options.js";
export type { Find } from "./query.js";
export { Session } from "./session.js";
export type * from "./shapes.js";
export { Verbs, type OutcomesOf, type ResultsOf } from "./verbs.js";
export type { Watch } from "./watch.js";

const DEFAULT_SERVER = "127.0.0.1:4222";

/** One store, over one connection. */
export class Ringdex<Value = Json> extends Verbs<Value> {
  readonly #parts: VerbsParts;
  readonly #ending: () => Promise<void>;

  readonly #connection: ConnectionSource;

  /** Use connect(). */
  constructor(parts: VerbsParts, connection: ConnectionSource, ending: () => Promise<void>) {
    super(parts);
    this.#parts = parts;
    this.#connection = connection;
    this.#ending = ending;
  }

  get store(): string {
    return this.#parts.names.store;
  }

  /**
   * The same verbs for one user or task: reads see at least what was read or written before in the
   * session, at less cost than linearizable. Give it an earlier Session to go on with that.
   */
  session(session: Session = new Session()): Verbs<Value> {
    if (!(session instanceof Session)) throw badArgument("session", "a Session", session);
    return new Verbs<Value>({ ...this.#parts, session });
  }

  /**
   * The states of the connection: the present one, then each change. Ends after `closed`, which
   * close() brings too. Each iteration begins by itself.
   */
  status(options: StatusOptions = {}): AsyncIterable<ConnectionEvent> {
    return connectionEvents(this.#connection, this.#parts.caller.closing, options);
  }

  /** Milliseconds until the store answered, through the server and back. */
  async ping(options: CallOptions = {}): Promise<number> {
    checkOptions("ping", options);
    const { clock } = this.#parts.caller;
    const startMs = clock.elapsedMs();
    await storeInfo(this.#parts, options);
    return clock.elapsedMs() - startMs;
  }

  /** What the store says of itself: its version, its limits, what filters take. */
  async info(options: CallOptions = {}): Promise<StoreInfo> {
    checkOptions("info", options);
    return storeInfo(this.#parts, options);
  }

  /**
   * Watches end. What was answered stays answered; writes that were sent and not answered end with
   * `in-doubt`, all else with `unavailable`. Over a borrowed connection what has been sent may
   * still be answered. May be called again.
   */
  async close(): Promise<void> {
    this.#parts.caller.close();
    await this.#ending();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Connects; `Value` is what the store's values are, as far as one type can say it, and what calls
 * are checked by when they are compiled (shapes.ts); without it they take anything. Rejects with
 * `unavailable` if no server can be reached, with `bad-request` if it does not take these
 * credentials, or its certificate is not to be trusted. Whether the store is there shows at the
 * first call.
 */
export async function connect<Value = Json>(options: ConnectOptions = {}): Promise<Ringdex<Value>> {
  checkOptions("connect", options);
  const names = new Names(options.store ?? "kv");
  const {
    timeoutMs = REQUEST_TIMEOUT_MS,
    attemptTimeoutMs = ATTEMPT_TIMEOUT_MS,
    inFlightMax = IN_FLIGHT_MAX,
  } = options;
  const connection = options.connection ?? (await open(options));
  // Handlers of ours throw nothing that the caller is not told by its own promise.
  const clock = systemClock;
  const bus = new NatsBus(connection, { clock, onFailure: () => undefined });
  const limits = { timeoutMs, attemptTimeoutMs, inFlightMax, onRetry: options.onRetry };
  const caller = new Caller({ bus, clock, chance: systemChance, ...limits });
  const ring = new RingView(caller, names);
  // A store without a coordinator yet is no reason to fail: single keys do not need the ring.
  await ring.refresh().catch(() => undefined);
  const readLevel = options.readLevel ?? "linearizable";
  const { jetstreamDomain: domain } = options;
  const parts = { bus, caller, names, ring, domain, readLevel, session: undefined };
  const isBorrowed = options.connection !== undefined;
  return new Ringdex<Value>(parts, bus, () => (isBorrowed ? Promise.resolve() : bus.close()));
}

function open(options: ConnectOptions): Promise<NatsConnection> {
  const { servers = DEFAULT_SERVER, name = "ringdex client", authenticator, tls } = options;
  const { user, pass: password, token, nkeyFile, credsFile, inboxPrefix } = options;
  return openConnection({
    url: typeof servers === "string" ? servers : servers.join(","),
    credentials: { user, password, token, nkeyFile, credsFile, inboxPrefix },
    name,
    options: {
      ...reconnectForEver,
      ...(authenticator === undefined ? {} : { authenticator }),
      ...(tls === undefined ? {} : { tls }),
    },
  });
}
