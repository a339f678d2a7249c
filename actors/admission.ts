/**
 * Admission: how much an actor takes before it refuses requests as `overloaded`.
 *
 * An admission counts the requests that are here and their bytes. Its rules say how many requests
 * and bytes it takes, and how long the oldest may have waited; protocol/limits.ts has the limits.
 * Refusals that hold no number of the moment are made once: when many are to be told, there is no
 * time to make one for each.
 *
 * RefusalLog tells a node's log about refusals: at most one line a second, however many there are.
 */
import type { Clock, Timer } from "../infra/clock.js";
import type { LogFields, Logger } from "../infra/logger.js";
import { assert } from "../protocol/assert.js";
import { KvError } from "../protocol/errors.js";
import {
  COORDINATOR_BYTES_MAX,
  COORDINATOR_REQUESTS_MAX,
  MAILBOX_BYTES_MAX,
  MAILBOX_MS_MAX,
  MAILBOX_REQUESTS_MAX,
} from "../protocol/limits.js";

/** Between two lines of one RefusalLog. */
export const REFUSALS_TOLD_MS = 1_000;

interface Limit {
  readonly name: string;
  readonly max: number;
}

/** A limit that is always refused in the same words. */
interface FixedLimit extends Limit {
  readonly refusal: KvError;
}

/** A rule that is missing limits nothing. */
export interface AdmissionRules {
  readonly requests?: FixedLimit;
  readonly bytes?: Limit;
  /** Milliseconds that the oldest has waited. */
  readonly ms?: FixedLimit;
}

const bytesOfMailbox: Limit = { name: "mailbox_bytes", max: MAILBOX_BYTES_MAX };
const requestsInMailbox = fixed(
  "mailbox_requests",
  MAILBOX_REQUESTS_MAX,
  `${MAILBOX_REQUESTS_MAX} requests wait here already`,
);
const requestsInCoordinator = fixed(
  "coordinator_requests",
  COORDINATOR_REQUESTS_MAX,
  `${COORDINATOR_REQUESTS_MAX} requests are under way here already`,
);

/** What waits for one loop of a replica. */
export const mailboxRules: AdmissionRules = {
  requests: requestsInMailbox,
  bytes: bytesOfMailbox,
  ms: fixed("mailbox_ms", MAILBOX_MS_MAX, `requests wait here for ${MAILBOX_MS_MAX} ms already`),
};

/** What waits for an entry of the log, whatever stands in it. */
export const barrierRules: AdmissionRules = { requests: requestsInMailbox };

/** Batches of one replica: each keeps its message until its last operation is done. */
export const batchRules: AdmissionRules = { bytes: bytesOfMailbox };

/**
 * What a coordinator works on. A request that waits for a slow shard keeps its payload, so counting
 * requests alone would let 16 GiB pile up.
 */
export const coordinatorRules: AdmissionRules = {
  requests: requestsInCoordinator,
  bytes: { name: "coordinator_bytes", max: COORDINATOR_BYTES_MAX },
};

/** The one object that a coordinator refuses requests with beyond COORDINATOR_REQUESTS_MAX. */
export const tooManyRequests = requestsInCoordinator.refusal;

/** Called with each refusal before it is thrown. */
export type OnRefusal = (refusal: KvError) => void;

export class Admission {
  #count = 0;
  #bytes = 0;

  constructor(
    private readonly rules: AdmissionRules,
    private readonly onRefusal?: OnRefusal,
  ) {}

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Throws KvError `overloaded`. `waitedMs`: how long the oldest that is here has waited. */
  enter(bytes: number, waitedMs = 0): void {
    const refusal = this.#refusal(bytes, waitedMs);
    if (refusal !== undefined) {
      this.onRefusal?.(refusal);
      throw refusal;
    }
    this.#count += 1;
    this.#bytes += bytes;
  }

  /** One that has entered with so many bytes is no longer here. */
  leave(bytes: number): void {
    this.#count -= 1;
    this.#bytes -= bytes;
    // Without the numbers: writing them out for every request would cost.
    assert(this.#count >= 0 && this.#bytes >= 0, "what leaves an admission has entered it");
  }

  /** All of them are no longer here. */
  leaveAll(): void {
    this.#count = 0;
    this.#bytes = 0;
  }

  #refusal(bytes: number, waitedMs: number): KvError | undefined {
    const { requests, bytes: most, ms } = this.rules;
    if (requests !== undefined && this.#count >= requests.max) return requests.refusal;
    if (most !== undefined && this.#bytes + bytes > most.max) {
      return tooManyBytes(most, this.#bytes, bytes);
    }
    if (ms !== undefined && waitedMs > ms.max) return ms.refusal;
    return undefined;
  }
}

function fixed(name: string, max: number, text: string): FixedLimit {
  const error = new KvError("overloaded", `${text} (${name}); send it again in a moment`, {
    limit: name,
    max,
  });
  return { name, max, refusal: error };
}

function tooManyBytes({ name, max }: Limit, bytes: number, received: number): KvError {
  const text =
    `requests of ${bytes} bytes are here already, this one has ${received}, together at most ` +
    `${max} (${name}); send it again in a moment`;
  return new KvError("overloaded", text, { limit: name, max, received });
}

/**
 * Tells the first refusal at once, and those that follow once a second, with their number. The last
 * ones are told too, by a timer; while nothing is refused there is none.
 */
export class RefusalLog {
  #refusedCount = 0;
  #last: KvError | undefined;
  #timer: Timer | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly logger: Logger,
    /** Whose requests are refused. */
    private readonly fields: LogFields,
  ) {}

  /** Bound, so that it can be handed on as an OnRefusal. */
  readonly note = (refusal: KvError): void => {
    this.#refusedCount += 1;
    this.#last = refusal;
    if (this.#timer === undefined) this.#tell();
  };

  #tell(): void {
    this.#timer = undefined;
    if (this.#last === undefined) return;
    const { limit, max } = this.#last.details;
    const told = { ...this.fields, limit, max, refused: this.#refusedCount };
    this.logger.info(`refusing requests: ${String(limit)} reached`, told);
    this.#refusedCount = 0;
    this.#last = undefined;
    this.#timer = this.clock.after(REFUSALS_TOLD_MS, () => this.#tell());
  }
}
