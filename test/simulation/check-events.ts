/**
 * Check events: a run's events must have every change of each position once and in order, with the
 * value that it left.
 *
 * A hole is right only if a later reset of the position says that its history up to a revision is
 * gone. A stream that the run damaged on purpose may also repeat a change; each event must still be
 * true.
 */
import type { StoredEvent } from "../../infra/events.js";
import type { CheckContext } from "./check-context.js";
import type { ModelChange } from "./log-model.js";

interface Progress {
  /** Of the last change told, or said to be gone. */
  revision: number;
  /** Changes were left out, and no reset has said so yet. */
  hole: string | undefined;
}

export function checkEvents(context: CheckContext): void {
  const told = new Map<number, Progress>();
  for (const event of context.facts.events) {
    const { headers } = event;
    const at = headers?.get("kv-position")?.[0];
    // Markers of the relay have no position.
    if (at === undefined) continue;
    const position = Number(at);
    const changes = changesOf(context, position);
    if (changes === undefined) continue;
    const progress = told.get(position) ?? { revision: 0, hole: undefined };
    told.set(position, progress);
    checkEvent(context, event, position, changes, progress);
  }
  if (context.facts.eventsAreDamaged) return;
  for (const shard of context.facts.shards) {
    // Where all replicas have stopped there is no relay either.
    if (!shard.replicas.some(({ phase }) => phase === "serving")) continue;
    for (const position of shard.shard.positions) {
      const changes = changesOf(context, position) ?? [];
      const { revision, hole } = told.get(position) ?? { revision: 0, hole: undefined };
      if (hole !== undefined) context.problem(hole);
      if (revision === changes.length) continue;
      context.problem(`events of position ${position} end at ${revision} of ${changes.length}`);
    }
  }
}

/** Undefined = the position's log was damaged. */
function changesOf(context: CheckContext, position: number): readonly ModelChange[] | undefined {
  const truth = context.truths.get(context.shardOfPosition(position));
  return truth && (truth.changes.get(position) ?? []);
}

function checkEvent(
  context: CheckContext,
  event: StoredEvent,
  position: number,
  changes: readonly ModelChange[],
  progress: Progress,
): void {
  const revision = Number(event.headers?.get("kv-revision")?.[0]);
  const where = `event ${event.sequence} of position ${position} at ${revision}`;
  if (event.subject.endsWith(".event.reset._")) {
    context.count("resets");
    if (revision > changes.length) context.problem(`${where} resets to what is not there yet`);
    progress.revision = revision;
    progress.hole = undefined;
    return;
  }
  const change = changes[revision - 1];
  context.count("events compared");
  if (change === undefined) return context.problem(`${where} tells of no change`);
  const found = shown(event);
  const wanted = shownChange(change);
  if (found !== wanted) context.problem(`${where} is ${found}, the log says ${wanted}`);
  const expected = progress.revision + 1;
  const isDamaged = context.facts.eventsAreDamaged;
  if (revision < expected && !isDamaged) context.problem(`${where} comes after ${expected - 1}`);
  if (revision > expected) progress.hole ??= `${where} comes after ${expected - 1}, and no reset`;
  progress.revision = Math.max(progress.revision, revision);
}

function shown({ subject, headers, data }: StoredEvent): string {
  const header = (name: string): string => headers?.get(name)?.[0] ?? "";
  const key = decodeURIComponent(header("kv-key"));
  const time = Date.parse(header("kv-updated-at"));
  const expires = header("kv-expires-at");
  const expiresAt = expires === "" ? 0 : Date.parse(expires);
  const value = Buffer.from(data).toString("latin1");
  return JSON.stringify([subject.split(".")[2], key, time, expiresAt, value]);
}

function shownChange({ op, key, time, record }: ModelChange): string {
  return JSON.stringify([op, key, time, record?.expiresAt ?? 0, record?.value ?? ""]);
}
