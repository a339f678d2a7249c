/**
 * Loads all cities, with a progress bar and the rate.
 */
import { systemClock } from "../../infra/clock.js";
import { cityKey } from "./cities.js";
import { count, perSecond } from "./printer.js";
import { chunksOf, inParallel, type Story } from "./story.js";

/** The client sends a chunk as one request to each shard. */
const CHUNK_CITIES = 3_000;
const CHUNKS_UNDER_WAY = 4;

export async function loadCities({ db, cities, expected, printer }: Story): Promise<void> {
  await printer.step("load", async (step) => {
    const startMs = systemClock.elapsedMs();
    const progress = step.progress(cities.length, "cities");
    let done = 0;
    try {
      await inParallel(chunksOf(cities, CHUNK_CITIES), CHUNKS_UNDER_WAY, async (chunk) => {
        await db.setMany(chunk.map((city) => ({ key: cityKey(city), value: city })));
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
