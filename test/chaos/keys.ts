/**
 * The keys of a chaos run, by their use.
 *
 *   hot      all clients at once; a checker must find an order of their operations
 *   own      each written by one client, so that queries have a known answer
 *   pair     two counters in one position; only atomic batches write them, and their sum stays 0
 *   probe    one set and one get every few milliseconds, to see when a shard answers
 */
import { POSITION_COUNT } from "../../protocol/limits.js";
import { positionOf } from "../../protocol/position.js";

/** Keys that a client writes alone. */
const OWN_KEYS = 16;
const CLIENTS_MAX = 24;

export const pairs = ["0", "1", "2", "3"].map((name) => {
  return [`{chaos.pair${name}}.a`, `{chaos.pair${name}}.b`] as const;
});

/** In the order of their numbers. */
export function clientNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `c${index + 1}`);
}

export function ownPrefix(client: string): string {
  return `chaos.own.${client}.`;
}

export function ownKeys(client: string): string[] {
  return Array.from({ length: OWN_KEYS }, (_, index) => `${ownPrefix(client)}${index}`);
}

const taken = new Set([...pairs.flat(), ...clientNames(CLIENTS_MAX).flatMap(ownKeys)].map(placeOf));

/**
 * Alone in their positions: then each of their changes takes the next revision, which Porcupine's
 * model counts on, and which leaves little to be tried.
 */
function alone(name: string): string {
  for (let number = 0; ; number += 1) {
    const key = `chaos.hot.${name}-${number}`;
    if (taken.has(placeOf(key))) continue;
    taken.add(placeOf(key));
    return key;
  }
}

export const hotRegisters = ["r0", "r1", "r2", "r3", "r4"].map(alone);
export const hotCounters = ["c0", "c1", "c2"].map(alone);
export const hotKeys: readonly string[] = [...hotRegisters, ...hotCounters];

const hotSet = new Set(hotKeys);
const hotPlaces = new Set(hotKeys.map(placeOf));

export function isHot(key: string): boolean {
  return hotSet.has(key);
}

/** Keys for probes, without end. */
export function* probeKeys(): Generator<string> {
  for (let number = 0; ; number += 1) {
    const key = `chaos.probe.${number}`;
    if (!hotPlaces.has(placeOf(key))) yield key;
  }
}

function placeOf(key: string): number {
  return positionOf(key, POSITION_COUNT);
}
