/**
 * The clock of a simulated process: as every clock while the process runs; and that of one that is
 * paused or dead.
 */
import { expect } from "chai";
import { clockContract } from "../contract/clock-contract.js";
import { ManualClock } from "../support/manual-clock.js";
import { ProcessClock } from "./process-clock.js";

describe("process clock", () => {
  clockContract(() => {
    const world = new ManualClock();
    const clock = new ProcessClock(world, 1_500);
    return { clock, until: (condition) => world.runUntil(condition) };
  });

  describe("of a process that is not running", () => {
    let world: ManualClock;
    let clock: ProcessClock;
    let seen: string[];
    beforeEach(() => {
      world = new ManualClock();
      clock = new ProcessClock(world);
      seen = [];
      clock.after(10, () => void seen.push("timer"));
      clock.after(10, () => void seen.push("cancelled")).cancel();
      clock.soon(() => void seen.push("soon"));
    });

    it("holds what is due back until it goes on, and runs it in order then", async () => {
      clock.pause();
      clock.enter(() => void seen.push("from outside"));
      await world.advance(20);
      expect(seen).to.deep.equal([]);
      expect(clock.elapsedMs()).to.equal(20);
      clock.resume();
      await world.advance(0);
      expect(seen).to.deep.equal(["from outside", "soon", "timer"]);
    });

    it("does not run what was held back and then cancelled", async () => {
      const timer = clock.after(5, () => void seen.push("held back"));
      clock.pause();
      await world.advance(20);
      timer.cancel();
      clock.resume();
      await world.advance(0);
      expect(seen).to.deep.equal(["soon", "timer"]);
    });

    it("never runs anything again once it is dead", async () => {
      clock.kill();
      clock.resume();
      clock.enter(() => void seen.push("from outside"));
      await world.advance(20);
      expect(seen).to.deep.equal([]);
    });
  });
});
