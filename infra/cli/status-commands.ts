/**
 * Commands that show the cluster: status (who is there, how far each replica is), ring (what
 * belongs to whom) and ping (whether a node answers).
 */
import type { Command } from "commander";
import { KvError } from "../../protocol/errors.js";
import { unservedShards } from "../../protocol/node/served.js";
import type { ReplicaReport, StatusReport } from "../../protocol/node/status.js";
import { parseRing, toRanges, type RingTable } from "../../protocol/ring/ring.js";
import { systemClock } from "../clock.js";
import { shownUrl, type CliContext } from "./context.js";
import type { ExitName } from "./exit-codes.js";
import { jsonOption } from "./option-values.js";
import { addStoreOptions, openStore, type Ask, type Body } from "./store-access.js";
import { lineFor, renderTable, shownBytes, type Cell } from "./table.js";

const nothing = new Uint8Array(0);

export function registerStatusCommands(root: Command, context: CliContext): void {
  registerPing(root, context);
  const status = root
    .command("status")
    .description("show nodes, replicas, durability and warnings")
    .option("--check", "end with 0 if all is well, 9 for warnings, 10 if positions are not served")
    .addOption(jsonOption("print the reply of kv.status"));
  addStoreOptions(status).action(async (flags: StatusFlags) => {
    const { ask } = await openStore(context, status);
    const body = await ask("status", nothing);
    if (flags.check === true) context.exit(severityOf(reportOf(body), await ringIfAny(ask)));
    if (flags.json === true) return context.out(`${JSON.stringify(body)}\n`);
    await context.out(statusText(reportOf(body), await ringIfAny(ask), context.columns));
  });
  const ring = root
    .command("ring")
    .description("show which shard has which positions, and which nodes hold it")
    .addOption(jsonOption("print the reply of kv.ring"));
  addStoreOptions(ring).action(async (flags: { readonly json?: true }) => {
    const { ask } = await openStore(context, ring);
    const body = await ask("ring", nothing);
    const isJson = flags.json === true;
    await context.out(
      isJson ? `${JSON.stringify(body)}\n` : ringText(parseRing(body), context.columns),
    );
  });
}

interface StatusFlags {
  readonly check?: true;
  readonly json?: true;
}

/** How bad it is, for scripts. Without the ring it is not known which shards there are. */
export function severityOf(report: StatusReport, ring: RingTable | undefined): ExitName {
  const { nodes, replicas, warnings } = report;
  const isUnserved =
    ring === undefined
      ? !replicas.some(({ state }) => state === "serving")
      : unservedShards(report, ring).length > 0;
  if (isUnserved) return "unserved";
  const isWell =
    warnings.length === 0 &&
    nodes.every(({ state }) => state === "up") &&
    replicas.every(({ state }) => state === "serving");
  return isWell ? "ok" : "warned";
}

function registerPing(root: Command, context: CliContext): void {
  const command = root
    .command("ping")
    .description("ask a node for a sign of life, and say how long it took")
    .addOption(jsonOption("print the store, its server and the milliseconds as JSON"));
  addStoreOptions(command).action(async (flags: { readonly json?: true }) => {
    const { ask, names, url } = await openStore(context, command);
    const startMs = systemClock.elapsedMs();
    await ask("ring", nothing);
    const ms = Number((systemClock.elapsedMs() - startMs).toFixed(1));
    const where = shownUrl(url);
    const told = { store: names.store, server: where, ms };
    const line = `store "${names.store}" at ${where} answers in ${ms} ms`;
    await context.out(`${flags.json === true ? JSON.stringify(told) : line}\n`);
  });
}

/** The report tells all but which replica is at home; without the ring that is left open. */
async function ringIfAny(ask: Ask): Promise<RingTable | undefined> {
  try {
    return parseRing(await ask("ring", nothing));
  } catch (error) {
    if (error instanceof KvError) return undefined;
    throw error;
  }
}

function reportOf(body: Body): StatusReport {
  const lists = ["nodes", "replicas", "warnings"].every((name) => Array.isArray(body[name]));
  if (lists && typeof body["durability"] === "object") return body as unknown as StatusReport;
  throw new KvError("internal", "the reply to status is none; look at it with --json");
}

/** Title, nodes, replicas, warnings. */
function statusText(
  report: StatusReport,
  ring: RingTable | undefined,
  columns: number | undefined,
): string {
  const { sync_interval: sync, log_replicas: copies } = report.durability;
  const durability = `log sync ${sync}, ${copies} ${copies === 1 ? "copy" : "copies"} of each log`;
  const parts = [
    `${lineFor(`store ${report.store}, epoch ${report.epoch}; ${durability}`, columns)}\n`,
    renderTable(
      [{ head: "node" }, { head: "pid", isNumber: true }, { head: "state" }, { head: "version" }],
      report.nodes.map(({ node, pid, state, version }) => [node, pid, state, version]),
      columns,
    ),
    renderTable(replicaColumns, replicaRows(report, ring), columns),
  ];
  // Not cut: a warning says at its end what to do.
  const warnings = report.warnings.map((warning) => `warning: ${lineFor(warning, undefined)}\n`);
  if (warnings.length > 0) parts.push(warnings.join(""));
  return parts.join("\n");
}

const replicaColumns = [
  { head: "shard" },
  { head: "node" },
  { head: "home" },
  { head: "state" },
  { head: "positions", isNumber: true },
  { head: "applied", isNumber: true },
  { head: "last", isNumber: true },
  { head: "lag", isNumber: true },
  { head: "keys", isNumber: true },
  { head: "bytes", isNumber: true },
];

function replicaRows({ replicas }: StatusReport, ring: RingTable | undefined): Cell[][] {
  const homes = new Map(ring?.shards.map(({ shard, nodes }) => [`${shard}`, `${nodes[0]}`]));
  return replicas.map((replica) => [
    replica.shard,
    replica.node,
    homes.get(replica.shard) === replica.node ? "home" : "",
    replica.reason === undefined ? replica.state : `${replica.state}: ${replica.reason}`,
    ...figuresOf(replica),
  ]);
}

/** Of a store that is not open yet nothing is known; zeros would say that it is empty. */
function figuresOf(replica: ReplicaReport): Cell[] {
  if (replica.state === "loading") return ["-", "-", "-", "-", "-", "-"];
  const { positions, sequence_applied: applied, sequence_last: last, lag, keys, bytes } = replica;
  return [positions, applied, last, lag, keys, shownBytes(bytes)];
}

/** Title, shards with their positions, nodes. */
function ringText(ring: RingTable, columns: number | undefined): string {
  const title = `store ${ring.store}, epoch ${ring.epoch}, ${ring.positionCount} positions`;
  const shards = ring.shards.map(({ shard, nodes, weight, positions }) => [
    shard,
    nodes.join(" "),
    weight,
    positions.length,
    toRanges(positions).join(" "),
  ]);
  const nodes = ring.nodes.map(({ node, weight, zone }) => [
    node,
    weight,
    zone,
    ring.shards
      .filter(({ nodes: [home] }) => home === node)
      .map(({ shard }) => shard)
      .join(" "),
  ]);
  return [
    `${lineFor(title, columns)}\n`,
    renderTable(
      [
        { head: "shard" },
        { head: "nodes (home first)" },
        { head: "weight", isNumber: true },
        { head: "count", isNumber: true },
        { head: "positions" },
      ],
      shards,
      columns,
    ),
    renderTable(
      [{ head: "node" }, { head: "weight", isNumber: true }, { head: "zone" }, { head: "home of" }],
      nodes,
      columns,
    ),
  ].join("\n");
}
