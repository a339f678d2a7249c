/**
 * What a load shows while it runs: a bar where a person looks, else a line now and then.
 */
import cliProgress from "cli-progress";
import type { Clock } from "../clock.js";
import type { LoadFigures } from "./load.js";

const LINE_EVERY_MS = 5_000;

export interface LoadDisplay {
  /** How far the file has been done, in bytes. */
  at(bytes: number): void;
  /** A line that stays, such as a rejected record's. */
  line(text: string): void;
  end(): void;
}

export interface DisplayParts {
  /** Undefined = no terminal. */
  readonly bar: NodeJS.WritableStream | undefined;
  readonly stderr: (text: string) => void;
  readonly clock: Clock;
  /** Undefined = a stream without a known end. */
  readonly fileBytes: number | undefined;
  readonly figures: LoadFigures;
}

export function displayOf(parts: DisplayParts): LoadDisplay {
  const { bar, fileBytes } = parts;
  return bar === undefined || fileBytes === undefined || fileBytes === 0
    ? new Lines(parts)
    : new Bar(parts, bar, fileBytes);
}

/** Records a second since `startMs`, of this run alone. */
export function rateOf(recordCount: number, elapsedMs: number): number {
  return elapsedMs <= 0 ? 0 : Math.round((recordCount * 1_000) / elapsedMs);
}

class Lines implements LoadDisplay {
  readonly #startMs: number;
  readonly #loadedBefore: number;
  #lastMs: number;

  constructor(private readonly parts: DisplayParts) {
    this.#startMs = parts.clock.elapsedMs();
    this.#lastMs = this.#startMs;
    this.#loadedBefore = parts.figures.loaded;
  }

  at(bytes: number): void {
    const { clock, stderr, fileBytes, figures } = this.parts;
    const nowMs = clock.elapsedMs();
    if (nowMs - this.#lastMs < LINE_EVERY_MS) return;
    this.#lastMs = nowMs;
    const share = fileBytes === undefined ? "" : `, ${((bytes * 100) / fileBytes).toFixed(1)} %`;
    const rate = rateOf(figures.loaded - this.#loadedBefore, nowMs - this.#startMs);
    stderr(`${figures.loaded} loaded${share}, ${rate}/s\n`);
  }

  line(text: string): void {
    this.parts.stderr(`${text}\n`);
  }

  end(): void {
    // Every line is out.
  }
}

class Bar implements LoadDisplay {
  readonly #bar: cliProgress.SingleBar;
  readonly #startMs: number;
  readonly #loadedBefore: number;

  constructor(
    private readonly parts: DisplayParts,
    private readonly stream: NodeJS.WritableStream,
    fileBytes: number,
  ) {
    const { clock, figures } = parts;
    this.#startMs = clock.elapsedMs();
    this.#loadedBefore = figures.loaded;
    this.#bar = new cliProgress.SingleBar({
      stream,
      format: "{bar} {percentage} % | {loaded} records | {rate}/s | {eta_formatted} left",
      barCompleteChar: "█",
      barIncompleteChar: "░",
      hideCursor: true,
    });
    this.#bar.start(fileBytes, 0, { loaded: figures.loaded, rate: 0 });
  }

  at(bytes: number): void {
    const { clock, figures } = this.parts;
    const elapsedMs = clock.elapsedMs() - this.#startMs;
    const rate = rateOf(figures.loaded - this.#loadedBefore, elapsedMs);
    this.#bar.update(bytes, { loaded: figures.loaded, rate });
  }

  line(text: string): void {
    // Over the bar, which is drawn again below: to the line's start, and clear it.
    this.stream.write(`\r\u001b[K${text}\n`);
  }

  end(): void {
    this.#bar.stop();
  }
}
