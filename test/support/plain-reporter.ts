/**
 * Mocha's spec reporter with one more line at the very end, the same whatever the test runner:
 * `N passed, N failed`, and `, N skipped` if any were. Scripts read that line.
 */
import Mocha from "mocha";

const { Base, Spec } = Mocha.reporters;

export default class PlainReporter extends Spec {
  constructor(runner: Mocha.Runner, options?: Mocha.MochaOptions) {
    super(runner, options);
    // Listeners run in the order they were added: Spec's, which prints the failures, was first.
    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => Base.consoleLog(this.closingLine()));
  }

  private closingLine(): string {
    const { passes, failures, pending } = this.stats;
    const skipped = pending === 0 ? "" : `, ${pending} skipped`;
    return `${passes} passed, ${failures} failed${skipped}`;
  }
}
