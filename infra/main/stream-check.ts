/**
 * Stream check: does a JetStream stream stand in this store's way?
 *
 * A stream that captures subjects which we answer sends an acknowledgement of its own to each
 * request, and whoever asked takes whichever reply comes first. And a log that no ring names holds
 * the disk space that JetStream has reserved for it. Neither is ours to remove, so both are told.
 */
import type { NodeName, Position, ShardId } from "../../protocol/ids.js";
import { multiKeyVerbs, singleKeyVerbs, type Names } from "../../protocol/nats/subjects.js";
import type { RingTable } from "../../protocol/ring/ring.js";
import type { Bus } from "../bus.js";
import { askJetstream, objectIn, streamNames } from "../jetstream/jetstream-api.js";

/** Warnings for status. Rejects with JetstreamError or KvError. Cost: a message, if all is well. */
export async function checkStreams(bus: Bus, names: Names, ring: RingTable): Promise<string[]> {
  const warnings: string[] = [];
  const logs = new Set(ring.shards.map(({ shard, logId }) => names.logStream(shard, logId)));
  for (const stream of await streamNames(bus, `${names.store}.>`)) {
    if (logs.has(stream) || stream === names.eventsStream) continue;
    if (names.parseLogStream(stream) !== undefined) {
      warnings.push(`stream ${stream} is a log of no shard and takes up room: remove it`);
      continue;
    }
    const captured = await capturedBy(bus, names, stream);
    if (captured === undefined) continue;
    warnings.push(
      `stream ${stream} captures ${captured}: its acknowledgements answer requests in place of ` +
        `ours. Take the subject out of it, or set no_ack`,
    );
  }
  return warnings;
}

/** One of its subjects that we answer; undefined = none, or it acknowledges nothing. */
async function capturedBy(bus: Bus, names: Names, stream: string): Promise<string | undefined> {
  const config = objectIn(await askJetstream(bus, `STREAM.INFO.${stream}`), "config");
  if (config.no_ack === true || !Array.isArray(config.subjects)) return undefined;
  const answered = answeredBy(names);
  return config.subjects
    .map(String)
    .find((subject) => answered.some((pattern) => doCollide(subject, pattern)));
}

/** Every subject that an actor of ours answers on, for any position, shard and node. */
function answeredBy(names: Names): string[] {
  const any = "*" as unknown;
  return [
    ...singleKeyVerbs.map((verb) => names.verbWildcard(verb)),
    ...[...singleKeyVerbs, ...multiKeyVerbs].map((verb) => names.verb(verb)),
    names.ringWildcard(any as Position),
    names.shardWildcard(any as ShardId),
    names.node(any as NodeName, "status"),
  ];
}

/** True if some subject matches both patterns. */
export function doCollide(left: string, right: string): boolean {
  const [lefts, rights] = [left.split("."), right.split(".")];
  for (let index = 0; ; index++) {
    const [one, other] = [lefts[index], rights[index]];
    if (one === undefined || other === undefined) return one === other;
    if (one === ">" || other === ">") return true;
    if (one !== other && one !== "*" && other !== "*") return false;
  }
}
