/**
 * Whether a nats.js connection stands, and what its user must not do, told at once to whoever
 * listens.
 *
 * nats.js tells it through an asynchronous iterator. It is read here, once a connection.
 * "connected" comes before any message of the new connection can, because nats.js resubscribes
 * first and the iterator needs no turn of the event loop.
 */
import type { NatsConnection, Status } from "nats";
import { KvError } from "../../protocol/errors.js";
import type { BusStatus } from "../bus.js";

/** The server has refused a message or a subscription. */
export interface Denial {
  readonly operation: "publish" | "subscription";
  /** As the server's mapping has it. */
  readonly subject: string;
}

/** More than a BusStatus tells: "reconnecting" = an attempt began, once for each loss. */
export interface ConnectionEvent {
  readonly state: BusStatus | "reconnecting";
  /** `host:port`; absent where no server is meant. */
  readonly server?: string;
}

export class ConnectionStatus {
  #current: BusStatus;
  #event: ConnectionEvent;
  readonly #eventListeners = new Set<(event: ConnectionEvent) => void>();
  readonly #listeners = new Set<(status: BusStatus) => void>();
  readonly #denialListeners = new Set<(denial: Denial) => void>();

  /** `onError`: errors that the server tells outside of any reply, such as a permission missing. */
  constructor(connection: NatsConnection, onError?: (error: Error) => void) {
    this.#current = statusOf(connection);
    this.#event = eventOf(this.#current, connection.getServer());
    void this.#watch(connection, onError);
    // The iterator does not end with the connection.
    void connection.closed().then(() => this.#change("closed"));
  }

  get current(): BusStatus {
    return this.#current;
  }

  get event(): ConnectionEvent {
    return this.#event;
  }

  /** Called at each change of what happens to the connection. Returns its end. */
  onEvent(listener: (event: ConnectionEvent) => void): () => void {
    this.#eventListeners.add(listener);
    return () => void this.#eventListeners.delete(listener);
  }

  /** Called at each change. Returns its end. */
  listen(listener: (status: BusStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Called at each refusal for want of a right. Returns its end. */
  onDenied(listener: (denial: Denial) => void): () => void {
    this.#denialListeners.add(listener);
    return () => void this.#denialListeners.delete(listener);
  }

  async #watch(connection: NatsConnection, onError?: (error: Error) => void): Promise<void> {
    for await (const event of connection.status()) {
      if (event.type === "disconnect") this.#change("disconnected", event.data);
      else if (event.type === "reconnect") this.#change("connected", event.data);
      else if (event.type === "reconnecting") this.#tell(eventOf("reconnecting", event.data));
      else if (event.type === "error") {
        const denial = denialIn(event);
        if (denial !== undefined) for (const listener of this.#denialListeners) listener(denial);
        onError?.(denial === undefined ? new Error(JSON.stringify(event)) : deniedError(denial));
      }
    }
  }

  #change(status: BusStatus, server?: unknown): void {
    if (status === this.#current || this.#current === "closed") return;
    this.#current = status;
    for (const listener of this.#listeners) listener(status);
    this.#tell(eventOf(status, server));
  }

  #tell(event: ConnectionEvent): void {
    if (event.state === this.#event.state || this.#event.state === "closed") return;
    this.#event = event;
    for (const listener of this.#eventListeners) listener(event);
  }
}

/** A borrowed connection may be on its way back to a server, which nats.js tells only later. */
function statusOf(connection: NatsConnection): BusStatus {
  if (connection.isClosed()) return "closed";
  const { protocol } = connection as { protocol?: { readonly connected?: boolean } };
  const stands = connection.info !== undefined && protocol?.connected !== false;
  return stands ? "connected" : "disconnected";
}

function eventOf(state: ConnectionEvent["state"], server: unknown): ConnectionEvent {
  const isNamed = typeof server === "string" && server !== "" && state !== "closed";
  return isNamed ? { state, server } : { state };
}

function denialIn({ permissionContext: context }: Status): Denial | undefined {
  if (context === undefined) return undefined;
  const operation = context.operation === "publish" ? "publish" : "subscription";
  return { operation, subject: context.subject };
}

/** The error for the caller that asked. Sending it again would end the same way. */
export function deniedError({ operation, subject }: Denial): KvError {
  const what = operation === "publish" ? "publish to" : "subscribe to";
  const text =
    `this NATS user is not permitted to ${what} ${subject}; docs/security.md has the rights ` +
    "that each role needs";
  return new KvError("bad-request", text, { subject });
}

/** The same where the subject is this connection's own inbox. */
export function inboxDeniedError(
  inbox: string,
  kind: "bad-request" | "in-doubt" = "bad-request",
): KvError {
  const text =
    `this NATS user is not permitted to subscribe to its inbox ${inbox}: set the inbox prefix ` +
    "that it has a right to (RINGDEX_NATS_INBOX_PREFIX, or inboxPrefix of connect)";
  return new KvError(kind, text, { subject: inbox }, { retryable: false });
}
