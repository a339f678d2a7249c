/**
 * Rights check: may this node's NATS user do all that a node does?
 *
 * nats-server tells a missing right only when it is used, beside any reply, so that a node without
 * it would start and then wait for answers that never come. So each kind of subject is tried once
 * at the start, with names that nobody has and, where a stream may listen, with a condition that no
 * stream meets.
 */
import type { LogId, NodeName, Position, ShardId } from "../../protocol/ids.js";
import type { Names } from "../../protocol/nats/subjects.js";
import type { HeaderList } from "../bus.js";
import { systemClock } from "../clock.js";
import type { NatsBus } from "../nats/nats-bus.js";
import { NodeRefused } from "./node-identity.js";

const PROBE = "ringdex-probe" as unknown;
const nothing = new Uint8Array(0);
/** No stream ends there, so none takes the message. */
const neverTaken: HeaderList = [["Nats-Expected-Last-Sequence", "9223372036854775807"]];

/** Throws NodeRefused, with every right that is missing. */
export async function checkRights(bus: NatsBus, names: Names): Promise<void> {
  const missing = new Set<string>();
  const unlisten = bus.onDenied(({ operation, subject }) => {
    missing.add(`${operation === "publish" ? "publish to" : "subscribe to"} ${subject}`);
  });
  const subscriptions = subscribedTo(bus, names).map((subject) =>
    bus.subscribe(subject, undefined, () => undefined),
  );
  for (const subject of publishedTo(names)) {
    bus.publish(subject, nothing, { headers: neverTaken });
  }
  bus.publish(names.nodeLog(PROBE as NodeName, "info"), Buffer.from(probeLine()));
  await bus.flush();
  for (const subscription of subscriptions) subscription.unsubscribe();
  // What the server says before it answers the first flush has been handed on by the second.
  await bus.flush();
  unlisten();
  if (missing.size === 0) return;
  throw new NodeRefused(
    `the NATS user of this node lacks the right to ${[...missing].join(", to ")}; ` +
      `docs/security.md has what a node needs, "ringdex nats-conf --roles" prints it`,
  );
}

/** A reader of the logs takes it for a line like any other. */
function probeLine(): string {
  const time = new Date(systemClock.now()).toISOString();
  return JSON.stringify({ time, level: "info", node: PROBE, message: "a node tries its rights" });
}

function subscribedTo(bus: NatsBus, names: Names): string[] {
  return [
    names.verb("get", "ringdex-probe"),
    names.verb("find"),
    names.ring(PROBE as Position, "get"),
    names.shard(PROBE as ShardId, "batch"),
    names.node(PROBE as NodeName, "status"),
    names.relayAlive(PROBE as ShardId),
    "$SRV.PING.ringdex-probe",
    bus.newInbox(),
  ];
}

function publishedTo(names: Names): string[] {
  const streamVerbs = ["CREATE", "UPDATE", "INFO", "MSG.GET", "PURGE", "DELETE"];
  return [
    names.ring(PROBE as Position, "get"),
    names.shard(PROBE as ShardId, "batch"),
    names.node(PROBE as NodeName, "status"),
    names.log(PROBE as ShardId, "0" as LogId),
    names.event("reset", "ringdex-probe"),
    names.relayMarker(PROBE as ShardId),
    names.relayAlive(PROBE as ShardId),
    `$KV.${names.ringBucket}.ringdex-probe`,
    "$JS.API.STREAM.NAMES",
    ...streamVerbs.map((verb) => `$JS.API.STREAM.${verb}.ringdex-probe`),
    "$JS.API.CONSUMER.CREATE.ringdex-probe.ringdex-probe",
    "$JS.API.CONSUMER.MSG.NEXT.ringdex-probe.ringdex-probe",
    "$JS.API.CONSUMER.DELETE.ringdex-probe.ringdex-probe",
    "$JS.API.DIRECT.GET.ringdex-probe",
    "_INBOX.ringdex-probe",
  ];
}
