/**
 * Problems: what a check has found wrong; all are counted, the first are kept in words.
 */

/** One mistake often shows in thousands of rows: what comes after these adds nothing. */
const KEPT_MAX = 20;

export class Problems {
  readonly first: string[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(text: string): void {
    this.#count += 1;
    if (this.first.length < KEPT_MAX) this.first.push(text);
  }

  /** A line each, and how many more there are. */
  lines(): string[] {
    const more = this.#count - this.first.length;
    return more === 0 ? [...this.first] : [...this.first, `… and ${more} more`];
  }
}
