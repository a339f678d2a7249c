/**
 * Waits between attempts: they double up to the most, spread by chance, and begin again.
 */
import { expect } from "chai";
import { InvariantError } from "../../protocol/assert.js";
import { BackOff } from "../../protocol/back-off.js";

function take(backOff: BackOff, count: number, fraction?: number): number[] {
  return Array.from({ length: count }, () => backOff.next(fraction));
}

describe("back-off", () => {
  it("doubles each wait up to the most", () => {
    expect(take(new BackOff(20, 100), 5)).to.deep.equal([20, 40, 80, 100, 100]);
    expect(take(new BackOff(30, 30), 2)).to.deep.equal([30, 30]);
  });

  it("does not wait the first time if it begins at once", () => {
    const backOff = new BackOff(20, 50, { atOnce: true });
    expect(take(backOff, 4)).to.deep.equal([0, 20, 40, 50]);
    backOff.reset();
    expect(take(backOff, 2)).to.deep.equal([0, 20]);
  });

  it("spreads a wait from half to one and a half; the next one does not depend on that", () => {
    expect(take(new BackOff(20, 100), 3, 0)).to.deep.equal([10, 20, 40]);
    expect(take(new BackOff(20, 100), 3, 1)).to.deep.equal([30, 60, 120]);
    const backOff = new BackOff(20, 100);
    backOff.next(0.9);
    expect(backOff.waitMs).to.equal(40);
  });

  it("begins again with the first wait", () => {
    const backOff = new BackOff(20, 100);
    take(backOff, 3);
    backOff.reset();
    expect(take(backOff, 2)).to.deep.equal([20, 40]);
  });

  it("takes no waits that shrink, and no fraction beyond 1", () => {
    expect(() => new BackOff(20, 10)).to.throw(InvariantError);
    expect(() => new BackOff(0, 10)).to.throw(InvariantError);
    for (const fraction of [-0.1, 1.1, Number.NaN]) {
      expect(() => new BackOff(20, 100).next(fraction), String(fraction)).to.throw(InvariantError);
    }
  });
});
