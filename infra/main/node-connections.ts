/**
 * A node's connections to nats-server: requests and replies; appends to logs and JetStream's API;
 * pulls, which would hold the others up while catching up (rule L7).
 */
import { KvError } from "../../protocol/errors.js";
import { sleep, systemClock } from "../clock.js";
import type { NodeSettings } from "../config.js";
import type { Logger } from "../logger.js";
import { connectBus, type NatsBus } from "../nats-bus.js";

/** Between two attempts to reach nats-server at the start. */
const CONNECT_AGAIN_MS = 500;

export interface Connections {
  readonly requests: NatsBus;
  readonly logs: NatsBus;
  readonly pulls: NatsBus;
}

/** Rejects with the signal's reason if that fires first. */
export async function untilConnected(
  settings: Pick<NodeSettings, "name" | "natsUrl">,
  logger: Logger,
  stopping: AbortSignal,
): Promise<Connections> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await connectAll(settings, logger);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      if (attempt === 1) process.stderr.write(`${error.message}; trying again\n`);
      logger[attempt === 1 ? "info" : "debug"]("nats-server is waited for", { attempt, error });
    }
    await sleep(systemClock, CONNECT_AGAIN_MS, stopping);
  }
}

async function connectAll(
  settings: Pick<NodeSettings, "name" | "natsUrl">,
  logger: Logger,
): Promise<Connections> {
  const open = (purpose: string): Promise<NatsBus> =>
    connectBus({
      url: settings.natsUrl,
      name: `ringdex ${settings.name} ${purpose}`,
      clock: systemClock,
      onFailure: (error) => logger.error("a message could not be handled", { error }),
      onServerError: (error) => logger.error("nats-server says", { error }),
    });
  const opened: NatsBus[] = [];
  try {
    for (const purpose of ["requests", "logs", "pulls"]) opened.push(await open(purpose));
  } catch (error) {
    await Promise.allSettled(opened.map((bus) => bus.close()));
    throw error;
  }
  const [requests, logs, pulls] = opened as [NatsBus, NatsBus, NatsBus];
  requests.onStatus((status) => logger.info("the connection to nats-server changes", { status }));
  return { requests, logs, pulls };
}
