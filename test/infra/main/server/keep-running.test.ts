/**
 * How long a child that keeps ending waits for its next start.
 */
import { expect } from "chai";
import { keepRunning, RestartDelay } from "../../../../infra/main/server/keep-running.js";

describe("restart delay", () => {
  it("grows from 1 s to 30 s while the child keeps ending", () => {
    const delay = new RestartDelay();
    const delays = Array.from({ length: 7 }, () => delay.next(100));
    expect(delays).to.deep.equal([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  it("begins anew after ten seconds of life", () => {
    const delay = new RestartDelay();
    for (let count = 0; count < 5; count += 1) delay.next(100);
    expect(delay.next(9_999)).to.equal(30_000);
    expect(delay.next(10_000)).to.equal(1_000);
  });
});

describe("keep running", () => {
  it("reports a child that cannot be started, and gives up at once when told to stop", async () => {
    const stopping = new AbortController();
    const lines: string[] = [];
    const report = (line: string): void => {
      lines.push(line);
      stopping.abort();
    };
    const live = async (): Promise<string> => {
      throw new Error("no such file");
    };
    await keepRunning("n1", live, stopping.signal, report);
    expect(lines).to.deep.equal(["n1: no such file; starting it again in 1 s"]);
  });
});
