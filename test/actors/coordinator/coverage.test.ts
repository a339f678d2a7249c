/**
 * Coverage of four positions by answers that overlap, repeat or leave a hole.
 */
import { expect } from "chai";
import { Coverage, type Answer } from "../../../actors/coordinator/coverage.js";
import type { Epoch, Position, Sequence, ShardId } from "../../../protocol/ids.js";

describe("coverage", () => {
  let coverage: Coverage;
  beforeEach(() => {
    coverage = new Coverage(4);
  });

  it("is complete when every position has been claimed once", () => {
    coverage.accept(answer("s1", [0, 2]));
    coverage.accept(answer("s2", [1, 3]));
    expect(coverage.isComplete).to.equal(true);
    expect(coverage.missing()).to.deep.equal([]);
  });

  it("refuses an answer that claims a position again, and takes nothing of it", () => {
    coverage.accept(answer("s1", [0, 1]));
    const verdict = coverage.accept(answer("s2", [1, 2, 3]));
    expect(verdict).to.deep.equal({ ok: false, position: 1, claimedBy: "s1" });
    expect(coverage.missing()).to.deep.equal([2, 3]);
  });

  it("names the positions nobody has claimed", () => {
    coverage.accept(answer("s2", [1, 3]));
    expect(coverage.isComplete).to.equal(false);
    expect(coverage.missing()).to.deep.equal([0, 2]);
  });
});

function answer(shard: string, positions: number[]): Answer {
  const at = { epoch: 1 as Epoch, sequence: 7 as Sequence };
  return { shard: shard as ShardId, positions: positions as Position[], ...at };
}
