/**
 * Ring copy: the newest ring that a node has seen, in its folder, written before the node acts on
 * it; and how the bucket gets back what it has lost.
 *
 * Unless JetStream syncs always, a power cut may take the ring's last changes along: repairs, whose
 * logs the nodes' stores already follow. The old ring would then name logs that have ended, and no
 * store would be known. The copy closes that: a bucket with a ring that the copy goes on from, by
 * repairs alone, has lost them, and they are put back by compare-and-set (rule L1).
 *
 * Invariant: no acknowledged write of an old log is given up for that. A repair ends the old log
 * before it changes the ring, but a power cut may take that end along too, and a node that never
 * saw the change may have served from the old log since. So nothing is put back if one has an entry
 * that is newer than the change; and they are ended again, and looked at once more, before it is.
 */
import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { RingCell } from "../../actors/ring-keeper/repairer.js";
import type { LogName } from "../../actors/ring-keeper/ring-keeper.js";
import { KvError } from "../../protocol/errors.js";
import type { TimeMs } from "../../protocol/ids.js";
import { decodeRing, ringBytes } from "../../protocol/ring/ring-bytes.js";
import { encodeRing, goesOnFrom, parseRing, type RingTable } from "../../protocol/ring/ring.js";
import { writeDurably } from "../files/durable-file.js";
import type { Logger } from "../logger.js";

export interface KeptRing {
  readonly ring: RingTable;
  /** When it was changed to this, by nats-server's clock. */
  readonly changedAtMs: TimeMs;
}

/** Logs that a ring named before. */
export interface OldLogs {
  /** Nothing can be appended any more. One that is not there is no error. */
  seal(log: LogName): Promise<void>;
  /** Of the last entry; undefined = it has none, or is not there. */
  lastTimeOf(log: LogName): Promise<TimeMs | undefined>;
}

/**
 * Without a copy the store serves all the same: that it cannot be written is only said. A newer
 * one, or another of the same epoch, is renamed, for people to look at.
 */
export async function keepRing(folder: string, kept: KeptRing, logger: Logger): Promise<void> {
  const file = fileOf(folder);
  const { ring, changedAtMs } = kept;
  const before = await keptRing(folder, logger);
  if (isDeepStrictEqual(before, kept)) return;
  try {
    const isSame = isDeepStrictEqual(before?.ring, ring);
    if (before !== undefined && !isSame && before.ring.epoch >= ring.epoch) {
      const aside = join(folder, `ring-${before.ring.epoch}.json`);
      logger.error("renamed the node's copy of the ring: the ring does not follow from it", {
        aside,
      });
      await rename(file, aside);
    }
    const json = { changed_at_ms: changedAtMs, ring: encodeRing(ring) };
    await writeDurably(file, `${JSON.stringify(json)}\n`);
  } catch (error) {
    logger.error("could not write the node's copy of the ring", { file, error });
  }
}

/** Undefined if there is none. One that cannot be read is none either, which is said. */
export async function keptRing(folder: string, logger: Logger): Promise<KeptRing | undefined> {
  const file = fileOf(folder);
  try {
    const json = JSON.parse(await readFile(file, "utf8")) as Partial<Record<string, unknown>>;
    const { ring, changed_at_ms: changedAtMs } = json;
    if (!Number.isSafeInteger(changedAtMs)) throw new TypeError("it has no valid changed_at_ms");
    return { ring: parseRing(ring), changedAtMs: changedAtMs as TimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    logger.error("cannot read the node's copy of the ring, ignoring it", { file, error });
    return undefined;
  }
}

/**
 * Gives the bucket `kept`, if that goes on from the ring that is there. Tells why not where that
 * would give up what was written since. Rejects with KvError; then it is not known.
 */
export async function putBack(
  cell: RingCell,
  logs: OldLogs,
  { ring, changedAtMs }: KeptRing,
  logger: Logger,
): Promise<string | undefined> {
  const value = ringBytes(ring);
  for (;;) {
    const found = await cell.read();
    if (found === undefined) return undefined;
    const before = decodeRing(found.value);
    if (!goesOnFrom(ring, before)) return undefined;
    const named = new Set(ring.shards.map(({ logId }) => logId));
    const old = before.shards.filter(({ logId }) => !named.has(logId));
    const written = async (): Promise<string | undefined> => {
      for (const log of old) {
        const timeMs = await logs.lastTimeOf(log);
        if (timeMs !== undefined && timeMs > changedAtMs) return refusal(log, ring, before);
      }
      return undefined;
    };
    const problem = await written();
    if (problem !== undefined) return problem;
    for (const log of old) await logs.seal(log);
    const late = await written();
    if (late !== undefined) return late;
    if ((await cell.update(value, found.revision)) === undefined) continue;
    const { epoch } = ring;
    logger.info("nats-server had lost the ring's last change, it is put back", { epoch });
    return undefined;
  }
}

function refusal({ shard, logId }: LogName, ring: RingTable, before: RingTable): string {
  return (
    `nats-server has lost changes of the ring (it has epoch ${before.epoch}, this node has seen ` +
    `${ring.epoch}), and ${shard} was written since in the log ${logId}, which it had left: they ` +
    `are not put back, or those writes would be lost. "ringdex repair" shows what the stores have`
  );
}

/**
 * For who changes the ring. Rejects a read with KvError `unavailable` while the bucket is behind
 * what the node has seen, which is about to change, or holds no ring any more.
 */
export function notBehind(cell: RingCell, seen: () => RingTable): RingCell {
  return {
    async read() {
      const found = await cell.read();
      if (found !== undefined && goesOnFrom(seen(), ringIn(found.value))) {
        const text = "nats-server has lost the ring's last change; see status, or try again";
        throw new KvError("unavailable", text);
      }
      return found;
    },
    update: (value, revision) => cell.update(value, revision),
  };
}

/** Foreign writes have replaced all that the bucket keeps: no fault of a reader. */
function ringIn(value: Uint8Array): RingTable {
  try {
    return decodeRing(value);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const text =
      `nats-server's ring table was overwritten (${reason}): write "ring" of a node's ring.json ` +
      "into the ring's bucket, under its key";
    throw new KvError("unavailable", text, {}, { cause });
  }
}

function fileOf(folder: string): string {
  return join(folder, "ring.json");
}
