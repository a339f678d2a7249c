/**
 * Kills a node under load, watches it come back and catch up, and reads back every write that was
 * acknowledged meanwhile.
 */
import { systemClock } from "../../../infra/clock.js";
import { signalTo } from "../../../infra/nats-server/nats-server.js";
import type { StatusReport } from "../../../protocol/node/status.js";
import { count, milliseconds, perSecond, seconds2 } from "./printer.js";
import { getAll } from "./rebuild.js";
import { eventually, timed, type Story } from "./story.js";
import { Traffic } from "./traffic.js";

const VICTIM = "n2";
const IN_FLIGHT_MIN = 64;
/** Acknowledged before the kill: every writer is well under way. */
const WARM_UP_WRITES = 1_000;
const LIMIT_MS = 60_000;

export async function killNode(story: Story): Promise<void> {
  const { cluster, printer } = story;
  const traffic = await Traffic.start(cluster.url);
  let killedMs = 0;
  let backMs = 0;
  try {
    await printer.step("kill -9", async (step) => {
      const pid = await cluster.nodePid(VICTIM);
      await eventually("traffic", LIMIT_MS, async () => {
        const { acknowledged, inFlight } = traffic;
        return acknowledged.size >= WARM_UP_WRITES && inFlight >= IN_FLIGHT_MIN ? true : undefined;
      });
      const { inFlight } = traffic;
      killedMs = systemClock.elapsedMs();
      signalTo(pid, "SIGKILL");
      step.check(inFlight >= IN_FLIGHT_MIN, `only ${inFlight} requests were in flight`);
      await eventually(`${VICTIM} serves again`, LIMIT_MS, async () => {
        const status = await cluster.status().catch(() => undefined);
        return status !== undefined && hasReturned(status, pid) ? true : undefined;
      });
      backMs = systemClock.elapsedMs() - killedMs;
      await traffic.stop();
      reportTraffic(story, traffic, step);
      return `${VICTIM} (process ${pid}) with ${inFlight} requests in flight`;
    });
  } finally {
    await traffic.stop();
  }
  await catchUp(story, () => systemClock.elapsedMs() - killedMs, backMs);
  await readBack(story, traffic);
}

function reportTraffic(
  { expected, printer }: Story,
  traffic: Traffic,
  step: { note(text: string): void; check(holds: boolean, text: string): void },
): void {
  const { acknowledged, getCount, retriedCount, failures, gapMaxMs, waitMaxMs } = traffic;
  for (const [key, value] of acknowledged) expected.set(key, value);
  const counts =
    `${count(acknowledged.size)} writes acknowledged and ${count(getCount)} gets answered, ` +
    `${count(retriedCount)} sent again, ${count(failures.length)} failed`;
  step.note(counts);
  const gap = `longest gap between two acknowledgements ${milliseconds(gapMaxMs)}`;
  step.note(`${gap}, longest wait of one request ${milliseconds(waitMaxMs)}`);
  step.check(failures.length === 0, `${failures.length} requests failed, first: ${failures[0]}`);
  step.check(traffic.wrongCount === 0, `${traffic.wrongCount} gets missed an acknowledged write`);
  printer.summarize("kill -9 under load", counts);
  printer.summarize("longest gap", milliseconds(gapMaxMs));
}

async function catchUp(story: Story, sinceKillMs: () => number, backMs: number): Promise<void> {
  await story.printer.step("catch-up", async () => {
    const status = await untilEqual(story);
    const sequences = status.replicas.map(({ sequence_applied }) => sequence_applied);
    const back = `${VICTIM} served again ${seconds2(backMs)} after the kill`;
    const entries = `lag 0, digests equal, ${count(Math.max(...sequences))} entries in a log`;
    return `${back}, all replicas equal after ${seconds2(sinceKillMs())}: ${entries}`;
  });
}

/** Resolves when all replicas serve with nothing left to apply, and copies have equal digests. */
export async function untilEqual({ cluster }: Story): Promise<StatusReport> {
  return eventually("all replicas equal", LIMIT_MS, async () => {
    const status = await cluster.status().catch(() => undefined);
    return status !== undefined && isEqual(status) ? status : undefined;
  });
}

async function readBack(story: Story, { acknowledged }: Traffic): Promise<void> {
  const { db, printer } = story;
  await printer.step("read back", async (step) => {
    const [entries, ms] = await timed(getAll<unknown>(db, [...acknowledged.keys()]));
    const lost = [...acknowledged].filter(([key, value]) => {
      return JSON.stringify(entries.get(key)?.value) !== JSON.stringify(value);
    });
    const text = `${lost.length} acknowledged writes are not there, first ${lost[0]?.[0]}`;
    step.check(lost.length === 0, text);
    const rate = perSecond(acknowledged.size, ms);
    return `all ${count(acknowledged.size)} acknowledged writes are there: ${rate}`;
  });
}

function hasReturned({ nodes, replicas }: StatusReport, pidBefore: number): boolean {
  const node = nodes.find((each) => each.node === VICTIM);
  if (node?.state !== "up" || node.pid === pidBefore) return false;
  const own = replicas.filter((replica) => replica.node === VICTIM);
  return own.length > 0 && own.every(({ state }) => state === "serving");
}

function isEqual({ nodes, replicas }: StatusReport): boolean {
  if (nodes.some(({ state }) => state !== "up")) return false;
  if (replicas.some(({ state, lag }) => state !== "serving" || lag !== 0)) return false;
  const shards = new Set(replicas.map(({ shard }) => shard));
  const states = new Set(
    replicas.map(({ shard, digest }) => `${shard} ${Object.values(digest).join(" ")}`),
  );
  return states.size === shards.size;
}
