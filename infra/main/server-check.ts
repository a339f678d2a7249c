/**
 * Server check: does the nats-server fit this store?
 *
 * What cannot work is refused: too old, messages too small. What only costs a hop (no mapping, or
 * one for another position count) is told: requests then go through coordinators. The mapping is
 * found out by asking for keys nobody has and looking at the subject the message arrives on.
 */
import { KEY_TOKENS_MAPPED_MAX, PAYLOAD_BYTES_MAX } from "../../protocol/limits.js";
import type { Names } from "../../protocol/nats/subjects.js";
import { positionOf } from "../../protocol/position.js";
import type { Chance } from "../clock.js";
import { compareVersions, NATS_SERVER_VERSION_MIN } from "../nats-server/nats-binary.js";
import type { NatsBus } from "../nats/nats-bus.js";
import { NodeRefused } from "./node-identity.js";

const nothing = new Uint8Array(0);

/** A mapping for twice the positions is right for half of all keys: one a length is too few. */
const PROBES_PER_LENGTH = 8;

/** Throws NodeRefused; returns warnings for status. */
export async function checkServer(
  bus: NatsBus,
  names: Names,
  positionCount: number,
  chance: Chance,
): Promise<string[]> {
  const { version, maxPayload } = bus.server();
  if (compareVersions(version, NATS_SERVER_VERSION_MIN) < 0) {
    const text = `nats-server is ${version}; older than ${NATS_SERVER_VERSION_MIN} it loses data`;
    throw new NodeRefused(`${text}: upgrade it`);
  }
  if (maxPayload < PAYLOAD_BYTES_MAX) {
    const text = `nats-server's max_payload is ${maxPayload}, at least ${PAYLOAD_BYTES_MAX} is`;
    throw new NodeRefused(`${text} needed: set it in nats.conf`);
  }
  return checkMapping(bus, names, positionCount, chance);
}

async function checkMapping(
  bus: NatsBus,
  names: Names,
  positionCount: number,
  chance: Chance,
): Promise<string[]> {
  const seen = new Map<string, number | "unmapped">();
  const probes = Array.from(
    { length: PROBES_PER_LENGTH },
    () => `ringdex-probe-${Buffer.from(chance.bytes(8)).toString("hex")}`,
  );
  const keys = probes.flatMap((probe) =>
    Array.from({ length: KEY_TOKENS_MAPPED_MAX }, (_, index) =>
      [probe, ...Array.from({ length: index }, (__, place) => `t${place}`)].join("."),
    ),
  );
  const subscriptions = probes
    .flatMap((probe) => [probe, `${probe}.>`])
    .flatMap((key) => [
      bus.subscribe(`${names.store}.ring.*.get.${key}`, undefined, ({ subject }) => {
        const address = names.parseRingSubject(subject);
        if (address?.key !== undefined) seen.set(address.key, address.position);
      }),
      bus.subscribe(names.verb("get", key), undefined, ({ subject }) => {
        seen.set(subject.slice(names.verb("get", "").length), "unmapped");
      }),
    ]);
  await bus.flush();
  for (const key of keys) bus.publish(names.verb("get", key), nothing);
  await bus.flush();
  for (const subscription of subscriptions) subscription.unsubscribe();
  return verdict(keys, seen, positionCount, names.store);
}

function verdict(
  keys: readonly string[],
  seen: ReadonlyMap<string, number | "unmapped">,
  positionCount: number,
  store: string,
): string[] {
  const isMapped = (key: string): boolean => typeof seen.get(key) === "number";
  const advice = `put what "ringdex nats-conf --store ${store}" prints into nats.conf`;
  const lost = keys.filter((key) => {
    const arrival = seen.get(key);
    return arrival === undefined || (arrival !== "unmapped" && arrival >= positionCount);
  });
  if (lost.length > 0) {
    const share = `${lost.length} of ${keys.length} trial requests`;
    return [`nats-server's mapping sends ${share} where nobody listens: ${advice}`];
  }
  if (!keys.some(isMapped)) {
    return [`nats-server has no mapping for this store, each request costs a hop more: ${advice}`];
  }
  if (!keys.every(isMapped)) {
    return [`nats-server maps only keys of some lengths for this store: ${advice}`];
  }
  const isRight = keys.every((key) => seen.get(key) === positionOf(key, positionCount));
  if (isRight) return [];
  return [`nats-server's mapping is not for ${positionCount} positions: ${advice}`];
}
