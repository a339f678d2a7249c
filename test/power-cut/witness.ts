/**
 * Witness: clients that write under load and remember what they were told, and when.
 *
 * Each worker has keys that it alone writes, one request at a time, so a key's history is a list:
 * what is found later is some version of it, and every acknowledged version above that is lost.
 * Workers take turns: most set, every fourth sets under the condition that the key is as its last
 * acknowledgement said, every fourth increments a counter. All requests have ids.
 */
import { connect, KvError, type Ringdex } from "../../infra/client/client.js";
import { newRequestId } from "../../infra/client/request-ids.js";
import { systemClock } from "../../infra/clock.js";
import { until } from "../support/until.js";

const CLIENTS = 3;
const WORKERS_PER_CLIENT = 6;
const KEYS_PER_WORKER = 6;
const KINDS = 4;
const OPERATION_TIMEOUT_MS = 20_000;
/** Under strace, beside other programs, a store does little. */
const MORE_TIMEOUT_MS = 120_000;
const RETRIES = 20;
const GROUPS = 7;
const TEXT_CHARS = 100;

/** A value of ours; a counter is a plain number. */
interface Item {
  readonly witness: string;
  readonly version: number;
  readonly group: number;
  readonly text: string;
}

/** One write of a key. */
interface Version {
  /** 1, 2, 3, … by key; of a counter also what it then stands at. */
  readonly version: number;
  readonly requestId: string;
  revision?: number;
  /** Wall clock, not before the acknowledgement had come. */
  acknowledgedAtMs?: number;
}

interface Key {
  readonly key: string;
  readonly isCounter: boolean;
  readonly versions: Version[];
}

/** What is found of a key; undefined = it is not there. */
export type LookUp = (
  key: string,
) => { readonly value: unknown; readonly revision: number } | undefined;

export interface Verdict {
  readonly acknowledged: number;
  /** Acknowledged before the cut, and not there. */
  readonly lost: number;
  /** What is there and was never written, or has another revision than was acknowledged. */
  readonly wrong: readonly string[];
}

export class Witness {
  readonly #keys = new Map<string, Key>();
  #isStopping = false;
  #workers: Promise<void>[] = [];
  #clients: Ringdex<unknown>[] = [];
  acknowledged = 0;

  /** `name` begins its keys. */
  constructor(readonly name: string) {}

