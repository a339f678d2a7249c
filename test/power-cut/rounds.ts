/**
 * Rounds: load, a power cut in the midst of it, a start, and what is found then.
 *
 * Each round begins with a store that has some data and was stopped in order, whose disks count
 * as durable: the system writes within half a minute what nobody syncs.
 */
import { fileURLToPath } from "node:url";
import { connect, type Ringdex } from "../../infra/client/client.js";
import { systemClock } from "../../infra/clock.js";
import type { StatusReport } from "../../protocol/node/status.js";
import { equalReplicas } from "../support/equal-replicas.js";
import type { SeededChance } from "../support/manual-clock.js";
import { linesLogged } from "../support/node-logs.js";
import { runProgram } from "../support/run-program.js";
import { until } from "../support/until.js";
import type { Image, Loss } from "./disk.js";
import { lookUpIn, storeContents, type StoreContents } from "./store-contents.js";
import type { TracedStore } from "./traced-store.js";
import { Witness, type LookUp, type Verdict } from "./witness.js";

const OPERATION_TIMEOUT_MS = 20_000;
const EVENTS_TIMEOUT_MS = 60_000;
/** A request that is going to be refused is sent again for so long. */
const REFUSED_TIMEOUT_MS = 1_000;
const REPAIR_TIMEOUT_MS = 120_000;
/** The cut is up to so long before everything is ended. */
const CUT_BEFORE_MS = 1_500;
const WRITES_BEFORE = 150;
const WRITES = 600;

const ringdex = fileURLToPath(new URL("../../infra/cli/ringdex.js", import.meta.url));

/** Which lose power. */
export type Machines = "all" | "server" | "node";

export interface Round {
  readonly store: TracedStore;
  readonly machines: Machines;
  readonly loss: Loss;
  readonly chance: SeededChance;
  /** Its name, and that of its keys. */
  readonly name: string;
  /** The store is made a moment before the cut: nothing of it counts as durable by its age. */
  readonly isYoung?: boolean;
  /** The power goes once more right after the repair, whose own traces are not durable yet. */
  readonly isTwice?: boolean;
}

/** With `sync_interval: always`: nothing may be missing, and everything goes on by itself. */
export async function lossless(round: Round): Promise<Checked> {
  const { store, machines, loss, chance } = round;
  const { before, witness } = await loaded(round);
  let cutAtMs = Infinity;
  if (machines === "all") {
    cutAtMs = systemClock.now() - chance.fraction() * CUT_BEFORE_MS;
    await store.cutAll({ loss, chance, atMs: cutAtMs });
    await witness.stop(true);
    await store.start();
  } else {
    if (machines === "server") await store.cutServer({ loss, chance });
    else await store.cutNode("n1", { loss, chance });
    await witness.more(WRITES / 4);
    await witness.stop();
  }
  return checked(store, [witness, before], cutAtMs, true);
}

export interface LossResult {
  readonly acknowledged: number;
  /** Acknowledged before the cut, and not in the log. */
  readonly lostByLog: number;
  /** … and in no store. */
  readonly lostByAll: number;
  /** Replicas that stopped. */
  readonly stopped: number;
  /** Missing after the repair. */
  readonly lost: number;
  /** Read after it, and how many of them say that history is gone. */
  readonly events: number;
  readonly resets: number;
  readonly wrong: readonly string[];
}

