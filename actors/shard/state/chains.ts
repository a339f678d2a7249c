/**
 * Chains: the log's chain at the last CHAIN_HISTORY sequences (rule L1).
 *
 * An entry says how far its proposer had applied the log, and the chain there. The applier compares
 * that chain with its own, unless the basis is older than the oldest chain kept.
 */
import type { Sequence } from "../../../protocol/ids.js";

export const CHAIN_HISTORY = 8_192;

export class Chains {
  readonly #chains = new BigUint64Array(CHAIN_HISTORY);
  #first = 0;
  #last = -1;

  /** `sequence` follows the last one added, or is the first. */
  add(sequence: Sequence, chain: bigint): void {
    if (this.#last < 0 || sequence !== this.#last + 1) this.#first = sequence;
    this.#last = sequence;
    this.#chains[sequence % CHAIN_HISTORY] = chain;
    if (this.#last - this.#first >= CHAIN_HISTORY) this.#first = this.#last - CHAIN_HISTORY + 1;
  }

  /** Undefined = no longer kept, or not there yet. */
  get(sequence: Sequence): bigint | undefined {
    if (sequence < this.#first || sequence > this.#last) return undefined;
    return this.#chains[sequence % CHAIN_HISTORY];
  }
}
