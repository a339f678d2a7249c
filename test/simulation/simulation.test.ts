/**
 * Simulated runs of whole clusters, one a seed, from a fixed first seed on: as many as fit into a
 * minute, at least SEEDS_ENOUGH. `make simulate` runs as many as one likes.
 */
import { expect } from "chai";
import { runSeeds } from "./seed-runner.js";
import { simulate } from "./simulate.js";
import { neverSeen, SEEDS_ENOUGH } from "./totals.js";

const TIME_MS = 55_000;
const WORKERS = 2;

describe("simulation of whole clusters", function () {
  this.timeout(0);

  it("loses, doubles and confuses nothing, whatever goes wrong", async () => {
    const common = { first: 1, seeds: SEEDS_ENOUGH, timeMs: TIME_MS, workers: WORKERS };
    const totals = await runSeeds(common);
    const replays = totals.failures.map(({ seed }) => `make simulate SEED=${seed} SEEDS=1`);
    expect(totals.failures, replays.join("\n")).to.deep.equal([]);
    // A run in which nothing was done, or nothing went wrong, would show nothing.
    expect(neverSeen(totals)).to.deep.equal([]);
    expect(totals.operations / totals.seeds, "operations").to.be.at.least(200);
    expect(totals.nodes / totals.seeds, "nodes").to.be.within(2.8, 3.3);
    expect(totals.faultKinds / totals.seeds, "kinds of fault").to.be.at.least(2);
  });

  it("goes wrong in nothing when nothing goes wrong", async () => {
    const report = await simulate(7, { plan: { faults: new Map() } });
    expect(report.problems).to.deep.equal([]);
    expect(report.faults).to.deep.equal({});
    expect(report.operations).to.be.greaterThan(0);
  });

  it("is the same event by event for the same seed, and another for another", async () => {
    const [one, same, other] = [await simulate(11), await simulate(11), await simulate(12)];
    expect(same).to.deep.equal(one);
    expect(other.traceHash).to.not.equal(one.traceHash);
  });
});
