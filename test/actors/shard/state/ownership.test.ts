/**
 * Ownership: which positions a replica owns, and whether it owned them all the time.
 */
import { expect } from "chai";
import { Ownership } from "../../../../actors/shard/state/ownership.js";
import type { Position } from "../../../../protocol/ids.js";

const first = 0 as Position;

describe("ownership", () => {
  it("owns what it was told, and knows when it was interrupted", () => {
    const ownership = new Ownership(4);
    expect(ownership.state(first)).to.equal("absent");
    ownership.set(2 as Position, "owned", 1);
    ownership.set(first, "owned", 1);
    expect(ownership.owned()).to.deep.equal([0, 2]);
    expect(ownership.ownedCount).to.equal(2);
    const generation = ownership.generation(first);
    expect(ownership.stillOwns(first, generation)).to.equal(true);
    ownership.set(first, "sealed", 2);
    expect(ownership.owns(first)).to.equal(false);
    expect(ownership.ownedCount).to.equal(1);
    ownership.set(first, "owned", 3);
    expect(ownership.stillOwns(first, generation)).to.equal(false);
    ownership.set(first, "owned", 3);
    expect(ownership.ownedCount).to.equal(2);
  });
});
