/**
 * Until done: waits for the work in progress when an actor closes.
 *
 * It checks soon, because most work ends within milliseconds, and then less and less often.
 */
import { sleep, type Clock } from "../infra/clock.js";
import { BackOff } from "../protocol/back-off.js";

/** Time between two checks: the first, and the longest. */
const LOOK_FIRST_MS = 5;
const LOOK_MAX_MS = 80;

/** Resolves once `isDone`, or after `limitMs`. */
export async function untilDone(
  clock: Clock,
  isDone: () => boolean,
  limitMs: number,
): Promise<void> {
  const endMs = clock.elapsedMs() + limitMs;
  const backOff = new BackOff(LOOK_FIRST_MS, LOOK_MAX_MS);
  while (!isDone() && clock.elapsedMs() < endMs) {
    await sleep(clock, backOff.next());
  }
}
