/**
 * Load state: how far a load got, in a small file beside the records (`FILE.ringdex-load`), so
 * that the same command goes on there.
 *
 * It is for one load only: of the same file, unchanged in size and time, into the same store with
 * the same options. Any other load begins from the start. A load that
 * comes to its end removes the file.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { LoadFigures } from "./load.js";
import type { Place } from "./records-file.js";

/** What makes two loads the same one. */
export interface LoadIdentity {
  readonly fileBytes: number;
  readonly modifiedMs: number;
  readonly url: string;
  readonly store: string;
  readonly keyField: string | null;
  /** Path of the array within the file; null = the file itself. */
  readonly path: string | null;
  readonly prefix: string;
  readonly ttl: string | null;
}

export interface LoadProgress {
  readonly place: Place;
  readonly figures: LoadFigures;
}

const FORMAT = 1;

export class LoadState {
  readonly #identity: string;

  constructor(
    readonly path: string,
    identity: LoadIdentity,
  ) {
    this.#identity = JSON.stringify({ format: FORMAT, ...identity });
  }

  /** Undefined = nothing to go on with: no file, or one of another load. */
  read(): LoadProgress | undefined {
    try {
      const state = JSON.parse(readFileSync(this.path, "utf8")) as {
        readonly identity: string;
        readonly progress: LoadProgress;
      };
      return state.identity === this.#identity ? state.progress : undefined;
    } catch {
      // Missing or unreadable: beginning again costs only time.
      return undefined;
    }
  }

  /** Why nothing can be remembered; undefined = it can. Leaves what is there as it is. */
  reasonAgainst(): string | undefined {
    const next = `${this.path}.new`;
    try {
      writeFileSync(next, "");
      rmSync(next);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /**
   * Replaces the file in one step, so that it is whole whenever we are killed. Throws what the
   * system says.
   */
  write(progress: LoadProgress): void {
    const next = `${this.path}.new`;
    writeFileSync(next, `${JSON.stringify({ identity: this.#identity, progress })}\n`);
    renameSync(next, this.path);
  }

  remove(): void {
    rmSync(this.path, { force: true });
  }
}
