/**
 * Makes the logs of a new ring as JetStream streams, and those that a repair needs.
 *
 * JetStream reserves a stream's max_bytes at once, so all logs get the same share: what was asked
 * for, or half of it, or half of that, until they fit (rule L8).
 */
import type { LogMender } from "../../actors/ring-keeper/repairer.js";
import type { ListedLog, LogName } from "../../actors/ring-keeper/ring-keeper.js";
import { KvError } from "../../protocol/errors.js";
import type { Sequence, TimeMs } from "../../protocol/ids.js";
import { ATTEMPT_TIMEOUT_MS } from "../../protocol/limits.js";
import type { Names } from "../../protocol/nats/subjects.js";
import type { RingShard } from "../../protocol/ring/ring.js";
import {
  askJetstream,
  errorCodes,
  hasErrorCode,
  InsufficientStorage,
  numberIn,
  objectIn,
  streamNames,
  timeMsIn,
  type JsonObject,
} from "../jetstream/jetstream-api.js";
import { createLogStream, deleteLogStream, sealLogStream } from "../jetstream/jetstream-log.js";
import type { Logger } from "../logger.js";
import type { NatsBus } from "../nats/nats-bus.js";

/** Less than this is no use. */
export const LOG_BYTES_MIN = 16 * 1_024 * 1_024;

export class StreamMaker implements LogMender {
  constructor(
    private readonly names: Names,
    private readonly bus: NatsBus,
    private readonly logReplicas: number,
    private readonly logger: Logger,
  ) {}

  async create(
    shards: readonly RingShard[],
    bytesMax: number,
    sequenceFirst?: Sequence,
  ): Promise<void> {
    for (let bytes = bytesMax; ; bytes = Math.floor(bytes / 2)) {
      if (await this.#fit(shards, bytes, sequenceFirst)) {
        if (bytes < bytesMax)
          this.logger.info("made logs smaller than the setting asks for", { bytes });
        return;
      }
      if (bytes / 2 < Math.min(LOG_BYTES_MIN, bytesMax)) {
        const text = `JetStream has no room for ${shards.length} logs of ${bytes} bytes; give it`;
        throw new KvError("unavailable", `${text} more (max_file_store) or free its disk`);
      }
    }
  }

  async #fit(
    shards: readonly RingShard[],
    bytesMax: number,
    sequenceFirst: Sequence | undefined,
  ): Promise<boolean> {
    const made: RingShard[] = [];
    try {
      for (const shard of shards) {
        made.push(shard);
        await createLogStream(this.bus, {
          ...this.#names(shard),
          bytesMax,
          replicas: this.logReplicas,
          ...(sequenceFirst === undefined ? {} : { sequenceFirst }),
        });
      }
      return true;
    } catch (error) {
      for (const shard of made) await this.remove(shard);
      if (error instanceof InsufficientStorage) return false;
      throw error;
    }
  }

  async begin(shard: RingShard, entry: Uint8Array, sequenceFirst = 1 as Sequence): Promise<void> {
    const { subject } = this.#names(shard);
    const reply = await this.bus.request(subject, entry, { timeoutMs: ATTEMPT_TIMEOUT_MS });
    const answer = JSON.parse(Buffer.from(reply.data).toString()) as { seq?: number };
    if (answer.seq === sequenceFirst) return;
    const text = `the first entry of ${subject} is not ours: ${JSON.stringify(answer)}`;
    throw new KvError("unavailable", text);
  }

  remove(log: LogName): Promise<void> {
    return deleteLogStream(this.bus, this.#names(log).stream);
  }

  seal(log: LogName): Promise<void> {
    return sealLogStream(this.bus, this.#names(log).stream);
  }

  async lastTimeOf(log: LogName): Promise<TimeMs | undefined> {
    const state = await this.#stateOf(this.#names(log).stream);
    if (state === undefined || numberIn(state.state, "messages") === 0) return undefined;
    return timeMsIn(state.state, "last_ts") as TimeMs;
  }

  async list(): Promise<readonly ListedLog[]> {
    const logs: ListedLog[] = [];
    for (const stream of await streamNames(this.bus, this.names.logWildcard)) {
      const log = this.names.parseLogStream(stream);
      if (log === undefined) continue;
      const places = await this.#placesOf(stream);
      if (places !== undefined) logs.push({ ...log, ...places });
    }
    return logs;
  }

  async #placesOf(
    stream: string,
  ): Promise<Pick<ListedLog, "sequenceLast" | "entryCount"> | undefined> {
    const found = await this.#stateOf(stream);
    if (found === undefined) return undefined; // it has gone since it was listed
    const { state, config } = found;
    const sequenceLast = numberIn(state, "last_seq");
    const sequenceFirst = config.first_seq === undefined ? 1 : numberIn(config, "first_seq");
    return { sequenceLast, entryCount: sequenceLast - Math.max(sequenceFirst, 1) + 1 };
  }

  /** Undefined = there is no such stream. */
  async #stateOf(
    stream: string,
  ): Promise<{ readonly state: JsonObject; readonly config: JsonObject } | undefined> {
    try {
      const info = await askJetstream(this.bus, `STREAM.INFO.${stream}`);
      return { state: objectIn(info, "state"), config: objectIn(info, "config") };
    } catch (error) {
      if (hasErrorCode(error, errorCodes.streamNotFound)) return undefined;
      throw error;
    }
  }

  #names({ shard, logId }: LogName): { stream: string; subject: string } {
    return { stream: this.names.logStream(shard, logId), subject: this.names.log(shard, logId) };
  }
}
