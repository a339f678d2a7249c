/**
 * Worker: a thread that runs seeds, one after another, and reports their results.
 */
import { parentPort } from "node:worker_threads";
import { simulate } from "./simulate.js";
import { addReport, noTotals, type Totals } from "./totals.js";

export interface WorkerTask {
  readonly first: number;
  readonly count: number;
}

export type WorkerNews =
  | { readonly kind: "begins"; readonly seed: number }
  | { readonly kind: "done"; readonly totals: Totals };

// A run makes thousands of errors for clients, and nothing reads their stacks.
Error.stackTraceLimit = 0;

/** A promise that nobody waited for was rejected: a bug, of whichever run it was. */
const unhandled: string[] = [];
process.on("unhandledRejection", (error) => {
  unhandled.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
});

parentPort?.on("message", ({ first, count }: WorkerTask) => void run(first, count));

async function run(first: number, count: number): Promise<void> {
  const totals = noTotals();
  for (let seed = first; seed < first + count; seed += 1) {
    tell({ kind: "begins", seed });
    const report = await simulate(seed);
    // A turn of the event loop: in it Node.js reports unhandled rejections.
    await new Promise((resolve) => setImmediate(resolve));
    const more = unhandled.splice(0).map((text) => `a rejection was not handled: ${text}`);
    addReport(totals, { ...report, problems: [...report.problems, ...more] });
  }
  tell({ kind: "done", totals });
}

function tell(news: WorkerNews): void {
  parentPort?.postMessage(news);
}
