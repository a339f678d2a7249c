/**
 * Log rules: the rules of a log that several models and checks need, computed from its entries
 * alone and without the production code, so that they can judge it.
 */
import type { Entry } from "../../protocol/log/entry.js";

/** Which of a log's entries count (rule L2), by the numbers of their origins. */
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

/** Keys of what is due (rule L6), earliest first: each takes a revision. */
export function keysDue(
  records: ReadonlyMap<string, { readonly expiresAt: number }>,
  logTime: number,
): string[] {
  const due = [...records].filter(([, { expiresAt }]) => expiresAt !== 0 && expiresAt <= logTime);
  const order = ([key, { expiresAt }]: (typeof due)[number]): string => `${expiresAt} ${key}`;
  return due.toSorted((a, b) => (order(a) < order(b) ? -1 : 1)).map(([key]) => key);
}
