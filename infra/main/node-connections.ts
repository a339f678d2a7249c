/**
 * A node's connections to nats-server: requests and replies; appends to logs and JetStream's API;
 * pulls, which would hold the others up while catching up (rule L7).
 */
import { KvError } from "../../protocol/errors.js";
import { Names } from "../../protocol/nats/subjects.js";
import { sleep, systemClock } from "../clock.js";
import type { Logger } from "../logger.js";
import { connectBus, type NatsBus } from "../nats/nats-bus.js";
import type { NodeSettings } from "../settings/config.js";
import { checkRights } from "./rights-check.js";

/** Between two attempts to reach nats-server at the start. */
const CONNECT_AGAIN_MS = 500;

type ConnectionSettings = Pick<NodeSettings, "name" | "store" | "natsUrl" | "credentials">;

export interface Connections {
  readonly requests: NatsBus;
  readonly logs: NatsBus;
  readonly pulls: NatsBus;
}

/**
 * Rejects with the signal's reason if that fires first, and with KvError `bad-request` where to try
 * again is no use: credentials that the server does not know, or a certificate we do not trust.
 * With NodeRefused if the user lacks a right.
 */
export async function untilConnected(
  settings: ConnectionSettings,
  logger: Logger,
  stopping: AbortSignal,
): Promise<Connections> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await connectAll(settings, logger);
    } catch (error) {
      if (!(error instanceof KvError) || !error.retryable) throw error;
      if (attempt === 1) process.stderr.write(`${error.message}; trying again\n`);
      logger[attempt === 1 ? "info" : "debug"]("waiting for nats-server", { attempt, error });
    }
    await sleep(systemClock, CONNECT_AGAIN_MS, stopping);
  }
}

async function connectAll(settings: ConnectionSettings, logger: Logger): Promise<Connections> {
  const open = (purpose: string): Promise<NatsBus> =>
    connectBus({
      url: settings.natsUrl,
      credentials: settings.credentials,
      name: `ringdex ${settings.name} ${purpose}`,
      clock: systemClock,
      readsInTurns: purpose === "requests",
      onFailure: (error) => logger.error("could not handle a message", { error }),
      onServerError: (error) => logger.error("nats-server says", { error }),
    });
  const opened: NatsBus[] = [];
  try {
    for (const purpose of ["requests", "logs", "pulls"]) opened.push(await open(purpose));
    // All three are the same user.
    if (opened[0] !== undefined) await checkRights(opened[0], new Names(settings.store));
  } catch (error) {
    await Promise.allSettled(opened.map((bus) => bus.close()));
    throw error;
  }
  const [requests, logs, pulls] = opened as [NatsBus, NatsBus, NatsBus];
  requests.onStatus((status) => logger.info("connection to nats-server changed", { status }));
  return { requests, logs, pulls };
}
