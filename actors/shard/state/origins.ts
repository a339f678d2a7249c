/**
 * Origins: the proposers that a shard knows, and the last number it accepted from each (rule L2).
 *
 * An origin is a proposer's name from its start, or from its last `open`, on. The proposer
 * announces it by an `open` entry. Of its further entries a shard accepts only the one with the
 * next number, so a copy of an entry, or one that a `fence` has killed, does nothing however late
 * it lands. Whether an origin is known depends on the log alone: every replica treats an origin
 * that was silent for ORIGIN_KEPT_MS of log time as unknown, whenever its row is removed.
 */
import type { Origin, TimeMs } from "../../../protocol/ids.js";
import type { EntryKind } from "../../../protocol/log/entry.js";
import type { OriginRow } from "../../../protocol/store/origin-row.js";

/** How long an origin may be silent, in log time. Proposers open again well before. */
export const ORIGIN_KEPT_MS = 24 * 3_600_000;

export class Origins {
  readonly #known = new Map<Origin, OriginRow>();

  /** Number of origins remembered, silent ones too. */
  get count(): number {
    return this.#known.size;
  }

  set(origin: Origin, known: OriginRow): void {
    this.#known.set(origin, known);
  }

  get(origin: Origin, logTime: TimeMs): OriginRow | undefined {
    const known = this.#known.get(origin);
    return known === undefined || logTime - known.seenAt > ORIGIN_KEPT_MS ? undefined : known;
  }

  /** Whether the entry takes effect; if so it is the origin's last from now on. */
  accept(kind: EntryKind, origin: Origin, number: number, logTime: TimeMs): boolean {
    const known = this.get(origin, logTime);
    if (!isNext(kind, number, known)) return false;
    this.#known.set(origin, { number, seenAt: logTime });
    return true;
  }

  /** Removes and returns those that count as unknown. */
  forget(logTime: TimeMs): Origin[] {
    const silent: Origin[] = [];
    for (const [origin, { seenAt }] of this.#known) {
      if (logTime - seenAt > ORIGIN_KEPT_MS) silent.push(origin);
    }
    for (const origin of silent) this.#known.delete(origin);
    return silent;
  }
}

function isNext(kind: EntryKind, number: number, known: OriginRow | undefined): boolean {
  switch (kind) {
    case "genesis":
      return false;
    case "open":
      return known === undefined;
    case "fence":
      return known !== undefined && number > known.number;
    case "operations":
    case "barrier":
      return known !== undefined && number === known.number + 1;
  }
}
