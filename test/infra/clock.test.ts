/**
 * The machine's own clock: as every clock, and what only a real process shows.
 */
import { expect } from "chai";
import { systemChance, systemClock } from "../../infra/clock.js";
import { clockContract } from "../contract/clock-contract.js";
import { runProgram } from "../support/run-program.js";
import { until } from "../support/until.js";

describe("system clock", () => {
  clockContract(() => ({ clock: systemClock, until: (condition) => until(condition) }));

  it("does not keep the process alive by a timer", async function () {
    this.timeout(30_000);
    const module = new URL("../../infra/clock.js", import.meta.url).href;
    const script =
      `import { sleep, systemClock } from ${JSON.stringify(module)};` +
      "systemClock.after(3_600_000, () => undefined);" +
      "systemClock.after(2 ** 31, () => undefined);" +
      "void sleep(systemClock, 3_600_000);" +
      'process.stdout.write("set");';
    const program = ["--input-type=module", "--eval", script];
    const { code, out } = await runProgram(process.execPath, program, { timeoutMs: 20_000 });
    expect({ code, out }).to.deep.equal({ code: 0, out: "set" });
  });
});

describe("system chance", () => {
  it("gives as many bytes as are asked for, and none of them twice", () => {
    const seen = new Set<string>();
    for (let count = 0; count < 2_000; count += 1) {
      const bytes = systemChance.bytes(16);
      expect(bytes).to.have.length(16);
      seen.add(Buffer.from(bytes).toString("hex"));
    }
    expect(seen.size).to.equal(2_000);
    expect(systemChance.bytes(0)).to.have.length(0);
    expect(new Set(systemChance.bytes(100_000)).size).to.equal(256);
  });

  it("hands bytes over for good: what is asked for later does not change them", () => {
    const bytes = systemChance.bytes(16);
    const before = bytes.slice();
    for (let count = 0; count < 2_000; count += 1) systemChance.bytes(16).fill(0);
    expect(bytes).to.deep.equal(before);
  });

  it("draws fractions from 0 to below 1", () => {
    const fractions = Array.from({ length: 1_000 }, () => systemChance.fraction());
    for (const fraction of fractions) expect(fraction).to.be.within(0, 1 - Number.EPSILON / 2);
    expect(new Set(fractions).size).to.be.greaterThan(900);
  });
});
