/**
 * JetStream consumer: reads a shard's log, in order, by pulls of PULL_BYTES_MAX at the most.
 *
 * Invariants (and those of nats/pull-consumer.ts, which does the reading)
 *   1. Sequences handed over ascend. JetStream starts at another sequence than asked for where the
 *      stream has none such; what is not above the last one handed over is dropped.
 */
import { DeliverPolicy } from "nats";
import type { Sequence } from "../../protocol/ids.js";
import { PULL_BYTES_MAX } from "../../protocol/limits.js";
import type { Clock } from "../clock.js";
import type { LogConsumer, LogMessage } from "../log.js";
import type { NatsBus } from "../nats/nats-bus.js";
import { PullConsumer } from "../nats/pull-consumer.js";
import { askJetstream } from "./jetstream-api.js";

/** A pull asks for this many messages: more than PULL_BYTES_MAX can hold. */
const PULL_COUNT_MAX = 1_000_000;
/** The server deletes a consumer that nobody has pulled from for so long. */
const INACTIVE_MS = 120_000;
const HEARTBEAT_MS = 2_000;
/** Between attempts to make a consumer. */
const RETRY_FIRST_MS = 20;
const RETRY_MAX_MS = 2_000;

export interface JetstreamConsumerOptions {
  /** A connection that is not used for requests: a catch-up would hold their replies up. */
  readonly pulls: NatsBus;
  readonly stream: string;
  /**
   * What is kept under another subject is handed over without its bytes. A stream takes messages of
   * its own subjects only, but JetStream can be told to deliver another stream's messages there.
   */
  readonly subject?: string;
  /** The first message wanted is the one after. */
  readonly after: Sequence;
  readonly clock: Clock;
  /** Default HEARTBEAT_MS. */
  readonly heartbeatMs?: number;
  /** Why a consumer was given up or could not be made. For logging only. */
  readonly warn?: ((description: string, cause?: unknown) => void) | undefined;
}

const nothing = new Uint8Array(0);

export function jetstreamConsumer(options: JetstreamConsumerOptions): LogConsumer {
  const { pulls, stream, subject, after, clock, heartbeatMs = HEARTBEAT_MS, warn } = options;
  return new PullConsumer<LogMessage>({
    bus: pulls,
    stream,
    create: (config) => {
      const asked = `CONSUMER.CREATE.${stream}.${config.name}`;
      return askJetstream(pulls, asked, { stream_name: stream, action: "create", config });
    },
    start: (last) => ({
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: Math.max(after, last) + 1,
    }),
    take: (message, { sequence, time }, last) => {
      if (sequence <= Math.max(after, last)) return undefined;
      const isForeign = subject !== undefined && message.subject !== subject;
      return { sequence, time, data: isForeign ? nothing : message.data };
    },
    pullBytes: PULL_BYTES_MAX,
    pullCount: PULL_COUNT_MAX,
    clock,
    heartbeatMs,
    inactiveMs: INACTIVE_MS,
    pauseMs: (count) => Math.min(RETRY_FIRST_MS * 2 ** (count - 1), RETRY_MAX_MS),
    warn,
  });
}
