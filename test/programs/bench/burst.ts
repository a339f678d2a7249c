/**
 * Burst: one `Promise.all` over all sets at once, as newcomers write it, by Ringdex's client and by
 * ioredis on a Redis that calls fsync for each write, in one run.
 *
 * Prints for each how many were done, how many were refused and with which error, how long all
 * took, and the rate; ends with 1 unless Ringdex has done all of them. After the run the records
 * are counted. Needs redis-server on the PATH; without it Redis' column is left out, and says so.
 *
 *   make bench-burst           50,000 sets, three nodes with two replicas
 *   RINGDEX_BURST              how many sets
 *   RINGDEX_NODES, RINGDEX_REPLICAS
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { connect } from "../../../infra/client/client.js";
import { KvError } from "../../../protocol/errors.js";
import { startCluster } from "../../support/cluster.js";

const COUNT = Number(process.env["RINGDEX_BURST"] ?? 50_000);
const NODES = Number(process.env["RINGDEX_NODES"] ?? 3);
const REPLICAS = Number(process.env["RINGDEX_REPLICAS"] ?? 2);

const textOf = (index: number): string =>
  JSON.stringify({ name: `name${index}`, country: `c${index % 250}`, group: index % 100 });

interface Burst {
  readonly doneCount: number;
  /** By the error's name. */
  readonly failures: ReadonlyMap<string, number>;
  readonly seconds: number;
}

async function burst(set: (index: number) => Promise<unknown>): Promise<Burst> {
  const startedAt = performance.now();
  const sets = Array.from({ length: COUNT }, (_, index) => set(index));
  const settled = await Promise.allSettled(sets);
  const seconds = (performance.now() - startedAt) / 1_000;
  const failures = new Map<string, number>();
  for (const one of settled) {
    if (one.status === "fulfilled") continue;
    const { reason } = one as { reason: unknown };
    const name = reason instanceof KvError ? reason.kind : String(reason);
    failures.set(name, (failures.get(name) ?? 0) + 1);
  }
  const doneCount = settled.filter(({ status }) => status === "fulfilled").length;
  return { doneCount, failures, seconds };
}

function print(name: string, { doneCount, failures, seconds }: Burst): void {
  const failed = [...failures].map(([kind, count]) => `${count} ${kind}`).join(", ");
  const rate = Math.round(doneCount / seconds).toLocaleString("en");
  const columns = [name.padEnd(34), `${doneCount} of ${COUNT} done`.padStart(22)];
  const rest = `${seconds.toFixed(1)} s, ${rate} a second`;
  console.log(`${columns.join("")}  ${rest}${failed === "" ? "" : `; failed: ${failed}`}`);
}

async function ofRingdex(): Promise<Burst> {
  const cluster = await startCluster({ nodes: NODES, replicas: REPLICAS });
  try {
    const db = await connect<unknown>({ servers: cluster.url });
    const done = await burst((index) => db.set(`burst.${index}`, JSON.parse(textOf(index))));
    const kept = await db.count({ group: { $exists: true } });
    await db.close();
    // What failed as in-doubt may be there too.
    if (kept < done.doneCount) throw new Error(`${done.doneCount} are done, ${kept} are there`);
    return done;
  } finally {
    await cluster.stop();
  }
}

async function ofRedis(): Promise<Burst | undefined> {
  if (spawnSync("redis-server", ["--version"]).error !== undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "ringdex-burst-"));
  const port = await freePort();
  const settings = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""];
  const fsync = ["--appendonly", "yes", "--appendfsync", "always"];
  const server = spawn("redis-server", [...settings, ...fsync], { stdio: "ignore" });
  try {
    const redis = new Redis({ host: "127.0.0.1", port });
    redis.on("error", () => undefined); // it connects again by itself until the server is up
    await redis.ping();
    const done = await burst((index) => redis.set(`burst.${index}`, textOf(index)));
    redis.disconnect();
    return done;
  } finally {
    await ended(server);
    rmSync(folder, { recursive: true, force: true });
  }
}

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("close", () => resolve());
    child.kill("SIGTERM");
  });
}

console.log(`Promise.all over ${COUNT} sets, ${NODES} nodes with ${REPLICAS} replicas`);
const redis = await ofRedis();
if (redis === undefined) console.log("no redis-server on the PATH: Redis is left out");
else print("ioredis, Redis with fsync always", redis);
const ringdex = await ofRingdex();
print("Ringdex", ringdex);
if (redis?.doneCount === COUNT && ringdex.doneCount === COUNT) {
  console.log(`ratio of the rates ${(redis.seconds / ringdex.seconds).toFixed(2)} ×`);
}
process.exitCode = ringdex.doneCount === COUNT ? 0 : 1;