/** With nats-server's default: the log loses what was acknowledged, all say so, repair helps. */
export async function lossy(round: Round): Promise<LossResult> {
  const { store, machines, loss, chance, isTwice = false } = round;
  const { before, witness } = await loaded(round);
  const wrong: string[] = [];
  let cutAtMs = Infinity;
  let logs: Image | undefined;
  if (machines === "all") {
    // For a second cut stores must be ahead of the log after the first.
    const beforeMs = isTwice ? 0 : chance.fraction() * CUT_BEFORE_MS;
    if (isTwice) await witness.more(WRITES);
    cutAtMs = systemClock.now() - beforeMs;
    await store.cutAll({ loss, chance, atMs: cutAtMs });
    await witness.stop(true);
  } else {
    // The nodes live through it, and only the log can tell them that it lost something.
    logs = await store.cutServer({ loss, chance });
    await witness.stop(true);
    wrong.push(...(await unsaid(store, witness, cutAtMs)));
    await store.stop();
  }
  const contents = await storeContents(store.dataFolder);
  const inStores = witness.judge(lookUpIn(contents), cutAtMs);
  const inLog = await store.onCopy(() => logAlone(store, logs, witness, cutAtMs));
  wrong.push(...inStores.wrong, ...inLog.wrong);

  const ahead = contents.filter(({ shard, sequence }) => sequence > (inLog.ends.get(shard) ?? 0));
  await store.start();
  // What no store holds either nobody can notice.
  if (ahead.length > 0) {
    wrong.push(...(await unsaid(store, witness, cutAtMs, lookUpIn(contents))));
  }
  const { replicas } = await store.cluster.status();
  const isStopped = ({ shard, node }: StoreContents): boolean =>
    replicas.some((one) => one.shard === shard && one.node === node && one.state === "stopped");
  for (const one of ahead) {
    if (!isStopped(one))
      wrong.push(`${one.shard} on ${one.node} goes on with a log that is shorter`);
  }
  await repair(store);
  if (isTwice && ahead.length === 0) wrong.push("no store was ahead: the round shows nothing");
  else if (isTwice) {
    await store.cluster.settled();
    await store.cutAll({ loss, chance });
    const held = lookUpIn(await storeContents(store.dataFolder));
    await store.start();
    if (!linesLogged(store.cluster).some((line) => line.includes("last change, it is put back"))) {
      wrong.push("no node has put the ring's change back");
    }
    wrong.push(...(await unsaid(store, witness, cutAtMs, held)));
    await repair(store);
  }
  const after = await checked(store, [witness, before], cutAtMs);
  const stopped = replicas.filter(({ state }) => state === "stopped").length;
  const { acknowledged, lost: lostByAll } = inStores;
  wrong.push(...after.wrong);
  const { lost, events, resets } = after;
  return { acknowledged, lostByLog: inLog.lost, lostByAll, stopped, lost, events, resets, wrong };
}

interface LogVerdict extends Verdict {
  /** Each log's last entry. */
  readonly ends: ReadonlyMap<string, number>;
}

/**
 * What the log gives back by itself: the store without what its replicas have. `logs`: as they were
 * before replicas wrote into them that they had seen more; undefined = as they are.
 */
async function logAlone(
  store: TracedStore,
  logs: Image | undefined,
  witness: Witness,
  cutAtMs: number,
): Promise<LogVerdict> {
  await store.removeStores(logs);
  await store.start();
  const { replicas } = await store.cluster.status();
  const ends = new Map(replicas.map((one) => [one.shard, one.sequence_last]));
  const db = await connect<unknown>({ servers: store.url, timeoutMs: OPERATION_TIMEOUT_MS });
  try {
    return { ...(await witness.compare(db, cutAtMs)), ends };
  } finally {
    await db.close();
    await store.stop();
  }
}

/** What status and requests fail to say of a loss, once the replicas have stopped. */
async function unsaid(
  store: TracedStore,
  witness: Witness,
  cutAtMs: number,
  held?: LookUp,
): Promise<string[]> {
  const { cluster } = store;
  let status: StatusReport | undefined;
  const isNoticed = async (): Promise<boolean> => {
    status = await cluster.status().catch(() => undefined); // its connection was cut, too
    return status?.replicas.some(({ state }) => state === "stopped") ?? false;
  };
  await until(isNoticed, OPERATION_TIMEOUT_MS, "a replica that stops");
  const { replicas = [], warnings = [] } = status ?? {};
  const missing: string[] = [];
  for (const { shard, node, state, reason = "" } of replicas) {
    if (state !== "stopped") continue;
    if (!/^log-(shorter|diverged|missing|unknown): .*"ringdex repair"/.test(reason)) {
      missing.push(`the reason of ${shard} on ${node} is "${reason}"`);
    }
    if (!warnings.includes(`${shard} on ${node} is stopped: ${reason}`)) {
      missing.push(`status does not warn of ${shard} on ${node}`);
    }
  }
  if (!warnings.some((warning) => /sync_interval is unknown/.test(warning))) {
    missing.push("status does not warn of sync_interval");
  }
  const db = await connect<unknown>({ servers: store.url, timeoutMs: REFUSED_TIMEOUT_MS });
  try {
    missing.push(...(await witness.misled(db, cutAtMs, held)));
  } finally {
    await db.close();
  }
  return missing;
}

