/**
 * `make damage`: every kind of file of a cluster's stores and logs, damaged in every way, one at a
 * time. Prints a line for each, and ends with code 1 if any answer was false.
 *
 *   right   all answers are true; a replica that could not go on has said why in status
 *   told    answers are errors of the closed list, or the start was refused; the reason stands in
 *           status or in what `up` said, in words of docs/operations.md (told.ts)
 *   silent  something does not serve or start, or answers are errors, and such words are missing: a
 *           start that comes to no end, or a node that is away, says nothing. A failure too
 *   WRONG   an answer was false, or no answer of the closed list, or replicas differ
 *
 * An argument is a pattern: only files whose names fit are damaged. If none does, code 1 as well.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { damages, type Damage } from "./damages.js";
import { KnownCluster, type Outcome } from "./known-cluster.js";

type Verdict = "right" | "told" | "silent" | "WRONG";

const reasonChars = 160;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const root = mkdtempSync(join(tmpdir(), "ringdex-damage-"));
const known = await KnownCluster.make(join(root, "whole"));
const counts = new Map<Verdict, number>();
try {
  known.restore();
  const pattern = new RegExp(process.argv[2] ?? "");
  const whole = await known.outcome();
  if (verdictOf(whole) !== "right" || whole.reasons.length > 0) {
    throw new Error(`whole data are not answered rightly: ${describe(whole).join("; ")}`);
  }
  known.restore();
  const all = filesOf(known.folder);
  const files = all.filter((name) => pattern.test(name));
  if (files.length === 0) say(`no file fits ${String(pattern)}; there are\n  ${all.join("\n  ")}`);
  for (const file of files) {
    for (const damage of chosen(file)) await one(file, damage);
    if (!/kv-log.*\.blk$/.test(file)) continue;
    // What the replicas have applied they do not read again; one that is built anew does.
    for (const damage of chosen(file)) await one(file, damage, storeOf(known.folder, "n1"));
    for (const damage of chosen(file)) await one(file, damage, ...bothStores(known.folder));
  }
} finally {
  await known.stop();
  rmSync(root, { recursive: true });
}
say([...counts].map(([verdict, count]) => `${verdict} ${count}`).join(", "));
if (counts.size === 0) say("nothing was damaged");
process.exitCode = counts.size === 0 || counts.has("WRONG") || counts.has("silent") ? 1 : 0;

/** With `removed` folders, of the cluster's folder, taken away too. */
async function one(file: string, damage: Damage, ...removed: readonly string[]): Promise<void> {
  known.restore();
  for (const name of removed) rmSync(join(known.folder, name), { recursive: true });
  if (!damage.apply(join(known.folder, file))) return;
  const startedMs = performance.now();
  const outcome = await known.outcome();
  const verdict = verdictOf(outcome);
  counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
  const also = removed.length === 0 ? "" : `, and ${removed.length} of 2 stores removed`;
  say(`${verdict.padEnd(7)}${seconds.padStart(5)} s  ${shortened(file)}  ${damage.name}${also}`);
  for (const line of describe(outcome)) say(`        ${line}`);
}

function verdictOf({ refusal, wrong, errors, reasons, unsaid }: Outcome): Verdict {
  if (wrong.length > 0) return "WRONG";
  if (unsaid.length > 0) return "silent";
  if (refusal !== undefined) return "told";
  if (errors.size === 0) return "right";
  return reasons.length > 0 ? "told" : "silent";
}

function describe({ refusal, wrong, errors, reasons, unsaid, ...counted }: Outcome): string[] {
  const lines: string[] = [];
  if (refusal !== undefined) lines.push(`refused: ${refusal}`);
  for (const line of wrong.slice(0, 3)) lines.push(`false: ${line}`);
  if (wrong.length > 3) lines.push(`and ${wrong.length - 3} more`);
  for (const [code, count] of errors) lines.push(`${count} answers ${code}`);
  if (refusal === undefined && counted.servingCount < counted.replicaCount) {
    lines.push(`${counted.servingCount} of ${counted.replicaCount} replicas serve`);
  }
  for (const line of unsaid) lines.push(`says too little: ${line}`);
  return [...lines, ...reasons].map((line) => line.slice(0, reasonChars));
}

/** The store of the first shard, below the cluster's folder. */
function storeOf(folder: string, node: string): string {
  const stores = join("nodes", node, "stores");
  return join(stores, readdirSync(join(folder, stores)).toSorted()[0] ?? "");
}

function bothStores(folder: string): string[] {
  return ["n1", "n2"].map((node) => storeOf(folder, node));
}

/** One store and all of JetStream: the other stores have the same kinds of file. */
function filesOf(folder: string): string[] {
  const store = join(folder, storeOf(folder, "n1"));
  return [...filesBelow(join(folder, "nats", "jetstream")), ...filesBelow(store)]
    .filter((path) => !/s2-[0-9a-f]{16}/.test(path))
    .map((path) => relative(folder, path));
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .toSorted();
}

/** A store's file is damaged in every way by rocks-damage.test.ts; here it is enough to see what a
 * cluster makes of it. */
function chosen(file: string): readonly Damage[] {
  const wanted = file.startsWith("nats") ? /25 %|75 %|half|empty|removed/ : /50 %|half|removed/;
  return damages.filter(({ name }) => wanted.test(name));
}

function shortened(file: string): string {
  return file.replace("nats/jetstream/jetstream/$G/streams/", "").replace("nodes/", "");
}
