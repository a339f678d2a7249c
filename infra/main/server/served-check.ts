/**
 * Whether a store serves all its positions, as its own nodes tell: for a start that one node holds
 * up, because it fills or reads a large store while the others answer everything.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Names } from "../../../protocol/nats/subjects.js";
import { unservedShards } from "../../../protocol/node/served.js";
import type { StatusReport } from "../../../protocol/node/status.js";
import { parseRing } from "../../../protocol/ring/ring.js";
import type { Bus } from "../../bus.js";

const ANSWER_TIMEOUT_MS = 5_000;
const nothing = new Uint8Array(0);

/** Asks every `everyMs`. True once every position is served, false if the signal fires before. */
export async function untilServed(
  bus: Bus,
  names: Names,
  everyMs: number,
  stopping: AbortSignal,
): Promise<boolean> {
  while (!stopping.aborted) {
    await delay(everyMs, undefined, { signal: stopping }).catch(() => undefined);
    if (!stopping.aborted && (await isServed(bus, names))) return true;
  }
  return false;
}

async function isServed(bus: Bus, names: Names): Promise<boolean> {
  const ask = async (verb: "ring" | "status"): Promise<unknown> => {
    const reply = await bus.request(names.verb(verb), nothing, { timeoutMs: ANSWER_TIMEOUT_MS });
    return JSON.parse(Buffer.from(reply.data).toString());
  };
  try {
    const ring = parseRing(await ask("ring"));
    const report = (await ask("status")) as StatusReport;
    return unservedShards(report, ring).length === 0;
  } catch {
    // No node answers yet, or with an error: then not all is served.
    return false;
  }
}
