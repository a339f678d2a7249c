/**
 * An event consumer that rebuilds the data from events alone, compared with what get says.
 *
 * It reads until it has seen each position's last revision. Revisions of a position have no gaps,
 * and the watch throws EventGapError where one is missing, so it has then seen every change.
 */
import type { Entry } from "../../../infra/client/client.js";
import { systemClock } from "../../../infra/clock.js";
import { cityKey, type City } from "./cities.js";
import { count, perSecond } from "./printer.js";
import { chunksOf, inParallel, timed, type Story } from "./story.js";

const CHUNK_KEYS = 3_000;
const CHUNKS_UNDER_WAY = 4;
const LIMIT_MS = 60_000;

interface Rebuilt {
  readonly value: City;
  readonly revision: number;
}

interface Consumed {
  readonly records: ReadonlyMap<string, Rebuilt>;
  readonly eventCount: number;
  readonly resetCount: number;
}

export async function rebuildFromEvents(story: Story): Promise<void> {
  const { db, cities, deletedAt, printer } = story;
  await printer.step("events", async (step) => {
    const [entries, getMs] = await timed(getAll<City>(db, cities.map(cityKey)));
    const lasts = new Map(deletedAt);
    for (const { position, revision } of entries.values()) {
      lasts.set(position, Math.max(lasts.get(position) ?? 0, revision));
    }
    const [{ records, eventCount, resetCount }, ms] = await timed(consume(story, lasts));
    const differing = [...entries].filter(([key, { value, revision }]) => {
      const rebuilt = records.get(key);
      return rebuilt?.revision !== revision || !isSame(rebuilt.value, value);
    });
    step.note(`get gave ${count(entries.size)} records, ${perSecond(entries.size, getMs)}`);
    step.note("in each position revisions rose by one: no event is missing, none came twice");
    step.check(resetCount === 0, `${resetCount} positions have lost their history`);
    step.check(records.size === entries.size, `get has ${entries.size}, events ${records.size}`);
    const example = differing[0]?.[0];
    step.check(differing.length === 0, `${differing.length} differ from get, first ${example}`);
    const rate = perSecond(eventCount, ms);
    printer.summarize("events", `${count(eventCount)} read, ${rate}, none missing`);
    return `${count(eventCount)} rebuild ${count(records.size)} records as get has them: ${rate}`;
  });
}

/** `lasts`: by position, the revision up to which to read. */
async function consume({ db }: Story, lasts: ReadonlyMap<number, number>): Promise<Consumed> {
  const waiting = new Map(lasts);
  const records = new Map<string, Rebuilt>();
  const stopping = new AbortController();
  const timer = systemClock.after(LIMIT_MS, () => {
    const [first] = waiting;
    const missing = `of ${waiting.size} positions the last events are missing`;
    stopping.abort(new Error(`${missing}, first of position ${first?.[0]} up to ${first?.[1]}`));
  });
  let eventCount = 0;
  let resetCount = 0;
  try {
    const watch = db.watch<City>({ from: "beginning", signal: stopping.signal });
    for await (const event of watch) {
      eventCount += 1;
      if (event.op === "set") {
        records.set(event.key, { value: event.value, revision: event.revision });
      } else if (event.op === "reset") resetCount += 1;
      else records.delete(event.key);
      if (event.revision >= (waiting.get(event.position) ?? Infinity)) {
        waiting.delete(event.position);
      }
      if (waiting.size === 0) break;
    }
  } finally {
    timer.cancel();
  }
  return { records, eventCount, resetCount };
}

export async function getAll<Value>(
  db: Story["db"],
  keys: readonly string[],
): Promise<Map<string, Entry<Value>>> {
  const entries = new Map<string, Entry<Value>>();
  await inParallel(chunksOf(keys, CHUNK_KEYS), CHUNKS_UNDER_WAY, async (chunk) => {
    for (const [key, entry] of await db.getMany<Value>(chunk)) entries.set(key, entry);
  });
  return entries;
}

function isSame(one: City, other: City): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
