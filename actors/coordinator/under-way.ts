/**
 * Under way: the number of requests that the coordinator is working on, and the bytes they hold.
 *
 * Limits: COORDINATOR_REQUESTS_MAX and COORDINATOR_BYTES_MAX; beyond either `enter` throws
 * `overloaded`. A request that waits for a slow shard keeps its payload, so counting requests
 * alone would let 16 GiB pile up.
 */
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import { COORDINATOR_BYTES_MAX, COORDINATOR_REQUESTS_MAX } from "../../protocol/limits.js";

/** Made once: it is thrown when there is no time to make it for each. */
export const tooManyRequests = new KvError(
  "overloaded",
  `${COORDINATOR_REQUESTS_MAX} requests already run here; send it again`,
  { limit: "coordinator_requests", max: COORDINATOR_REQUESTS_MAX },
);

export class UnderWay {
  #count = 0;
  #bytes = 0;

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Throws KvError `overloaded`. The result is to be called once, when the request has ended. */
  enter(bytes: number): () => void {
    if (this.#count >= COORDINATOR_REQUESTS_MAX) throw tooManyRequests;
    if (this.#bytes + bytes > COORDINATOR_BYTES_MAX) {
      const text = `requests of ${this.#bytes} bytes are under way here, this one has ${bytes}`;
      const most = `together at most ${COORDINATOR_BYTES_MAX}; send it again`;
      const details = { limit: "coordinator_bytes", max: COORDINATOR_BYTES_MAX, received: bytes };
      throw new KvError("overloaded", `${text}, ${most}`, details);
    }
    this.#count += 1;
    this.#bytes += bytes;
    let hasLeft = false;
    return () => {
      assert(!hasLeft, "a request ends once");
      hasLeft = true;
      this.#count -= 1;
      this.#bytes -= bytes;
    };
  }
}
