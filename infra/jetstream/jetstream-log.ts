/**
 * JetstreamLog: a shard's log as a JetStream stream.
 *
 * The stream has one subject, keeps everything (limits retention, `discard: new`), and allows
 * neither single deletions nor roll-ups, so that a sequence once given means the same entry for
 * good. Purging stays allowed: it is how a log is trimmed (rule L8).
 *
 * No entry is published with an expectation (`Nats-Expected-…`): a refused expectation of one
 * replica would say nothing about the others, and rule L2 orders entries by their content.
 */
import { assert } from "../../protocol/assert.js";
import { KvError, type ErrorDetails } from "../../protocol/errors.js";
import type { LogId, Sequence, ShardId } from "../../protocol/ids.js";
import { ATTEMPT_TIMEOUT_MS, ENTRY_BYTES_MAX } from "../../protocol/limits.js";
import { missingLog } from "../../protocol/log/missing-log.js";
import type { Bus, HeaderList } from "../bus.js";
import type { Clock } from "../clock.js";
import {
  LOG_ROOM_BYTES,
  type Appended,
  type Log,
  type LogConsumer,
  type LogMessage,
  type LogState,
} from "../log.js";
import type { NatsBus } from "../nats/nats-bus.js";
import {
  askJetstream,
  errorCodes,
  errorIn,
  hasErrorCode,
  type JetstreamError,
  type JsonObject,
  numberIn,
  objectIn,
  readMessage,
  streamStateIn,
  parseJson,
} from "./jetstream-api.js";
import { jetstreamConsumer } from "./jetstream-consumer.js";

/** JetStream's shortest window for its own duplicate detection, which we do not use. */
const DUPLICATE_WINDOW_NS = 100_000_000;

/** Left free in a sealed log: for what may land while it is being sealed. */
const SEALED_ROOM_BYTES = 4 * 1_024 * 1_024;

/**
 * Larger than any sequence, so a publish that expects it is refused, and the refusal tells the true
 * last sequence. It is 2^63 − 1: larger numbers overflow in the server and are written.
 */
const probeHeaders: HeaderList = [["Nats-Expected-Last-Sequence", "9223372036854775807"]];
const nothing = new Uint8Array();

/** JetStream decides these before it stores anything. Whatever is not here may have landed. */
const refusals: ReadonlySet<number> = new Set([
  errorCodes.notEnabledForAccount,
  errorCodes.messageTooLarge,
  errorCodes.notEnabled,
  errorCodes.headersTooLarge,
  errorCodes.streamSealed,
  errorCodes.tooManyRequests,
]);

/** No room: in the account or the server, which is looked at before storing. */
const exhausted: ReadonlySet<number> = new Set([
  errorCodes.accountResourcesExceeded,
  errorCodes.insufficientResources,
]);

export interface LogStreamConfig {
  readonly stream: string;
  readonly subject: string;
  /** Reserved by JetStream at once. */
  readonly bytesMax: number;
  /** Copies of the stream in a NATS cluster; 1 on a single server. */
  readonly replicas: number;
  /** Of its first entry. Default 1; more for a log that goes on from another one. */
  readonly sequenceFirst?: Sequence;
}

/**
 * Creates the stream of a log; again with the same configuration is no error. Rejects with
 * InsufficientStorage if there is no room for `bytesMax`, otherwise JetstreamError or KvError.
 */
export async function createLogStream(bus: Bus, config: LogStreamConfig): Promise<void> {
  await askJetstream(bus, `STREAM.CREATE.${config.stream}`, {
    name: config.stream,
    subjects: [config.subject],
    retention: "limits",
    discard: "new",
    storage: "file",
    num_replicas: config.replicas,
    max_bytes: config.bytesMax,
    max_msgs: -1,
    max_msgs_per_subject: -1,
    max_consumers: -1,
    max_age: 0,
    max_msg_size: ENTRY_BYTES_MAX,
    duplicate_window: DUPLICATE_WINDOW_NS,
    allow_direct: false,
    allow_rollup_hdrs: false,
    deny_delete: true,
    deny_purge: false,
    ...(config.sequenceFirst === undefined ? {} : { first_seq: config.sequenceFirst }),
  });
}

