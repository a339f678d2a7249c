/**
 * Mailbox: the queue of one loop of an actor, which takes all that has arrived as one batch.
 *
 * Limits: MAILBOX_REQUESTS_MAX items, MAILBOX_BYTES_MAX bytes, and MAILBOX_MS_MAX that the oldest
 * has waited; beyond any of them `offer` throws `overloaded`.
 */
import type { Clock } from "../../../infra/clock.js";
import { KvError } from "../../../protocol/errors.js";
import {
  MAILBOX_BYTES_MAX,
  MAILBOX_MS_MAX,
  MAILBOX_REQUESTS_MAX,
} from "../../../protocol/limits.js";

/** Made once: it is thrown when there is no time to make it for each. */
const waitsLong = new KvError(
  "overloaded",
  `requests wait here for ${MAILBOX_MS_MAX} ms already; send it again in a moment`,
  { limit: "mailbox_ms", max: MAILBOX_MS_MAX },
);

export class Mailbox<Item> {
  #items: Item[] = [];
  #bytes = 0;
  /** When the first of them came. */
  #oldestMs = 0;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(private readonly clock: Clock) {}

  get length(): number {
    return this.#items.length;
  }

  /** `bytes`: what the item keeps of its message. */
  offer(item: Item, bytes = 0): void {
    if (this.#closed) throw new KvError("unavailable", "the replica is closing; send it again");
    if (this.#items.length >= MAILBOX_REQUESTS_MAX) {
      const text = `${MAILBOX_REQUESTS_MAX} requests wait here already; send it again in a moment`;
      throw new KvError("overloaded", text, {
        limit: "mailbox_requests",
        max: MAILBOX_REQUESTS_MAX,
      });
    }
    if (this.#bytes + bytes > MAILBOX_BYTES_MAX) {
      const text = `requests of ${this.#bytes} bytes wait here already; send it again in a moment`;
      const details = { limit: "mailbox_bytes", max: MAILBOX_BYTES_MAX, received: bytes };
      throw new KvError("overloaded", text, details);
    }
    const nowMs = this.clock.elapsedMs();
    if (this.#items.length === 0) this.#oldestMs = nowMs;
    if (nowMs - this.#oldestMs > MAILBOX_MS_MAX) throw waitsLong;
    this.#items.push(item);
    this.#bytes += bytes;
    this.#wakeUp();
  }

  /** Ends when closed. */
  async *batches(): AsyncGenerator<readonly Item[]> {
    while (!this.#closed) {
      if (this.#items.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        // What has arrived with the same read of the socket belongs into the same batch.
        await new Promise<void>((resolve) => this.clock.soon(resolve));
      }
      const batch = this.#items;
      this.#items = [];
      this.#bytes = 0;
      if (batch.length > 0) yield batch;
    }
  }

  /** Returns what will not be taken any more. */
  close(): Item[] {
    this.#closed = true;
    this.#wakeUp();
    return this.#items.splice(0);
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
