/**
 * The records that a load could not set, listed by line: all of them, but on a terminal only the
 * first, since thousands with one cause would push everything else off it.
 */
import type { KvError } from "../../protocol/errors.js";
import type { LoadDisplay } from "./load-progress.js";
import { printable } from "./table.js";

const ON_TERMINAL_MAX = 10;

export class RejectedLines {
  #count = 0;

  constructor(
    private readonly display: Pick<LoadDisplay, "line">,
    private readonly isTerminal: boolean,
  ) {}

  tell(line: number, error: KvError): void {
    this.#count += 1;
    if (!this.isTerminal || this.#count <= ON_TERMINAL_MAX) {
      this.display.line(`line ${line}: ${error.kind}: ${printable(error.message)}`);
    } else if (this.#count === ON_TERMINAL_MAX + 1) {
      this.display.line('more are rejected and only counted; "2> rejected.txt" lists them all');
    }
  }
}
