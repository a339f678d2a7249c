/**
 * Mailbox: the queue of one loop of an actor, which takes all that has arrived as one batch.
 *
 * Limits: MAILBOX_REQUESTS_MAX items, MAILBOX_BYTES_MAX bytes, and MAILBOX_MS_MAX that the oldest
 * has waited; beyond any of them `offer` throws `overloaded`.
 */
import type { Clock } from "../../../infra/clock.js";
import { KvError } from "../../../protocol/errors.js";
import { Admission, mailboxRules, type OnRefusal } from "../../admission.js";

export class Mailbox<Item> {
  #items: Item[] = [];
  readonly #admission: Admission;
  /** When the first of them came. */
  #oldestMs = 0;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(
    private readonly clock: Clock,
    onRefusal?: OnRefusal,
  ) {
    this.#admission = new Admission(mailboxRules, onRefusal);
  }

  get length(): number {
    return this.#items.length;
  }

  /** `bytes`: what the item keeps of its message. */
  offer(item: Item, bytes = 0): void {
    if (this.#closed) throw new KvError("unavailable", "the replica is closing; send it again");
    const nowMs = this.clock.elapsedMs();
    if (this.#items.length === 0) this.#oldestMs = nowMs;
    this.#admission.enter(bytes, nowMs - this.#oldestMs);
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
      this.#admission.leaveAll();
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
