/**
 * Looks through the data files of an open store, again and again, for bytes that are not what was
 * written.
 *
 * Data files are written once and never change, so they can be read beside RocksDB. Reading is
 * slow on purpose. What it bounds is how long a block that went bad while the store is open may be
 * scanned by queries (rocks-store.ts, trap 9): a pass, and the pause after it.
 */
import { sleep, systemClock } from "../clock.js";
import { checkDataFile, manifestOf } from "./rocks-check.js";

export interface ScrubPace {
  readonly bytesPerSecond: number;
  /** Between the end of a pass and the next. What was just opened has just been checked. */
  readonly pauseMs: number;
}

/** One percent of a core, or two; a gigabyte in four minutes. */
export const SCRUB_PACE: ScrubPace = { bytesPerSecond: 4 * 1_024 * 1_024, pauseMs: 60_000 };

export class RocksScrub {
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  /** `onDamage` is called at most once; the scrub has then ended. */
  constructor(
    private readonly folder: string,
    private readonly pace: ScrubPace,
    private readonly onDamage: (cause: unknown) => void,
  ) {
    this.#running = this.#run();
  }

  /** Resolves when no file is being read any more. */
  stop(): Promise<void> {
    this.#stopping.abort(new Error("the store is closed"));
    return this.#running;
  }

  async #run(): Promise<void> {
    try {
      for (;;) {
        await this.#sleep(this.pace.pauseMs);
        await this.#pass();
      }
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.onDamage(error);
    }
  }

  async #pass(): Promise<void> {
    for (const { number, bytes } of (await manifestOf(this.folder)).files) {
      try {
        await checkDataFile(this.folder, number, bytes, (length) => this.#wait(length));
      } catch (error) {
        this.#stopping.signal.throwIfAborted();
        // RocksDB deletes files that it has made others of; one that is deleted is nobody's.
        if (await this.#isInUse(number)) throw error;
      }
    }
  }

  async #isInUse(number: number): Promise<boolean> {
    const { files } = await manifestOf(this.folder);
    return files.some((file) => file.number === number);
  }

  #wait(bytes: number): Promise<void> {
    return this.#sleep((1_000 * bytes) / this.pace.bytesPerSecond);
  }

  #sleep(ms: number): Promise<void> {
    return sleep(systemClock, ms, this.#stopping.signal);
  }
}