/**
 * Ends a log: nobody can append to it ever again, and it holds only the room that it
 * needs. One that is not there, or sealed already, is no error.
 */
export async function sealLogStream(bus: Bus, stream: string): Promise<void> {
  try {
    const info = await askJetstream(bus, `STREAM.INFO.${stream}`);
    const { bytes, bytesMax } = streamStateIn(info);
    const config = objectIn(info, "config");
    if (config.sealed === true) return;
    const max_bytes = Math.min(bytesMax, bytes + SEALED_ROOM_BYTES);
    await askJetstream(bus, `STREAM.UPDATE.${stream}`, { ...config, sealed: true, max_bytes });
  } catch (error) {
    if (!hasErrorCode(error, errorCodes.streamNotFound)) throw error;
  }
}

/** Deletes a log for good. One that is not there is no error. */
export async function deleteLogStream(bus: Bus, stream: string): Promise<void> {
  try {
    await askJetstream(bus, `STREAM.DELETE.${stream}`);
  } catch (error) {
    if (!hasErrorCode(error, errorCodes.streamNotFound)) throw error;
  }
}

export interface JetstreamLogOptions {
  readonly shard: ShardId;
  readonly id: LogId;
  readonly stream: string;
  readonly subject: string;
  readonly bus: Bus;
  /** A connection for consumers alone: a catch-up would hold acknowledgements up. */
  readonly pulls: NatsBus;
  readonly clock: Clock;
  /** Heartbeats of pulls; a server that is silent for 2.5 of them has lost the consumer. */
  readonly heartbeatMs?: number;
  readonly warn?: (description: string, cause?: unknown) => void;
  /** Called when the log has become full; again only after it has accepted an entry. */
  readonly error?: (description: string, cause?: unknown) => void;
}

export class JetstreamLog implements Log {
  readonly shard: ShardId;
  readonly id: LogId;
  readonly #options: JetstreamLogOptions;
  #storeFailure: string | undefined;
  #isFull = false;

  constructor(options: JetstreamLogOptions) {
    this.shard = options.shard;
    this.id = options.id;
    this.#options = options;
  }

  /**
   * Why the last entry was not acknowledged, unless JetStream refused it; undefined = it was. A
   * stream of nats-server 2.14 whose disk was full answers nothing until the server is restarted.
   */
  get storeFailure(): string | undefined {
    return this.#storeFailure;
  }

  async append(data: Uint8Array, timeoutMs: number): Promise<Appended> {
    const { bus, subject } = this.#options;
    try {
      const reply = await bus.request(subject, data, { timeoutMs });
      return this.#appended(reply.data);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      // All but `in-doubt`: nothing was sent, nobody took it, or we have no right to the subject.
      const refused = error.written === "no";
      if (!refused) this.#failed(error.message, error);
      return { kind: refused ? "refused" : "unanswered", reason: error.message };
    }
  }

  async makeRoom(): Promise<void> {
    const { stream } = this.#options;
    const info = await this.#ask(`STREAM.INFO.${stream}`);
    const { bytes, bytesMax } = streamStateIn(info);
    if (bytesMax < 0 || bytesMax - bytes > LOG_ROOM_BYTES) {
      throw new KvError("unavailable", "not the log is full, but its account or server");
    }
    const max_bytes = Math.max(bytes, bytesMax) + LOG_ROOM_BYTES;
    await this.#ask(`STREAM.UPDATE.${stream}`, { ...objectIn(info, "config"), max_bytes });
  }

