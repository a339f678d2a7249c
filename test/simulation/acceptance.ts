/**
 * Acceptance: which of a log's entries count (rule L2), from the numbers of their origins alone. An
 * opinion of its own, so that it can judge the production's.
 */
import type { Entry } from "../../protocol/entry.js";

export class Acceptance {
  readonly #lastNumbers = new Map<string, number>();

  /** To be asked for each entry of a log, in order. */
  accepts({ kind, origin, number }: Entry): boolean {
    if (kind === "genesis") return true;
    const last = this.#lastNumbers.get(origin);
    const isNext =
      kind === "open"
        ? last === undefined
        : last !== undefined && (kind === "fence" ? number > last : number === last + 1);
    if (isNext) this.#lastNumbers.set(origin, number);
    return isNext;
  }
}
