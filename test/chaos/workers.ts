/**
 * Workers: the clients of a chaos run. Each does one thing after another until the run stops it.
 *
 * Hot workers compete for the few keys whose histories are checked: at any time most of them work
 * on the same two keys. A wide worker writes keys of its own and queries those of all workers. A
 * probe asks each shard at a steady beat, whether or not it answers, so it measures the time
 * without an answer of that shard alone.
 */
import { sleep, systemClock } from "../../infra/clock.js";
import type { Step, StepOutcome } from "../history/history.js";
import type { SeededChance } from "../support/manual-clock.js";
import type { Asked } from "./access.js";
import { hotCounters, hotKeys, ownKeys, ownPrefix, pairs } from "./keys.js";
import { machineMs, type Recorder } from "./recorder.js";

/** How long most hot workers stay at the same keys. */
const FOCUS_MS = 300;
const FOCUS_KEYS = 2;
export const GROUPS = 5;
/** Small, so that finds have several pages. */
const PAGE_ROWS = 7;

export interface Pace {
  /** From one request of a hot worker to the next, on average; more if the answer takes longer. */
  readonly hotMs: number;
  /** The same of a wide worker. */
  readonly wideMs: number;
  /** Between two sets, and two gets, of a probe. */
  readonly probeMs: number;
}

interface WorkerParts {
  readonly recorder: Recorder;
  readonly chance: SeededChance;
  readonly stopping: AbortSignal;
}

export async function hotWorker(
  { recorder, chance, stopping }: WorkerParts,
  beatMs: number,
): Promise<void> {
  const revisions = new Map<string, number>();
  let turn = 0;
  while (!stopping.aborted) {
    const startMs = machineMs();
    const key = hotKey(chance);
    const tag = JSON.stringify({ by: recorder.client, turn: turn++ });
    const step = hotCounters.includes(key)
      ? counterStep(chance, key)
      : registerStep(chance, key, tag, revisions.get(key) ?? 0);
    // A worker's own batch of two: a hot key's write stands in it like any other.
    if (chance.happens(0.06) && step.verb !== "get") {
      const other = hotKeys[(hotKeys.indexOf(key) + 1) % hotKeys.length] as string;
      const outcomes = await recorder.many("batch", [step, { verb: "get", key: other }]);
      learn(revisions, key, outcomes[0]);
    } else learn(revisions, key, await recorder.one(step));
    await rest(chance, startMs, beatMs);
  }
}

async function rest(chance: SeededChance, startMs: number, beatMs: number): Promise<void> {
  const dueMs = startMs + 2 * chance.fraction() * beatMs;
  await sleep(systemClock, Math.max(dueMs - machineMs(), 0));
}

function hotKey(chance: SeededChance): string {
  if (chance.happens(0.2)) return chance.pick(hotKeys);
  const slot = Math.floor(machineMs() / FOCUS_MS) * FOCUS_KEYS + chance.integer(FOCUS_KEYS);
  return hotKeys[slot % hotKeys.length] as string;
}

function registerStep(chance: SeededChance, key: string, value: string, known: number): Asked {
  const draw = chance.fraction();
  if (draw < 0.33) return { verb: "get", key };
  if (draw < 0.4) return { verb: "get", key, level: "session" };
  if (draw < 0.45) return { verb: "get", key, level: "stale" };
  if (draw < 0.7) return { verb: "set", key, value };
  if (draw < 0.88) return { verb: "set", key, value, ifRevision: known };
  if (draw < 0.93) return { verb: "set", key, value, ifRevision: 0 };
  if (draw < 0.97) return { verb: "del", key };
  return { verb: "del", key, ifRevision: known };
}

function counterStep(chance: SeededChance, key: string): Asked {
  const draw = chance.fraction();
  if (draw < 0.5) return { verb: "get", key };
  if (draw < 0.55) return { verb: "get", key, level: "session" };
  return { verb: "incr", key, by: 1 + chance.integer(3) };
}

function learn(revisions: Map<string, number>, key: string, outcome?: StepOutcome): void {
  if (outcome === undefined) return;
  if ("revision" in outcome) revisions.set(key, outcome.revision);
  else if (outcome.kind === "absent") revisions.set(key, 0);
}

