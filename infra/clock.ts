/**
 * Time and chance, handed in so that a seed replays a run (test/support/manual-clock.ts).
 *
 * Nothing outside infra/ reads a clock, sets a timer or draws a random number by itself.
 */
import { randomFillSync } from "node:crypto";
import type { TimeMs } from "../protocol/ids.js";

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** The wall clock: may jump in both directions. */
  now(): TimeMs;
  /** Milliseconds since some start, with fractions; never goes back. For measuring. */
  elapsedMs(): number;
  /** Calls `task` once, after `ms` at the earliest. Does not keep the process alive. */
  after(ms: number, task: () => void): Timer;
  /** Calls `task` in a later turn of the event loop, after input that is waiting has been read. */
  soon(task: () => void): void;
}

export interface Chance {
  /** `count` random bytes, unpredictable in production. */
  bytes(count: number): Uint8Array;
  /** 0 ≤ x < 1. For jitter. */
  fraction(): number;
}

/** A longer time setTimeout takes for one of a millisecond. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now() as TimeMs,
  elapsedMs: () => performance.now(),
  after(ms, task) {
    let timer: NodeJS.Timeout | undefined;
    const wait = (leftMs: number): void => {
      const isLong = leftMs > TIMEOUT_MS_MAX;
      const then = isLong ? (): void => wait(leftMs - TIMEOUT_MS_MAX) : task;
      timer = setTimeout(then, isLong ? TIMEOUT_MS_MAX : leftMs).unref();
    };
    wait(ms);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (task) => void setImmediate(task),
};

/** Asking the system costs microseconds, however little is asked for: so it is asked for much. */
const pool = new Uint8Array(8_192);
let poolUsed = pool.length;

function pooledBytes(count: number): Uint8Array {
  if (count > pool.length) return randomFillSync(new Uint8Array(count));
  if (poolUsed + count > pool.length) {
    randomFillSync(pool);
    poolUsed = 0;
  }
  poolUsed += count;
  return pool.slice(poolUsed - count, poolUsed);
}

export const systemChance: Chance = {
  bytes: pooledBytes,
  fraction: () => Math.random(),
};

/** Resolves after `ms`; rejects with the signal's reason if that fires first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error);
    const abort = (): void => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = clock.after(ms, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    signal?.addEventListener("abort", abort, { once: true });
  });
}
