/**
 * Lease: when a relay on standby may take over.
 *
 * The active relay says that it is alive; a relay that has heard nothing for long takes over. Two
 * active relays do no harm, because the stream refuses all but the one that began last. So the
 * lease needs no agreement: it only keeps relays from interrupting each other. Relays lower in the
 * shard's order of nodes wait longer, so mostly one tries.
 */

/** How often the active relay says that it is. */
export const ALIVE_MS = 500;
/** Silence after which it counts as gone. */
const SILENCE_MS = 3_000;
/** At the start, when there may be none: longer than ALIVE_MS, to hear the one there is. */
const FIRST_SILENCE_MS = 750;
/** Between two that wait. */
const RANK_MS = 500;
const JITTER_MS = 200;

export class Lease {
  #dueAtMs: number;
  /** Who said last that it is active. */
  #holder: string | undefined;

  constructor(
    /** 0 = the shard's home, and so on in the order of its nodes. */
    private readonly rank: number,
    private readonly fraction: () => number,
    nowMs: number,
  ) {
    this.#dueAtMs = this.#after(nowMs + FIRST_SILENCE_MS);
  }

  /** Another relay is active. */
  heard(relay: string, nowMs: number): void {
    this.#holder = relay;
    this.wait(nowMs);
  }

  /** A relay ends. If another replaced it, that says nothing about which one is active now. */
  ended(relay: string, nowMs: number): void {
    if (relay === this.#holder) this.#dueAtMs = this.#after(nowMs);
  }

  /** This relay's turn has ended: the others come first. */
  wait(nowMs: number): void {
    this.#dueAtMs = this.#after(nowMs + SILENCE_MS);
  }

  /** Until it may be taken; 0 or less = now. */
  leftMs(nowMs: number): number {
    return this.#dueAtMs - nowMs;
  }

  #after(atMs: number): number {
    return atMs + this.rank * RANK_MS + this.fraction() * JITTER_MS;
  }
}
