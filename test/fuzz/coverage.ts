/**
 * Which parts of our own code have run, from V8's own counters: what tells a fuzzer that an
 * input did something new. Not a tool of its own: the native ones bring a hundred packages.
 *
 * Cost: some milliseconds a look, so inputs are looked at in large groups first.
 */
import { Session, type Profiler } from "node:inspector";

/** Decoders are in all three; tests and packages do not count. */
const ours = /\/(protocol|infra|actors)\//;
const others = /\/(test|node_modules)\//;

export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  constructor() {
    this.#session.connect();
    this.#post("Profiler.enable");
    this.#post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** How many parts have run. */
  get size(): number {
    return this.#seen.size;
  }

  /** Parts that ran since the last look. With `keep` they count as seen. Was any of them new? */
  look(keep: boolean): boolean {
    const taken = this.#post("Profiler.takePreciseCoverage");
    let isNew = false;
    for (const { url, functions } of taken?.result ?? []) {
      if (!ours.test(url) || others.test(url)) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          if (count === 0) continue;
          const part = `${url}:${startOffset}:${endOffset}`;
          if (this.#seen.has(part)) continue;
          isNew = true;
          if (keep) this.#seen.add(part);
        }
      }
    }
    return isNew;
  }

  close(): void {
    this.#session.disconnect();
  }

  /** The inspector answers in the same turn. */
  #post(
    method: string,
    parameters: object = {},
  ): Profiler.TakePreciseCoverageReturnType | undefined {
    let answer: Profiler.TakePreciseCoverageReturnType | undefined;
    let failure: Error | null = null;
    this.#session.post(method, parameters, (error, result) => {
      failure = error;
      answer = result as Profiler.TakePreciseCoverageReturnType;
    });
    if (failure !== null) throw failure;
    return answer;
  }
}
