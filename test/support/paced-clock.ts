/**
 * Paced clock: real time that a test can speed up, for tests with real servers in which an actor
 * waits for an answer that cannot come.
 */
import { systemClock, type Clock, type Timer } from "../../infra/clock.js";
import type { TimeMs } from "../../protocol/ids.js";

const HURRY = 20;

interface Task {
  readonly dueMs: number;
  readonly run: () => void;
  timer: Timer;
}

/** Goes faster also for those who wait already. */
export class PacedClock implements Clock {
  #rate = 1;
  #sinceMs = systemClock.elapsedMs();
  #passedMs = 0;
  readonly #tasks = new Set<Task>();

  set isHurried(isHurried: boolean) {
    this.#passedMs = this.elapsedMs();
    this.#sinceMs = systemClock.elapsedMs();
    this.#rate = isHurried ? HURRY : 1;
    for (const task of this.#tasks) {
      task.timer.cancel();
      task.timer = this.#timer(task.dueMs, task.run);
    }
  }

  now(): TimeMs {
    return systemClock.now();
  }

  elapsedMs(): number {
    return this.#passedMs + (systemClock.elapsedMs() - this.#sinceMs) * this.#rate;
  }

  after(ms: number, task: () => void): Timer {
    const dueMs = this.elapsedMs() + ms;
    const run = (): void => {
      this.#tasks.delete(own);
      task();
    };
    const own: Task = { dueMs, run, timer: this.#timer(dueMs, run) };
    this.#tasks.add(own);
    return {
      cancel: () => {
        this.#tasks.delete(own);
        own.timer.cancel();
      },
    };
  }

  soon(task: () => void): void {
    systemClock.soon(task);
  }

  #timer(dueMs: number, run: () => void): Timer {
    return systemClock.after(Math.max(dueMs - this.elapsedMs(), 0) / this.#rate, run);
  }
}
