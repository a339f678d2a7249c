/**
 * Mailbox: what waits for one loop of an actor, taken in batches of everything that has arrived.
 *
 * Limit: MAILBOX_REQUESTS_MAX items; beyond it `offer` throws `overloaded`.
 */
import type { Clock } from "../../infra/clock.js";
import { KvError } from "../../protocol/errors.js";
import { MAILBOX_REQUESTS_MAX } from "../../protocol/limits.js";

export class Mailbox<Item> {
  #items: Item[] = [];
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(private readonly clock: Clock) {}

  get length(): number {
    return this.#items.length;
  }

  offer(item: Item): void {
    if (this.#closed) throw new KvError("unavailable", "the replica is ending; send it again");
    if (this.#items.length >= MAILBOX_REQUESTS_MAX) {
      const text = `${MAILBOX_REQUESTS_MAX} requests wait here already; send it again in a moment`;
      throw new KvError("overloaded", text, {
        limit: "mailbox_requests",
        max: MAILBOX_REQUESTS_MAX,
      });
    }
    this.#items.push(item);
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
