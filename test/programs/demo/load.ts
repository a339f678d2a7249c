/**
 * Loads all cities, with a progress bar and the rate.
 */
import { systemClock } from "../../../infra/clock.js";
import { cityKey } from "./cities.js";
import { count, perSecond } from "./printer.js";
import { chunksOf, inParallel, type Story } from "./story.js";

/**
 * The client sends a chunk as one request to each shard. More under way make it no faster; nodes
 * that were just started answer so late then that the client sends all of it again.
 */
const CHUNK_CITIES = 1_000;
const CHUNKS_UNDER_WAY = 3;
const TIMEOUT_MS = 30_000;

export async function loadCities({ db, cities, expected, printer }: Story): Promise<void> {
  await printer.step("load", async (step) => {
    const startMs = systemClock.elapsedMs();
    const progress = step.progress(cities.length, "cities");
    let done = 0;
    try {
      await inParallel(chunksOf(cities, CHUNK_CITIES), CHUNKS_UNDER_WAY, async (chunk) => {
        const entries = chunk.map((city) => ({ key: cityKey(city), value: city }));
        await db.setMany(entries, { timeoutMs: TIMEOUT_MS });
        for (const city of chunk) expected.set(cityKey(city), city);
        done += chunk.length;
        progress.update(done);
      });
    } finally {
      progress.stop();
    }
    step.check(expected.records.size === cities.length, "each city has a key of its own");
    const rate = perSecond(done, systemClock.elapsedMs() - startMs);
    printer.summarize("loaded", `${count(done)} cities, ${rate}`);
    return `${count(done)} cities, each with two copies and all its attributes indexed: ${rate}`;
  });
}
