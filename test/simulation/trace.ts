/**
 * Trace: the events of a run, as a hash that distinguishes two runs and, on demand, as lines for
 * people.
 *
 * The hash covers every event. A run keeps lines only on demand, because a person can run a failing
 * seed again to get them; `detail` is for lines worth reading but not worth the time otherwise.
 */
import type { ManualClock } from "../support/manual-clock.js";

export class Trace {
  readonly lines: string[] = [];
  #high = 0xdeadbeef;
  #low = 0x41c6ce57;

  constructor(
    private readonly clock: ManualClock,
    readonly keepsLines: boolean,
  ) {}

  note(who: string, text: string): void {
    const line = `${this.clock.elapsedMs().toFixed(3).padStart(11)} ${who.padEnd(8)} ${text}`;
    for (let index = 0; index < line.length; index += 1) {
      const unit = line.charCodeAt(index);
      this.#high = Math.imul(this.#high ^ unit, 2_654_435_761);
      this.#low = Math.imul(this.#low ^ unit, 1_597_334_677);
    }
    if (this.keepsLines) this.lines.push(line);
  }

  detail(who: string, text: () => string): void {
    if (!this.keepsLines) return;
    const time = this.clock.elapsedMs().toFixed(3).padStart(11);
    this.lines.push(`${time} ${who.padEnd(8)} ${text()}`);
  }

  get hash(): string {
    const part = (word: number): string => (word >>> 0).toString(16).padStart(8, "0");
    return part(this.#high) + part(this.#low);
  }
}
