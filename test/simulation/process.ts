/**
 * Process: what a simulated process has of its own: a clock that can be paused and killed, a way to
 * its log that loses, doubles and delays, and a disk that takes its time.
 */
import type { Clock, Timer } from "../../infra/clock.js";
import type { Appended, Log, LogConsumer, LogMessage, LogState } from "../../infra/log.js";
import { KvError } from "../../protocol/errors.js";
import type { LogId, Sequence, ShardId, TimeMs } from "../../protocol/ids.js";
import type { ManualClock, SeededChance } from "../support/manual-clock.js";
import type { MemoryLog, MemoryStream } from "../support/memory-log.js";

/** Time as one process sees it. Paused, it runs nothing; killed, never again. */
export class ProcessClock implements Clock {
  #state: "running" | "paused" | "dead" = "running";
  #held: (() => void)[] = [];

  constructor(
    private readonly world: ManualClock,
    /** How far its wall clock is off the world's. */
    private readonly offsetMs: number,
  ) {}

  get isPaused(): boolean {
    return this.#state === "paused";
  }

  now(): TimeMs {
    return (this.world.now() + this.offsetMs) as TimeMs;
  }

  elapsedMs(): number {
    return this.world.elapsedMs();
  }

  after(ms: number, task: () => void): Timer {
    let isCancelled = false;
    const run = (): void => {
      if (isCancelled || this.#state === "dead") return;
      if (this.#state === "paused") this.#held.push(run);
      else task();
    };
    const timer = this.world.after(ms, run);
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  soon(task: () => void): void {
    this.after(0, task);
  }

  pause(): void {
    if (this.#state === "running") this.#state = "paused";
  }

  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "running";
    for (const run of this.#held.splice(0)) this.world.soon(run);
  }

  kill(): void {
    this.#state = "dead";
    this.#held = [];
  }

  /** Resolves after `ms`, and not while it is paused. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }
}

/** Probabilities of what may happen to one call. Zero everywhere = a faithful log. */
export interface LogFaults {
  readonly ackLost: number;
  readonly entryLost: number;
  /** It is unanswered, and lands within LATE_MS_MAX. */
  readonly late: number;
  readonly twice: number;
  readonly refused: number;
  readonly unavailable: number;
  readonly deliveryDropped: number;
}

const LATE_MS_MAX = 6_000;

export class FaultyLog implements Log {
  constructor(
    private readonly inner: MemoryLog,
    private readonly stream: MemoryStream,
    private readonly world: ManualClock,
    private readonly chance: SeededChance,
    private readonly faults: () => LogFaults,
    private readonly note: (fault: string) => void,
  ) {}

  get shard(): ShardId {
    return this.inner.shard;
  }

  get id(): LogId {
    return this.inner.id;
  }

  get tailIsExact(): boolean {
    return this.inner.tailIsExact;
  }

  async append(data: Uint8Array, timeoutMs: number): Promise<Appended> {
    const { ackLost, entryLost, late, twice, refused } = this.faults();
    if (this.#happens("delivery dropped", this.faults().deliveryDropped)) {
      this.inner.dropNextDelivery();
    }
    let isLate = false;
    if (this.#happens("acknowledgement lost", ackLost)) this.inner.loseNextAck("landed");
    else if (this.#happens("entry lost", entryLost)) this.inner.loseNextAck("vanished");
    else if (this.chance.happens(late)) {
      isLate = true;
      this.inner.loseNextAck("vanished");
    } else if (this.#happens("refused", refused)) {
      await this.#pause(1);
      const kind = this.chance.happens(0.5) ? "full" : "refused";
      return { kind, reason: "as the seed has it" };
    }
    const result = await this.inner.append(data, timeoutMs);
    // What was refused never lands: that is promised.
    const mayLand = result.kind === "accepted" || result.kind === "unanswered";
    if (mayLand && isLate) this.#later("entry late", data);
    else if (mayLand && this.chance.happens(twice)) this.#later("entry twice", data);
    return result;
  }

  consume(after: Sequence): LogConsumer {
    return this.inner.consume(after);
  }

  async read(sequence: Sequence): Promise<LogMessage | undefined> {
    await this.#mayFail();
    return this.inner.read(sequence);
  }

  async state(): Promise<LogState> {
    await this.#mayFail();
    return this.inner.state();
  }

  async tail(): Promise<Sequence> {
    await this.#mayFail();
    return this.inner.tail();
  }

  /** A copy lands, whatever becomes of the process. */
  #later(fault: string, data: Uint8Array): void {
    this.note(fault);
    const copy = data.slice();
    this.world.after(this.chance.integer(LATE_MS_MAX), () => void this.stream.take(copy));
  }

  async #mayFail(): Promise<void> {
    if (!this.#happens("log unavailable", this.faults().unavailable)) return;
    await this.#pause(100);
    throw new KvError("unavailable", "as the seed has it");
  }

  #happens(fault: string, probability: number): boolean {
    if (!this.chance.happens(probability)) return false;
    this.note(fault);
    return true;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.world.after(ms, resolve));
  }
}
