/**
 * Waiting for a condition in real time, for tests of things that live outside of this process.
 */

/** Resolves once `condition` holds; rejects after `limitMs`, with `what` was waited for. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  limitMs = 10_000,
  what = "the condition",
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`${what} does not hold after ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
