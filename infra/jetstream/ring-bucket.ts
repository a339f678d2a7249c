/**
 * Ring bucket: one value with a revision, changed only by compare-and-set.
 *
 * A JetStream key-value bucket of one key, so that people can look at it with NATS's own tools.
 * Reads go to the stream's leader and not to a copy (no direct get): who changes the ring must
 * see its newest state, or the compare-and-set fails for no reason.
 *
 * Delivery of watch(): every value that is the newest when looked at, in ascending revisions; not
 * every value there ever was. A lower revision says that the bucket has lost what came after it, as
 * it may by a power cut; from there on they ascend again.
 */
import { KvError } from "../../protocol/errors.js";
import type { Sequence, TimeMs } from "../../protocol/ids.js";
import { ATTEMPT_TIMEOUT_MS } from "../../protocol/limits.js";
import { sleep, type Clock } from "../clock.js";
import type { LogConsumer } from "../log.js";
import type { NatsBus } from "../nats/nats-bus.js";
import {
  askJetstream,
  errorCodes,
  errorIn,
  hasErrorCode,
  isOutdated,
  JetstreamError,
  numberIn,
  parseJson,
  readMessage,
  type Which,
} from "./jetstream-api.js";
import { jetstreamConsumer } from "./jetstream-consumer.js";

/** Old values of the ring that stay for people to look at. */
const HISTORY_COUNT = 16;
const KEY = "ring";
/** How far back a ring is looked for when the newest value is none. */
const LOOK_BACK_MAX = 256;
/** Between two attempts of a watcher to read. */
const READ_AGAIN_MS = 500;

export interface RingValue {
  readonly value: Uint8Array;
  /** Grows with each change; not by 1. */
  readonly revision: number;
  /** When it was written, by nats-server's clock. */
  readonly changedAtMs: TimeMs;
}

export interface RingBucketOptions {
  readonly bus: NatsBus;
  /** The bucket's name, such as `kv-ring`. */
  readonly bucket: string;
  /** Copies in a NATS cluster; 1 on a single server. */
  readonly replicas: number;
  readonly clock: Clock;
  /** Tells a ring from foreign bytes. Default: everything is one. */
  readonly isRing?: (value: Uint8Array) => boolean;
  /** What a watcher threw. */
  readonly onFailure: (error: unknown) => void;
}

export class RingBucket {
  readonly #options: RingBucketOptions;
  readonly #stream: string;
  readonly #subject: string;

  private constructor(options: RingBucketOptions) {
    this.#options = options;
    this.#stream = `KV_${options.bucket}`;
    this.#subject = `$KV.${options.bucket}.${KEY}`;
  }

  /** Creates the bucket if there is none. Rejects with JetstreamError or KvError. */
  static async open(options: RingBucketOptions): Promise<RingBucket> {
    const bucket = new RingBucket(options);
    await bucket.#create();
    return bucket;
  }

  /**
   * Undefined = there is no ring yet. Where the newest value is no ring, the last one that is,
   * under the newest revision: an old ring costs a hop, and its next change mends the bucket. If
   * none is, the newest, so that its reader can say what is wrong with it. Rejects with KvError.
   */
  async read(): Promise<RingValue | undefined> {
    const newest = await this.#newest();
    if (newest === undefined || this.#isRing(newest.value)) return newest;
    const { revision } = newest;
    const oldest = Math.max(1, revision - LOOK_BACK_MAX);
    for (let sequence = revision - 1; sequence >= oldest; sequence -= 1) {
      const found = await this.#message({ seq: sequence });
      if (found !== undefined && this.#isRing(found.value)) return { ...found, revision };
    }
    return newest;
  }

  #newest(): Promise<RingValue | undefined> {
    return this.#message({ last_by_subj: this.#subject });
  }

  #isRing(value: Uint8Array): boolean {
    return this.#options.isRing?.(value) ?? true;
  }

