/**
 * Whether a nats.js connection stands, told at once to whoever listens.
 *
 * nats.js tells it through an asynchronous iterator. It is read here, once a connection.
 * "connected" comes before any message of the new connection can, because nats.js resubscribes
 * first and the iterator needs no turn of the event loop.
 */
import type { NatsConnection } from "nats";
import type { BusStatus } from "../bus.js";

export class ConnectionStatus {
  #current: BusStatus = "connected";
  readonly #listeners = new Set<(status: BusStatus) => void>();

  /** `onError`: errors that the server tells outside of any reply, such as a permission missing. */
  constructor(connection: NatsConnection, onError?: (error: Error) => void) {
    void this.#watch(connection, onError);
    // The iterator does not end with the connection.
    void connection.closed().then(() => this.#change("closed"));
  }

  get current(): BusStatus {
    return this.#current;
  }

  /** Called at each change. Returns its end. */
  listen(listener: (status: BusStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async #watch(connection: NatsConnection, onError?: (error: Error) => void): Promise<void> {
    for await (const event of connection.status()) {
      if (event.type === "disconnect") this.#change("disconnected");
      else if (event.type === "reconnect") this.#change("connected");
      else if (event.type === "error") onError?.(new Error(JSON.stringify(event)));
    }
  }

  #change(status: BusStatus): void {
    if (status === this.#current || this.#current === "closed") return;
    this.#current = status;
    for (const listener of this.#listeners) listener(status);
  }
}
