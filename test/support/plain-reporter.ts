/**
 * Mocha's spec reporter with two things more at its end: the ten slowest files, and a last line
 * that is the same whatever the test runner: `N passed, N failed`, and `, N skipped` if any were.
 * Scripts read that line.
 *
 * A file's time is that of its tests and hooks. Loading the file is not in it: workers that run
 * files side by side tell only when each test and hook ended.
 */
import { join, relative } from "node:path";
import Mocha from "mocha";
import { packageFolder } from "../../infra/files/package-version.js";

const { Base, Spec } = Mocha.reporters;
const SLOWEST_COUNT = 10;

export default class PlainReporter extends Spec {
  readonly #msByFile = new Map<string, number>();

  constructor(runner: Mocha.Runner, options?: Mocha.MochaOptions) {
    super(runner, options);
    const { EVENT_HOOK_END, EVENT_RUN_END, EVENT_TEST_END, EVENT_TEST_RETRY, EVENT_TEST_FAIL } =
      Mocha.Runner.constants;
    for (const event of [EVENT_TEST_END, EVENT_TEST_RETRY, EVENT_HOOK_END]) {
      runner.on(event, (ended: Mocha.Runnable) => this.#count(ended));
    }
    // A hook that fails has no end of its own.
    runner.on(EVENT_TEST_FAIL, (failed: Mocha.Runnable & { type?: string }) => {
      if (failed.type === "hook") this.#count(failed);
    });
    // Listeners run in the order they were added: Spec's, which prints the failures, was first.
    runner.once(EVENT_RUN_END, () => {
      for (const line of this.#slowest()) Base.consoleLog(line);
      Base.consoleLog(this.closingLine());
    });
  }

  #count({ file, duration }: Mocha.Runnable): void {
    if (file === undefined || duration === undefined) return;
    this.#msByFile.set(file, (this.#msByFile.get(file) ?? 0) + duration);
  }

  /** Nothing where there is but one file. */
  #slowest(): string[] {
    if (this.#msByFile.size < 2) return [];
    const files = [...this.#msByFile].sort(([, one], [, other]) => other - one);
    const lines = files.slice(0, SLOWEST_COUNT).map(([file, ms]) => {
      return `  ${(ms / 1_000).toFixed(1).padStart(6)} s  ${sourceOf(file)}`;
    });
    return ["slowest files:", ...lines, ""];
  }

  private closingLine(): string {
    const { passes, failures, pending } = this.stats;
    const skipped = pending === 0 ? "" : `, ${pending} skipped`;
    return `${passes} passed, ${failures} failed${skipped}`;
  }
}

/** The file as it stands in the repository: dist/test/a.test.js is test/a.test.ts there. */
function sourceOf(file: string): string {
  return relative(join(packageFolder(), "dist"), file).replace(/\.js$/, ".ts");
}
