/**
 * What hostile messages are made for: a running cluster's names, and what valid ones need of it.
 */
import { RequestStrategy, type NatsConnection } from "nats";
import type { ShardId } from "../../protocol/ids.js";
import { Names } from "../../protocol/nats/subjects.js";
import { encodeRing, parseRing, type RingJson } from "../../protocol/ring/ring.js";

const ANSWER_LIMIT_MS = 20_000;
/** All that is a service answers one ping; who is later than this is not there. */
const PING_LIMIT_MS = 2_000;

export interface TargetShard {
  readonly shard: ShardId;
  readonly logId: string;
  readonly logSubject: string;
  readonly nodes: readonly string[];
  /** Of a plan to repair it, which has nothing to do. */
  readonly repairToken: string;
}

export interface Target {
  readonly names: Names;
  readonly positionCount: number;
  readonly shards: readonly TargetShard[];
  readonly nodes: readonly string[];
  /** The ring as it stands in its bucket. */
  readonly ring: RingJson;
  /** Of NATS ($SRV). */
  readonly services: readonly { readonly name: string; readonly id: string }[];
}

export async function targetOf(store: string, nats: NatsConnection): Promise<Target> {
  const names = new Names(store);
  const timeout = ANSWER_LIMIT_MS;
  const reply = await nats.request(names.verb("ring"), "", { timeout });
  const ring = parseRing(reply.json());
  const services: { name: string; id: string }[] = [];
  const pings = { strategy: RequestStrategy.Timer, maxWait: PING_LIMIT_MS };
  for await (const pong of await nats.requestMany("$SRV.PING", "", pings)) {
    services.push(pong.json());
  }
  const shards = await Promise.all(
    ring.shards.map(async ({ shard, logId, nodes }) => {
      const subject = names.node(nodes[0]!, "repair");
      const plan = await nats.request(subject, JSON.stringify({ shard }), { timeout });
      const { token = "" } = plan.json<{ token?: string }>();
      const logSubject = names.log(shard, logId);
      return { shard, logId, logSubject, nodes, repairToken: token };
    }),
  );
  return {
    names,
    positionCount: ring.positionCount,
    shards,
    nodes: ring.nodes.map(({ node }) => node),
    ring: encodeRing(ring),
    services,
  };
}
