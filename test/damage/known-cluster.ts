/**
 * A small cluster whose records are all known, and what it says when its files were damaged.
 *
 * Two nodes and two shards, each on both. The data are written in three rounds with a restart after
 * each, so that every store has data files and a write-ahead log, and every log several entries
 * for each key.
 */
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { connect, isKvError, type Ringdex } from "../../infra/client/client.js";
import type { StatusReport } from "../../protocol/node/status.js";
import { startCluster, type Cluster } from "../support/cluster.js";
import { until } from "../support/until.js";
import { isDocumented } from "./told.js";

const KEYS = 240;
const GROUPS = 5;
const ROUNDS = 3;
const SET_AT_ONCE = 40;
/** An answer that does not come is waited for no longer. */
const ANSWER_MS = 5_000;
/** A replica that neither serves nor says why is waited for so long: it may be the machine. */
const SETTLED_MS = 30_000;

interface Item {
  readonly round: number;
  readonly group: number;
  readonly text: string;
}

/** What one start with damaged files came to. */
export interface Outcome {
  /** What `ringdex up` said when it did not start; undefined = it said `ready`. */
  readonly refusal: string | undefined;
  /** Answers that were false. Nothing is worse. */
  readonly wrong: readonly string[];
  /** How many answers were errors, by code. */
  readonly errors: ReadonlyMap<string, number>;
  /** Why something does not serve, in words that docs/operations.md has. */
  readonly reasons: readonly string[];
  /** What does not serve, or did not start, without such words. */
  readonly unsaid: readonly string[];
  readonly servingCount: number;
  readonly replicaCount: number;
}

export class KnownCluster {
  private constructor(
    readonly cluster: Cluster,
    private readonly whole: string,
  ) {}

  /** `whole` is a folder that is to hold the data as they were before any damage. */
  static async make(whole: string): Promise<KnownCluster> {
    const cluster = await startCluster({ nodes: 2, env: { RINGDEX_LOG_BYTES_MAX: "16MiB" } });
    for (let round = 1; round <= ROUNDS; round += 1) {
      if (round > 1) await cluster.up();
      const db = await connect<Item>({ servers: cluster.url });
      await writeRound(db, round);
      await db.close();
      await cluster.settled();
      await cluster.down();
    }
    cpSync(cluster.dataFolder, whole, { recursive: true });
    return new KnownCluster(cluster, whole);
  }

  get folder(): string {
    return this.cluster.dataFolder;
  }

  /** Everything as it was made. The cluster must be down. */
  restore(): void {
    for (const name of ["nats", "nodes", "ringdex.json", "lock", "ringdex.log"]) {
      rmSync(join(this.folder, name), { recursive: true, force: true });
    }
    cpSync(this.whole, this.folder, { recursive: true });
  }

  /** Starts it with what is there, asks for everything, and stops it. */
  async outcome(): Promise<Outcome> {
    const none = { wrong: [], errors: new Map(), reasons: [], servingCount: 0, replicaCount: 0 };
    try {
      await this.cluster.up();
    } catch (error) {
      await this.cluster.down();
      const refusal = refusalIn(error);
      return { ...none, refusal, unsaid: isDocumented(refusal) ? [] : [refusal] };
    }
    try {
      const status = await this.#settledStatus();
      let asked = await askAll(this.cluster.url);
      // A busy machine may be late once.
      if (asked.errors.size > 0 && allServe(status)) asked = await askAll(this.cluster.url);
      const again = await this.#settledStatus();
      asked.wrong.push(...differences(again));
      const said = [...saidOfReplicas(again), ...this.#saidOfNodes(again)];
      return {
        refusal: undefined,
        ...asked,
        reasons: said.filter(isDocumented),
        unsaid: said.filter((one) => !isDocumented(one)),
        servingCount: status.replicas.filter(({ state }) => state === "serving").length,
        replicaCount: status.replicas.length,
      };
    } finally {
      await this.cluster.down();
    }
  }

  stop(): Promise<void> {
    return this.cluster.stop();
  }

  /**
   * Status, once each replica serves with nothing left to apply, or says why it does not; or as it
   * is after SETTLED_MS, and then it shows what is not so.
   */
  async #settledStatus(): Promise<StatusReport> {
    let status: StatusReport | undefined;
    let failure: unknown;
    const isSettled = async (): Promise<boolean> => {
      try {
        status = await this.cluster.status();
      } catch (error) {
        failure = error;
        return false;
      }
      return status.replicas.every(({ state, lag, reason = "" }) =>
        state === "serving" ? lag === 0 : isDocumented(reason),
      );
    };
    await until(isSettled, SETTLED_MS).catch((error: unknown) => (failure ??= error));
    if (status === undefined) throw new Error("status does not answer", { cause: failure });
    return status;
  }

  /** Of a node that is away only its supervisor can tell. */
  #saidOfNodes({ nodes }: StatusReport): string[] {
    return nodes
      .filter(({ state }) => state !== "up")
      .map(({ node }) => {
        const lines = this.cluster.stderr.split("\n").filter((line) => line.includes(`${node}: `));
        return lines.at(-1) ?? `${node} is away`;
      });
  }
}

