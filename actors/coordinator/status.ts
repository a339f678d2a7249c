/**
 * Status: the cluster's parts and their state, gathered from the ring table and the nodes.
 *
 * Cost: one message to each node; a node that does not answer within STATUS_TIMEOUT_MS is `down`.
 */
import type { Surroundings } from "../surroundings.js";
import { KvError } from "../../protocol/errors.js";
import type { NodeName } from "../../protocol/ids.js";
import { BEHAVIOUR_VERSION } from "../../protocol/log/entry.js";
import type { NodeReport, StatusReport } from "../../protocol/node/status.js";
import { operatorNames } from "../../protocol/query/filter.js";
import { limitsShown } from "../../protocol/reply/info.js";
import { responseType } from "../../protocol/reply/json.js";
import { encodeRing, type RingTable } from "../../protocol/ring/ring.js";

const STATUS_TIMEOUT_MS = 1_000;
/** A log fuller than this share is warned of. */
const LOG_FILL_WARNING = 0.7;

const nothing = new Uint8Array(0);
const decoder = new TextDecoder();

export class StatusCollector {
  constructor(
    private readonly around: Pick<Surroundings, "names" | "bus">,
    private readonly ringNow: () => RingTable,
    private readonly version: string,
  ) {}

  /** Reply body of `kv.ring`. */
  ring(): string {
    return JSON.stringify({
      type: responseType("ring"),
      ...encodeRing(this.ringNow()),
    });
  }

  /** Reply body of `kv.info`. */
  info(): string {
    return JSON.stringify({
      type: responseType("info"),
      version: this.version,
      behaviour_version: BEHAVIOUR_VERSION,
      store: this.around.names.store,
      position_count: this.ringNow().positionCount,
      operators: operatorNames,
      limits: limitsShown,
    });
  }

  /** Reply body of `kv.status`. */
  async status(): Promise<string> {
    const { epoch, nodes, store } = this.ringNow();
    const reports = await Promise.all(nodes.map(({ node }) => this.#ask(node)));
    const answered = reports.filter((report) => report !== undefined);
    const replicas = answered.flatMap((report) => report.replicas);
    const status: StatusReport = {
      type: responseType("status"),
      store,
      epoch,
      durability: answered[0]?.durability ?? { sync_interval: "unknown", log_replicas: 0 },
      nodes: nodes.map(({ node }, index) => {
        const report = reports[index];
        if (report === undefined) return { node, pid: null, state: "down", version: null };
        return { node, pid: report.pid, state: "up", version: report.version };
      }),
      replicas: replicas.toSorted((left, right) => {
        return left.shard.localeCompare(right.shard) || left.node.localeCompare(right.node);
      }),
      warnings: [...new Set(answered.flatMap((report) => report.warnings))],
    };
    const warnings = [...status.warnings, ...warningsOf(status, this.ringNow())];
    return JSON.stringify({ ...status, warnings });
  }

  async #ask(node: NodeName): Promise<NodeReport | undefined> {
    const subject = this.around.names.node(node, "status");
    try {
      const reply = await this.around.bus.request(subject, nothing, {
        timeoutMs: STATUS_TIMEOUT_MS,
      });
      return JSON.parse(decoder.decode(reply.data)) as NodeReport;
    } catch (error) {
      // Down, or too busy to say: both are shown as down.
      if (error instanceof KvError || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }
}

function warningsOf({ nodes, replicas, durability }: StatusReport, ring: RingTable): string[] {
  const warnings: string[] = [];
  const sync = syncWarning(durability.sync_interval);
  if (sync !== undefined) warnings.push(sync);
  for (const { node, state } of nodes) {
    if (state === "down") warnings.push(`node ${node} does not answer`);
  }
  for (const { shard, node, state, reason } of replicas) {
    if (state === "stopped") warnings.push(`${shard} on ${node} is stopped: ${reason ?? ""}`);
    else if (reason !== undefined) warnings.push(`${shard} on ${node} does not serve: ${reason}`);
  }
  const served = new Set(replicas.filter(isServing).map(({ shard }) => shard));
  for (const { shard } of ring.shards) {
    if (!served.has(shard))
      warnings.push(`no replica of ${shard} serves: its keys are unavailable`);
  }
  const fills = new Map(
    replicas.map(({ shard, log_bytes, log_bytes_max }) => [shard, log_bytes / log_bytes_max]),
  );
  for (const [shard, fill] of fills) {
    if (fill < LOG_FILL_WARNING) continue;
    const percent = Math.floor(fill * 100);
    warnings.push(`the log of ${shard} is ${percent} % full; when it is full, writes are refused`);
  }
  return warnings;
}

function isServing({ state }: StatusReport["replicas"][number]): boolean {
  return state === "serving";
}

/** `always`, or what a power cut may take. */
function syncWarning(interval: string): string | undefined {
  if (interval === "always") return undefined;
  const loss = "a power cut can lose acknowledged writes";
  const advice = 'set "sync_interval: always" in its jetstream block';
  return interval === "unknown"
    ? `nats-server's sync_interval is unknown; unless it is always, ${loss}: ${advice}`
    : `nats-server's sync_interval is ${interval}: ${loss}; ${advice}`;
}
