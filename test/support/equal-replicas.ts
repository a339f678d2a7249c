/**
 * Equal replicas: compares the replicas of each shard by their digests, at equal sequence only.
 */
import type { ReplicaReport, StatusReport } from "../../protocol/node/status.js";
import type { Cluster } from "./cluster.js";
import { until } from "./until.js";

const LIMIT_MS = 30_000;
const RELAY_LIMIT_MS = 60_000;

/**
 * Waits until all replicas serve and those of each shard have been seen at one sequence; rejects
 * as soon as two have different digests there. Resolves with the status that showed it.
 */
export async function equalReplicas(cluster: Cluster): Promise<StatusReport> {
  await cluster.settled(LIMIT_MS);
  let status = await cluster.status();
  const areSeen = async (): Promise<boolean> => {
    status = await cluster.status();
    const shards = new Set(status.replicas.map(({ shard }) => shard));
    return [...shards].every((wanted) =>
      atOneSequence(status.replicas.filter(({ shard }) => shard === wanted)),
    );
  };
  await until(areSeen, LIMIT_MS, "replicas at one sequence");
  return status;
}

/** Waits until the relays have told all there is; the store is to be at rest. */
export async function relaysDone(cluster: Cluster): Promise<void> {
  const areToldAll = async (): Promise<boolean> => {
    const { replicas } = await cluster.status();
    const shards = new Set(replicas.map(({ shard }) => shard));
    const done = replicas.filter(({ relay, sequence_last: last }) => {
      return relay.active && relay.sequence >= last;
    });
    return shards.size > 0 && done.length === shards.size;
  };
  await until(areToldAll, RELAY_LIMIT_MS, "relays that have told all there is");
}

/** False if they are not at one sequence. */
function atOneSequence(replicas: readonly ReplicaReport[]): boolean {
  const [first, ...others] = replicas;
  if (first === undefined || others.length === 0) return false;
  if (others.some(({ digest }) => digest.sequence !== first.digest.sequence)) return false;
  for (const { digest, shard, node } of others) {
    const { records, index } = first.digest;
    if (digest.records === records && digest.index === index) continue;
    const [one, other] = [JSON.stringify(first.digest), JSON.stringify(digest)];
    throw new Error(`${shard} differs: ${first.node} has ${one}, ${node} has ${other}`);
  }
  return true;
}
