/**
 * `make overload`: more requests than the store can handle, and their answers.
 *
 * A real cluster is asked 50,000 things at once, and then for a minute twice as much as it can do.
 * Each request must be answered or refused as `overloaded`; what is taken must not wait without
 * bound; no process may grow without bound or end; what was acknowledged must be there; and then
 * the store must do again what it did before.
 *
 *   SECONDS=600  the length of the second part
 *   BURST=50000  the size of the first
 */
import { connect } from "../../infra/client/client.js";
import { REQUEST_TIMEOUT_MS } from "../../protocol/limits.js";
import { startCluster, type Cluster } from "../support/cluster.js";
import { equalReplicas } from "../support/equal-replicas.js";
import { processesOf, watchMemory } from "../support/watch-memory.js";
import type { FloodReport } from "./flood.js";
import { Floods, percentileMs } from "./floods.js";

const COUNTER = "flood-count";
const FLOODS = 2;
/** So many keep all parts busy; more only wait longer. */
const IN_FLIGHT = 4_096;
const MEASURE_MS = 5_000;
/** No process may grow by more than this. */
const GROWTH_BYTES_MAX = 1_024 ** 3;
const MIB = 1_024 ** 2;

export interface OverloadOptions {
  readonly burst: number;
  readonly seconds: number;
  /** How long the rate of a closed loop is measured, each time. Default 5 s. */
  readonly measureMs?: number;
  /** How much of that rate must be there again in the end. */
  readonly recovered: number;
  readonly say: (line: string) => void;
}

/** What was not as it must be; empty = all good. */
export async function overload(options: OverloadOptions): Promise<string[]> {
  const { burst, seconds, say, measureMs = MEASURE_MS, recovered } = options;
  const problems: string[] = [];
  const cluster = await startCluster();
  const { url: servers, store } = cluster;
  const flood = await Floods.start({ servers, store, counter: COUNTER, processes: FLOODS });
  try {
    const pids = await processesOf(cluster);
    const memory = watchMemory(pids);
    await flood.sustained(IN_FLIGHT, measureMs);
    const before = await flood.sustained(IN_FLIGHT, measureMs);
    say(`sustainable: ${count(before)} requests a second with ${IN_FLIGHT} in flight`);
    const part = async (name: string, run: () => Promise<FloodReport>): Promise<void> => {
      const report = await run();
      say(lineOf(name, report));
      problems.push(...problemsOf(name, report));
    };
    await part(`${count(burst)} at once`, () => flood.atOnce(burst));
    await part(`${seconds} s at twice that`, () => flood.steadily(2 * before, seconds * 1_000));
    await cluster.settled();
    const after = await flood.sustained(IN_FLIGHT, measureMs);
    const percent = Math.round((100 * after) / before);
    say(`afterwards: ${count(after)} requests a second, ${percent} % of before`);
    if (!(after >= before * recovered)) {
      problems.push(`it did ${before} a second, now ${after}: less than ${recovered} of that`);
    }
    problems.push(...(await counterProblems(cluster, flood)));
    await equalReplicas(cluster);
    for (const { name, growth, peak } of memory.stop()) {
      if (peak === 0) {
        say(`memory of ${name}: not measured, the system does not tell`);
        continue;
      }
      const [most, more] = [peak, growth].map((bytes) => Math.round(bytes / MIB));
      say(`memory of ${name}: ${most} MiB at most, grown by ${more} MiB`);
      if (growth > GROWTH_BYTES_MAX) problems.push(`${name} grew by ${growth} bytes`);
    }
    if (JSON.stringify([...(await processesOf(cluster))]) !== JSON.stringify([...pids])) {
      problems.push("a process has ended");
    }
  } finally {
    await flood.close();
    await cluster.stop();
  }
  return problems;
}

function* problemsOf(name: string, report: FloodReport): Generator<string> {
  const { answers, unanswered, strays } = report;
  if (unanswered > 0) yield `${name}: ${unanswered} were never answered`;
  if (strays > 0) yield `${name}: ${strays} were answered twice`;
  for (const [answer, number] of Object.entries(answers)) {
    if (!["ok", "not-found", "overloaded"].includes(answer)) {
      yield `${name}: ${number} answers were ${answer}`;
    }
  }
  const longest = percentileMs(report, 1);
  // What a request may take at most; the answer's way back, through a busy machine, is in it.
  if (longest > REQUEST_TIMEOUT_MS) yield `${name}: what was taken waited up to ${longest} ms`;
  if ((answers["ok"] ?? 0) === 0) yield `${name}: nothing was done`;
}

/** The increments that were acknowledged are there, and none is there twice. */
async function counterProblems(cluster: Cluster, flood: Floods): Promise<string[]> {
  const db = await connect({ servers: cluster.url });
  const value = (await db.get<number>(COUNTER))?.value ?? 0;
  await db.close();
  const { counted, doubtful } = flood;
  if (value >= counted && value <= counted + doubtful) return [];
  return [`the counter stands at ${value}; acknowledged were ${counted}, in doubt ${doubtful}`];
}

function lineOf(name: string, report: FloodReport): string {
  const { sent, answers, unanswered, ms, pulseMs } = report;
  const parts = Object.entries(answers).map(([answer, number]) => `${count(number)} ${answer}`);
  if (unanswered > 0) parts.push(`${count(unanswered)} not answered`);
  const [half, most, all] = [0.5, 0.99, 1].map((share) => percentileMs(report, share));
  const waits = `done within ${half} ms (median), ${most} ms (99 %), ${all} ms (all)`;
  const own = `the load's own delay up to ${pulseMs} ms`;
  const sum = `${name}: ${count(sent)} in ${(ms / 1_000).toFixed(1)} s`;
  return `${sum}: ${parts.join(", ")}; ${waits}; ${own}`;
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}
