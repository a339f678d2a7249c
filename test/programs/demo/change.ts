/**
 * An update that changes attributes, a delete, and a conditional write that is refused; and what
 * gets and reverse lookups say before and after.
 */
import { isConflict, type Filter } from "../../../infra/client/client.js";
import { cityKey, type City } from "./cities.js";
import { count, milliseconds } from "./printer.js";
import { timed, type Story } from "./story.js";

/** The largest cities, so that one knows them. */
function largest({ cities }: Story): [City, City] {
  const [first, second] = cities.toSorted((a, b) => b.population - a.population);
  if (first === undefined || second === undefined) throw new Error("two cities are needed");
  return [first, second];
}

/** Returns the revision before the update. */
export async function updateCity(story: Story): Promise<number> {
  const { db, expected, printer } = story;
  const [city] = largest(story);
  const key = cityKey(city);
  const before = await db.get(key);
  const revision = before?.revision ?? 0;
  const name = `${city.name} (renamed)`;
  const byOld: Filter = { name: city.name, population: city.population };
  await printer.step("update", async (step) => {
    step.check(await finds(story, byOld, key), "the old name finds it before the update");
    const [, ms] = await timed(db.patch(key, { name }));
    expected.set(key, { ...city, name });
    const entry = await db.get(key);
    step.check(expected.has(key, entry?.value), `get gives ${JSON.stringify(entry?.value)}`);
    step.check((entry?.revision ?? 0) > revision, "the revision has grown");
    step.check(!(await finds(story, byOld, key)), "the old name still finds it");
    step.check(await finds(story, { name }, key), "the new name does not find it");
    step.note(`at once, { name: ${JSON.stringify(city.name)} } no longer finds it`);
    return `${key} is now ${JSON.stringify(name)}: ${milliseconds(ms)}`;
  });
  return revision;
}

export async function deleteCity(story: Story): Promise<void> {
  const { db, expected, printer, deletedAt } = story;
  const [, city] = largest(story);
  const key = cityKey(city);
  const where = { country: city.country };
  await printer.step("delete", async (step) => {
    const before = await db.count(where);
    const [{ existed, revision, position }, ms] = await timed(db.del(key));
    expected.del(key);
    deletedAt.set(position, revision ?? 0);
    step.check(existed, "there was nothing to delete");
    step.check((await db.get(key)) === undefined, "get still finds it");
    step.check(!(await finds(story, { name: city.name }, key)), "its name still finds it");
    const after = await db.count(where);
    step.check(after === before - 1, `of ${before} in ${city.country} ${after} are left`);
    const left = `cities of ${city.country}: ${count(before)}, then ${count(after)}`;
    return `${key} (${city.name}) is gone: ${milliseconds(ms)}; ${left}`;
  });
}

/** `revision` is one that the city is no longer at. */
export async function refuseCity(story: Story, revision: number): Promise<void> {
  const { db, expected, printer } = story;
  const [city] = largest(story);
  const key = cityKey(city);
  await printer.step("conditional write", async (step) => {
    const refused = db.set(key, city, { ifRevision: revision }).then(
      () => undefined,
      (error: unknown) => error,
    );
    const [error, ms] = await timed(refused);
    if (!isConflict(error)) throw error ?? new Error(`it was not refused, though ${key} changed`);
    const entry = await db.get(key);
    step.check(expected.has(key, entry?.value), "what was refused has changed something");
    step.check(error.details.revision === entry?.revision, "the refusal names another revision");
    const now = `${key} is at revision ${error.details.revision}`;
    return `refused, as it asked for revision ${revision} and ${now}: ${milliseconds(ms)}`;
  });
}

async function finds({ db }: Story, where: Filter, key: string): Promise<boolean> {
  const keys = await db.find(where, { select: [] }).toArray();
  return keys.some((item) => item.key === key);
}
