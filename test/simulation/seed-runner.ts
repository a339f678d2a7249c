/**
 * Seed runner: runs many seeds on several threads and adds up what they show.
 *
 * A thread that is silent for SILENCE_MS_MAX probably loops without a timer, which no count of
 * steps can notice: the runner ends it, and its seed has failed.
 */
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import { addTotals, noTotals, type Totals } from "./totals.js";
import type { WorkerNews, WorkerTask } from "./worker.js";

export interface SeedRunOptions {
  readonly first: number;
  /** At least so many, and more while there is time; without timeMs just so many. */
  readonly seeds: number;
  readonly timeMs?: number;
  readonly workers: number;
  readonly stopAtFirst?: boolean;
  /** Told now and then. */
  readonly onProgress?: (totals: Totals) => void;
}

/** Of one message to a thread. Small: a thread that has nothing to do is wasted. */
const SEEDS_PER_TASK = 5;
const SILENCE_MS_MAX = 300_000;
const LOOK_MS = 1_000;
/** Each half of a thread's heap for what is new. */
const YOUNG_MB = 64;

/** Read when a thread begins. */
const threadFlags = [
  // What a run makes is mostly gone when the next begins: in a large young generation it dies
  // without having been copied about.
  `--min-semi-space-size=${YOUNG_MB / 2}`,
  `--max-semi-space-size=${YOUNG_MB}`,
];

export async function runSeeds(options: SeedRunOptions): Promise<Totals> {
  const { workers } = options;
  const run = new SeedRun(options);
  await Promise.all(Array.from({ length: Math.max(1, workers) }, () => run.work()));
  run.totals.failures.sort((a, b) => a.seed - b.seed);
  return run.totals;
}

class SeedRun {
  readonly totals = noTotals();
  readonly #beganMs = performance.now();
  #next: number;

  constructor(private readonly options: SeedRunOptions) {
    this.#next = options.first;
  }

  /** One thread, until nothing is left to do. */
  async work(): Promise<void> {
    let worker = startWorker();
    for (let task = this.#take(); task !== undefined; task = this.#take()) {
      const news = await resultOf(worker, task);
      if (news.kind === "done") addTotals(this.totals, news.totals);
      else {
        const problems = [`hangs: no step of it ends within ${SILENCE_MS_MAX / 1_000} s`];
        const failed = { ...noTotals(), seeds: 1, failed: 1 };
        addTotals(this.totals, { ...failed, failures: [{ seed: news.seed, problems }] });
        await worker.terminate();
        worker = startWorker();
      }
      this.options.onProgress?.(this.totals);
    }
    await worker.terminate();
  }

  #take(): WorkerTask | undefined {
    const { first, seeds, timeMs, stopAtFirst } = this.options;
    if (stopAtFirst === true && this.totals.failed > 0) return undefined;
    const left = first + seeds - this.#next;
    const hasTime = timeMs !== undefined && performance.now() - this.#beganMs < timeMs;
    if (left <= 0 && !hasTime) return undefined;
    const count = hasTime ? SEEDS_PER_TASK : Math.min(left, SEEDS_PER_TASK);
    const task = { first: this.#next, count };
    this.#next += count;
    return task;
  }
}

function startWorker(): Worker {
  for (const flag of threadFlags) setFlagsFromString(flag);
  return new Worker(new URL("./worker.js", import.meta.url));
}

/** The result, or the seed that did not come to an end. */
function resultOf(worker: Worker, task: WorkerTask): Promise<WorkerNews> {
  return new Promise((resolve, reject) => {
    let last: WorkerNews = { kind: "begins", seed: task.first };
    let heardMs = performance.now();
    const timer = setInterval(() => {
      if (performance.now() - heardMs > SILENCE_MS_MAX) finish(last);
    }, LOOK_MS);
    const onMessage = (news: WorkerNews): void => {
      last = news;
      heardMs = performance.now();
      if (news.kind === "done") finish(news);
    };
    const finish = (news: WorkerNews): void => {
      clearInterval(timer);
      worker.off("message", onMessage);
      worker.off("error", reject);
      resolve(news);
    };
    worker.on("message", onMessage);
    worker.once("error", reject);
    worker.postMessage(task);
  });
}
