/**
 * Gets and reverse lookups, compared with what the source array says.
 */
import type { Filter } from "../../../infra/client/client.js";
import { systemClock } from "../../../infra/clock.js";
import { cityKey, type City } from "./cities.js";
import { count, milliseconds, perSecond } from "./printer.js";
import { inParallel, timed, type Story } from "./story.js";

const GETS = 10_000;
const GETS_UNDER_WAY = 256;

export async function getCities({ db, cities, expected, printer }: Story): Promise<void> {
  await printer.step("gets", async (step) => {
    const [first] = cities;
    if (first === undefined) throw new Error("there are no cities");
    const [entry, ms] = await timed(db.get(cityKey(first)));
    step.note(`${cityKey(first)} = ${JSON.stringify(entry?.value)}`);
    step.note(`alone one takes ${milliseconds(ms)}`);
    const startMs = systemClock.elapsedMs();
    const total = Math.min(GETS, cities.length);
    const asked = Array.from({ length: total }, (_, index) => {
      return cities[Math.floor((index * cities.length) / total)] as City;
    });
    let wrongCount = 0;
    await inParallel(asked, GETS_UNDER_WAY, async (city) => {
      const found = await db.get(cityKey(city));
      if (!expected.has(cityKey(city), found?.value)) wrongCount += 1;
    });
    const rate = perSecond(asked.length, systemClock.elapsedMs() - startMs);
    step.check(wrongCount === 0, `${wrongCount} gets gave something else than the source`);
    printer.summarize("gets", `${rate}, linearizable, ${GETS_UNDER_WAY} in flight`);
    return `${count(asked.length)}, each as in the source: ${rate}`;
  });
}

interface Lookup {
  readonly name: string;
  readonly where: Filter;
  /** The same in the source array. */
  readonly matches: (city: City) => boolean;
}

const lookups: readonly Lookup[] = [
  {
    name: "cities of India above a million",
    where: { country: "IN", population: { $gt: 1_000_000 } },
    matches: ({ country, population }) => country === "IN" && population > 1_000_000,
  },
  {
    name: "capitals",
    where: { featureCode: "PPLC" },
    matches: ({ featureCode }) => featureCode === "PPLC",
  },
  {
    name: "San … of Mexico, Chile and Argentina",
    where: { name: { $prefix: "San " }, country: { $in: ["MX", "CL", "AR"] } },
    matches: ({ name, country }) => name.startsWith("San ") && /^(MX|CL|AR)$/.test(country),
  },
  {
    name: "mid-sized cities of California",
    where: { country: "US", adminCode: "CA", population: { $gte: 100_000, $lt: 500_000 } },
    matches: ({ country, adminCode, population }) =>
      country === "US" && adminCode === "CA" && population >= 100_000 && population < 500_000,
  },
  {
    name: "Norway beyond 65 degrees",
    where: { country: "NO", "loc.coordinates": { $gt: 65 } },
    matches: ({ country, loc }) => country === "NO" && loc.coordinates.some((each) => each > 65),
  },
];

export async function lookUp(story: Story): Promise<void> {
  for (const lookup of lookups) await lookUpOne(story, lookup);
}

async function lookUpOne(story: Story, { name, where, matches }: Lookup): Promise<void> {
  const { db, cities, printer } = story;
  await printer.step("reverse lookup", async (step) => {
    const wanted = cities.filter(matches).map(cityKey).toSorted();
    const [counted, countMs] = await timed(db.count(where));
    const [items, findMs] = await timed(db.find(where, { pageSize: 1_000 }).toArray());
    const found = items.map(({ key }) => key).toSorted();
    const largest = items.map(({ value }) => value).toSorted((a, b) => b.population - a.population);
    const times = `counted in ${milliseconds(countMs)}, fetched in ${milliseconds(findMs)}`;
    step.note(`${JSON.stringify(where)}: ${times}`);
    if (largest.length > 0) step.note(`largest: ${largest.slice(0, 3).map(nameOf).join(", ")}`);
    step.check(counted === wanted.length, `count says ${counted}, the source ${wanted.length}`);
    step.check(found.join() === wanted.join(), "find gives other keys than the source has");
    return `${name}: ${count(counted)}`;
  });
}

function nameOf({ name, population }: City): string {
  return `${name} (${count(population)})`;
}
