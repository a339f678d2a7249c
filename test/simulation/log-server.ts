/**
 * Log server: the leader of one shard's log, the same for all processes that use the log.
 *
 * Faults of a log come together. When its leader fails, the current entry may be there or not, no
 * process gets an answer, and for a while the log takes, reads and delivers nothing; and a log that
 * has just lost or delayed an answer refuses the next append. So the fate of one append decides
 * here that of the others, from whichever process they come.
 */
import type { ManualClock, SeededChance } from "../support/manual-clock.js";
import type { MemoryLog, MemoryStream } from "../support/memory-log.js";
import type { Faults } from "./faults.js";

const AWAY_MS = { least: 200, more: 4_000 };
/** Longer than a request's patience (10 s): only so does its caller learn how it ends. */
const AWAY_LONG_MS = { least: 10_000, more: 3_000 };
/** It refuses for as long after an answer that never came: that is noticed after 2 s. */
const REFUSES_MS = { least: 2_000, more: 2_500 };

export class LogServer {
  readonly #logs = new Set<MemoryLog>();
  #awayUntilMs = 0;
  #refusesUntilMs = 0;

  private constructor(
    private readonly clock: ManualClock,
    private readonly chance: SeededChance,
    private readonly faults: Faults,
  ) {}

  /** Of this stream: the same for all who ask. */
  static of(
    stream: MemoryStream,
    clock: ManualClock,
    chance: SeededChance,
    faults: Faults,
  ): LogServer {
    const known = servers.get(stream);
    if (known !== undefined) return known;
    const server = new LogServer(clock, chance, faults);
    servers.set(stream, server);
    return server;
  }

  /** A process opens its log. */
  join(log: MemoryLog): void {
    this.#logs.add(log);
    if (this.isAway) log.disconnect();
  }

  get isAway(): boolean {
    return !this.faults.isOver && this.clock.elapsedMs() < this.#awayUntilMs;
  }

  /** Takes nothing, for one of both reasons. */
  get refuses(): boolean {
    if (this.faults.isOver) return false;
    return this.clock.elapsedMs() < Math.max(this.#awayUntilMs, this.#refusesUntilMs);
  }

  /** Messages on their way to it still land; no answer comes back. */
  leave(time: "briefly" | "for long"): void {
    const { clock, chance } = this;
    const { least, more } = time === "briefly" ? AWAY_MS : AWAY_LONG_MS;
    const ms = least + chance.integer(more);
    this.#awayUntilMs = clock.elapsedMs() + ms;
    for (const log of this.#logs) log.disconnect();
    clock.after(ms, () => {
      for (const log of this.#logs) if (!log.isConnected) log.reconnect();
    });
  }

  refuseForAWhile(): void {
    const ms = REFUSES_MS.least + this.chance.integer(REFUSES_MS.more);
    this.#refusesUntilMs = this.clock.elapsedMs() + ms;
  }
}

const servers = new WeakMap<MemoryStream, LogServer>();
