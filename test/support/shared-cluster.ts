/**
 * One real cluster for all test files that leave it as they found it: started for the first of
 * them, stopped after the last. Each file keeps to keys and attributes of its own.
 *
 * Three nodes, two replicas of each shard; attributes below `secret` are not indexed.
 */
import { connect as connectNats, type NatsConnection } from "nats";
import { connect, type Ringdex } from "../../infra/client/client.js";
import { startCluster, type Cluster } from "./cluster.js";

export const EXCLUDED_PATH = "secret";

/** What a file's tests work with; filled before its first test. */
export interface SharedCluster {
  readonly cluster: Cluster;
  readonly db: Ringdex<unknown>;
  readonly nats: NatsConnection;
}

let started: Promise<Cluster> | undefined;
let usersLeft = 0;

/** To be called in a `describe`, whose time-out should allow for the start (a few seconds). */
export function useSharedCluster(): SharedCluster {
  const shared = {} as { -readonly [Name in keyof SharedCluster]: SharedCluster[Name] };
  usersLeft += 1;
  before(async () => {
    started ??= startCluster({ env: { RINGDEX_INDEX_EXCLUDE: EXCLUDED_PATH } });
    shared.cluster = await started;
    shared.db = await connect<unknown>({ servers: shared.cluster.url });
    shared.nats = await connectNats({ servers: shared.cluster.url, maxReconnectAttempts: -1 });
  });
  after(async () => {
    // Undefined where the start failed, which has been told then.
    await (shared.db as Ringdex<unknown> | undefined)?.close();
    await (shared.nats as NatsConnection | undefined)?.close();
    usersLeft -= 1;
    if (usersLeft > 0) return;
    await (await started?.catch(() => undefined))?.stop();
    started = undefined;
  });
  return shared;
}
