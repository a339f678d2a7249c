/**
 * The repair command: lets shards go on from their stores when their logs have lost entries.
 *
 * Without --yes it only says what would be done. The nodes do the work: any of them carries a
 * repair out (actors/ring-keeper/repairer.ts), and each mends its own stores afterwards, also when
 * this command has ended. It waits for them only to be able to say how it went.
 */
import { ErrorCode, NatsError, type NatsConnection } from "nats";
import type { Command } from "commander";
import { KvError } from "../../protocol/errors.js";
import type { NodeName } from "../../protocol/ids.js";
import type { Names } from "../../protocol/nats/subjects.js";
import {
  decodeRepairReply,
  type RepairReplica,
  type RepairReply,
} from "../../protocol/node/repair.js";
import type { ReplicaReport, StatusReport } from "../../protocol/node/status.js";
import { parseRing, type RingShard, type RingTable } from "../../protocol/ring/ring.js";
import { sleep, systemClock } from "../clock.js";
import type { CliContext } from "./context.js";
import { CommandFailed } from "./exit-codes.js";
import { jsonOption } from "./option-values.js";
import { addStoreOptions, openStore, type StoreAccess } from "./store-access.js";
import { renderTable } from "./table.js";

/** Reports of all nodes twice, JetStream's answers, and the change of the ring. */
const REPAIR_TIMEOUT_MS = 60_000;
/** How long it is waited for stores that are being filled, as long as nothing changes. */
const SERVING_WAIT_MS = 60_000;
const LOOK_MS = 500;
const nothing = new Uint8Array(0);

interface RepairFlags {
  readonly shard?: string;
  readonly abandon: readonly string[];
  readonly yes?: true;
  readonly json?: true;
}

export function registerRepairCommand(root: Command, context: CliContext): void {
  const command = root
    .command("repair")
    .description(
      "let shards whose log has lost entries go on from what their stores hold; without --yes " +
        "only say what would be done",
    )
    .option("--shard <name>", "only this shard; default: all with a stopped replica")
    .option(
      "--abandon <node>",
      "do without the store of this node; may be given again",
      (node: string, before: readonly string[]) => [...before, node],
      [] as readonly string[],
    )
    .option("--yes", "do it")
    .addOption(jsonOption("print one line of JSON for each shard"));
  addStoreOptions(command).action(async (flags: RepairFlags) => {
    const access = await openStore(context, command);
    const ring = parseRing(await access.ask("ring", nothing));
    const shards = await shardsToRepair(access, ring, flags.shard);
    if (shards.length === 0) return context.out("all replicas serve: there is nothing to repair\n");
    for (const shard of shards) await repairOne({ context, access, flags }, shard);
  });
}

interface Run {
  readonly context: CliContext;
  readonly access: StoreAccess;
  readonly flags: RepairFlags;
}

async function shardsToRepair(
  access: StoreAccess,
  { shards }: RingTable,
  wanted: string | undefined,
): Promise<RingShard[]> {
  if (wanted !== undefined) {
    const found = shards.filter(({ shard }) => shard === wanted);
    if (found.length > 0) return found;
    const known = shards.map(({ shard }) => shard).join(", ");
    throw new CommandFailed("usage", `there is no shard ${wanted}; there are ${known}`);
  }
  const { replicas } = await statusOf(access);
  const stopped = new Set(
    replicas.filter(({ state }) => state === "stopped").map(({ shard }) => shard),
  );
  return shards.filter(({ shard }) => stopped.has(shard));
}

async function repairOne(run: Run, shard: RingShard): Promise<void> {
  const { context, flags } = run;
  const plan = await askNodes(run, shard, undefined);
  const isJson = flags.json === true;
  if (plan.kind === "nothing") {
    return context.out(isJson ? asLine(plan) : `${shard.shard}: ${plan.reason}\n`);
  }
  if (!isJson) await context.out(planText(plan, context.columns));
  if (flags.yes !== true) {
    await context.out(isJson ? asLine(plan) : "Nothing was done. Add --yes to do it.\n");
    return context.exit("no");
  }
  const done = await askNodes(run, shard, plan.token);
  if (isJson) await context.out(asLine(done));
  else await context.out(doneText(done));
  await untilServing(run, shard);
  if (!isJson) await context.out(`${shard.shard} serves.\n`);
}

function asLine(reply: RepairReply): string {
  return `${JSON.stringify(reply)}\n`;
}

