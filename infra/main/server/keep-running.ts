/**
 * Starts a child again whenever it ends unasked: after 1 s, then 2 s, … at most 30 s.
 *
 * A child that lived for ten seconds did what it is there for, and its next end counts as the
 * first: a child that is killed now and then must not be away for half a minute each time.
 */
import { setTimeout as delay } from "node:timers/promises";
import { BackOff } from "../../../protocol/back-off.js";

export const RESTART_DELAY_MIN_MS = 1_000;
export const RESTART_DELAY_MAX_MS = 30_000;
export const HEALTHY_AFTER_MS = 10_000;

/** The waits before the starts of one child, each after the child has lived for `livedMs`. */
export class RestartDelay {
  readonly #backOff = new BackOff(RESTART_DELAY_MIN_MS, RESTART_DELAY_MAX_MS);

  next(livedMs: number): number {
    if (livedMs >= HEALTHY_AFTER_MS) this.#backOff.reset();
    return this.#backOff.next();
  }
}

/**
 * Runs `live` until `stopping` fires. `live` starts the child, resolves with a phrase that says
 * how it ended, and ends it when `stopping` fires. It may throw if the child cannot be started.
 */
export async function keepRunning(
  name: string,
  live: () => Promise<string>,
  stopping: AbortSignal,
  report: (line: string) => void,
): Promise<void> {
  const restartDelay = new RestartDelay();
  while (!stopping.aborted) {
    const startedMs = performance.now();
    const ending = await live().catch((error: unknown) =>
      error instanceof Error ? error.message : String(error),
    );
    if (stopping.aborted) return;
    const delayMs = restartDelay.next(performance.now() - startedMs);
    report(`${name}: ${ending}; starting it again in ${delayMs / 1_000} s`);
    await delay(delayMs, undefined, { signal: stopping }).catch(() => undefined);
  }
}
