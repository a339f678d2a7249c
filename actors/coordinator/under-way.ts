/**
 * Under way: the requests that a coordinator or a router works on, and the bytes that they hold.
 *
 * Limits: COORDINATOR_REQUESTS_MAX and COORDINATOR_BYTES_MAX; beyond either `enter` throws
 * `overloaded`.
 */
import { assert } from "../../protocol/assert.js";
import { Admission, coordinatorRules, type OnRefusal } from "../admission.js";

export class UnderWay {
  readonly #admission: Admission;

  constructor(onRefusal?: OnRefusal) {
    this.#admission = new Admission(coordinatorRules, onRefusal);
  }

  get count(): number {
    return this.#admission.count;
  }

  get bytes(): number {
    return this.#admission.bytes;
  }

  /** Throws KvError `overloaded`. The result is to be called once, when the request has ended. */
  enter(bytes: number): () => void {
    this.#admission.enter(bytes);
    let hasLeft = false;
    return () => {
      assert(!hasLeft, "a request ends once");
      hasLeft = true;
      this.#admission.leave(bytes);
    };
  }
}
