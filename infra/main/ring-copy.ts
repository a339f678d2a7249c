/**
 * Ring copy: the newest ring that a node has seen, in its folder, durable before the node acts on
 * it; and how the bucket gets back what it has lost.
 *
 * Unless JetStream syncs always, a power cut may take the ring's last change along, a repair, whose
 * log the nodes' stores already follow. The old ring would then name a log that has ended, and no
 * store would be known. The copy closes that: a bucket with a ring that the copy goes on from, by
 * repairs alone, has lost them, and they are put back by compare-and-set (rule L1). Any other ring
 * is left as it is.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RingCell } from "../../actors/ring-keeper/repairer.js";
import { decodeRing } from "../../actors/ring-keeper/ring-keeper.js";
import { KvError } from "../../protocol/errors.js";
import { encodeRing, goesOnFrom, type RingTable } from "../../protocol/ring.js";
import { sleep, type Clock } from "../clock.js";
import { writeDurably } from "../durable-file.js";
import type { Logger } from "../logger.js";

const TRY_AGAIN_MS = 500;

/** Without a copy the store serves all the same: that it cannot be written is only said. */
export async function keepRing(folder: string, ring: RingTable, logger: Logger): Promise<void> {
  const [file, text] = [fileOf(folder), textOf(ring)];
  try {
    const found = await readFile(file, "utf8").catch(() => undefined);
    if (found !== text) await writeDurably(file, text);
  } catch (error) {
    logger.error("the node's copy of the ring could not be written", { file, error });
  }
}

/** Undefined if there is none. One that is damaged is none either, which is said. */
export async function keptRing(folder: string, logger: Logger): Promise<RingTable | undefined> {
  const file = fileOf(folder);
  try {
    return decodeRing(await readFile(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    if (!(error instanceof KvError)) throw error;
    logger.error("the node's copy of the ring is damaged, not used", { file, error });
    return undefined;
  }
}

/**
 * Gives the bucket `kept`, if that goes on from the ring that is there. Tries until it is decided;
 * rejects with the reason of `stopping` if that fires first.
 */
export async function putBack(
  cell: RingCell,
  kept: RingTable,
  clock: Clock,
  logger: Logger,
  stopping?: AbortSignal,
): Promise<void> {
  const value = Buffer.from(textOf(kept));
  for (;;) {
    try {
      const found = await cell.read();
      if (found === undefined || !goesOnFrom(kept, decodeRing(found.value))) return;
      if ((await cell.update(value, found.revision)) === undefined) continue;
      logger.info("nats-server had lost the ring's last change, it is put back", {
        epoch: kept.epoch,
      });
      return;
    } catch (error) {
      if (!(error instanceof KvError) || error.kind === "internal") throw error;
      logger.debug("whether the ring is put back is not known", { error: error.message });
    }
    await sleep(clock, TRY_AGAIN_MS, stopping);
  }
}

function fileOf(folder: string): string {
  return join(folder, "ring.json");
}

function textOf(ring: RingTable): string {
  return `${JSON.stringify(encodeRing(ring))}\n`;
}