export async function wideWorker(
  { recorder, chance, stopping }: WorkerParts,
  clients: readonly string[],
  beatMs: number,
): Promise<void> {
  const { client } = recorder;
  const own = ownKeys(client);
  const known = new Map<string, StepOutcome>();
  let turn = 0;
  const write = (): Asked & { readonly verb: Step["verb"] } => {
    const key = chance.pick(own);
    const value = { client, turn: turn++, group: chance.integer(GROUPS) };
    const draw = chance.fraction();
    if (draw < 0.16) return { verb: "del", key };
    const before = known.get(key);
    const isConditional = draw < 0.3 && before?.kind === "written";
    if (isConditional) {
      return { verb: "set", key, value: JSON.stringify(value), ifRevision: before.revision };
    }
    return { verb: "set", key, value: JSON.stringify(value) };
  };
  while (!stopping.aborted) {
    const startMs = machineMs();
    const draw = chance.fraction();
    if (draw < 0.4) {
      const step = write();
      known.set(step.key, await recorder.one(step));
    } else if (draw < 0.46) {
      const key = chance.pick(own);
      known.delete(key);
      await recorder.one({ verb: "patch", key, value: JSON.stringify({ note: `p${turn++}` }) });
    } else if (draw < 0.6) await readOne(recorder, chance, chance.pick(clients));
    else if (draw < 0.7) await writeBatch(recorder, write, known);
    else if (draw < 0.8) await movePair(recorder, chance);
    else if (draw < 0.84) await readMany(recorder, chance.pick(clients));
    else await askAbout(recorder, chance, chance.pick(clients));
    await rest(chance, startMs, beatMs);
  }
}

async function readOne(recorder: Recorder, chance: SeededChance, of: string): Promise<void> {
  const key = chance.pick(ownKeys(of));
  const level = chance.pick(["linearizable", "linearizable", "session", "stale"] as const);
  await recorder.one({ verb: "get", key, level });
}

async function writeBatch(
  recorder: Recorder,
  write: () => Asked,
  known: Map<string, StepOutcome>,
): Promise<void> {
  const steps = new Map<string, Asked>();
  for (let each = 0; each < 5; each += 1) {
    const step = write();
    steps.set(step.key, step);
  }
  const asked = [...steps.values()];
  const outcomes = await recorder.many("batch", asked);
  for (const [index, { key }] of asked.entries()) known.set(key, outcomes[index] as StepOutcome);
}

/** From one of a pair to the other, all or nothing. */
async function movePair(recorder: Recorder, chance: SeededChance): Promise<void> {
  const [one, other] = chance.pick(pairs);
  if (chance.happens(0.3)) {
    await recorder.many("batch", [
      { verb: "get", key: one },
      { verb: "get", key: other },
    ]);
    return;
  }
  const by = 1 + chance.integer(9);
  await recorder.many("atomic", [
    { verb: "incr", key: one, by },
    { verb: "incr", key: other, by: -by },
  ]);
}

async function readMany(recorder: Recorder, of: string): Promise<void> {
  await recorder.many(
    "batch",
    ownKeys(of).map((key) => ({ verb: "get", key })),
  );
}

async function askAbout(recorder: Recorder, chance: SeededChance, of: string): Promise<void> {
  const level = chance.happens(0.15) ? "stale" : "linearizable";
  const draw = chance.fraction();
  const where = chance.happens(0.5)
    ? { client: of }
    : { client: of, group: { $gte: chance.integer(GROUPS) } };
  if (draw < 0.4) return recorder.query("find", { where, limit: 100, level });
  if (draw < 0.55) return recorder.query("find", { where, limit: PAGE_ROWS, level });
  const group = { group: chance.integer(GROUPS) };
  if (draw < 0.65) return recorder.query("find", { where: group, limit: 500, level });
  if (draw < 0.85) return recorder.query("count", { where, level });
  return recorder.query("keys", { prefix: ownPrefix(of), limit: 500, level });
}

/** Requests of a probe under way, at most: what a shard leaves unanswered must end somewhere. */
const PROBES_MAX = 600;

/** `keys`: of one shard; enough of them that no two requests of one key are often under way. */
export async function probe(
  { recorder, stopping }: Pick<WorkerParts, "recorder" | "stopping">,
  keys: readonly string[],
  beatMs: number,
): Promise<void> {
  const underWay = new Set<Promise<unknown>>();
  const start = (step: Asked): void => {
    if (underWay.size >= PROBES_MAX) return;
    const done = recorder.one(step).finally(() => underWay.delete(done));
    underWay.add(done);
  };
  for (let beat = 0; !stopping.aborted; beat += 1) {
    const key = keys[beat % keys.length] as string;
    start({ verb: "set", key, value: JSON.stringify({ probe: recorder.client, beat }) });
    start({ verb: "get", key: keys[(beat + keys.length / 2) % keys.length] as string });
    await sleep(systemClock, beatMs);
  }
  await Promise.all(underWay);
}
