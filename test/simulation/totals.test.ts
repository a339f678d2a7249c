/**
 * Totals of many runs: what never came into play is named, be it a fault, a rule or a check.
 */
import { expect } from "chai";
import { checkNames } from "./check-context.js";
import { faultNames } from "./faults.js";
import { ruleNames } from "./rules.js";
import { addTotals, neverSeen, noTotals, SEEDS_ENOUGH, tableOf, type Totals } from "./totals.js";

const sections = { faults: faultNames, rules: ruleNames, checks: checkNames } as const;
type Section = keyof typeof sections;

describe("totals of many runs", () => {
  it("name nothing where all came into play", () => {
    expect(neverSeen(totalsOf(SEEDS_ENOUGH))).to.deep.equal([]);
  });

  for (const [section, names] of Object.entries(sections) as [Section, readonly string[]][]) {
    it(`name each of the ${section} that is zero or missing, and no other`, () => {
      for (const name of names) {
        const expected = [`${section.replace(/s$/, "")}: ${name}`];
        const totals = totalsOf(SEEDS_ENOUGH);
        totals[section][name] = 0;
        expect(neverSeen(totals)).to.deep.equal(expected);
        delete totals[section][name];
        expect(neverSeen(totals)).to.deep.equal(expected);
      }
    });
  }

  it("name nothing while there were too few runs, and all once there are enough", () => {
    const few = { ...noTotals(), seeds: SEEDS_ENOUGH - 1 };
    expect(neverSeen(few)).to.deep.equal([]);
    addTotals(few, { ...noTotals(), seeds: 1 });
    const all = faultNames.length + ruleNames.length + checkNames.length;
    expect(neverSeen(few)).to.have.length(all);
  });

  it("show in their table also what is zero", () => {
    const table = tableOf({ ...noTotals(), seeds: 1 }, 1);
    for (const name of [...faultNames, ...ruleNames, ...checkNames]) {
      expect(table.some((line) => line.startsWith(`  ${name} `) && line.endsWith(" 0"))).to.equal(
        true,
        name,
      );
    }
  });
});

/** All came into play once. */
function totalsOf(seeds: number): Totals {
  const ones = (names: readonly string[]): Record<string, number> =>
    Object.fromEntries(names.map((name) => [name, 1]));
  const counts = { faults: ones(faultNames), rules: ones(ruleNames), checks: ones(checkNames) };
  return { ...noTotals(), ...counts, seeds };
}