/** Of each replica that does not serve, or lags for good: what status says, reason and warning. */
function saidOfReplicas({ replicas, warnings }: StatusReport): string[] {
  return replicas.flatMap(({ shard, node, state, lag, reason = "" }) => {
    const who = `${shard} on ${node}`;
    if (state === "serving") return lag === 0 ? [] : [`${who} serves, ${lag} entries behind`];
    const said = `${who}: ${state}: ${reason}`;
    const kind = state === "stopped" ? "is stopped" : "does not serve";
    if (reason === "" || warnings.includes(`${who} ${kind}: ${reason}`)) return [said];
    return [said, `status does not warn of ${who}`];
  });
}

function allServe({ replicas }: StatusReport): boolean {
  return replicas.every(({ state }) => state === "serving");
}

async function writeRound(db: Ringdex<Item>, round: number): Promise<void> {
  const touched = indexes().filter((index) => isTouched(index, round));
  for (let from = 0; from < touched.length; from += SET_AT_ONCE) {
    const part = touched.slice(from, from + SET_AT_ONCE);
    await db.setMany(part.map((index) => ({ key: keyOf(index), value: itemOf(index, round) })));
  }
  if (round !== 2) return;
  for (const index of indexes().filter(isDeleted)) await db.del(keyOf(index));
}

function indexes(): number[] {
  return Array.from({ length: KEYS }, (_, index) => index);
}

function isTouched(index: number, round: number): boolean {
  return index % round === 0 && !(round === 3 && isDeleted(index));
}

function isDeleted(index: number): boolean {
  return index % 7 === 0;
}

function keyOf(index: number): string {
  return `damage.${index}`;
}

function itemOf(index: number, round: number): Item {
  return { round, group: (index + round) % GROUPS, text: `${index}.${round} `.repeat(20) };
}

function expected(index: number): Item | undefined {
  if (isDeleted(index)) return undefined;
  const round = index % 3 === 0 ? 3 : index % 2 === 0 ? 2 : 1;
  return itemOf(index, round);
}

interface Asked {
  readonly wrong: string[];
  readonly errors: Map<string, number>;
}

/** Every key by itself, at two read levels; every group by the index; the count of all. */
async function askAll(url: string): Promise<Asked> {
  const db = await connect<Item>({
    servers: url,
    timeoutMs: ANSWER_MS,
    attemptTimeoutMs: ANSWER_MS / 5,
  });
  const asked: Asked = { wrong: [], errors: new Map() };
  const ask = async (what: string, answer: Promise<unknown>, wanted: unknown): Promise<void> => {
    try {
      const got = JSON.stringify(await answer);
      if (got === JSON.stringify(wanted)) return;
      asked.wrong.push(
        `${what} is ${String(got).slice(0, 80)}, not ${JSON.stringify(wanted)?.slice(0, 80)}`,
      );
    } catch (error) {
      // What is not of the closed list is no answer, but a bug of whoever reads it.
      if (!isKvError(error)) return void asked.wrong.push(`${what} ends with ${String(error)}`);
      asked.errors.set(error.kind, (asked.errors.get(error.kind) ?? 0) + 1);
    }
  };
  const present = indexes().filter((index) => expected(index) !== undefined);
  const gets = indexes().flatMap((index) =>
    (["linearizable", "stale"] as const).map((read) =>
      ask(
        `${keyOf(index)}, ${read},`,
        db.get(keyOf(index), { read }).then((entry) => entry?.value),
        expected(index),
      ),
    ),
  );
  await Promise.all(gets);
  const inGroup = (group: number): string[] =>
    present
      .filter((index) => expected(index)?.group === group)
      .map(keyOf)
      .toSorted();
  // Twice: the second may be answered by the other replica.
  const finds = [0, 1, 2, 3, 4, 0, 1, 2, 3, 4].map((group) => {
    const keys = db
      .find({ group })
      .toArray()
      .then((rows) => rows.map(({ key }) => key).toSorted());
    return ask(`group ${group}`, keys, inGroup(group));
  });
  await Promise.all([...finds, ask("count", db.count({}), present.length)]);
  await db.close();
  return asked;
}

/** Replicas of one shard at one sequence have equal digests. */
function differences({ replicas }: StatusReport): string[] {
  const seen = new Map<string, string>();
  const found: string[] = [];
  for (const { shard, node, state, digest } of replicas) {
    if (state !== "serving") continue;
    const place = `${shard} at ${digest.sequence}`;
    const text = `${digest.records} ${digest.index}`;
    if ((seen.get(place) ?? text) !== text) found.push(`${place}: ${node} has another digest`);
    seen.set(place, text);
  }
  return found;
}

/** The line that says most of what `up` said until it ended, or until it was waited for no more. */
function refusalIn(error: unknown): string {
  const { message, cause } = error as Error;
  const lines = message.split("\n").filter((line) => line.includes("ringdex: "));
  const last = lines.at(-1) ?? message.trim().split("\n").at(-1) ?? message;
  const why = cause instanceof Error ? cause.message.split("\n")[0] : "";
  return lines.findLast(isDocumented) ?? `${last} (${why})`;
}