/** Any node does it; one that is not there is passed over, one that says no is believed. */
async function askNodes(
  { access: { connection, names }, flags: { abandon } }: Run,
  { shard, nodes }: RingShard,
  token: string | undefined,
): Promise<RepairReply> {
  const request = { shard, abandon, ...(token === undefined ? {} : { token }) };
  const payload = JSON.stringify(request);
  const asked = [...nodes.filter((node) => !abandon.includes(node)), ...nodes];
  for (const node of asked) {
    const reply = await askNode(connection, names, node, payload);
    if (reply !== undefined) return decodeRepairReply<RepairReply>(reply);
  }
  throw new CommandFailed("unavailable", `none of ${nodes.join(", ")} answers: start them`);
}

async function askNode(
  connection: NatsConnection,
  names: Names,
  node: NodeName,
  payload: string,
): Promise<Uint8Array | undefined> {
  try {
    const options = { timeout: REPAIR_TIMEOUT_MS };
    return (await connection.request(names.node(node, "repair"), payload, options)).data;
  } catch (error) {
    if (error instanceof NatsError && error.code === ErrorCode.NoResponders) return undefined;
    const text = `${node} did not say how the repair went; start the command again to see`;
    throw new CommandFailed("inDoubt", text, { cause: error });
  }
}

/** Ends when all replicas of nodes that are up serve. */
async function untilServing({ context, access, flags }: Run, shard: RingShard): Promise<void> {
  let seen = "";
  let changedAtMs = systemClock.elapsedMs();
  for (;;) {
    const { replicas } = await statusOf(access);
    const own = replicas.filter((replica) => replica.shard === shard.shard);
    const wanted = shard.nodes.filter((node) => !flags.abandon.includes(node)).length;
    const serving = own.filter(({ state }) => state === "serving");
    if (own.length === serving.length && own.length >= wanted) return;
    const now = own.map(shown).join("; ");
    if (now !== seen) changedAtMs = systemClock.elapsedMs();
    seen = now;
    if (systemClock.elapsedMs() - changedAtMs > SERVING_WAIT_MS || context.stopping.aborted) {
      const text = `the repair is done, but not all replicas of ${shard.shard} serve yet: ${now}`;
      throw new CommandFailed(
        "unavailable",
        `${text}. They continue by themselves; look at status`,
      );
    }
    await sleep(systemClock, LOOK_MS);
  }
}

function shown({ node, state, reason, sequence_applied: applied }: ReplicaReport): string {
  return `${node} ${state}${reason === undefined ? "" : ` (${reason})`} at ${applied}`;
}

async function statusOf({ ask }: StoreAccess): Promise<StatusReport> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return (await ask("status", nothing)) as unknown as StatusReport;
    } catch (error) {
      if (!(error instanceof KvError) || attempt >= 5) throw error;
      await sleep(systemClock, LOOK_MS);
    }
  }
}

function planText(plan: RepairReply, columns: number | undefined): string {
  const { shard, log_last: last } = plan;
  const log = last === null ? "its log is gone" : `the last entry of its log is ${last}`;
  const title = plan.kind === "log" ? `${shard}: ${log}\n` : `${shard}: its log is served\n`;
  const table = renderTable(
    [{ head: "node" }, { head: "applied", isNumber: true }, { head: "its store" }],
    plan.replicas.map((replica) => [replica.node, replica.sequence ?? "-", fateText(replica)]),
    columns,
  );
  return `${title}${table}${plan.kind === "log" ? logText(plan) : refillText(plan)}`;
}

function fateText({ fate, reason }: RepairReplica): string {
  switch (fate) {
    case "source":
      return "the shard continues from it";
    case "equal":
      return "holds the same, and continues";
    case "set-aside":
      return `${reason}: set aside and kept; another node fills a new one`;
    case "abandoned":
      return "ignored; if it does not fit when it is back, it is set aside and kept";
    case "serving":
      return "serves";
  }
}

function logText({ sequence, log_last: last }: RepairReply): string {
  const first = last === null ? 1 : last + 1;
  const lost =
    first <= sequence
      ? `Entries ${first} to ${sequence} are lost from the log; the stores have what they wrote.\n`
      : "";
  return (
    `A new log will continue after entry ${sequence}; the old log is sealed and kept.\n${lost}` +
    "Entries that no store has applied are lost, and nobody can tell what they held.\n"
  );
}

function refillText({ replicas }: RepairReply): string {
  const kept = replicas.some(({ fate, sequence }) => fate === "set-aside" && sequence !== null);
  return kept ? "The shard loses writes that only a set-aside store has.\n" : "";
}

function doneText({ kind, shard, log_id: logId, sequence, epoch }: RepairReply): string {
  if (kind === "refill") return `${shard}: stores are being filled.\n`;
  const where = `log ${logId} after entry ${sequence}`;
  return `${shard} continues in ${where}; the ring has epoch ${epoch}.\n`;
}
