/**
 * The ring's bucket in memory: one value with a revision, changed only by compare-and-set, as
 * infra/jetstream/ring-bucket.ts has it.
 *
 * Faults: an answer is lost after the change was made; the bucket is away; another program puts a
 * value there.
 */
import type { RingCell } from "../../actors/ring-keeper/repairer.js";
import type { RingPlace } from "../../actors/ring-keeper/ring-keeper.js";
import { KvError } from "../../protocol/errors.js";

export class MemoryRing implements RingPlace, RingCell {
  /** By revision, which begins with 1. */
  readonly #values: Uint8Array[] = [];
  #answersLost = 0;
  isAway = false;

  constructor(private readonly isRing: (value: Uint8Array) => boolean = () => true) {}

  get revision(): number {
    return this.#values.length;
  }

  /** The value to read; undefined = nothing was ever put there. */
  get value(): Uint8Array | undefined {
    return (this.#values.findLast(this.isRing) ?? this.#values.at(-1))?.slice();
  }

  read(): Promise<{ readonly value: Uint8Array; readonly revision: number } | undefined> {
    if (this.isAway) return Promise.reject(new KvError("unavailable", "the bucket is away"));
    const { value, revision } = this;
    return Promise.resolve(value && { value, revision });
  }

  async createOnce(value: Uint8Array): Promise<boolean> {
    return (await this.update(value, 0)) !== undefined;
  }

  update(value: Uint8Array, revision: number): Promise<number | undefined> {
    if (this.isAway) return Promise.reject(new KvError("unavailable", "the bucket is away"));
    const isNewest = revision === this.revision;
    if (isNewest) this.put(value);
    if (this.#answersLost > 0) {
      this.#answersLost -= 1;
      return Promise.reject(new KvError("in-doubt", "the answer was lost"));
    }
    return Promise.resolve(isNewest ? this.revision : undefined);
  }

  /** Any program with the right to write may put anything there. */
  put(value: Uint8Array): void {
    this.#values.push(value.slice());
  }

  loseNextAnswer(): void {
    this.#answersLost += 1;
  }
}
