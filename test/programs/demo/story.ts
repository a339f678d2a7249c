/**
 * What the demo's steps share: the cluster, a connection, and what the store is to hold.
 */
import type { Ringdex } from "../../../infra/client/client.js";
import { sleep, systemClock } from "../../../infra/clock.js";
import type { Cluster } from "../../support/cluster.js";
import type { City, Expected } from "./cities.js";
import type { Printer } from "./printer.js";

export interface Story {
  readonly cluster: Cluster;
  readonly db: Ringdex<City>;
  /** As the source has them. */
  readonly cities: readonly City[];
  readonly expected: Expected;
  /** By position: the last revision that a delete took, which no record shows. */
  readonly deletedAt: Map<number, number>;
  readonly printer: Printer;
}

/** Runs `work` for each item, `width` at a time. Rejects with the first failure. */
export async function inParallel<Item>(
  items: Iterable<Item>,
  width: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) {
      await work(next.value);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
}

export function* chunksOf<Item>(items: readonly Item[], size: number): Generator<Item[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}

/** What `work` took, in milliseconds. */
export async function timed<Value>(work: Promise<Value>): Promise<[value: Value, ms: number]> {
  const startMs = systemClock.elapsedMs();
  const value = await work;
  return [value, systemClock.elapsedMs() - startMs];
}

const LOOK_MS = 50;

/** Looks now and then until `look` gives something; rejects after `limitMs`. */
export async function eventually<Value>(
  what: string,
  limitMs: number,
  look: () => Promise<Value | undefined>,
): Promise<Value> {
  const endMs = systemClock.elapsedMs() + limitMs;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (systemClock.elapsedMs() > endMs) throw new Error(`${what}: not within ${limitMs} ms`);
    await sleep(systemClock, LOOK_MS);
  }
}
