/**
 * Printer: what the demo says. A line for each step, with how long it took in front so that times
 * stand in one column; what the step has to add comes below it, and what failed is marked.
 *
 * On a terminal a bar shows how far a long step is; elsewhere (a log file) it is a line a tenth.
 */
import { SingleBar } from "cli-progress";
import { renderTable } from "../../../infra/cli/table.js";

export interface Screen {
  readonly isTerminal: boolean;
  write(text: string): void;
}

/** What a step may say while it runs. */
export interface Step {
  /** A line below the step's own. */
  note(text: string): void;
  /** A check: one that does not hold makes the demo fail, which goes on all the same. */
  check(holds: boolean, text: string): void;
  progress(total: number, unit: string): Progress;
}

export interface Progress {
  /** `done` of the total; at its end call stop(). */
  update(done: number): void;
  stop(): void;
}

const SECONDS_CHARS = 8;
const NAME_CHARS = 20;
const PLAIN_LINES = 10;
const indent = " ".repeat(SECONDS_CHARS + 4);

export class Printer {
  readonly #summary: (readonly [name: string, figure: string])[] = [];
  #failedCount = 0;
  #drawn: Progress | undefined;
  #hasEnded = false;

  constructor(
    private readonly screen: Screen,
    private readonly elapsedMs: () => number,
  ) {}

  /** Checks that did not hold. */
  get failedCount(): number {
    return this.#failedCount;
  }

  line(text: string): void {
    if (!this.#hasEnded) this.screen.write(`${text}\n`);
  }

  /** Says the last line: what is under way is drawn no further, and what becomes of it not told. */
  end(text: string): void {
    this.#drawn?.stop();
    this.line(text);
    this.#hasEnded = true;
  }

  /** Runs the step and prints its line: `work` resolves with what to say. */
  async step(name: string, work: (step: Step) => Promise<string>): Promise<void> {
    const startMs = this.elapsedMs();
    const below: string[] = [];
    const step: Step = {
      note: (text) => void below.push(text),
      check: (holds, text) => {
        if (holds) return;
        this.#failedCount += 1;
        below.push(`FAILED: ${text}`);
      },
      progress: (total, unit) => this.#progress(total, unit),
    };
    let told: string;
    try {
      told = await work(step);
    } catch (error) {
      this.#failedCount += 1;
      told = `FAILED: ${error instanceof Error ? error.message : String(error)}`;
      this.#print(startMs, name, told, below);
      throw error;
    }
    this.#print(startMs, name, told, below);
  }

  /** A line of the summary. */
  summarize(name: string, figure: string): void {
    this.#summary.push([name, figure]);
  }

  printSummary(): void {
    this.line("");
    this.screen.write(renderTable([{ head: "summary" }, { head: "" }], this.#summary, undefined));
  }

  #print(startMs: number, name: string, told: string, below: readonly string[]): void {
    const seconds = seconds2(this.elapsedMs() - startMs).padStart(SECONDS_CHARS);
    this.line(`${seconds}  ${name.padEnd(NAME_CHARS)}  ${told}`);
    for (const text of below) this.line(`${indent}${text}`);
  }

  #progress(total: number, unit: string): Progress {
    const startMs = this.elapsedMs();
    const rate = (done: number): string => perSecond(done, this.elapsedMs() - startMs);
    const drawn = this.screen.isTerminal ? bar(total, unit, rate) : this.#tenths(total, unit, rate);
    this.#drawn = drawn;
    return {
      update: (done) => {
        if (!this.#hasEnded) drawn.update(done);
      },
      stop: () => {
        if (!this.#hasEnded) drawn.stop();
        this.#drawn = undefined;
      },
    };
  }

  #tenths(total: number, unit: string, rate: (done: number) => string): Progress {
    let tenthsTold = 0;
    return {
      update: (done) => {
        const tenths = Math.floor((done * PLAIN_LINES) / Math.max(total, 1));
        if (tenths <= tenthsTold) return;
        tenthsTold = tenths;
        this.line(`${indent}${count(done)} of ${count(total)} ${unit}, ${rate(done)}`);
      },
      stop: () => undefined,
    };
  }
}

function bar(total: number, unit: string, rate: (done: number) => string): Progress {
  const format = `${indent}{bar} {done} of {all} ${unit}, {rate}`;
  // On Ctrl-C the demo says when to stop; the bar's own way of it would draw over what is said.
  const ending = { clearOnComplete: true, gracefulExit: false };
  const options = { format, hideCursor: true, barsize: 30, ...ending };
  const single = new SingleBar({ ...options, barCompleteChar: "█", barIncompleteChar: "░" });
  const payload = (done: number): object => ({ done: count(done), all: count(total) });
  single.start(total, 0, { ...payload(0), rate: rate(0) });
  return {
    update: (done) => single.update(done, { ...payload(done), rate: rate(done) }),
    stop: () => single.stop(),
  };
}

/** "1,234,567". */
export function count(number: number): string {
  return Math.round(number).toLocaleString("en-US");
}

/** "12.34 s". */
export function seconds2(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}

/** "12,345/s". */
export function perSecond(done: number, ms: number): string {
  return ms <= 0 ? "–" : `${count((done * 1_000) / ms)}/s`;
}

/** "1.2 ms". */
export function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : count(ms)} ms`;
}
