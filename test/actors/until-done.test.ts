/**
 * Until done: looks soon, then less often, and gives up.
 */
import { expect } from "chai";
import { untilDone } from "../../actors/until-done.js";
import { ManualClock } from "../support/manual-clock.js";

describe("until done", () => {
  it("looks at once, then after 5 ms, and less and less often up to every 80 ms", async () => {
    const clock = new ManualClock();
    const looks: number[] = [];
    const isDone = (): boolean => {
      looks.push(clock.elapsedMs());
      return looks.length === 8;
    };
    const start = clock.elapsedMs();
    await clock.resolve(untilDone(clock, isDone, 10_000));
    const wanted = [0, 5, 15, 35, 75, 155, 235, 315];
    expect(looks.map((ms) => ms - start)).to.deep.equal(wanted);
  });

  it("ends at its limit, whatever is still under way", async () => {
    const clock = new ManualClock();
    const start = clock.elapsedMs();
    await clock.resolve(untilDone(clock, () => false, 1_000));
    expect(clock.elapsedMs() - start).to.be.within(1_000, 1_080);
  });
});