  /** Undefined = there is none, or it is of another key. */
  async #message(which: Which): Promise<RingValue | undefined> {
    try {
      const message = await readMessage(this.#options.bus, this.#stream, which);
      if (message?.subject !== this.#subject) return undefined;
      const { data: value, sequence: revision, time: changedAtMs } = message;
      return { value, revision, changedAtMs };
    } catch (error) {
      if (!(error instanceof JetstreamError)) throw error;
      const text = `the ring could not be read: ${error.message}`;
      throw new KvError("unavailable", text, {}, { cause: error });
    }
  }

  /** False if another change was first. Rejects with KvError `in-doubt` if nobody knows. */
  async createOnce(value: Uint8Array): Promise<boolean> {
    return (await this.#write(value, 0)) !== undefined;
  }

  /** The new revision; undefined if `revision` is not the newest. Rejects like createOnce. */
  update(value: Uint8Array, revision: number): Promise<number | undefined> {
    return this.#write(value, revision);
  }

  /** Calls `listener` with the ring, if there is one, and at each change. The result ends it. */
  watch(listener: (ring: RingValue) => void): () => void {
    const ending = new AbortController();
    this.#watch(listener, ending.signal).catch(this.#options.onFailure);
    return () => ending.abort();
  }

  async #watch(listener: (ring: RingValue) => void, ending: AbortSignal): Promise<void> {
    while (!ending.aborted) {
      const { bus: pulls, clock } = this.#options;
      const after = 0 as Sequence;
      const consumer = jetstreamConsumer({ pulls, stream: this.#stream, after, clock });
      const stop = (): void => consumer.stop();
      ending.addEventListener("abort", stop, { once: true });
      await this.#untilShorter(consumer, listener, ending);
      ending.removeEventListener("abort", stop);
      stop();
    }
  }

  /** Until the watch ends, or the bucket has lost what the consumer was to go on from. */
  async #untilShorter(
    consumer: LogConsumer,
    listener: (ring: RingValue) => void,
    ending: AbortSignal,
  ): Promise<void> {
    let last: RingValue | undefined;
    while ((await consumer.next()) !== undefined) {
      // The bucket may get other keys, and values that are no ring: what counts is asked for.
      const newest = await this.#readAgain(ending);
      if (last !== undefined) {
        if (newest !== undefined && isSame(newest, last)) continue;
        if (newest === undefined || newest.revision <= last.revision) return;
      }
      if (newest === undefined) continue;
      last = newest;
      try {
        // An older ring is not looked for: the watcher has it already.
        if (!this.#isRing(newest.value)) throw noRing(newest.revision);
        listener(newest);
      } catch (error) {
        this.#options.onFailure(error);
      }
    }
  }

  /** Until it is answered; undefined = there is none, or the watch has ended. */
  async #readAgain(ending: AbortSignal): Promise<RingValue | undefined> {
    while (!ending.aborted) {
      try {
        return await this.#newest();
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        await sleep(this.#options.clock, READ_AGAIN_MS, ending).catch(() => undefined);
      }
    }
    return undefined;
  }

  async #write(value: Uint8Array, expected: number): Promise<number | undefined> {
    const reply = await this.#options.bus.request(this.#subject, value, {
      headers: [["Nats-Expected-Last-Subject-Sequence", String(expected)]],
      timeoutMs: ATTEMPT_TIMEOUT_MS,
    });
    const answer = parseJson(this.#subject, reply.data);
    const error = errorIn(this.#subject, answer);
    if (error === undefined) return numberIn(answer, "seq");
    if (isOutdated(error)) return undefined;
    throw new KvError("unavailable", "the ring could not be written", {}, { cause: error });
  }

  async #create(): Promise<void> {
    const config = {
      name: this.#stream,
      subjects: [`$KV.${this.#options.bucket}.>`],
      retention: "limits",
      discard: "new",
      storage: "file",
      num_replicas: this.#options.replicas,
      max_msgs_per_subject: HISTORY_COUNT,
      max_msgs: -1,
      max_bytes: -1,
      max_consumers: -1,
      allow_rollup_hdrs: true,
      deny_delete: true,
      allow_direct: true,
    };
    try {
      await askJetstream(this.#options.bus, `STREAM.CREATE.${this.#stream}`, config);
    } catch (error) {
      // Its maker chose other settings, and may.
      if (hasErrorCode(error, errorCodes.streamNameInUse)) return;
      throw error;
    }
  }
}

/** A bucket that has lost changes may have got others of the same revision since. */
function isSame(one: RingValue, other: RingValue): boolean {
  return one.revision === other.revision && one.changedAtMs === other.changedAtMs;
}

function noRing(revision: number): KvError {
  const text = `revision ${revision} of the ring's bucket is no ring of this store, not taken`;
  return new KvError("internal", text, { revision });
}
