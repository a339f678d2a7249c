/**
 * Surroundings: what an actor has around it. The node hands one record down to all its actors.
 *
 * An actor reaches the world through these alone (with the log, the store and the events, which
 * are some actors' own), so the simulation can replace them all.
 */
import type { Bus } from "../infra/bus.js";
import type { Chance, Clock } from "../infra/clock.js";
import type { Logger } from "../infra/logger.js";
import type { Names } from "../protocol/nats/subjects.js";

export interface Surroundings {
  /** Subjects, streams and buckets of the store. */
  readonly names: Names;
  readonly bus: Bus;
  readonly clock: Clock;
  /** Random numbers; a seed in the simulation. */
  readonly chance: Chance;
  readonly logger: Logger;
}

/** The surroundings among an actor's parts, to hand them on without the rest. */
export function surroundingsOf({ names, bus, clock, chance, logger }: Surroundings): Surroundings {
  return { names, bus, clock, chance, logger };
}
