/**
 * The manual clock, as every clock; and the seeded chance, on which every simulation rests too.
 */
import { expect } from "chai";
import fc from "fast-check";
import { sleep } from "../../infra/clock.js";
import { clockContract } from "../contract/clock-contract.js";
import { ManualClock, seededChance } from "./manual-clock.js";

describe("manual clock", () => {
  clockContract(() => {
    const clock = new ManualClock();
    return { clock, until: (condition) => clock.runUntil(condition) };
  });

  it("runs tasks by their times, those of one time in the order they were set", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(20), { maxLength: 60 }), async (times) => {
        const clock = new ManualClock();
        const seen: { ms: number; index: number }[] = [];
        for (const [index, ms] of times.entries()) {
          clock.after(ms, () => {
            expect(clock.elapsedMs()).to.equal(ms);
            seen.push({ ms, index });
          });
        }
        await clock.runUntilIdle();
        const expected = times.map((ms, index) => ({ ms, index })).toSorted((a, b) => a.ms - b.ms);
        expect(seen).to.deep.equal(expected);
      }),
      { numRuns: 30 },
    );
  });

  it("does not run what was cancelled, nor what is later than it advances", async () => {
    const clock = new ManualClock();
    const seen: string[] = [];
    clock.after(10, () => void seen.push("cancelled")).cancel();
    clock.after(10, () => void seen.push("due"));
    clock.after(11, () => void seen.push("later"));
    await clock.advance(10);
    expect(seen).to.deep.equal(["due"]);
    expect(clock.elapsedMs()).to.equal(10);
  });

  it("jumps as a wall clock does, and measures time all the same", async () => {
    const clock = new ManualClock();
    const [now, elapsedMs] = [clock.now(), clock.elapsedMs()];
    const seen: string[] = [];
    clock.after(10, () => void seen.push("timer"));
    clock.jump(-60_000);
    expect(clock.now()).to.equal(now - 60_000);
    expect(clock.elapsedMs()).to.equal(elapsedMs);
    await clock.advance(10);
    expect(seen).to.deep.equal(["timer"]);
  });

  it("lets promises run between tasks, and keeps time still meanwhile", async () => {
    const clock = new ManualClock(1_000);
    const seen: number[] = [];
    const loop = async (): Promise<void> => {
      for (let count = 0; count < 3; count++) {
        await sleep(clock, 5);
        seen.push(clock.now());
      }
    };
    await clock.resolve(loop());
    expect(seen).to.deep.equal([1_005, 1_010, 1_015]);
  });

  it("says so when what a test waits for can no longer happen", async () => {
    const failure = await new ManualClock().runUntil(() => false).catch((error: unknown) => error);
    expect(failure).to.have.property("message").that.includes("all is idle");
  });

  it("draws the same for the same seed", () => {
    const draw = (seed: number): number[] => {
      const chance = seededChance(seed);
      return Array.from({ length: 1_000 }, () => chance.integer(10));
    };
    expect(draw(7)).to.deep.equal(draw(7));
    expect(draw(7)).not.to.deep.equal(draw(8));
    expect(new Set(draw(7)).size).to.equal(10);
  });
});
