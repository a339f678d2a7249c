/**
 * Origins: which numbers of a proposer are taken.
 */
import { expect } from "chai";
import { ORIGIN_KEPT_MS, Origins } from "../../../../actors/shard/state/origins.js";
import type { Origin, TimeMs } from "../../../../protocol/ids.js";

describe("origins", () => {
  const one = "01".repeat(16) as Origin;
  const now = 0 as TimeMs;

  it("accept numbers one by one after an open, and any higher fence", () => {
    const origins = new Origins();
    expect(origins.accept("barrier", one, 1, now)).to.equal(false);
    expect(origins.accept("fence", one, 9, now)).to.equal(false);
    expect(origins.accept("open", one, 1, now)).to.equal(true);
    expect(origins.accept("open", one, 2, now)).to.equal(false);
    expect(origins.accept("operations", one, 1, now)).to.equal(false);
    expect(origins.accept("operations", one, 3, now)).to.equal(false);
    expect(origins.accept("operations", one, 2, now)).to.equal(true);
    expect(origins.accept("fence", one, 2, now)).to.equal(false);
    expect(origins.accept("fence", one, 5, now)).to.equal(true);
    expect(origins.accept("operations", one, 3, now)).to.equal(false);
    expect(origins.accept("barrier", one, 6, now)).to.equal(true);
    expect(origins.accept("genesis", one, 7, now)).to.equal(false);
  });

  it("that were silent for too long are unknown, whether or not they were forgotten", () => {
    const origins = new Origins();
    origins.accept("open", one, 1, now);
    const edge = ORIGIN_KEPT_MS as TimeMs;
    expect(origins.get(one, edge)?.number).to.equal(1);
    expect(origins.forget(edge)).to.deep.equal([]);
    const late = (edge + 1) as TimeMs;
    expect(origins.accept("barrier", one, 2, late)).to.equal(false);
    expect(origins.forget(late)).to.deep.equal([one]);
    expect(origins.count).to.equal(0);
    expect(origins.accept("open", one, 1, late)).to.equal(true);
  });
});
