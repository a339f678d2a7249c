/**
 * Process clock: time as one simulated process sees it. While paused it runs nothing, and incoming
 * messages wait in order, as in the sockets of a stopped process; once killed it never runs again.
 */
import type { Timer } from "../../infra/clock.js";
import type { TimeMs } from "../../protocol/ids.js";
import type { HostClock, ManualClock } from "../support/manual-clock.js";

export class ProcessClock implements HostClock {
  #state: "running" | "paused" | "dead" = "running";
  #held: (() => void)[] = [];

  constructor(
    private readonly world: ManualClock,
    /** How far its wall clock is off the world's. Changes when it jumps. */
    public offsetMs = 0,
  ) {}

  get state(): "running" | "paused" | "dead" {
    return this.#state;
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
      if (!isCancelled) task();
    };
    const timer = this.world.after(ms, () => this.enter(run));
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  soon(task: () => void): void {
    this.world.after(0, () => this.enter(task));
  }

  enter(task: () => void): void {
    if (this.#state === "running") task();
    else if (this.#state === "paused") this.#held.push(task);
  }

  pause(): void {
    if (this.#state === "running") this.#state = "paused";
  }

  /** Held tasks run, each in a turn of its own. */
  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "running";
    for (const task of this.#held.splice(0)) this.soon(task);
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
