/**
 * Chains: those of the last entries.
 */
import { expect } from "chai";
import { CHAIN_HISTORY, Chains } from "../../../../actors/shard/state/chains.js";
import type { Sequence } from "../../../../protocol/ids.js";

describe("chains", () => {
  it("keep the last ones, and know none before or after", () => {
    const chains = new Chains();
    const last = CHAIN_HISTORY + 10;
    for (let number = 0; number <= last; number += 1) {
      chains.add(number as Sequence, BigInt(number));
    }
    expect(chains.get(last as Sequence)).to.equal(BigInt(last));
    expect(chains.get((last - CHAIN_HISTORY + 1) as Sequence)).to.equal(11n);
    expect(chains.get((last - CHAIN_HISTORY) as Sequence)).to.equal(undefined);
    expect(chains.get((last + 1) as Sequence)).to.equal(undefined);
  });

  it("begin anew with a sequence that does not follow", () => {
    const chains = new Chains();
    chains.add(0 as Sequence, 0n);
    chains.add(50 as Sequence, 5n);
    expect(chains.get(0 as Sequence)).to.equal(undefined);
    expect(chains.get(50 as Sequence)).to.equal(5n);
  });
});