  #appended(data: Uint8Array): Appended {
    const { subject, stream } = this.#options;
    let answer: JsonObject;
    try {
      answer = parseJson(subject, data);
      const error = errorIn(subject, answer);
      if (error !== undefined) return this.#failure(error);
      if (answer.stream === stream) {
        this.#storeFailure = undefined;
        this.#isFull = false;
        return { kind: "accepted", sequence: numberIn(answer, "seq") as Sequence };
      }
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      return { kind: "unanswered", reason: error.message };
    }
    // Another stream captures our subject: ours may have taken the entry as well.
    return { kind: "unanswered", reason: `stream ${String(answer.stream)} answered` };
  }

  #failure(error: JetstreamError): Appended {
    const result = failure(error);
    const isStoring = error.errorCode === errorCodes.storeFailed && result.kind !== "full";
    if (isStoring) this.#failed(error.description, error);
    else this.#storeFailure = undefined;
    if (result.kind === "full" && !this.#isFull) {
      this.#isFull = true;
      this.#options.error?.("log is full: writes are refused until it has more room", error);
    }
    return result;
  }

  #failed(reason: string, cause: unknown): void {
    if (this.#storeFailure === undefined) {
      this.#options.warn?.("JetStream cannot store entries", cause);
    }
    this.#storeFailure = reason;
  }

  consume(after: Sequence): LogConsumer {
    const { pulls, stream, subject, clock, heartbeatMs, warn } = this.#options;
    const heartbeat = heartbeatMs === undefined ? {} : { heartbeatMs };
    return jetstreamConsumer({ pulls, stream, subject, after, clock, warn, ...heartbeat });
  }

  async read(sequence: Sequence): Promise<LogMessage | undefined> {
    const { bus, stream, subject } = this.#options;
    const message = await readMessage(bus, stream, { seq: sequence }).catch((error: unknown) => {
      throw unanswered(`STREAM.MSG.GET.${stream}`, error);
    });
    if (message === undefined) return undefined;
    // Under another subject it is no entry: see JetstreamConsumerOptions.
    const data = message.subject === subject ? message.data : nothing;
    return { sequence: message.sequence, time: message.time, data };
  }

  async state(): Promise<LogState> {
    return streamStateIn(await this.#ask(`STREAM.INFO.${this.#options.stream}`));
  }

  get tailIsExact(): boolean {
    const { bus } = this.#options;
    return !bus.server().clustered;
  }

  async tail(): Promise<Sequence> {
    assert(this.tailIsExact, "in a cluster a probe may be answered by a server that lags");
    const { bus, subject } = this.#options;
    const options = { headers: probeHeaders, timeoutMs: ATTEMPT_TIMEOUT_MS };
    let answer: JsonObject;
    try {
      const reply = await bus.request(subject, nothing, options);
      answer = parseJson(subject, reply.data);
    } catch (cause) {
      throw unavailable(`the end of ${subject} is not known`, cause);
    }
    const error = errorIn(subject, answer);
    assert(error !== undefined, `by its expectation a probe is refused: ${JSON.stringify(answer)}`);
    const sequence = sequenceIn(error);
    if (sequence === undefined) throw unavailable(`the end of ${subject} is not known`, error);
    return sequence;
  }

  /** JetStream's own refusals become `unavailable`, with the refusal as cause. */
  async #ask(asked: string, body?: JsonObject): Promise<JsonObject> {
    try {
      return await askJetstream(this.#options.bus, asked, body);
    } catch (error) {
      throw unanswered(asked, error);
    }
  }
}

function failure(error: JetstreamError): Appended {
  const reason = error.message;
  const { errorCode, description } = error;
  const atLimit = errorCode === errorCodes.storeFailed && description.startsWith("maximum ");
  if (atLimit || exhausted.has(errorCode)) return { kind: "full", reason };
  return { kind: refusals.has(errorCode) ? "refused" : "unanswered", reason };
}

function sequenceIn(error: JetstreamError): Sequence | undefined {
  if (error.errorCode !== errorCodes.wrongLastSequence) return undefined;
  const digits = /^wrong last sequence: (\d+)$/.exec(error.description)?.[1];
  const sequence = Number(digits);
  return Number.isSafeInteger(sequence) ? (sequence as Sequence) : undefined;
}

function unavailable(description: string, cause: unknown, details: ErrorDetails = {}): KvError {
  return new KvError("unavailable", description, details, { cause });
}

function unanswered(asked: string, cause: unknown): KvError {
  const details = hasErrorCode(cause, errorCodes.streamNotFound) ? missingLog : {};
  return unavailable(`the log does not answer ${asked}`, cause, details);
}
