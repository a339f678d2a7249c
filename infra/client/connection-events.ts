/**
 * Connection events: the states of a client's connection, for programs to show or to act on.
 *
 * The present state comes first, and then each change. Attempts to reconnect follow one another
 * quickly, so "reconnecting" comes once for each loss: what waits to be read is bounded by how
 * often the connection was lost. Invariant: nothing follows "closed".
 */
import type { ConnectionEvent } from "../nats/connection-status.js";
import { checkOptions } from "./arguments.js";

export type { ConnectionEvent };

/** Where the events come from. */
export interface ConnectionSource {
  readonly event: ConnectionEvent;
  /** Called at each change. Returns its end. */
  onEvent(listener: (event: ConnectionEvent) => void): () => void;
}

export interface StatusOptions {
  /** Ends the iteration with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** `closing` fires when the client is closed, which may leave the connection open. */
export function connectionEvents(
  source: ConnectionSource,
  closing: AbortSignal,
  options: StatusOptions,
): AsyncIterable<ConnectionEvent> {
  checkOptions("status", options);
  return { [Symbol.asyncIterator]: () => eventsFrom(source, closing, options.signal) };
}

async function* eventsFrom(
  source: ConnectionSource,
  closing: AbortSignal,
  signal: AbortSignal | undefined,
): AsyncGenerator<ConnectionEvent, void, undefined> {
  const waiting = [source.event];
  let wake = (): void => undefined;
  const end = (): void => wake();
  const unlisten = source.onEvent((event) => {
    waiting.push(event);
    wake();
  });
  closing.addEventListener("abort", end, { once: true });
  signal?.addEventListener("abort", end, { once: true });
  try {
    for (;;) {
      signal?.throwIfAborted();
      const event: ConnectionEvent | undefined =
        waiting.shift() ?? (closing.aborted ? { state: "closed" } : undefined);
      if (event === undefined) {
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      yield event;
      if (event.state === "closed") return;
    }
  } finally {
    unlisten();
    closing.removeEventListener("abort", end);
    signal?.removeEventListener("abort", end);
  }
}
