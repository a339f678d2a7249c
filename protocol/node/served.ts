/**
 * Which shards are served: by the reports of the nodes, some replica of theirs answers requests.
 */
import type { StatusReport } from "./status.js";

/** What is looked at of a ring table (protocol/ring), of which this room knows nothing. */
interface Owners {
  readonly shards: readonly { readonly shard: string; readonly positions: readonly unknown[] }[];
}

/** Shards that own positions and of which no replica serves. Cost: O(shards + replicas). */
export function unservedShards(
  { replicas }: Pick<StatusReport, "replicas">,
  { shards }: Owners,
): string[] {
  const serving = new Set<string>(
    replicas.filter(({ state }) => state === "serving").map(({ shard }) => shard),
  );
  const owners = shards.filter(({ positions }) => positions.length > 0);
  return owners.map(({ shard }) => shard).filter((shard) => !serving.has(shard));
}
