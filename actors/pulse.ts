/**
 * Pulse: measures whether requests wait too long on their way to this process.
 *
 * Mailbox     kv.node.<node>.pulse, to which only this node publishes
 * State       when each pulse left that has not come back
 * Decides in  this file
 * Lifecycle   from start() to stop()
 * On a bug    none of its own
 *
 * Between a client and an actor lies a queue that none of our counters sees: bytes that nats-server
 * has not written yet, that the kernel holds, that nats.js has not parsed. When requests come
 * faster than the node answers them, the queue grows without a bound: the node answers requests
 * that are seconds old, and in the end the server takes the node for stale and closes the
 * connection, with all that is in it. A message that a node sends to itself waits in the same queue
 * as the requests, so it has their age. While that is above QUEUE_MS_MAX, the node refuses requests
 * unread, which costs a fraction of answering them. So the queue gets short again, and the node
 * takes requests in time.
 *
 * A pulse leaves only when a request has come: an idle node sends none and sets no timer.
 *
 * Invariants
 *   1. Pulses come back in the order in which they left, so when one comes back, those before it
 *      have come back or are lost.
 *   2. One lost pulse makes nothing late.
 */
import type { Bus, Subscription } from "../infra/bus.js";
import type { Clock } from "../infra/clock.js";
import { KvError } from "../protocol/errors.js";
import { PULSE_MS, QUEUE_MS_MAX } from "../protocol/limits.js";

/** After so long without a request, pulses that are away say nothing about the next one. */
const IDLE_MS = 1_000;

export class Pulse {
  /** When the pulses left that have not come back, in order. */
  #sentMs: number[] = [];
  #sentLastMs = -Infinity;
  #requestLastMs = -Infinity;
  readonly #ends: (() => void)[] = [];

  constructor(
    private readonly bus: Bus,
    private readonly subject: string,
    private readonly clock: Clock,
  ) {}

  start(): void {
    const { bus, subject } = this;
    const subscription: Subscription = bus.subscribe(subject, undefined, ({ data }) => {
      this.#return(Buffer.from(data).toString());
    });
    this.#ends.push(
      () => subscription.unsubscribe(),
      // Those that were on their way are lost with the connection.
      bus.onStatus((status) => {
        if (status !== "connected") this.#forget();
      }),
    );
  }

  stop(): void {
    for (const end of this.#ends.splice(0)) end();
    this.#forget();
  }

  /** To be asked for each request, before it is read. True: refuse it, by `tooLate`. */
  isLate(): boolean {
    const nowMs = this.clock.elapsedMs();
    if (nowMs - this.#requestLastMs > IDLE_MS) this.#forget();
    this.#requestLastMs = nowMs;
    if (nowMs - this.#sentLastMs >= PULSE_MS && this.#ends.length > 0) this.#send(nowMs);
    // The second oldest: the oldest may be lost.
    const secondMs = this.#sentMs[1];
    return secondMs !== undefined && nowMs - secondMs > QUEUE_MS_MAX;
  }

  #send(nowMs: number): void {
    this.#sentLastMs = nowMs;
    this.#sentMs.push(nowMs);
    this.bus.publish(this.subject, Buffer.from(String(nowMs)));
  }

  #return(sent: string): void {
    const index = this.#sentMs.indexOf(Number(sent));
    this.#sentMs.splice(0, index + 1);
  }

  #forget(): void {
    this.#sentMs = [];
    this.#sentLastMs = -Infinity;
  }
}

/** The answer to each request while requests wait too long. */
export const tooLate = new KvError(
  "overloaded",
  `requests wait more than ${QUEUE_MS_MAX} ms before this process reads them; send it again in ` +
    "a moment",
  { limit: "queue_ms", max: QUEUE_MS_MAX },
);
