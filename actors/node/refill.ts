/**
 * Refill: gets a replica a new store from another node's, where its own does not fit the log (rule
 * L3) or is lost and the log does not begin with the shard.
 *
 * The node fills and checks the new store beside the old one. Only then it sets the old one aside;
 * it never deletes it. A failure leaves the old one in place, and the next attempt starts again.
 */
import type { Surroundings } from "../surroundings.js";
import { sleep } from "../../infra/clock.js";
import type { StoreShelf } from "../../infra/store-shelf.js";
import { DamagedError } from "../../protocol/damaged.js";
import { KvError } from "../../protocol/errors.js";
import type { NodeName } from "../../protocol/ids.js";
import { ATTEMPT_TIMEOUT_MS } from "../../protocol/limits.js";
import { decodeSeedReply, type SeedReply } from "../../protocol/node/seed.js";
import type { RingShard } from "../../protocol/ring/ring.js";
import { fillStore, type Seeded } from "./seed-target.js";

/** The node asks this often for one part before it gives the source up. */
const ATTEMPTS_MAX = 5;
const AGAIN_MS = 500;

export interface RefillParts extends Surroundings {
  readonly node: NodeName;
  readonly shard: RingShard;
  readonly shelf: StoreShelf;
  readonly signal: AbortSignal;
}

/** Rejects with KvError if no other node of the shard has a store that can be had. */
export async function refillStore(parts: RefillParts): Promise<void> {
  const { shard, node, shelf, logger } = parts;
  const others = shard.nodes.filter((each) => each !== node);
  let failure: unknown;
  for (const source of others) {
    try {
      const { sequence, keys, rows } = await fillFrom(parts, source);
      const kept = await shelf.useDraft();
      const fields = { shard: shard.shard, source, sequence, keys, rows };
      logger.info("filled a store from another node's", { ...fields, set_aside: kept });
      return;
    } catch (error) {
      // A source whose store is damaged, or answers what no store gives, is one of several.
      if (!(error instanceof KvError || error instanceof DamagedError)) throw error;
      failure = error;
      const fields = { shard: shard.shard, source, error };
      logger.info("could not fill a store from another node's", fields);
    }
  }
  const why = failure instanceof Error ? `: ${failure.message}` : "";
  const nobody = `no other node has a store of ${shard.shard} to fill this one from`;
  throw new KvError("unavailable", `${nobody} (asked: ${others.join(", ") || "none"})${why}`);
}

async function fillFrom(parts: RefillParts, source: NodeName): Promise<Seeded> {
  const { shard, chance, shelf } = parts;
  const session = Buffer.from(chance.bytes(8)).toString("hex");
  let part = 0;
  const next = async (): Promise<SeedReply> => {
    const request = { shard: shard.shard, log_id: shard.logId, session, part };
    part += 1;
    return askPart(parts, source, Buffer.from(JSON.stringify(request)));
  };
  // Nothing is made for a source that has nothing.
  const first = await next();
  const store = await shelf.openDraft();
  try {
    let isFirst = true;
    return await fillStore(store, () => {
      if (!isFirst) return next();
      isFirst = false;
      return Promise.resolve(first);
    });
  } finally {
    await store.close();
  }
}

async function askPart(
  { names, bus, clock, signal }: RefillParts,
  source: NodeName,
  request: Uint8Array,
): Promise<SeedReply> {
  for (let attempt = 1; ; attempt += 1) {
    if (signal.aborted) throw new KvError("unavailable", "the node stops");
    try {
      const subject = names.node(source, "seed");
      const reply = await bus.request(subject, request, { timeoutMs: 2 * ATTEMPT_TIMEOUT_MS });
      return decodeSeedReply(reply.data);
    } catch (error) {
      if (!(error instanceof KvError) || !error.retryable || attempt >= ATTEMPTS_MAX) throw error;
    }
    await sleep(clock, AGAIN_MS, signal).catch(() => undefined);
  }
}
