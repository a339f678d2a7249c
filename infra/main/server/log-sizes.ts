/**
 * The size of logs that exist: made what was asked for at the start of a cluster.
 *
 * A log may be made larger, as far as JetStream has room, and smaller, but not than what it holds.
 * Looked at for all logs before one is changed: a start that is refused has changed nothing.
 */
import type { Names } from "../../../protocol/nats/subjects.js";
import type { Bus } from "../../bus.js";
import {
  askJetstream,
  InsufficientStorage,
  objectIn,
  streamNames,
  streamStateIn,
  type JsonObject,
} from "../../jetstream/jetstream-api.js";
import { formatBytes } from "../../settings/config.js";
import { Refusal } from "./data-folder.js";

/** Throws Refusal if a log holds more than that. A log that cannot grow so far is reported. */
export async function applyLogBytesMax(
  bus: Bus,
  names: Names,
  wanted: number,
  report: (line: string) => void,
): Promise<void> {
  const logs = await openLogs(bus, names);
  const full = logs.find(({ bytes }) => bytes > wanted);
  if (full !== undefined) {
    throw new Refusal(
      `RINGDEX_LOG_BYTES_MAX is ${formatBytes(wanted)}, but the log ${full.stream} holds ` +
        `${full.bytes} bytes; ask for more, or leave it out to keep ${formatBytes(full.bytesMax)}`,
    );
  }
  for (const { stream, config, bytesMax } of logs) {
    if (bytesMax === wanted) continue;
    const change = `from ${formatBytes(bytesMax)} to ${formatBytes(wanted)}`;
    try {
      await askJetstream(bus, `STREAM.UPDATE.${stream}`, { ...config, max_bytes: wanted });
      report(`size of log ${stream} changed ${change}`);
    } catch (error) {
      if (!(error instanceof InsufficientStorage)) throw error;
      report(`size of log ${stream} not changed ${change}: JetStream has no room for it`);
    }
  }
}

interface OpenLog {
  readonly stream: string;
  readonly config: JsonObject;
  readonly bytes: number;
  readonly bytesMax: number;
}

/** All but those that have ended. */
async function openLogs(bus: Bus, names: Names): Promise<OpenLog[]> {
  const logs: OpenLog[] = [];
  for (const stream of await streamNames(bus, names.logWildcard)) {
    if (names.parseLogStream(stream) === undefined) continue;
    const info = await askJetstream(bus, `STREAM.INFO.${stream}`);
    const config = objectIn(info, "config");
    const { bytes, bytesMax } = streamStateIn(info);
    if (config.sealed !== true) logs.push({ stream, config, bytes, bytesMax });
  }
  return logs;
}
