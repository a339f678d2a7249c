/**
 * Quotas: how a whole number is divided by weights.
 */
import { expect } from "chai";
import fc from "fast-check";
import { quotasOf, type Claim } from "../../../actors/ring-keeper/quotas.js";

describe("quotas", () => {
  it("are the whole parts and one more for the largest fractions", () => {
    expect(quotasOf(10, claims([1, 1, 1]))).to.deep.equal([4, 3, 3]);
    expect(quotasOf(10, claims([5, 3, 1]))).to.deep.equal([6, 3, 1]);
    expect(quotasOf(10, claims([0, 1]))).to.deep.equal([0, 10]);
  });

  it("leave the extra one, among equals, with whoever would have to give it away", () => {
    const held = claims([1, 1, 1]).map((claim, index) => ({
      ...claim,
      held: [3, 3, 4][index] ?? 0,
    }));
    expect(quotasOf(10, held)).to.deep.equal([3, 3, 4]);
  });

  it("stay within bounds and add up, the rest divided by weight", () => {
    const bounded = fc.record({
      weight: fc.nat(9),
      least: fc.nat(5),
      room: fc.nat(9),
      held: fc.nat(9),
    });
    fc.assert(
      fc.property(fc.array(bounded, { minLength: 1, maxLength: 6 }), fc.nat(), (list, pick) => {
        const all: Claim[] = list.map(({ room, ...claim }) => ({
          ...claim,
          most: claim.least + room,
        }));
        const most = (claim: Claim): number => (claim.weight === 0 ? claim.least : claim.most);
        const low = all.reduce((sum, { least }) => sum + least, 0);
        const high = all.reduce((sum, claim) => sum + most(claim), 0);
        const total = low + (pick % (high - low + 1));
        const quotas = quotasOf(total, all);
        expect(quotas.reduce((sum, quota) => sum + quota, 0)).to.equal(total);
        const parts = all.map((claim, index) => ({ ...claim, quota: quotas[index] as number }));
        for (const a of parts) {
          expect(a.quota).to.be.within(a.least, most(a));
          for (const b of parts) {
            // Whoever may give and whoever may take are within one of their shares.
            if (a.quota === a.least || b.quota === b.most) continue;
            expect((a.quota - 1) * b.weight).to.be.at.most((b.quota + 1) * a.weight);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

function claims(weights: readonly number[]): Claim[] {
  return weights.map((weight) => ({ weight, least: 0, most: 1_000, held: 0 }));
}