  keys(): string[] {
    return [...this.#keys.keys()];
  }

  async start(servers: string): Promise<void> {
    for (let client = 0; client < CLIENTS; client += 1) {
      const db = await connect<unknown>({ servers, timeoutMs: OPERATION_TIMEOUT_MS });
      this.#clients.push(db);
      for (let each = 0; each < WORKERS_PER_CLIENT; each += 1) {
        this.#workers.push(this.#work(db, client * WORKERS_PER_CLIENT + each));
      }
    }
  }

  /** Resolves when `count` more writes have been acknowledged. */
  async more(count: number): Promise<void> {
    const goal = this.acknowledged + count;
    await until(() => this.acknowledged >= goal, MORE_TIMEOUT_MS, `${count} more writes`);
  }

  /** Ends the workers; with `isCut`, what is under way is left without an answer. */
  async stop(isCut = false): Promise<void> {
    this.#isStopping = true;
    const close = async (): Promise<void> => {
      await Promise.all(this.#clients.splice(0).map((db) => db.close()));
    };
    if (isCut) await close();
    await Promise.all(this.#workers);
    if (!isCut) await close();
  }

  /** What the store must hold if the power went at `cutAtMs`. */
  async compare(db: Ringdex<unknown>, cutAtMs = Infinity): Promise<Verdict> {
    const found = await db.getMany<Item | number>(this.#keys.keys());
    return this.judge((key) => found.get(key), cutAtMs);
  }

  /** The same of records that were found in any other way. */
  judge(lookUp: LookUp, cutAtMs = Infinity): Verdict {
    let [acknowledged, lost] = [0, 0];
    const wrong: string[] = [];
    for (const { key, isCounter, versions } of this.#keys.values()) {
      const there = lookUp(key);
      const version = isCounter ? Number(there?.value ?? 0) : versionOf(there?.value);
      const before = versions.filter((one) => (one.acknowledgedAtMs ?? Infinity) < cutAtMs);
      acknowledged += before.length;
      lost += before.filter((one) => one.version > version).length;
      const written = versions.find((one) => one.version === version);
      if (there !== undefined && written === undefined) {
        wrong.push(`${key} has version ${version}, which was never written`);
      } else if (written?.revision !== undefined && written.revision !== there?.revision) {
        const revisions = `${there?.revision}, acknowledged ${written.revision}`;
        wrong.push(`${key}, version ${version}, has revision ${revisions}`);
      }
    }
    return { acknowledged, lost, wrong };
  }

  /** Increments sent again with their ids: what came of them, where it is not the same again. */
  async retry(db: Ringdex<unknown>, cutAtMs: number): Promise<{ count: number; wrong: string[] }> {
    const wrong: string[] = [];
    const latest = [...this.#keys.values()]
      .filter(({ isCounter }) => isCounter)
      .flatMap(({ key, versions }) => versions.map((one) => ({ key, ...one })))
      .filter(({ acknowledgedAtMs = Infinity }) => acknowledgedAtMs < cutAtMs)
      .toSorted((one, other) => (other.acknowledgedAtMs ?? 0) - (one.acknowledgedAtMs ?? 0))
      .slice(0, RETRIES);
    for (const { key, version, requestId, revision } of latest) {
      const again = await db.incr(key, { by: 1 }, { requestId });
      if (again.value === version && again.revision === revision) continue;
      const first = `${version} at revision ${revision}`;
      wrong.push(`${key}: ${first} the first time, now ${again.value} at ${again.revision}`);
    }
    return { count: latest.length, wrong };
  }

  /**
   * Answers that hide a loss: of one key of each worker, an old value, or no clear refusal. `held`:
   * what some store still has; of the rest nobody is left who could know of it. Default: all.
   */
  async misled(db: Ringdex<unknown>, cutAtMs: number, held?: LookUp): Promise<string[]> {
    const counters = [...this.#keys.values()].filter(({ isCounter }) => isCounter);
    const refusals: string[] = [];
    const asked = counters.map(async ({ key, versions }) => {
      try {
        const value = (await db.get<number>(key))?.value ?? 0;
        const heldLast = held === undefined ? Infinity : Number(held(key)?.value ?? 0);
        const hidden = versions.filter(({ version, acknowledgedAtMs = Infinity }) => {
          return acknowledgedAtMs < cutAtMs && version > value && version <= heldLast;
        });
        return hidden.length === 0 ? [] : [`${key} is read as ${value}, ${hidden.length} behind`];
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        refusals.push(error.message);
        return error.kind === "unavailable" ? [] : [`${key}: ${error.kind}, ${error.message}`];
      }
    });
    const problems = (await Promise.all(asked)).flat();
    // One that came too late to be refused may say something else.
    const isClear = refusals.some((text) => text.includes("its replicas have stopped (status"));
    return isClear ? problems : [...problems, `no refusal names status: ${refusals[0]}`];
  }

  async #work(db: Ringdex<unknown>, worker: number): Promise<void> {
    for (let turn = 0; !this.#isStopping; turn += 1) {
      const isCounter = turn % KINDS === 0;
      const name = isCounter ? "counter" : `key-${turn % KEYS_PER_WORKER}`;
      const item = this.#key(`${this.name}.${worker}.${name}`, isCounter);
      const last = item.versions.at(-1);
      const version: Version = { version: (last?.version ?? 0) + 1, requestId: newRequestId() };
      item.versions.push(version);
      const isConditional = turn % KINDS === 1 && last?.revision !== undefined;
      const condition = isConditional ? { ifRevision: last?.revision ?? 0 } : {};
      try {
        const { requestId } = version;
        const result = isCounter
          ? await db.incr(item.key, { by: 1 }, { requestId })
          : await db.set(item.key, this.#value(version.version), { requestId, ...condition });
        // A millisecond on: the clock's reading is rounded down.
        version.acknowledgedAtMs = systemClock.now() + 1;
        version.revision = result.revision;
        this.acknowledged += 1;
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        return; // in doubt: this worker can no longer say what its keys hold
      }
    }
  }

  #key(key: string, isCounter: boolean): Key {
    const known = this.#keys.get(key) ?? { key, isCounter, versions: [] };
    this.#keys.set(key, known);
    return known;
  }

  #value(version: number): Item {
    return { witness: this.name, version, group: version % GROUPS, text: "x".repeat(TEXT_CHARS) };
  }
}

/** 0 = there is none. */
function versionOf(value: unknown): number {
  return value === undefined ? 0 : (value as Item).version;
}
