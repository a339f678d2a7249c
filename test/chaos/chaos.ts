/**
 * `make chaos`: the store under load while its processes are killed, paused and cut off, and the
 * proof that nothing was lost, doubled or answered wrongly. docs/testing.md shows what it prints.
 *
 *   --seconds <n>   how long faults continue (120)
 *   --seed <n>      which faults, in which order (default: by chance, and printed)
 *   --json          the whole report as JSON on stdout, progress on stderr
 *   --keep          keep the folder of a run without a failure, too
 *   --without-porcupine   our own checker is enough where there is no Go
 *
 * Exit code 0 if all checks hold, else 1, with histories, logs and data kept to look at.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { packageFolder } from "../../infra/files/package-version.js";
import { withoutPorcupine } from "./check-linear.js";
import { buildPorcupine } from "./porcupine.js";
import { renderReport } from "./report.js";
import { runChaos, type ChaosOptions } from "./run.js";

const OPERATIONS_MIN = 10_000;
const UNANSWERED_SHARE_MAX = 0.05;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "120" },
    seed: { type: "string", default: "" },
    json: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    "without-porcupine": { type: "boolean", default: false },
  },
});
const say = (line: string): void => {
  (values.json ? process.stderr : process.stdout).write(`${line}\n`);
};
const seconds = whole("seconds", values.seconds);
const seed = values.seed === "" ? Math.floor(Math.random() * 1e9) : whole("seed", values.seed);
const folder = newFolder();
const options: ChaosOptions = {
  seed,
  seconds,
  clientCount: 20,
  processCount: 2,
  pace: { hotMs: 160, wideMs: 160, probeMs: 25 },
  calmMs: 5_000,
  operationsMin: OPERATIONS_MIN,
  unansweredShareMax: UNANSWERED_SHARE_MAX,
  needsPorcupine: !values["without-porcupine"],
  folder,
  say,
};

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    say(`${signal}: stopping; what there is, is kept in ${folder}`);
    process.exit(130); // the cluster and the load end with this process
  });
}

say(`Ringdex chaos: ${seconds} s of faults, ${options.clientCount} clients, seed ${seed}`);
process.exitCode = (await run()) ? 0 : 1;

async function run(): Promise<boolean> {
  try {
    // Said now, not after minutes of faults.
    const porcupine = options.needsPorcupine ? await buildPorcupine(folder) : "";
    if (typeof porcupine !== "string") {
      rmSync(folder, { recursive: true });
      say(withoutPorcupine(porcupine));
      return false;
    }
    const report = await runChaos(options);
    if (values.json) process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
    else say(`\n${renderReport(report)}`);
    if (report.isGood && !values.keep) rmSync(folder, { recursive: true, force: true });
    else tellWhere();
    return report.isGood;
  } catch (error) {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    tellWhere();
    return false;
  }
}

function tellWhere(): void {
  say(`everything is kept in ${folder}:`);
  say("  history.jsonl            what each client asked and was told, a line a request");
  say("  hot-recorded.jsonl       of it, what both checkers were given; grep the key in it");
  say("  events.jsonl             each change, in the order in which the store made it");
  say("  data/nodes/<node>/       logs and stores of the nodes; data/nats/ those of nats-server");
  say(`the same faults once more: make chaos SECONDS=${seconds} SEED=${seed}`);
}

/** In the project, so on a local disk and not in memory as temporary folders may be. */
function newFolder(): string {
  const cache = join(packageFolder(), ".cache");
  mkdirSync(cache, { recursive: true });
  return mkdtempSync(join(cache, "chaos-"));
}

function whole(name: string, text: string): number {
  const number = Number(text);
  if (text !== "" && Number.isSafeInteger(number) && number >= 0) return number;
  throw new Error(`--${name} is ${JSON.stringify(text)}; it must be a whole number`);
}
