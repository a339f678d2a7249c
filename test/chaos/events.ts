/**
 * Events: reads all changes of a store in order from its events stream, in plain NATS.
 *
 * A position's revisions rise by one from one event to the next, so an event that is missing,
 * repeated or in the wrong place shows.
 */
import { connect, consumerOpts } from "nats";
import { Names } from "../../protocol/nats/subjects.js";
import type { Cluster } from "../support/cluster.js";
import { relaysDone } from "../support/equal-replicas.js";

export interface ReadEvent {
  readonly op: string;
  readonly key: string;
  readonly position: number;
  readonly revision: number;
  /** Undefined unless it is a set. */
  readonly value: string | undefined;
}

/** Waits until the relays have told all there is; the store is to be at rest. */
export async function readEvents(cluster: Cluster): Promise<ReadEvent[]> {
  await relaysDone(cluster);
  const names = new Names(cluster.store);
  const nats = await connect({ servers: cluster.url });
  try {
    const events: ReadEvent[] = [];
    const options = consumerOpts().orderedConsumer().deliverAll();
    const subject = `${cluster.store}.event.>`;
    const { state } = await (await nats.jetstreamManager()).streams.info(names.eventsStream);
    if (state.messages === 0) return [];
    const messages = await nats.jetstream().subscribe(subject, options);
    for await (const { subject: on, headers, data, info } of messages) {
      const op = on.split(".")[2] ?? "";
      events.push({
        op,
        key: decodeURIComponent(headers?.get("Kv-Key") ?? ""),
        position: Number(headers?.get("Kv-Position")),
        revision: Number(headers?.get("Kv-Revision")),
        value: op === "set" ? Buffer.from(data).toString() : undefined,
      });
      if (info.pending === 0) break;
    }
    return events;
  } finally {
    await nats.close();
  }
}

/** What is wrong with the order of the events. */
export function checkEventOrder(events: readonly ReadEvent[]): string[] {
  const problems: string[] = [];
  const revisions = new Map<number, number>();
  for (const { op, key, position, revision } of events) {
    const due = (revisions.get(position) ?? 0) + 1;
    if (op === "reset") problems.push(`position ${position}: its history was lost (reset)`);
    else if (revision !== due) {
      problems.push(`position ${position}: event ${revision} (${key}) where ${due} was due`);
    }
    revisions.set(position, revision);
  }
  return problems;
}
