/**
 * Starts a child again whenever it ends unasked: after 1 s, then 2 s, … at most 30 s.
 *
 * A child that lived for ten seconds did what it is there for, and its next end counts as the
 * first: whoever is killed now and then must not be away for half a minute each time.
 */
import { setTimeout as delay } from "node:timers/promises";

export const RESTART_DELAY_MIN_MS = 1_000;
export const RESTART_DELAY_MAX_MS = 30_000;
export const HEALTHY_AFTER_MS = 10_000;

/** How long to wait before the next start. `delayLastMs` is 0 before the first. */
export function restartDelayMs(delayLastMs: number, livedMs: number): number {
  if (delayLastMs === 0 || livedMs >= HEALTHY_AFTER_MS) return RESTART_DELAY_MIN_MS;
  return Math.min(delayLastMs * 2, RESTART_DELAY_MAX_MS);
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
  let delayMs = 0;
  while (!stopping.aborted) {
    const startedMs = performance.now();
    const ending = await live().catch((error: unknown) =>
      error instanceof Error ? error.message : String(error),
    );
    if (stopping.aborted) return;
    delayMs = restartDelayMs(delayMs, performance.now() - startedMs);
    report(`${name}: ${ending}; starting it again in ${delayMs / 1_000} s`);
    await delay(delayMs, undefined, { signal: stopping }).catch(() => undefined);
  }
}