async function repair(store: TracedStore): Promise<void> {
  const env = { ...process.env, RINGDEX_NATS_URL: store.url };
  const options = { env, timeoutMs: REPAIR_TIMEOUT_MS };
  const { code, out, stderr } = await runProgram(
    process.execPath,
    [ringdex, "repair", "--yes"],
    options,
  );
  if (code !== 0) throw new Error(`ringdex repair ended with code ${code}:\n${out}${stderr}`);
}

interface Checked extends Verdict {
  readonly retried: number;
  readonly events: number;
  readonly resets: number;
}

/**
 * All that must hold of a store that serves again; then stops it. `isWhole`: nothing was lost, so
 * that requests sent again must find their first outcome.
 */
async function checked(
  store: TracedStore,
  [witness, before]: readonly [Witness, Witness],
  cutAtMs: number,
  isWhole = false,
): Promise<Checked> {
  const db = await connect<unknown>({ servers: store.url, timeoutMs: OPERATION_TIMEOUT_MS });
  try {
    await store.cluster.settled();
    const verdict = await witness.compare(db, cutAtMs);
    const earlier = await before.compare(db);
    const wrong = [...verdict.wrong, ...earlier.wrong];
    if (earlier.lost > 0) wrong.push(`${earlier.lost} writes from before the load are gone`);
    const retries = isWhole ? await witness.retry(db, cutAtMs) : { count: 0, wrong: [] };
    await equalReplicas(store.cluster);
    const proof = await readEvents(db, [...witness.keys(), ...before.keys()]);
    await store.stopNodes();
    await storeContents(store.dataFolder);
    wrong.push(...retries.wrong, ...proof.wrong);
    return { ...proof, ...verdict, wrong, retried: retries.count };
  } finally {
    await db.close();
    await store.stop();
  }
}

/** Some data that count as durable, unless the store is to be young, and a load that goes on. */
async function loaded({
  store,
  name,
  isYoung = false,
}: Round): Promise<{ readonly before: Witness; readonly witness: Witness }> {
  const before = new Witness(`${name}-before`);
  if (!isYoung) {
    await store.start();
    await before.start(store.url);
    await before.more(WRITES_BEFORE);
    await before.stop();
    await store.stop();
  }
  await store.start();
  const witness = new Witness(name);
  await witness.start(store.url);
  await witness.more(WRITES);
  return { before, witness };
}

interface EventProof {
  readonly events: number;
  readonly resets: number;
  readonly wrong: readonly string[];
}

/** Reads all events until each position's last revision, as the records have it. */
export async function readEvents(
  db: Ringdex<unknown>,
  keys: readonly string[],
): Promise<EventProof> {
  const waiting = new Map<number, number>();
  for (const { position, revision } of (await db.getMany(keys)).values()) {
    waiting.set(position, Math.max(waiting.get(position) ?? 0, revision));
  }
  const stopping = new AbortController();
  const timer = systemClock.after(EVENTS_TIMEOUT_MS, () => {
    const [first] = waiting;
    const missing = `the last events of ${waiting.size} positions are missing`;
    stopping.abort(new Error(`${missing}, first of ${first?.[0]} up to ${first?.[1]}`));
  });
  const wrong: string[] = [];
  const seen = new Set<number>();
  let [events, resets] = [0, 0];
  const watch = db.watch({
    from: "beginning",
    signal: stopping.signal,
    onGap: ({ position, revision, revisionExpected }) =>
      wrong.push(`events of position ${position}: ${revision}, not ${revisionExpected}`),
  });
  try {
    for await (const { op, position, revision } of watch) {
      events += 1;
      if (op === "reset") resets += 1;
      else if (!seen.has(position) && revision !== 1) {
        wrong.push(`events of position ${position} begin with revision ${revision}`);
      }
      seen.add(position);
      if (revision >= (waiting.get(position) ?? Infinity)) waiting.delete(position);
      if (waiting.size === 0) break;
    }
  } catch (error) {
    wrong.push(error instanceof Error ? error.message : String(error));
  } finally {
    timer.cancel();
  }
  return { events, resets, wrong };
}
